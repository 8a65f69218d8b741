"""The catalogue holds what the contract promises (sections 3 and 4): names, words, labels, ranges."""

import json
import re

import pytest

from agent.contract.catalogue import CATALOGUE_FILE, Metric, catalogue

PROMISED = """
seq epoch slot_s seq_first ts ts_quality boot uptime_s modem_state sim_state registration access_technology
operator_name operator_mccmnc rssi_dbm rsrp_dbm rsrq_db sinr_db rscp_dbm ecio_db
nr_rsrp_dbm nr_rsrq_db nr_sinr_db nr_band band earfcn uarfcn arfcn pci cell_id tac lac
manufacturer model firmware imei iccid imsi modem_temperature_c signal_class
link_up rtt_ms rtt_p95_ms jitter_ms loss_ratio wan_rx_bytes wan_tx_bytes agent_bytes
mains_present battery_v battery_pct undervoltage
cpu_pct load1 mem_used_pct disk_used_pct soc_temp_c clients_count
buffer_unsent buffer_oldest_s clock_offset_s
"""

WORDS = {
    "ts_quality": "ntp modem broker rtc estimated unset",
    "modem_state": "ok busy hung missing restarted",
    "sim_state": "ready pin_required puk_required absent locked error",
    "registration": "home roaming searching denied not_registered unknown",
    "access_technology": "gsm gprs edge umts hspa lte lte-m nb-iot nr5g-nsa nr5g-sa none",
    "signal_class": "excellent good fair poor very_poor none",
}

DECIMALS = {"dBm": 0, "%": 0, "count": 0, "byte": 0, "dB": 1, "°C": 1, "ms": 1, "V": 1, "ratio": 3}
"""Precision on the wire. load1 alone has two decimals: it is an average, not a count of things."""

NOT_PER_READING = {
    "envelope": {"epoch"},
    "inventory": {"manufacturer", "model", "firmware"},
    "local": {"imei", "iccid", "imsi"},
}

UNIT_BEHIND = {
    "_dbm": "dBm",
    "_db": "dB",
    "_ms": "ms",
    "_s": "s",
    "_pct": "%",
    "_ratio": "ratio",
    "_bytes": "byte",
    "_v": "V",
    "_c": "°C",
    "_count": "count",
}

KNOWN_IN_CAPITALS = {"GSM", "LTE", "UMTS", "SIM", "5G"}

MEASURES = {
    *("average", "maximum", "mean", "median", "minimum", "percent", "percentage", "total"),
    *("maksimum", "median", "persen", "persentase", "rata-rata", "rerata", "total"),
}

ENTRIES = {entry["name"]: entry for entry in json.loads(CATALOGUE_FILE.read_bytes())["metrics"]}

LABELS = [
    (name, language, text) for name, entry in ENTRIES.items() for language, text in entry["label"].items()
]

METRICS = catalogue().metrics
NUMERIC = [metric for metric in METRICS if metric.type != "text"]


def _name(metric: Metric) -> str:
    return metric.name


def test_every_field_of_the_contract_is_there() -> None:
    assert set(PROMISED.split()) - ENTRIES.keys() == set()


def test_every_name_stands_once() -> None:
    assert len(ENTRIES) == len(METRICS)


@pytest.mark.parametrize("metric", METRICS, ids=_name)
def test_a_metric_is_kept_where_the_contract_says(metric: Metric) -> None:
    expected = {name: kept for kept, names in NOT_PER_READING.items() for name in names}
    assert metric.kept == expected.get(metric.name, "reading")


def test_what_never_leaves_the_gateway_is_internal() -> None:
    assert {metric.name for metric in METRICS if metric.level == "internal"} == NOT_PER_READING["local"]


@pytest.mark.parametrize("metric", METRICS, ids=_name)
def test_words_are_those_of_the_contract(metric: Metric) -> None:
    assert metric.values == tuple(WORDS.get(metric.name, "").split())


@pytest.mark.parametrize("metric", NUMERIC, ids=_name)
def test_unit_and_precision_follow_the_contract(metric: Metric) -> None:
    for ending, unit in UNIT_BEHIND.items():
        if metric.name.endswith(ending):
            assert metric.unit == unit
            break
    if metric.unit in DECIMALS and metric.name != "load1":
        assert metric.decimals == DECIMALS[metric.unit]


@pytest.mark.parametrize("metric", NUMERIC, ids=_name)
def test_every_number_has_a_range_that_its_own_precision_keeps(metric: Metric) -> None:
    assert metric.minimum is not None and metric.maximum is not None
    assert metric.minimum < metric.maximum
    assert metric.clean(metric.minimum) == metric.minimum
    assert metric.clean(metric.maximum) == metric.maximum
    assert metric.clean(metric.minimum - 1) is None
    assert metric.clean(metric.maximum + 1) is None
    # The codec sends 64 bits.
    assert max(-metric.minimum, metric.maximum) * metric.divisor < 2**63


@pytest.mark.parametrize(
    ("name", "sentinel"),
    [
        *(("rssi_dbm", 99), ("rsrp_dbm", 255), ("rsrp_dbm", -32768), ("rsrq_db", 255), ("sinr_db", 251)),
        *(("rscp_dbm", 255), ("ecio_db", 255), ("nr_rsrp_dbm", -32768), ("nr_sinr_db", -32768)),
        *(
            ("pci", 65535),
            ("earfcn", 4294967295),
            ("cell_id", 2**36 - 1),
            ("tac", 16777214),
            ("tac", 16777215),
        ),
        *(("lac", 65534), ("lac", 65535), ("modem_temperature_c", 255), ("modem_temperature_c", -273)),
    ],
)
def test_a_sentinel_is_outside_the_range(name: str, sentinel: int) -> None:
    assert catalogue()[name].clean(sentinel) is None


@pytest.mark.parametrize("name", ENTRIES)
def test_labels_and_definitions_are_in_both_languages_and_a_source_is_named(name: str) -> None:
    entry = ENTRIES[name]
    for part in ("label", "definition"):
        assert entry[part].keys() == {"en", "id"}
        assert all(text and text == text.strip() for text in entry[part].values())
    assert all(text.endswith(".") for text in entry["definition"].values())
    assert entry["source"]


@pytest.mark.parametrize(("name", "language", "label"), LABELS)
def test_a_label_follows_the_rules_of_bps(name: str, language: str, label: str) -> None:
    assert not re.search(r"[()\[\]{}/]", label)
    in_capitals = {word for word in re.findall(r"\b[A-Z0-9]{2,}\b", label) if not word.isdigit()}
    assert in_capitals <= KNOWN_IN_CAPITALS
    assert label.split()[0].lower() not in MEASURES
    assert not re.search(r"\b(19|20)\d\d\b", label)


@pytest.mark.parametrize("language", ["en", "id"])
def test_no_two_metrics_share_a_label(language: str) -> None:
    labels = [entry["label"][language] for entry in ENTRIES.values()]
    assert len(set(labels)) == len(labels)
