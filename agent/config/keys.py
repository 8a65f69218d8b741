"""Every key of the configuration: what it means, what it may hold, and its default.

The only such table. The loader checks by it, `model.py` gives its values types, `sinyal.toml` documents
it. Units stand in the names of the keys. Nothing here needs dataclasses: they take longer to load than
the whole table, and a command that wants three values shall not wait for them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.config.box_keys import BOX_RULES, GPIO_LINES, bare_line
from agent.config.rules import (
    Addresses,
    FilePath,
    Host,
    Number,
    OperatorCodes,
    Rule,
    Switch,
    Targets,
    Text,
    Whole,
    Word,
)
from agent.language import N_, _

MIB = 1024 * 1024

MAX_KEEPALIVE_S = 65535
"""The width of the field in MQTT 5.0, 3.1.2.10."""

RULES: Mapping[str, Mapping[str, Rule]] = {
    "gateway": {
        "id": Text(
            "Name at broker and in certificate",
            N_("up to 64 letters, digits, . _ -, the first a letter or digit"),
            pattern="[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
        ),
        "kode_desa": Text(
            "Village code of Kemendagri",
            N_('"" or like "15.02.01.2001", the last group from 1, 2 or 3'),
            pattern=r"[0-9]{2}\.[0-9]{2}\.[0-9]{2}\.[123][0-9]{3}",
        ),
        "kode_edisi": Text(
            "Edition of the code list that kode_desa comes from",
            N_("one line of at most 100 characters"),
            pattern=".{1,100}",
        ),
        "site_name": Text(
            "Name of the place, for people", N_("one line of at most 100 characters"), pattern=".{1,100}"
        ),
        "role": Word("What this gateway does", "link", "repeater-monitor"),
        "language": Word("Language of screens and messages", "id", "en"),
    },
    "paths": {
        "state": FilePath("Folder of the readings, on disk or flash", default=Path("/var/lib/sinyal")),
        "runtime": FilePath("Folder of what the running agent shows, in RAM", default=Path("/run/sinyal")),
    },
    "readings": {
        "interval_s": Number("Seconds from one reading to the next", 0.1, 3600, default=60),
    },
    "modem": {
        "port": Text(
            "Serial port for AT commands",
            N_('"auto" or a path like "/dev/ttyUSB2"'),
            word="auto",
            pattern="/.{1,254}",
        ),
        "sim_pin": Text(
            "PIN of the SIM card, a secret",
            N_('"" (it asks for none) or 4 to 8 digits in quotes'),
            pattern="[0-9]{4,8}",
            secret=True,
        ),
    },
    "buffer": {
        "commit_interval_s": Number(
            'What a power cut may cost, in seconds; "" = readings.interval_s', 0, 3600, default=None
        ),
        "commit_readings": Whole("Readings written to flash in one go, at most", 1, 1000, default=10),
        "max_bytes": Whole("Size of the database, at most", MIB, 65536 * MIB, default=64 * MIB),
        "keep_days": Whole("Days that readings stay here after they were sent", 1, 3650, default=90),
    },
    "broker": {
        "host": Host('MQTT 5 broker; "" = publish nothing'),
        "port": Whole('Port of the broker; "" = 8883 with tls, else 1883', 1, 65535, default=None),
        "fallbacks": Addresses("Other addresses, tried in turn"),
        "tls": Switch("Encrypt, and check the broker by ca_file"),
        "ca_file": FilePath("Certificate of the centre's private CA", default=None),
        "cert_file": FilePath("Certificate of this gateway", default=None),
        "key_file": FilePath("Private key of this gateway", default=None),
    },
    "publish": {
        "interval_s": Number(
            "Seconds from one sending to the next; 0 = each reading at once", 0, 86400, default=3600
        ),
        "batch_readings": Whole("Readings in one message, at most", 1, 1000, default=60),
        "encoding": Word("Form of the messages; json is far larger", "columns", "json"),
        "max_payload_bytes": Whole("Size of a message, at most", 512, 262144, default=8192),
        "backlog_bytes_per_s": Whole(
            "Speed for old readings; 0 = as fast as acknowledged", 0, 1_000_000_000, default=0
        ),
        "reconnect_max_s": Number("Longest pause before the next try to connect", 1, 3600, default=300),
        "startup_delay_max_s": Number(
            "After a boot, the first connection waits a random time, at most", 0, 3600, default=120
        ),
        "keepalive_s": Whole(
            'MQTT keepalive; "" = just above publish.interval_s', 30, MAX_KEEPALIVE_S, default=None
        ),
    },
    "uplink": {
        "interface": Text(
            "Network interface to the internet",
            N_('"auto" or a name like "wwan0", at most 15 characters'),
            word="auto",
            pattern="[A-Za-z0-9][A-Za-z0-9._@-]{0,14}",
        ),
    },
    "lan": {
        "interface": Text(
            "Network interface to the village",
            N_('"auto" or a name like "br-lan", at most 15 characters'),
            word="auto",
            pattern="[A-Za-z0-9][A-Za-z0-9._@-]{0,14}",
        ),
    },
    "budget": {
        "profile": Word("Kind of connection: a paid quota, or none", "prepaid", "unlimited"),
        "month_bytes": Whole(
            "What the agent itself may use in a month, in bytes", 1_000_000, 10**12, default=300_000_000
        ),
        "day_of_month": Whole("Day on which the paid month begins, in WIB", 1, 28, default=1),
        "rupiah_per_mb": Number("Price of 1 MB in rupiah; 0 = show none", 0, 1_000_000, default=0),
    },
    "throughput": {
        "url": Text(
            "LibreSpeed server for speed tests",
            N_('"" or an address like "https://speed.example/backend/"'),
            pattern=r"https?://[^\s/?#@]+(/[^\s?#]*)?",
        ),
        "engine": Word("How speed is tested", "https", "speedtest-cli"),
        "tests_per_day": Whole(
            "Tests a day (2: evening and night, 1: evening, 0: on request)", 0, 2, default=2
        ),
        "ca_file": FilePath("Certificate of that server's CA", default=None),
    },
    "page": {
        "folder": FilePath('Folder of the village page; "" = none', default=None),
        "interval_s": Number("Seconds from one writing of the page to the next", 30, 86400, default=300),
        "contact_name": Text(
            "Whom the village calls", N_("one line of at most 100 characters"), pattern=".{1,100}"
        ),
        "contact_phone": Text(
            "Their telephone number",
            N_('"" or digits like "0812-3456-7890", at most 20 characters'),
            pattern=r"[+]?[0-9][0-9 .-]{3,18}",
        ),
    },
    "link": {
        "targets": Targets("Hosts to probe; [] = the broker and 1.1.1.1"),
        "probe_interval_s": Number("Seconds in which three small probes are sent", 1, 3600, default=60),
        "suspect_interval_s": Number(
            "Seconds from probe to probe once one has failed", 0.1, 3600, default=10
        ),
        "page_url": Text(
            "Page that shows redirection, asked only in trouble",
            N_('"" or like "http://example.org/page"'),
            word="http://connectivitycheck.gstatic.com/generate_204",
            pattern=r"(http://(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:[0-9]{1,5})?(/[!-~]{0,500})?)?",
        ),
        "page_text": Text(
            'Text that the page holds; "" = it answers 204 without any',
            N_("one line of at most 100 characters"),
            pattern=".{1,100}",
        ),
        "operator_codes": OperatorCodes("Network, USSD code, text of a used-up package"),
        "meeting_max_rtt_ms": Number("A video meeting takes so much delay, in ms", 1, 60000, default=300),
        "meeting_max_jitter_ms": Number(
            "A video meeting takes so much variation of it, in ms", 1, 60000, default=50
        ),
        "meeting_max_loss_ratio": Number(
            "A video meeting takes so much loss, as a part of 1", 0, 1, default=0.02
        ),
        "meeting_min_down_kbit_s": Number(
            "A video meeting needs so much download, in kbit/s", 1, 1_000_000, default=1000
        ),
        "meeting_min_up_kbit_s": Number(
            "A video meeting needs so much upload, in kbit/s", 1, 1_000_000, default=600
        ),
    },
    **BOX_RULES,
}
"""The rule of every key, by section and key."""

DEFAULTS: Mapping[str, Any] = {
    f"{section}.{key}": rule.default for section, rules in RULES.items() for key, rule in rules.items()
}
"""The default of every key, by "section.key"; None where it follows other keys or names no file."""


class ImpossibleValue(ValueError):
    """A key holds what cannot be; allowed says what can, in the person's language."""

    def __init__(self, key: str, allowed: str) -> None:
        super().__init__(f"{key}: {allowed}")
        self.key = key
        self.allowed = allowed


