"""Every verdict of every layer, from evidence that is made up: the table of what means what."""

import errno
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.config.model import BrokerConfig, Config, GatewayConfig, ModemConfig, PathsConfig
from agent.doctor.evidence import (
    BearerSeen,
    BrokerSeen,
    Context,
    DiskSeen,
    Evidence,
    ModemSeen,
    NamesSeen,
    RouteSeen,
)
from agent.doctor.layers import LAYERS, diagnose, first_trouble
from agent.enrolment.board import Standing
from agent.errors import NoPermission, SinyalError, StoreUnusable
from agent.language import use_language
from agent.link.probe import Outcome
from agent.pipeline.control_client import DaemonSilent
from agent.publish.certificate import Certificate
from agent.publish.problems import CLOSED_WITHOUT_ANSWER, TIMEOUT, LinkProblem

NOW_TS = 1_796_000_000.0
DAY = 86400
ADDRESS = ("broker.example", 8883)

FIELDS = {
    "modem_state": "ok", "sim_state": "ready", "registration": "home", "access_technology": "lte",
    "operator_name": "TELKOMSEL", "signal_class": "good", "rsrp_dbm": -90,
}  # fmt: skip
ANSWER = {
    "fields": FIELDS,
    "identity": {"model": "EC25"},
    "port": "/dev/ttyUSB2",
    "incomplete": None,
    "problem": None,
}
REACHED, TIMED_OUT, REFUSED = (Outcome(20.0, "", "icmp", 1), Outcome(None, "timeout", "icmp", 1),
                               Outcome(None, "refused", "tcp", 1))  # fmt: skip
TOLD_BY_OPERATOR = {"internet": {"outage": {"kind": "link", "cause": "quota", "inferred": False}}}
LINK = {"state": "connected", "last_ack_ts": NOW_TS - 60, "last_problem": None, "last_problem_code": None}
BUFFER = {"unsent": 5, "oldest_unsent_ts": NOW_TS - 300, "quarantined": 0}
CERTIFICATE = Certificate("gw-1", "CA", NOW_TS - DAY, NOW_TS + 300 * DAY, "00")
BROKER = BrokerSeen(ADDRESS, None, None, "TLSv1.3", NOW_TS + 300 * DAY)
KEY_OF_ANOTHER = BrokerSeen(ADDRESS, tls_problem=NoPermission("x", "y"))

HEALTHY = Evidence(
    config=Config(
        gateway=GatewayConfig(id="gw-1"),
        broker=BrokerConfig(host="broker.example", tls=True, ca_file=Path("ca")),
    ),
    settings_path="/etc/sinyal/sinyal.toml",
    settings_problem=None,
    is_configured=True,
    running=True,
    snapshot={"reading": {"mains_present": 1, "battery_v": 12.6}, "link": LINK, "buffer": BUFFER},
    now_ts=NOW_TS,
    clock_quality="ntp",
    files_ts=int(NOW_TS - DAY),
    undervoltage=False,
    soc_temp_c=50.0,
    uptime_s=7200.0,
    board=Standing("same", "mac:1", "mac:1"),
    certificate=CERTIFICATE,
    disk=DiskSeen(True, 10**9, 50.0, 0, 100),
    modem=ModemSeen(ANSWER),
    bearer=BearerSeen([Context(1, "internet", True, "10.0.0.1")]),
    route=RouteSeen("wwan0", True),
    names=[NamesSeen("broker.example", True)],
    reach=[("broker.example", REACHED), ("1.1.1.1", REACHED)],
    redirected=False,
    broker=BROKER,
)


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    use_language("en")
    yield
    use_language("id")


def modem(
    *, problem: Any = None, others: tuple[str, ...] = (), incomplete: str | None = None, **fields: Any
) -> ModemSeen:
    shown = {name: value for name, value in {**FIELDS, **fields}.items() if value is not None}
    return ModemSeen({**ANSWER, "fields": shown, "problem": problem, "incomplete": incomplete}, None, others)


def snapshot(**parts: Any) -> dict[str, Any]:
    return {**HEALTHY.snapshot, **parts}


def cut_off() -> dict[str, Any]:
    """Return the evidence of a gateway that reaches nothing."""
    return {
        "reach": [("1.1.1.1", TIMED_OUT)],
        "broker": BrokerSeen(ADDRESS, tcp_problem=TIMEOUT.problem(ADDRESS)),
        "redirected": None,
    }


