"""The rendered broker, run for real: what it refuses, what survives kill -9; probes that see a bad one."""

import datetime as dt
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.publish.mqtt import Connection
from agent.publish.problems import LinkProblem
from agent.publish.tls_sessions import TlsFiles, TlsSessions
from provisioning.authority import certificates
from provisioning.authority.folder import Authority
from provisioning.broker.check import Outcome, probe_broker
from provisioning.broker.ears import Identity, Probe
from provisioning.broker.identities import foreign_identity, own_identities, withdrawn_identity
from provisioning.broker.render import BrokerPlan, acl
from provisioning.broker.setup import write_setup
from provisioning.whole_files import write_whole
from tests.provisioning.conftest import Run
from tests.support.mosquitto import free_port
from tests.support.programs import program

QUESTIONS = (
    "mutual_tls",
    "server_certificate",
    "no_certificate",
    "foreign_certificate",
    "revoked_certificate",
    "plain_refused",
    "limits",
    "own_topics",
    "foreign_writes",
    "foreign_reads",
    "client_id",
)


class Broker:
    """A mosquitto in a rendered folder."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.folder = folder
        self.port = free_port()
        user = "root" if os.geteuid() == 0 else ""
        state = folder / "state"
        state.mkdir(parents=True)
        self.plan = BrokerPlan(
            PurePosixPath(folder), self.port, gateways=3, state=PurePosixPath(state), user=user
        )
        write_setup(folder, self.plan, authority, ["localhost"])
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program("mosquitto"), "-c", str(self.folder / "sinyal.conf")], stderr=log
            )
        until = time.monotonic() + 60
        while time.monotonic() < until and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError((self.folder / "log").read_text())

    def listening_ports(self) -> set[int]:
        """Return every TCP port that the process listens on."""
        assert self._process is not None
        folder = Path(f"/proc/{self._process.pid}/fd")
        inodes = {name[8:-1] for name in map(os.readlink, folder.iterdir()) if "socket:" in name}
        rows = [
            line.split()
            for name in ("tcp", "tcp6")
            for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
        ]
        return {int(row[1].split(":")[1], 16) for row in rows if row[3] == "0A" and row[9] in inodes}

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def broker(province: Path, authority: Authority) -> Iterator[Broker]:
    made = Broker(province / "broker", authority)
    yield made
    made.kill()


def probe_of(broker: Broker, authority: Authority, folder: Path, wait_s: float = 15) -> Probe:
    first, second, listener = own_identities(authority, folder)
    return Probe(
        ("localhost", broker.port),
        authority.folder / "ca.pem",
        first,
        second,
        foreign_identity(folder, first.name),
        listener,
        withdrawn_identity(authority.folder),
        wait_s=wait_s,
        plain_port=None,
    )


def verdicts(outcomes: list[Outcome]) -> dict[str, str]:
    return {outcome.probe: outcome.verdict for outcome in outcomes}


ANYBODY = {
    "\nrequire_certificate true": "",
    "\nuse_identity_as_username true": "",
    "\nuse_username_as_clientid true": "",
}


# Each probe finds its own, so one broker may lack many protections.
@pytest.mark.parametrize(
    ("changes", "wait_s", "failing"),
    [
        # Here many answers never come, and each is waited for.
        (ANYBODY, 3, {"no_certificate", "foreign_certificate", "revoked_certificate"}),
        (
            {
                "\ncrlfile": "\n# crlfile",
                "\nuse_username_as_clientid true": "",
                "max_packet_size 16384": "max_packet_size 4096",
            },
            15,
            {"revoked_certificate", "client_id", "limits"},
        ),
        (
            {
                "max_inflight_messages 20": "max_inflight_messages 1",
                "\nacl_file": "\n# acl_file",
                "\nlistener ": "\nlistener PLAIN\nlistener ",
            },
            15,
            {"limits", "foreign_writes", "foreign_reads", "plain_refused"},
        ),
    ],
)
def test_a_broker_that_lacks_a_protection_fails_its_probe(
    broker: Broker,
    authority: Authority,
    tmp_path: Path,
    changes: dict[str, str],
    wait_s: float,
    failing: set[str],
) -> None:
    file, plain = broker.folder / "sinyal.conf", free_port()
    text = file.read_text().replace("allow_anonymous false", "allow_anonymous true")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new.replace("PLAIN", str(plain)))
    file.write_text(text)
    broker.start()
    probe = replace(probe_of(broker, authority, tmp_path, wait_s), plain_port=plain)
    outcomes = list(probe_broker(probe))
    found = {outcome.probe for outcome in outcomes if outcome.verdict == "fail"}
    assert failing <= found, outcomes
    assert changes is ANYBODY or found == failing, outcomes
    assert all(outcome.next_step for outcome in outcomes if outcome.verdict == "fail")


def test_while_no_gateway_gets_in_a_refusal_proves_nothing(
    broker: Broker, authority: Authority, province: Path, tmp_path: Path, provision: Run
) -> None:
    file = broker.folder / "sinyal.conf"
    file.write_text(file.read_text().replace("\nrequire_certificate true", ""))
    broker.start()
    outcomes = verdicts(list(probe_broker(probe_of(broker, authority, tmp_path))))
    assert outcomes == {
        **dict.fromkeys(QUESTIONS, "skip"),
        "mutual_tls": "fail",
        "server_certificate": "pass",
        "plain_refused": "pass",
    }
    (province / "own").mkdir()
    assert provision("ca", "init", "--ca", "own/ca", "--passphrase-file", "pw").returncode == 0
    where = ("localhost", "--port", str(broker.port), "--plain-port", str(broker.port), "--ca", "own/ca")
    shown = provision("broker", "check", *where, "--passphrase-file", "pw")
    assert shown.returncode == 1
    assert "not from the authority of this folder" in shown.stdout
    assert "broker.ca_file" not in shown.stdout, "a setting of gateways, not of the operator"
    assert shown.stdout.count("FAIL") == 2
    assert "correct the first failure" in shown.stdout


def test_it_listens_on_one_port_and_nowhere_without_tls(broker: Broker) -> None:
    broker.start()
    assert broker.listening_ports() == {broker.port}


def test_a_broker_that_denies_a_gateways_own_topics_fails_too(
    broker: Broker, authority: Authority, tmp_path: Path
) -> None:
    (broker.folder / "acl").write_text(acl(broker.plan).replace("pattern write desa/v1/%u/event/#\n", ""))
    broker.start()
    outcomes = {outcome.probe: outcome for outcome in probe_broker(probe_of(broker, authority, tmp_path, 3))}
    assert outcomes["own_topics"].verdict == "fail"
    assert "event/outage" in outcomes["own_topics"].seen


def bad_client(kind: str, authority: Authority, folder: Path) -> Identity | None:
    now = dt.datetime.now(dt.UTC)
    key = certificates.new_key()
    root, root_key = authority.certificate, authority._key
    if kind == "none":
        return None
    if kind == "foreign":
        return foreign_identity(folder, "gw-a")
    if kind == "withdrawn":
        return withdrawn_identity(authority.folder)
    if kind == "self-signed":
        made = certificates.self_signed(key, "gw-a", now)
    elif kind == "expired":
        made = certificates.certificate(
            root, root_key, key.public_key(), name="gw-a", kind="check", now=now - dt.timedelta(days=2)
        )
    elif kind == "for a server":
        made = certificates.certificate(
            root, root_key, key.public_key(), name="gw-a", kind="server", now=now, hosts=["gw-a"]
        )
    else:
        late = certificates.self_signed(
            root_key, root.subject.rfc4514_string()[3:], now + dt.timedelta(days=400)
        )
        made = certificates.certificate(
            late, root_key, key.public_key(), name="gw-a", kind="gateway", now=now
        )
    write_whole(folder / "bad.pem", certificates.pem(made))
    write_whole(folder / "bad.key", certificates.key_pem(key, None), 0o600)
    return Identity("gw-a", folder / "bad.pem", folder / "bad.key")


BAD_CLIENTS = {
    "none": "has none to show",
    "foreign": "another authority gave it",
    "expired": "it has expired",
    "not yet valid": "it is not valid yet",
    "withdrawn": "it was withdrawn",
    "for a server": "for another purpose",
    "self-signed": "another authority gave it",
}


def test_each_bad_client_is_refused_with_its_own_words(
    broker: Broker, authority: Authority, tmp_path: Path
) -> None:
    broker.start()
    for kind, words in BAD_CLIENTS.items():
        identity = bad_client(kind, authority, tmp_path)
        files = TlsFiles(authority.folder / "ca.pem")
        if identity is not None:
            files = TlsFiles(authority.folder / "ca.pem", identity.cert_file, identity.key_file)
        connection = Connection(
            ("localhost", broker.port), client_id="gw-a", keepalive_s=60, tls=TlsSessions(files)
        )
        with pytest.raises(LinkProblem, match=words) as refusal:
            connection.open()
        connection.close(goodbye=False)
        assert refusal.value.code == "tls_own_certificate_refused", kind


@contextmanager
def reader(broker: Broker, authority: Authority, folder: Path, heard: list[bytes]) -> Iterator[paho.Client]:
    """Connect as a program of the centre whose session is kept, by paho alone."""
    name = "pusat"
    cert, key = authority.afresh().sign_own(name, kind="centre")
    write_whole(folder / "reader.pem", cert)
    write_whole(folder / "reader.key", key, 0o600)
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv5)
    client.tls_set(str(authority.folder / "ca.pem"), str(folder / "reader.pem"), str(folder / "reader.key"))
    client.on_message = lambda _client, _data, message: heard.append(bytes(message.payload))
    kept = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    kept.SessionExpiryInterval = 86400
    client.connect("localhost", broker.port, clean_start=False, properties=kept)
    client.loop_start()
    yield client
    client.disconnect()
    client.loop_stop()


def test_what_was_acknowledged_survives_kill_9(broker: Broker, authority: Authority, tmp_path: Path) -> None:
    broker.start()
    subscribed: list[int] = []
    with reader(broker, authority, tmp_path, []) as client:
        client.on_subscribe = lambda *_: subscribed.append(1)
        wait_until(client.is_connected)
        client.subscribe("desa/v1/#", qos=1)
        wait_until(lambda: bool(subscribed))
    first, _second, _listener = own_identities(authority.afresh(), tmp_path)
    connection = Connection(
        ("localhost", broker.port),
        client_id=first.name,
        keepalive_s=60,
        tls=TlsSessions(TlsFiles(authority.folder / "ca.pem", first.cert_file, first.key_file)),
    )
    connection.open()
    sent = [b"message %03d." % number for number in range(100)]
    acknowledged = 0
    for payload in sent:
        connection.publish(f"desa/v1/{first.name}/readings", payload)
        acknowledged += len(connection.exchange(5))
    while acknowledged < len(sent):
        acknowledged += len(connection.exchange(5))
    # mosquitto answers first and writes in the same turn of its loop: the last message needs a moment.
    stored = broker.folder / "state/mosquitto.db"
    wait_until(lambda: stored.exists() and all(payload in stored.read_bytes() for payload in sent))
    broker.kill()
    connection.close(goodbye=False)
    broker.start()

    heard: list[bytes] = []
    with reader(broker, authority, tmp_path, heard):
        wait_until(lambda: set(sent) <= set(heard), 60)


def wait_until(condition: object, timeout_s: float = 30) -> None:
    assert callable(condition)
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_withdrawal_counts_after_the_crl_was_read_again(
    broker: Broker, authority: Authority, tmp_path: Path
) -> None:
    broker.start()
    probe = probe_of(broker, authority, tmp_path)
    with probe.connected(probe.first):
        pass
    authority.revoke(probe.first.name, "stolen")
    shutil.copy(authority.folder / "crl.pem", broker.folder / "crl.pem")
    broker.send(signal.SIGHUP)

    def refused() -> bool:
        try:
            with probe.connected(probe.first):
                return False
        except LinkProblem as problem:
            return "it was withdrawn" in problem.what

    wait_until(refused)


def test_render_again_changes_nothing_and_a_new_name_gets_a_new_certificate(
    province: Path, authority: Authority
) -> None:
    folder = province / "again"
    plan = BrokerPlan(PurePosixPath("/etc/mosquitto/sinyal"))
    assert write_setup(folder, plan, authority, ["broker.example", "10.0.0.1"])
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()}
    assert not write_setup(folder, plan, authority, ["broker.example", "10.0.0.1"])
    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()} == before
    assert (folder / "server.key").stat().st_mode & 0o777 == 0o600
    assert write_setup(folder, plan, authority, ["broker.example", "10.0.0.2"])


def test_the_rendered_broker_passes_every_probe_and_a_broker_that_is_gone_is_named(
    broker: Broker, provision: Run
) -> None:
    broker.start()
    where = (
        "localhost",
        "--port",
        str(broker.port),
        "--plain-port",
        str(free_port()),
        "--passphrase-file",
        "pw",
    )
    shown = provision("broker", "check", *where, "--json")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    probes = {each["probe"]: each for each in json.loads(shown.stdout)["probes"]}
    assert list(probes) == list(QUESTIONS)
    assert {each["verdict"] for each in probes.values()} == {"pass"}
    assert "heard 0 of 8" in probes["foreign_writes"]["seen"]
    broker.kill()
    gone = provision("broker", "check", *where)
    assert gone.returncode == 5
    assert "refuses connections" in gone.stderr
    assert "Traceback" not in gone.stderr


def test_without_the_authority_two_gateways_certificates_serve(
    broker: Broker, authority: Authority, tmp_path: Path, provision: Run
) -> None:
    broker.start()
    pairs = []
    for number in ("1", "2"):
        cert, key = authority.afresh().sign_own(f"gw-check-{number}", kind="gateway")
        write_whole(tmp_path / f"{number}.pem", cert)
        write_whole(tmp_path / f"{number}.key", key, 0o600)
        pairs += [f"--cert{number}", f"{tmp_path}/{number}.pem", f"--key{number}", f"{tmp_path}/{number}.key"]
    shown = provision(
        *("broker", "check", "localhost", "--port", str(broker.port), "--plain-port", str(free_port())),
        *("--ca-file", "ca/ca.pem", *pairs, "--json"),
    )
    probes = {each["probe"]: each["verdict"] for each in json.loads(shown.stdout)["probes"]}
    assert shown.returncode == 0, shown.stdout
    assert probes["revoked_certificate"] == "skip"
    assert set(probes.values()) == {"pass", "skip"}
    lacking = provision("broker", "check", "localhost", *pairs)
    assert lacking.returncode == 2