def rule_of(name: str) -> Rule | None:
    """Return the rule of a "section.key", or None when there is no such key."""
    section, _dot, key = name.partition(".")
    return RULES.get(section, {}).get(key)


def check_together(section: str, values: Mapping[str, Any]) -> None:
    """Raise ImpossibleValue when the values of a section, each of them allowed, do not fit together."""
    if section == "gpio":
        _check_lines(values)
    if section != "broker":
        return
    if values["tls"] and values["ca_file"] is None:
        # Public CAs are never trusted: each of them could sign a false broker.
        raise ImpossibleValue("ca_file", _("needed when broker.tls is true"))
    if (values["cert_file"] is None) != (values["key_file"] is None):
        missing = "key_file" if values["key_file"] is None else "cert_file"
        raise ImpossibleValue(missing, _("cert_file and key_file are set together or not at all"))


def _check_lines(values: Mapping[str, Any]) -> None:
    lines = {key: bare_line(values[key]) for key in GPIO_LINES if values[key]}
    if lines and not values["adapter"]:
        raise ImpossibleValue("adapter", _("needed when a line is named: gpiozero or kernel"))
    for key, line in lines.items():
        first = next(other for other in lines if lines[other] == line)
        if first != key:
            raise ImpossibleValue(
                key, _("the line {line} is that of {other} already").format(line=line, other=first)
            )
        if values["adapter"] == "gpiozero" and ":" in line:
            raise ImpossibleValue(key, _("with gpiozero a line is a number of the BCM chip, like 17"))
        if line.startswith("led:") and not key.startswith("led_"):
            raise ImpossibleValue(key, _("a kernel LED serves for the lights only"))


def effective_port(port: int | None, *, tls: bool) -> int:
    """Return the broker's port in use: `port` when it is set, else 8883 with TLS and 1883 without."""
    if port is not None:
        return port
    return 8883 if tls else 1883