def test_a_healthy_gateway_passes_every_layer() -> None:
    findings = diagnose(HEALTHY)
    assert [(layer.name, finding) for layer, finding in findings if finding.verdict != "PASS"] == []
    assert first_trouble(findings) is None
    assert len(findings) == len(LAYERS)


@pytest.mark.parametrize(
    ("layer", "verdict", "code", "changed"),
    [
        ("settings", "FAIL", "settings", {"settings_problem": SinyalError("x", "y")}),
        ("settings", "WARN", "no_permission", {"settings_problem": NoPermission("x", "y")}),
        ("settings", "WARN", "not_configured", {"is_configured": False}),
        ("settings", "FAIL", "settings", {"config": Config()}),
        ("power", "FAIL", "undervoltage", {"undervoltage": True}),
        ("power", "FAIL", "low_battery", {"running": False, "snapshot": {"state": "low_battery"}}),
        ("power", "WARN", "no_mains", {"snapshot": snapshot(reading={"mains_present": 0})}),
        ("power", "WARN", "hot", {"soc_temp_c": 85.0}),
        ("power", "NOT TESTED", "", {"snapshot": {}, "undervoltage": None}),
        ("clock", "FAIL", "clock_wrong", {"now_ts": 86400.0}),
        ("clock", "FAIL", "clock_wrong", {"snapshot": snapshot(reading={"clock_offset_s": -900})}),
        ("clock", "FAIL", "clock_wrong", {"clock_quality": "rtc", "files_ts": int(NOW_TS + DAY)}),
        ("clock", "PASS", "", {"files_ts": int(NOW_TS + DAY)}),
        ("clock", "WARN", "clock_unconfirmed", {"clock_quality": "unset"}),
        (
            "clock",
            "WARN",
            "clock_unconfirmed",
            {
                "clock_quality": "unset",
                "broker": BROKER._replace(tls_problem=LinkProblem("tls_expired", "x", "y")),
            },
        ),
        ("clock", "PASS", "", {"clock_quality": "unset", "bearer": BearerSeen([], "", int(NOW_TS + 1))}),
        (
            "clock",
            "FAIL",
            "clock_wrong",
            {"clock_quality": "rtc", "bearer": BearerSeen([], "", int(NOW_TS + DAY))},
        ),
        ("disk", "FAIL", "disk_hangs", {"disk": None}),
        ("disk", "FAIL", "disk_full", {"disk": DiskSeen(True, 10**9, 100.0, errno.ENOSPC, 1)}),
        ("disk", "FAIL", "disk_full", {"disk": DiskSeen(True, 0, 100.0, errno.EACCES, 1)}),
        ("disk", "FAIL", "disk_read_only", {"disk": DiskSeen(True, 10**9, 10.0, errno.EROFS, 1)}),
        ("disk", "FAIL", "disk_failing", {"disk": DiskSeen(True, 10**9, 10.0, errno.EIO, 1)}),
        ("disk", "PASS", "", {"disk": DiskSeen(True, 10**9, 10.0, errno.EACCES, 1)}),
        ("disk", "WARN", "disk_nearly_full", {"disk": DiskSeen(True, 10**6, 99.0, 0, 1)}),
        ("disk", "NOT TESTED", "", {"disk": DiskSeen(False)}),
        ("disk", "FAIL", "database", {"disk": DiskSeen(True, 10**9, 1.0, 0, None, StoreUnusable("x", "y"))}),
        ("disk", "NOT TESTED", "", {"disk": DiskSeen(True, 10**9, 1.0, 0, None, DaemonSilent("x", "y"))}),
        ("disk", "FAIL", "not_stored", {"snapshot": snapshot(store_problem="x")}),
        ("port", "NOT TESTED", "", {"modem": None}),
        ("port", "NOT TESTED", "", {"modem": ModemSeen(fault=NoPermission("x", "y"))}),
        ("port", "FAIL", "agent_silent", {"modem": ModemSeen(fault=DaemonSilent("x", "y"))}),
        (
            "port",
            "FAIL",
            "modem_missing",
            {"modem": modem(modem_state="missing", problem={"what": "x", "next_step": "y"})},
        ),
        (
            "port",
            "FAIL",
            "port_busy",
            {"modem": modem(modem_state="busy", problem={"what": "x", "next_step": "y"})},
        ),
        ("port", "FAIL", "modem_manager", {"modem": modem(others=("ModemManager (7)",))}),
        (
            "modem",
            "FAIL",
            "modem_hung",
            {"modem": modem(modem_state="hung", problem={"what": "x", "next_step": "y"})},
        ),
        ("modem", "FAIL", "modem_tells_nothing", {"modem": modem(incomplete="empty")}),
        ("modem", "WARN", "modem_slow", {"modem": modem(incomplete="slow")}),
        *(
            ("sim", "FAIL", f"sim_{state}", {"modem": modem(sim_state=state)})
            for state in ("absent", "pin_required", "puk_required", "locked", "error")
        ),
        (
            "sim",
            "FAIL",
            "sim_pin_refused",
            {
                "modem": modem(sim_state="pin_required"),
                "config": replace(HEALTHY.config, modem=ModemConfig(sim_pin="1234")),
            },
        ),
        ("sim", "NOT TESTED", "", {"modem": modem(sim_state=None)}),
        ("registration", "FAIL", "registration_denied", {"modem": modem(registration="denied")}),
        ("registration", "FAIL", "not_registered", {"modem": modem(registration="searching")}),
        ("registration", "FAIL", "no_antenna", {"modem": modem(registration="searching", rsrp_dbm=None)}),
        ("registration", "NOT TESTED", "", {"modem": modem(registration="unknown")}),
        ("signal", "FAIL", "no_antenna", {"modem": modem(signal_class="none", rsrp_dbm=None)}),
        (
            "signal",
            "NOT TESTED",
            "",
            {"modem": modem(signal_class="none", rsrp_dbm=None, sim_state="absent")},
        ),
        ("signal", "WARN", "weak_signal", {"modem": modem(signal_class="very_poor")}),
        ("bearer", "FAIL", "no_ip_address", {**cut_off(), "route": RouteSeen("wwan0", False)}),
        ("bearer", "FAIL", "no_route", {**cut_off(), "route": RouteSeen(None, False)}),
        (
            "bearer",
            "FAIL",
            "wrong_apn",
            {**cut_off(), "bearer": BearerSeen([Context(1, "intrenet", False, None)])},
        ),
        ("bearer", "PASS", "", {"bearer": BearerSeen([Context(1, "internet", False, None)])}),
        ("dns", "FAIL", "dns", {"names": [NamesSeen("a", False, "x")]}),
        ("dns", "FAIL", "dns", {"names": None}),
        (
            "dns",
            "FAIL",
            "name_not_resolved",
            {
                "names": [NamesSeen("broker.example", False, "x"), NamesSeen("b", True)],
                "broker": BROKER._replace(tcp_problem=LinkProblem("timeout", "x", "y")),
            },
        ),
        (
            "dns",
            "WARN",
            "name_not_resolved",
            {"names": [NamesSeen("broker.example", False, "x"), NamesSeen("b", True)]},
        ),
        (
            # Nothing is sent to the page that shows a spent package: a broker that refuses is the fault.
            "dns",
            "WARN",
            "name_not_resolved",
            {
                "names": [NamesSeen("broker.example", True), NamesSeen("page.example", False, "x")],
                "broker": BROKER._replace(tcp_problem=LinkProblem("refused", "x", "y")),
            },
        ),
        ("dns", "NOT TESTED", "", {**cut_off(), "names": [NamesSeen("a", False, "x")]}),
        ("captive", "FAIL", "quota", {"redirected": True}),
        ("captive", "FAIL", "quota", {**cut_off(), "reach": [("a", REFUSED), ("b", REFUSED)]}),
        (
            "captive",
            "NOT TESTED",
            "",
            {**cut_off(), "reach": [("a", REFUSED)], "modem": modem(modem_state="missing")},
        ),
        ("captive", "FAIL", "quota", {**cut_off(), "running": True, "snapshot": TOLD_BY_OPERATOR}),
        ("captive", "NOT TESTED", "", {"redirected": None}),
        ("internet", "FAIL", "backhaul", cut_off()),
        ("internet", "WARN", "probes_fail", {"reach": [("1.1.1.1", TIMED_OUT)]}),
        ("broker", "FAIL", "timeout", cut_off()),
        ("broker", "FAIL", "timeout", {"broker": None}),
        ("broker", "NOT TESTED", "", {"config": Config(), "broker": None}),
        ("tls", "FAIL", "own_certificate_expired", {"certificate": CERTIFICATE._replace(ends_ts=NOW_TS - 1)}),
        (
            "tls",
            "FAIL",
            "own_certificate_not_yet_valid",
            {"certificate": CERTIFICATE._replace(begins_ts=NOW_TS + 1)},
        ),
        (
            "tls",
            "FAIL",
            "own_certificate_foreign",
            {**cut_off(), "certificate": CERTIFICATE._replace(subject="gw-2")},
        ),
        (
            "tls",
            "WARN",
            "own_certificate_ends",
            {"certificate": CERTIFICATE._replace(ends_ts=NOW_TS + 240 * DAY)},
        ),
        ("tls", "WARN", "broker_certificate_ends", {"broker": BROKER._replace(expires_ts=NOW_TS + DAY)}),
        (
            "tls",
            "FAIL",
            "closed_without_answer",
            {"broker": BROKER._replace(tls_problem=CLOSED_WITHOUT_ANSWER.problem(ADDRESS))},
        ),
        ("tls", "PASS", "", {"certificate": None}),
        ("tls", "NOT TESTED", "", {"broker": KEY_OF_ANOTHER}),
        ("permission", "PASS", "", {"broker": KEY_OF_ANOTHER}),
        ("permission", "NOT TESTED", "", {"broker": KEY_OF_ANOTHER, "running": False}),
        (
            "permission",
            "FAIL",
            "cloned_board",
            {"board": Standing("cloned", "mac:1", "mac:2"), "broker": None},
        ),
        (
            "permission",
            "FAIL",
            "topic_refused",
            {"snapshot": snapshot(link={**LINK, "last_problem": "x", "last_problem_code": "topic_refused"})},
        ),
        (
            "permission",
            "FAIL",
            "not_mqtt5",
            {
                "snapshot": snapshot(
                    link={"state": "offline", "last_problem": "x", "last_problem_code": "not_mqtt5"}
                )
            },
        ),
        ("permission", "NOT TESTED", "", {"snapshot": snapshot(link={"state": "connecting"})}),
        ("permission", "NOT TESTED", "", {"running": False}),
        (
            "permission",
            "PASS",
            "",
            {"running": False, "broker": BROKER._replace(accepted=True, published=True)},
        ),
        ("permission", "NOT TESTED", "", {"running": False, "broker": BROKER._replace(accepted=True)}),
        ("queue", "FAIL", "daemon_not_running", {"running": False}),
        ("queue", "NOT TESTED", "", {"running": False, "snapshot": {"state": "low_battery"}}),
        ("queue", "NOT TESTED", "", {"running": None}),
        ("queue", "NOT TESTED", "", {"running": None, "settings_problem": SinyalError("x", "y")}),
        ("queue", "NOT TESTED", "", {"snapshot": {}}),
        ("queue", "WARN", "quarantined", {"snapshot": snapshot(buffer={**BUFFER, "quarantined": 3})}),
        ("queue", "WARN", "queue_late", {"snapshot": snapshot(buffer={**BUFFER, "oldest_unsent_ts": 0})}),
    ],
)
def test_a_verdict(layer: str, verdict: str, code: str, changed: dict[str, Any]) -> None:
    findings = {one.name: finding for one, finding in diagnose(HEALTHY._replace(**changed))}
    found = findings[layer]
    assert (found.verdict, found.code) == (verdict, code), found
    assert found.evidence
    assert found.next_step or verdict in ("PASS", "NOT TESTED")


def test_the_first_failure_counts_before_any_warning() -> None:
    findings = diagnose(HEALTHY._replace(soc_temp_c=90.0, disk=None))
    trouble = first_trouble(findings)
    assert trouble is not None
    assert trouble[0].name == "disk"
    trouble = first_trouble(diagnose(HEALTHY._replace(soc_temp_c=90.0)))
    assert trouble is not None
    assert trouble[1].code == "hot"


def test_settings_that_this_user_may_not_read_come_before_what_was_judged_by_defaults() -> None:
    findings = diagnose(HEALTHY._replace(settings_problem=NoPermission("x", "use sudo"), disk=None))
    trouble = first_trouble(findings)
    assert trouble is not None
    assert (trouble[0].name, trouble[1].next_step) == ("settings", "use sudo")


def test_the_step_for_a_full_disk_looks_at_that_disk() -> None:
    config = replace(HEALTHY.config, paths=PathsConfig(state=Path("/dev/shm/x")))
    full = HEALTHY._replace(config=config, disk=DiskSeen(True, 0, 100.0, errno.ENOSPC, 1))
    trouble = first_trouble(diagnose(full))
    assert trouble is not None
    assert "du -xm /dev/shm " in trouble[1].next_step
