from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest

from agent.config.keys import DEFAULTS, RULES, ImpossibleValue
from agent.config.model import (
    SECTIONS,
    BrokerConfig,
    BufferConfig,
    Config,
    GatewayConfig,
    ModemConfig,
    PublishConfig,
    ReadingsConfig,
    config_of,
)


def test_every_default_is_allowed_by_its_own_rule() -> None:
    for section in SECTIONS.values():
        section()


def test_the_dataclasses_have_the_sections_keys_and_defaults_of_the_table_in_its_order() -> None:
    assert {name: [field.name for field in fields(section)] for name, section in SECTIONS.items()} == {
        name: list(rules) for name, rules in RULES.items()
    }
    assert {name: section.section for name, section in SECTIONS.items()} == {name: name for name in RULES}
    assert config_of(DEFAULTS) == Config()
    assert {
        f"{name}.{field.name}": field.default
        for name, section in SECTIONS.items()
        for field in fields(section)
    } == DEFAULTS


def test_defaults_are_those_of_the_contract() -> None:
    config = Config()
    assert config.readings.interval_s == 60
    assert config.modem.port == "auto"
    assert config.paths.state == Path("/var/lib/sinyal")
    assert config.paths.runtime == Path("/run/sinyal")
    assert config.buffer.max_bytes == 64 * 1024 * 1024
    assert config.publish.max_payload_bytes == 8 * 1024
    assert config.gateway.language == "id"


@pytest.mark.parametrize(
    ("section", "key", "allowed", "impossible"),
    [
        (
            "gateway",
            "id",
            ["", "desa-renah.kemumu_1", "7", "a" * 64],
            ["a/b", "a+", "#", "-a", "a" * 65, " ", "ä", "a\n"],
        ),
        (
            "gateway",
            "kode_desa",
            ["", "15.02.01.2001"],
            ["15.02.01.4001", "1502010022", "15.02.01.2001 ", "\u0661\u0665.02.01.2001"],
        ),
        (
            "gateway",
            "site_name",
            ["", "Renah Kemumu", "x" * 100],
            ["x" * 101, "a\nb", "a\x1b[2J", "a\udcff", "a\u202eb"],
        ),
        ("gateway", "role", ["link", "repeater-monitor"], ["", "Link", "repeater"]),
        ("gateway", "language", ["id", "en"], ["", "ID", "id_ID", None]),
        ("paths", "state", [Path("/a"), "b/c"], ["", "~/sinyal", "a\0b", None, 3]),
        (
            "readings",
            "interval_s",
            [0.1, 60, 60.0, 3600],
            [0, 0.09, 3600.1, -1, True, "60", float("nan"), float("inf"), None],
        ),
        ("modem", "port", ["auto", "/dev/ttyUSB2"], ["", "ttyUSB2", "/dev/ttyUSB2\r", "AUTO", "socket://a"]),
        (
            "modem",
            "sim_pin",
            ["", "1234", "12345678"],
            ["123", "123456789", "12a4", 1234, "1234\n", "\u0661\u0662\u0663\u0664"],
        ),
        ("buffer", "commit_interval_s", [None, "", 0, 0.5, 3600], [-1, 3601, True, "5"]),
        ("buffer", "commit_readings", [1, 1000], [0, 1001, 10.0, True]),
        ("buffer", "max_bytes", [1048576, 64 * 1024**3], [1048575, 64 * 1024**3 + 1, 1e7]),
        ("buffer", "keep_days", [1, 3650], [0, 3651]),
        (
            "broker",
            "host",
            ["", "broker.example", "broker", "192.0.2.7", "2001:db8::7", "xn--bcher-kva.example."],
            [
                "mqtt://broker",
                "broker:1883",
                "a b",
                "-a",
                "a..b",
                "300.1.1.1",
                "[2001:db8::7",
                "ä.example",
                "a\n",
                "a" * 64,
                ":" * 9,
            ],
        ),
        ("broker", "port", [None, "", 1, 65535], [0, 65536, 1883.0, "1883", True]),
        (
            "broker",
            "fallbacks",
            [(), ["a:1"], ["[::1]:8883", "192.0.2.7:1"]],
            [
                "a:1",
                ["a"],
                ["a:0"],
                ["a:65536"],
                ["::1:8883"],
                ["[::1]"],
                [1],
                ["a:1", ""],
                ["a:+1"],
                ["a:\u0661"],
            ],
        ),
        ("broker", "tls", [False], [0, "false", None]),
        ("broker", "ca_file", [None, "", Path("/a")], ["~/ca.pem", 1, "a\n"]),
        ("publish", "interval_s", [0, 3600, 86400], [-0.1, 86401]),
        ("publish", "batch_readings", [1, 1000], [0, 1001]),
        ("publish", "encoding", ["columns", "json"], ["", "cbor"]),
        ("publish", "max_payload_bytes", [512, 8192, 262144], [511, 262145]),
        ("publish", "backlog_bytes_per_s", [0, 1000], [-1, 1.5]),
        ("publish", "reconnect_max_s", [1, 300, 3600], [0.5, 3601]),
        ("publish", "startup_delay_max_s", [0, 120, 3600], [-1, 3601, "120"]),
        ("publish", "keepalive_s", [None, 30, 65535], [29, 65536, 60.0]),
        (
            "uplink",
            "interface",
            ["auto", "wwan0", "eth0.100", "br-lan"],
            ["", "a/b", "a" * 16, "..", "a b", "a\n"],
        ),
    ],
)
def test_a_section_takes_what_is_allowed_and_refuses_the_rest(
    section: str, key: str, allowed: list[Any], impossible: list[Any]
) -> None:
    for value in allowed:
        SECTIONS[section](**{key: value})
    for value in impossible:
        with pytest.raises(ImpossibleValue) as refused:
            SECTIONS[section](**{key: value})
        assert refused.value.key == key
        assert refused.value.allowed == RULES[section][key].allowed()


