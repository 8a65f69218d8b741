"""Ten faults that a technician meets, each made with real means, each named with its fix."""

import datetime as dt
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.enrolment.board import write_enrolled
from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.transcript import Transcript
from tests.doctor.box import BEARER_UP, LINK, Box, conversation
from tests.faults.test_full_disk import fill
from tests.link.test_wrong_clock import wrong_clock as wrong_clock  # a fixture
from tests.pipeline.whole_gateway import DEMO_TRANSCRIPT, Gateway, wait_until
from tests.support import fake_broker
from tests.support.certificates import Authority, TlsFiles, make_tls_files
from tests.support.mosquitto import Mosquitto, mosquitto
from tests.support.programs import give_up, require

HEALTHY = "generic/lte_home"
DAY = dt.timedelta(days=1)


@contextmanager
def modem(transcript: Transcript) -> Iterator[SimulatedModem]:
    with SimulatedModem(transcript, Behaviour()) as simulated:
        yield simulated


@pytest.fixture
def healthy_modem() -> Iterator[SimulatedModem]:
    with modem(conversation(HEALTHY)) as simulated:
        yield simulated


def plain(port: int) -> str:
    return f'host = "127.0.0.1"\nport = {port}'


def tls(broker: Mosquitto, files: TlsFiles, host: str = "localhost") -> str:
    return (
        f'host = "{host}"\nport = {broker.port}\ntls = true\nca_file = "{files.ca}"\n'
        f'cert_file = "{files.client_cert}"\nkey_file = "{files.client_key}"'
    )


# ---- nothing wrong ----


def test_a_healthy_gateway_lacks_only_its_agent_and_the_broker_takes_a_reading(
    tmp_path: Path, healthy_modem: SimulatedModem
) -> None:
    files = make_tls_files(tmp_path / "tls", "gw-test")
    with mosquitto(tmp_path / "broker", tls=files) as broker:
        box = Box(tmp_path / "box", modem=healthy_modem.path, broker=tls(broker, files))
        box.store_readings()
        seen = box.doctor()
    seen.expect_fault("queue", "daemon_not_running", step="service sinyal start")
    assert seen["permission"]["evidence"] == "the broker took a reading from us", seen
    for layer in ("port", "modem", "sim", "registration", "signal", "bearer", "internet", "broker", "tls"):
        assert seen[layer]["verdict"] == "PASS" or layer == "tls", seen
    # Certificates of the tests live for 30 days.
    assert seen["tls"]["code"] in ("", "broker_certificate_ends", "own_certificate_ends"), seen
    assert [*box.state.glob(".doctor*")] == []


def test_a_running_agent_is_asked_and_keeps_its_session(tmp_path: Path) -> None:
    from agent.modem.transcript import read_transcript

    with modem(read_transcript(DEMO_TRANSCRIPT)) as simulated, mosquitto(tmp_path / "broker") as broker:
        gateway = Gateway(
            tmp_path / "box", modem=str(simulated.path), broker=plain(broker.port), publish=LINK, interval_s=1
        )
        gateway.start()
        try:
            wait_until(
                "something acknowledged",
                lambda: bool((gateway.shown().get("link") or {}).get("last_ack_ts")),
                60,
            )
            box = Box.__new__(Box)
            box.config = gateway.config
            seen = box.doctor()
            assert seen["permission"]["evidence"].startswith("the agent is connected"), seen
            assert seen["queue"]["verdict"] == "PASS", seen
            assert seen["modem"]["verdict"] == "PASS", seen
            assert gateway.shown()["link"]["connects"] == 1
            gateway.freeze()
            box.doctor().expect_fault("port", "agent_silent", step="service sinyal restart")
        finally:
            gateway.stop_anyhow()


# ---- the modem ----


def test_wrong_apn(tmp_path: Path) -> None:
    no_data = """
> AT+CGDCONT?
< +CGDCONT: 1,"IP","internt","0.0.0.0",0,0
< OK

> AT+CGACT?
< +CGACT: 1,0
< OK

> AT+CGPADDR
< +CGPADDR: 1
< OK

> AT+CEER
< +CEER: "Missing or unknown APN"
< OK
"""
    nowhere = LINK.replace("127.0.0.1", "192.0.2.1").replace("127.0.0.2", "192.0.2.2").replace("lo", "none0")
    with modem(conversation(HEALTHY, no_data)) as simulated:
        seen = Box(tmp_path / "box", modem=simulated.path, link=nowhere).doctor()
    seen.expect_fault("bearer", "wrong_apn", evidence='"internt" (Missing or unknown APN)', step="APN")


