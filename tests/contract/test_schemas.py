"""The JSON Schemas accept what the gateway really says, and refuse what it may never say."""

import gzip
import json
import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from agent.buffer.keeper import Keeper
from agent.contract.catalogue import Row, Value, catalogue
from agent.publish.messages import INVENTORY_FACTS, State, inventory_facts, inventory_message, status_message
from agent.wire.columns import encode_batch, encode_rows_json
from agent.wire.zlib_stream import inflate
from tests.contract.schema_files import SCHEMAS, as_json, faults
from tests.support.rows import EPOCH, sample_row

EXPECTED_READINGS = sorted((Path(__file__).parents[1] / "transcripts").glob("*/*/expected.json"))

WEEK = Path(__file__).parents[2].parent / "shared" / "reference" / "telemetry_week.jsonl.gz"


def columnar(rows: list[Row], *, late: bool = False) -> bytes:
    return inflate(encode_batch(EPOCH, rows, late=late), 1 << 20)


def extreme_rows() -> Iterator[Row]:
    """Yield rows that hold every metric: least, greatest, and each allowed word."""
    for number in range(12):
        row: Row = {}
        for metric in catalogue().reading_metrics:
            bounds: tuple[Value, ...] = (metric.minimum, metric.maximum)
            choices = (metric.values or ("any text, é <&>",)) if metric.type == "text" else bounds
            row[metric.name] = metric.clean(choices[number % len(choices)])
        yield {**row, "seq": number + 1}


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_valid(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$id"] == name


def test_the_schemas_are_these() -> None:
    names = (
        "event",
        "inventory",
        "modem-read",
        "reading",
        "readings-columnar",
        "readings-json",
        "status",
        "stored",
    )
    assert tuple(SCHEMAS) == tuple(f"{name}.json" for name in names)


@pytest.mark.parametrize("metric", catalogue().reading_metrics, ids=lambda metric: metric.name)
def test_a_reading_describes_every_metric(metric: Any) -> None:
    described = SCHEMAS["reading.json"]["properties"][metric.name]
    assert described["title"] and described["description"] and described["x-label-id"]
    assert described.get("x-unit") == metric.unit
    assert tuple(described.get("enum", ())) == metric.values
    assert (described.get("minimum"), described.get("maximum")) == (metric.minimum, metric.maximum)


def test_rows_from_a_real_database_are_valid(tmp_path: Path) -> None:
    keeper = Keeper(
        tmp_path / "sinyal.db", max_bytes=8 << 20, commit_interval_s=0, commit_readings=1, keep_days=9
    )
    keeper.start()
    try:
        for row in extreme_rows():
            keeper.append({name: value for name, value in row.items() if name != "seq"})
        stored = keeper.unsent_rows(newest=False, limit=100, leased=[])
    finally:
        keeper.close()
    assert len(stored) == 12
    assert faults("readings-json.json", encode_rows_json(EPOCH, stored)) == []
    assert faults("readings-columnar.json", columnar(stored)) == []


@pytest.mark.parametrize("count", [1, 2, 60])
@pytest.mark.parametrize("late", [True, False])
def test_ordinary_rows_are_valid(count: int, late: bool) -> None:
    rows = [sample_row(seq) for seq in range(1, count + 1)]
    assert faults("readings-json.json", encode_rows_json(EPOCH, rows)) == []
    assert faults("readings-columnar.json", columnar(rows, late=late)) == []


def test_a_week_of_readings_is_valid() -> None:
    if not WEEK.exists():
        pytest.skip(f"{WEEK.name} is not beside the project")
    with gzip.open(WEEK, "rt") as lines:
        rows: list[Row] = [json.loads(line) for line in islice(lines, 2000)]
    assert faults("readings-json.json", encode_rows_json(EPOCH, rows)) == []
    assert faults("readings-columnar.json", columnar(rows)) == []


def test_more_than_this_version_knows_is_valid() -> None:
    row: Row = {**sample_row(1), "rain_mm": 0.5, "weather": "wet", "rsrp_dbm_min": -120, "rsrp_dbm_max": -90}
    assert faults("readings-json.json", encode_rows_json(EPOCH, [row])) == []
    assert faults("readings-columnar.json", columnar([row, sample_row(2)])) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"rsrp_dbm": 255},
        {"rsrp_dbm_min": 255},
        {"rsrp_dbm": None},
        {"rsrp_dbm": "-103"},
        {"rsrp_dbm": math.nan},
        {"rsrq_db": math.nan},
        {"loss_ratio": 1.5},
        {"link_up": True},
        {"modem_state": "sleeping"},
        {"access_technology": "4G"},
        {"operator_name": ""},
        {"epoch": "9F2C01AB"},
        {"seq": 0},
        {"ts": None},
        {"imsi": "510100123456789"},
        {"imei": "490154203237518"},
        {"iccid": "8962100000000000000"},
    ],
    ids=str,
)
def test_a_wrong_reading_is_refused(wrong: dict[str, Any]) -> None:
    reading = {"epoch": EPOCH, **sample_row(1)}
    assert faults("readings-json.json", as_json([reading])) == []
    assert faults("reading.json", as_json(reading)) == []
    assert faults("readings-json.json", as_json([reading | wrong]))
    assert faults("reading.json", as_json(reading | wrong))