def test_the_empty_text_unsets_what_may_be_unset() -> None:
    unset: Any = ""
    assert BrokerConfig(port=unset).port is None
    assert BrokerConfig(ca_file=unset).ca_file is None


def test_a_section_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        ReadingsConfig().interval_s = 1  # type: ignore[misc]


def test_the_pin_is_not_in_repr() -> None:
    assert "4711" not in repr(Config(modem=ModemConfig(sim_pin="4711")))


CA, CERT, KEY = Path("/ca.pem"), Path("/cert.pem"), Path("/key.pem")


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"tls": True}, "ca_file"),
        ({"tls": True, "cert_file": CERT, "key_file": KEY}, "ca_file"),
        ({"cert_file": CERT}, "key_file"),
        ({"tls": True, "ca_file": CA, "key_file": KEY}, "cert_file"),
    ],
)
def test_tls_files_that_do_not_fit_together_are_refused(keys: dict[str, Any], named: str) -> None:
    with pytest.raises(ImpossibleValue) as refused:
        BrokerConfig(**keys)
    assert refused.value.key == named


@pytest.mark.parametrize(
    ("broker", "addresses"),
    [
        (BrokerConfig(), ()),
        (BrokerConfig(fallbacks=("a:1",)), ()),
        (BrokerConfig(host="a"), (("a", 1883),)),
        (BrokerConfig(host="a", tls=True, ca_file=CA), (("a", 8883),)),
        (BrokerConfig(host="a", tls=True, ca_file=CA, port=443), (("a", 443),)),
        (
            BrokerConfig(host="[2001:db8::7]", fallbacks=("b:1884", "[::1]:8883")),
            (("2001:db8::7", 1883), ("b", 1884), ("::1", 8883)),
        ),
    ],
)
def test_addresses_come_in_the_order_of_trying(
    broker: BrokerConfig, addresses: tuple[tuple[str, int], ...]
) -> None:
    assert broker.addresses() == addresses


@pytest.mark.parametrize(
    ("publish", "keepalive_s"),
    [
        (PublishConfig(), 3690),
        (PublishConfig(interval_s=0), 90),
        (PublishConfig(interval_s=86400), 65535),
        (PublishConfig(interval_s=60, keepalive_s=30), 30),
    ],
)
def test_keepalive_lies_above_the_publish_interval_unless_set(
    publish: PublishConfig, keepalive_s: int
) -> None:
    assert publish.effective_keepalive_s() == keepalive_s


@pytest.mark.parametrize(("commit_interval_s", "effective_s"), [(None, 5), (0, 0), (30, 30)])
def test_commit_interval_follows_the_reading_interval_unless_set(
    commit_interval_s: float | None, effective_s: float
) -> None:
    config = Config(
        readings=ReadingsConfig(interval_s=5), buffer=BufferConfig(commit_interval_s=commit_interval_s)
    )
    assert config.effective_commit_interval_s() == effective_s
    assert config.effective_values()["buffer.commit_interval_s"] == effective_s


def test_every_key_has_a_meaning_and_says_what_is_allowed() -> None:
    for rules in RULES.values():
        for rule in rules.values():
            assert rule.meaning and not rule.meaning.endswith(".")
            assert rule.allowed() and "{" not in rule.allowed()


def test_equal_configurations_are_equal() -> None:
    assert Config(gateway=GatewayConfig(id="a")) == Config(gateway=GatewayConfig(id="a"))
    assert Config(gateway=GatewayConfig(id="a")) != Config()