@pytest.mark.parametrize(
    ("answer", "code"), [("+CME ERROR: 10", "sim_absent"), ("+CME ERROR: 13", "sim_error")]
)
def test_dead_sim_card(tmp_path: Path, answer: str, code: str) -> None:
    with modem(conversation("generic/no_sim", "", replace={"+CME ERROR: 10": answer})) as simulated:
        seen = Box(tmp_path / "box", modem=simulated.path).doctor()
    seen.expect_fault("sim", code, step="dead")
    assert seen["registration"]["verdict"] == "NOT TESTED"


def test_no_antenna(tmp_path: Path) -> None:
    with modem(conversation("generic/no_signal", "")) as simulated:
        seen = Box(tmp_path / "box", modem=simulated.path).doctor()
    seen.expect_fault(
        "registration", "no_antenna", evidence="no cell at all", step="antenna's plug and cable"
    )
    assert seen["signal"]["code"] == "no_antenna"


def test_modemmanager_on_the_port(tmp_path: Path, healthy_modem: SimulatedModem) -> None:
    sleep = shutil.which("sleep")
    assert sleep is not None
    manager = tmp_path / "ModemManager"
    manager.symlink_to(Path(sleep).resolve())
    with healthy_modem.path.open("rb", buffering=0) as port:
        held = subprocess.Popen([manager, "600"], stdin=port)
    try:
        wait_until(
            "the program has its name",
            lambda: Path(f"/proc/{held.pid}/comm").read_text().strip() == "ModemManager",
            60,
        )
        seen = Box(tmp_path / "box", modem=healthy_modem.path).doctor()
    finally:
        held.kill()
        held.wait()
    seen.expect_fault(
        "port",
        "modem_manager",
        evidence=f"ModemManager (process {held.pid})",
        step="disable --now ModemManager",
    )


# ---- the board ----


@pytest.mark.needs_root
def test_full_disk(tmp_path: Path, healthy_modem: SimulatedModem) -> None:
    require("mount", "umount", root=True)
    box = Box(tmp_path / "box", modem=healthy_modem.path)
    box.state.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(box.state)], check=False)
    if mounted.returncode:
        give_up("mounting a tmpfs is not allowed here")
    try:
        box.store_readings()
        fill(box.state)
        seen = box.doctor()
    finally:
        subprocess.run(["umount", "-l", str(box.state)], check=True)
    seen.expect_fault("disk", "disk_full", evidence=str(box.state), step="make room")


def test_wrong_clock(tmp_path: Path, wrong_clock: Path) -> None:
    seen = Box(tmp_path / "box", modem=tmp_path / "none").doctor(LD_PRELOAD=str(wrong_clock))
    seen.expect_fault("clock", "clock_wrong", evidence="the clock is behind", step="set the clock")


def test_wrong_clock_by_the_network_time_of_the_modem(tmp_path: Path) -> None:
    if (time.clock_gettime(time.CLOCK_REALTIME)) < 1_767_225_600:
        pytest.skip("this machine's own clock is wrong")
    ahead = time.strftime("%y/%m/%d,%H:%M:%S", time.gmtime(time.time() + 90 * 86400))
    told = BEARER_UP + f'\n> AT+CCLK?\n< +CCLK: "{ahead}+00"\n< OK\n'
    with modem(conversation(HEALTHY, told)) as simulated:
        seen = Box(tmp_path / "box", modem=simulated.path).doctor()
    if seen["clock"]["verdict"] == "PASS":
        pytest.skip("this machine's clock is confirmed by NTP, which counts for more")
    seen.expect_fault("clock", "clock_wrong", evidence="days slow", step="set the clock")