@pytest.mark.parametrize("missing", ["epoch", "seq", "ts"])
def test_a_reading_without_identity_or_time_is_refused(missing: str) -> None:
    reading = {"epoch": EPOCH, **sample_row(1)}
    del reading[missing]
    assert faults("readings-json.json", as_json([reading]))
    assert faults("readings-json.json", b"[]")


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ((), {"v": 2}),
        ((), {"epoch": "9f2c01a"}),
        ((), {"n": 0}),
        ((), {"n": True}),
        ((), {"late": 2}),
        ((), {"c": []}),
        (("c",), {"seq": []}),
        (("c",), {"rsrp_dbm": [-103.5, 1, 0]}),
        (("c",), {"rsrp_dbm": [[-103, 3]]}),
        (("c",), {"rsrq_db/0": [1, 1, 1]}),
        (("c",), {"rsrq_db/10/10": [1, 1, 1]}),
        (("c",), {"band": ["B3", "B3", "B40"]}),
        (("c",), {"band": [["B3", 0], ["B40", 3]]}),
        (("c",), {"band": [["B3", 3, 1]]}),
        (("c",), {"band": 3}),
        (("c",), {"modem_state": "sleeping"}),
        (("c",), {"modem_state": [["ok", 2], ["sleeping", 1]]}),
        (("c",), {"imsi": "510100123456789"}),
        (("c",), {"epoch": EPOCH}),
        (("c",), {"from_the_future": {"not": "a column"}}),
    ],
    ids=str,
)
def test_a_wrong_batch_is_refused(part: tuple[str, ...], wrong: dict[str, Any]) -> None:
    batch = json.loads(columnar([sample_row(seq) for seq in (1, 2, 3)]))
    assert faults("readings-columnar.json", as_json(batch)) == []
    inner = batch
    for key in part:
        inner = inner[key]
    inner.update(wrong)
    assert faults("readings-columnar.json", as_json(batch))


@pytest.mark.parametrize("missing", ["seq", "ts"])
def test_a_batch_without_identity_or_time_is_refused(missing: str) -> None:
    batch = json.loads(columnar([sample_row(1)]))
    del batch["c"][missing]
    assert faults("readings-columnar.json", as_json(batch))


@pytest.mark.parametrize("state", ["online", "offline", "lost"])
@pytest.mark.parametrize("last_seq", [None, 4713])
@pytest.mark.parametrize("interval_s", [60, 0.5])
def test_a_real_status_is_valid(state: State, last_seq: int | None, interval_s: float) -> None:
    payload = status_message(
        state, ts=20, since_ts=10, epoch=EPOCH, last_seq=last_seq, version="0.1.0", interval_s=interval_s
    )
    assert faults("status.json", payload) == []


@pytest.mark.parametrize(
    "wrong", [{"v": 2}, {"state": "gone"}, {"ts": "now"}, {"last_seq": None}, {"interval_s": 0}], ids=str
)
def test_a_wrong_status_is_refused(wrong: dict[str, Any]) -> None:
    payload = status_message(
        "online", ts=20, since_ts=10, epoch=EPOCH, last_seq=1, version="0.1.0", interval_s=60
    )
    assert faults("status.json", as_json(json.loads(payload) | wrong))


def test_a_real_inventory_is_valid() -> None:
    known = {name: f"value of {name}" for name in INVENTORY_FACTS} | {"kode_desa": "15.02.01.2001"}
    full = inventory_message(inventory_facts(known, version="0.1.0", epoch=EPOCH), ts=7)
    bare = inventory_message(inventory_facts({}, version="0.1.0", epoch=EPOCH), ts=7)
    assert faults("inventory.json", full) == []
    assert faults("inventory.json", bare) == []
    identifiers = {"imei", "iccid", "imsi"}
    assert SCHEMAS["inventory.json"]["properties"].keys() - identifiers == json.loads(full).keys()


@pytest.mark.parametrize(
    "wrong",
    [{"imei": "490154203237518"}, {"kode_desa": "1502012001"}, {"role": ""}, {"catalogue": "1"}],
    ids=str,
)
def test_a_wrong_inventory_is_refused(wrong: dict[str, Any]) -> None:
    payload = inventory_message(inventory_facts({}, version="0.1.0", epoch=EPOCH), ts=7)
    assert faults("inventory.json", as_json(json.loads(payload) | wrong))


@pytest.mark.parametrize("file", EXPECTED_READINGS, ids=lambda file: "/".join(file.parts[-3:-1]))
def test_what_a_modem_gives_is_valid(file: Path) -> None:
    expected = json.loads(file.read_text())
    sources = dict.fromkeys(expected["fields"], "AT+CSQ")
    printed = {**expected["fields"], **expected.get("inventory", {}), "sources": sources}
    assert faults("modem-read.json", as_json({"modem_state": "ok", **printed})) == []
    assert faults("reading.json", as_json({"seq": 1, "ts": 0, **expected["fields"]})) == []


def test_a_modem_that_says_nothing_is_valid() -> None:
    silent = dict.fromkeys(SCHEMAS["modem-read.json"]["properties"], None)
    assert faults("modem-read.json", as_json({**silent, "modem_state": "hung", "sources": {}})) == []


@pytest.mark.parametrize(
    "wrong", [{"rsrp_dbm": 255}, {"modem_state": None}, {"sources": {"rsrp_dbm": None}}], ids=str
)
def test_a_wrong_modem_reading_is_refused(wrong: dict[str, Any]) -> None:
    assert faults("modem-read.json", as_json({"modem_state": "ok", "sources": {}} | wrong))