def test_a_copied_sd_card_is_named_and_does_not_speak(
    tmp_path: Path, healthy_modem: SimulatedModem, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent.config.load import load_config
    from agent.doctor.gather import Modem, Settings, gather
    from agent.doctor.layers import diagnose, first_trouble
    from tests.enrolment.test_board import raspberry

    monkeypatch.setattr("agent.doctor.gather.ClockCollector.collect", ntp_clock)
    with fake_broker.FakeBroker() as broker:
        box = Box(tmp_path / "box", modem=healthy_modem.path, broker=plain(broker.port))
        box.store_readings()
        write_enrolled(box.state, "gw-test", "device-tree:1000a")
        loaded = load_config(box.config, {})
        no_modem = Modem(lambda: healthy_answer(), lambda _command: [])
        root = raspberry(tmp_path / "board", "1000b")
        findings = diagnose(gather(Settings(loaded.config, loaded.path), no_modem, root=root))
        assert broker.record.connects == 0
    trouble = first_trouble(findings)
    assert trouble is not None
    assert (trouble[0].name, trouble[1].code) == ("permission", "cloned_board")
    assert trouble[1].next_step


def healthy_answer() -> dict[str, object]:
    fields = {
        "modem_state": "ok",
        "sim_state": "ready",
        "registration": "home",
        "signal_class": "good",
        "rsrp_dbm": -90,
    }
    return {"fields": fields, "identity": {}, "port": "no port", "incomplete": None, "problem": None}


def ntp_clock(_self: object) -> object:
    from agent.collectors.clock import ClockReading

    return ClockReading(time.time(), "ntp", 3600.0)


# ---- the centre ----


@pytest.mark.parametrize(
    ("case", "code", "step"),
    [
        ("expired", "own_certificate_expired", "new certificate"),
        ("foreign", "own_certificate_foreign", "own certificate"),
        ("other_authority", "tls_own_certificate_refused", "broker.cert_file"),
        ("server_expired", "tls_expired", "clock"),
        ("server_other_name", "tls_wrong_name", "broker.host"),
        ("server_unknown", "tls_unknown_authority", "broker.ca_file"),
        ("not_a_pair", "tls_files", "same enrolment"),
        ("near_the_end", "own_certificate_ends", "new certificate"),
    ],
)
def test_wrong_certificate(tmp_path: Path, case: str, code: str, step: str) -> None:
    authority, other = Authority(tmp_path / "tls"), Authority(tmp_path / "other", "Another CA")
    long = 300 * DAY
    server = authority.issue("localhost", file_name="server", ends=long)
    own = authority.issue("gw-test", file_name="own", client=True, ends=long)
    ca = authority.ca
    if case == "expired":
        own = authority.issue("gw-test", file_name="old", client=True, begins=-9 * DAY, ends=-DAY)
    elif case == "foreign":
        own = authority.issue("gw-else", file_name="else", client=True, ends=long)
    elif case == "other_authority":
        own = other.issue("gw-test", file_name="own", client=True, ends=long)
    elif case == "server_expired":
        server = authority.issue("localhost", file_name="old", begins=-9 * DAY, ends=-DAY)
    elif case == "server_other_name":
        server = authority.issue("broker.example", file_name="name", ends=long)
    elif case == "server_unknown":
        ca = other.ca
    elif case == "near_the_end":
        own = authority.issue("gw-test", file_name="near", client=True, ends=9 * DAY)
    key = server.key if case == "not_a_pair" else own.key
    with mosquitto(
        tmp_path / "broker", tls=TlsFiles(authority.ca, server.cert, server.key, own.cert, own.key)
    ) as broker:
        files = TlsFiles(ca, server.cert, server.key, own.cert, key)
        seen = Box(tmp_path / "box", modem=tmp_path / "none", broker=tls(broker, files)).doctor()
    assert seen["broker"]["verdict"] == "PASS", seen
    assert seen["tls"]["verdict"] == ("WARN" if case == "near_the_end" else "FAIL"), seen
    assert seen["tls"]["code"] == code, seen
    assert step in seen["tls"]["next_step"], seen


def test_denied_acl(tmp_path: Path, healthy_modem: SimulatedModem) -> None:
    with mosquitto(tmp_path / "broker", acl="topic read #\npattern write desa/v1/%c/status\n") as broker:
        box = Box(tmp_path / "box", modem=healthy_modem.path, broker=plain(broker.port))
        box.store_readings()
        seen = box.doctor()
    seen.expect_fault("permission", "topic_refused", evidence="desa/v1/gw-test/readings", step="ACL")


@pytest.mark.parametrize("connack", [0x84, b"\x20\x02\x00\x01"], ids=["reason_132", "as_mqtt_3"])
def test_broker_without_mqtt_5(tmp_path: Path, healthy_modem: SimulatedModem, connack: int | bytes) -> None:
    with fake_broker.FakeBroker(fake_broker.Behaviour(connack=connack)) as broker:
        box = Box(tmp_path / "box", modem=healthy_modem.path, broker=plain(broker.port))
        seen = box.doctor()
    seen.expect_fault("permission", "not_mqtt5", evidence="MQTT 5", step="MQTT 5")


def test_a_fallback_is_tried_and_the_first_address_is_told_of() -> None:
    from agent.config.model import BrokerConfig, PublishConfig
    from agent.doctor.broker_look import look_at_broker

    def look(*fallbacks: str) -> object:
        broker = BrokerConfig(host="127.0.0.1", port=closed, fallbacks=fallbacks)
        seen = look_at_broker(broker, PublishConfig(), "gw-test", may_speak=False, newest=None)
        assert seen is not None
        return seen.address, seen.tcp_problem is None

    with socket.create_server(("127.0.0.1", 0)) as other:
        closed = other.getsockname()[1]
    with socket.create_server(("127.0.0.2", 0)) as there:
        open_port = there.getsockname()[1]
        assert look(f"127.0.0.2:{open_port}") == (("127.0.0.2", open_port), True)
    assert look(f"127.0.0.2:{open_port}") == (("127.0.0.1", closed), False)


def test_a_broker_that_is_not_there(tmp_path: Path, healthy_modem: SimulatedModem) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    seen = Box(tmp_path / "box", modem=healthy_modem.path, broker=plain(port)).doctor()
    seen.expect_fault("broker", "refused", step="broker runs")
