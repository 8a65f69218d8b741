import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.cli import decode
from agent.cli.decode import MAX_FILE_BYTES, MAX_LINE_BYTES, SeenRows
from agent.contract.catalogue import Row
from agent.publish.stored import read_notice
from agent.wire.columns import encode_batch, encode_rows_json
from tests.cli.test_main import HERE
from tests.support.mosquitto import Mosquitto, free_port, mosquitto
from tests.support.programs import program
from tests.support.rows import EPOCH, sample_row

TOPIC = "desa/v1/gw-7/readings"
COMMAND = [sys.executable, "-m", "agent", "--lang", "en", "decode"]


def payload_of(*seqs: int) -> bytes:
    return encode_batch(EPOCH, [sample_row(seq) for seq in seqs], late=False)


def decoded(*arguments: str | Path, stdin: bytes = b"") -> "subprocess.CompletedProcess[str]":
    run = subprocess.run(
        [*COMMAND, *map(str, arguments)], cwd=HERE, input=stdin, capture_output=True, timeout=30, check=False
    )
    assert b"Traceback" not in run.stderr
    return subprocess.CompletedProcess(run.args, run.returncode, run.stdout.decode(), run.stderr.decode())


def identities(stdout: str) -> list[tuple[object, object]]:
    return [(row["gateway"], row["seq"]) for row in map(json.loads, stdout.splitlines())]


def assert_one_line(run: "subprocess.CompletedProcess[str]", code: int, *words: str) -> None:
    assert run.returncode == code, run.stderr
    assert run.stdout == ""
    assert len(run.stderr.splitlines()) == 1
    assert "Next step:" in run.stderr
    for word in words:
        assert word in run.stderr


@pytest.fixture
def batch_file(tmp_path: Path) -> Path:
    file = tmp_path / "batch.bin"
    file.write_bytes(payload_of(1, 2))
    return file


# Files and stdin


def test_files_and_stdin_give_rows(batch_file: Path) -> None:
    run = decoded(batch_file, "-", "--gateway", "gw-1", stdin=payload_of(3))

    assert (run.returncode, run.stderr) == (0, "")
    assert identities(run.stdout) == [("gw-1", 1), ("gw-1", 2), ("gw-1", 3)]
    first: Row = {"gateway": "gw-1", "epoch": EPOCH, "late": 0, **sample_row(1)}
    assert json.loads(run.stdout.splitlines()[0]) == first


def test_stdin_is_read_when_no_file_is_named() -> None:
    assert identities(decoded(stdin=payload_of(5)).stdout) == [(None, 5)]


@pytest.mark.parametrize(
    ("name", "beginning", "lines"),
    [("jsonl", '{"gateway":null,', 2), ("csv", "gateway,epoch,seq,late,", 3), ("influx", "sinyal epoch=", 2)],
)
def test_every_format_can_be_chosen(batch_file: Path, name: str, beginning: str, lines: int) -> None:
    run = decoded(batch_file, "--format", name)

    assert run.stdout.startswith(beginning)
    assert run.stdout.count("\n") == lines


def test_what_is_decoded_for_the_public_holds_nothing_else(batch_file: Path) -> None:
    row = json.loads(decoded(batch_file, "--public").stdout.splitlines()[0])
    header = decoded(batch_file, "--public", "--format", "csv").stdout.splitlines()[0].split(",")

    assert not {"cell_id", "epoch", "seq", "imei"} & {*row, *header}
    assert row["ts"] and header[0] == "gateway" and "clients_count" in header
    refused = decoded(batch_file, "--public", "--format", "influx")
    assert refused.returncode == 2 and "<5" in refused.stderr


def test_a_fifo_is_read(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen([*COMMAND, str(fifo)], cwd=HERE, stdout=subprocess.PIPE) as child:
        fifo.write_bytes(payload_of(4))
        assert identities(child.communicate(timeout=30)[0].decode()) == [(None, 4)]


def test_a_damaged_payload_is_named_and_the_others_are_decoded(tmp_path: Path, batch_file: Path) -> None:
    damaged = tmp_path / "dam\naged.bin"
    damaged.write_bytes(payload_of(1, 2)[:-3])
    empty = tmp_path / "empty.bin"
    empty.write_bytes(b"")

    run = decoded(damaged, batch_file, empty)

    assert run.returncode == 1
    assert identities(run.stdout) == [(None, 1), (None, 2)]
    first, second = run.stderr.splitlines()
    assert "dam\\u000Aaged.bin: " in first
    assert "empty.bin: the message is empty" in second


@pytest.mark.parametrize(
    "payload",
    [b"\x00\xff" * 50, b"{" * 100_000, b"[" * 100_000, b"x\x9c", b"null", b'{"v":1}', b"\xef\xbb\xbf{}"],
)
def test_hostile_payloads_give_no_rows_and_one_line(payload: bytes) -> None:
    run = decoded(stdin=payload)

    assert (run.returncode, run.stdout) == (1, "")
    assert len(run.stderr.splitlines()) == 1
    assert run.stderr.startswith("sinyal: stdin: ")


# --lines


@pytest.mark.parametrize(
    ("line", "gateway"),
    [
        (f"{TOPIC} {payload_of(1).hex()}", "gw-7"),
        (payload_of(1).hex().upper(), "gw-else"),
        (f"{TOPIC}/json " + encode_rows_json(EPOCH, [sample_row(1)]).decode(), "gw-7"),
        (encode_rows_json(EPOCH, [sample_row(1)]).decode() + "\r", "gw-else"),
        (f"desa/v1/a name/readings {payload_of(1).hex()}", "a name"),
        (f"other/topic {payload_of(1).hex()}", "gw-else"),
    ],
)
def test_a_line_is_a_message(line: str, gateway: str) -> None:
    run = decoded("--lines", "--gateway", "gw-else", stdin=f"\n{line}\n\n".encode())

    assert (run.returncode, run.stderr) == (0, "")
    assert identities(run.stdout) == [(gateway, 1)]


def test_bad_lines_are_named_by_number_and_the_others_are_decoded(tmp_path: Path) -> None:
    log = tmp_path / "messages.log"
    lines = [
        b"nonsense",
        b"t " + b"ab" * MAX_LINE_BYTES,
        f"{TOPIC} ".encode(),
        b"desa/\xff " + payload_of(1).hex().encode(),
        f"{TOPIC} abc".encode(),
        f"{TOPIC} {payload_of(2).hex()}".encode(),
        b"cd" * MAX_LINE_BYTES,
    ]
    log.write_bytes(b"\n".join(lines))

    run = decoded("--lines", log)

    assert run.returncode == 1
    assert identities(run.stdout) == [("gw-7", 2)]
    notes = run.stderr.splitlines()
    assert [int(re.findall(r"line (\d+):", note)[0]) for note in notes] == [1, 2, 3, 4, 5, 7]
    for note, word in zip(
        notes, ("neither", "more than", "empty", "UTF-8", "neither", "more than"), strict=True
    ):
        assert word in note


def test_a_log_of_lines_may_be_larger_than_any_message(tmp_path: Path) -> None:
    log = tmp_path / "messages.log"
    with log.open("wb") as file:
        file.write(f"{TOPIC} {payload_of(1).hex()}\n".encode())
        file.write(b"\n" * MAX_FILE_BYTES)

    assert identities(decoded("--lines", "--count", "1", log).stdout) == [("gw-7", 1)]


def test_rows_that_came_before_can_be_dropped(batch_file: Path) -> None:
    arguments = (batch_file, batch_file, "-")

    run = decoded("--dedupe", *arguments, stdin=payload_of(2, 3))
    assert identities(run.stdout) == [(None, 1), (None, 2), (None, 3)]
    assert len(decoded(*arguments, stdin=payload_of(2, 3)).stdout.splitlines()) == 6


def test_dedupe_tells_gateways_and_epochs_apart_and_forgets_the_oldest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decode, "REMEMBERED_ROWS", 3)
    rows: list[Row] = [
        {"gateway": gateway, "epoch": epoch, "seq": 1}
        for gateway, epoch in (("a", "e"), ("b", "e"), ("a", "f"))
    ]
    seen = SeenRows()

    assert seen.new_among(rows) == rows
    assert seen.new_among(rows) == []
    seen.new_among([{"gateway": None, "epoch": "e", "seq": 1}])
    assert seen.new_among([rows[0]]) == [rows[0]]


def test_count_stops_after_so_many_messages(batch_file: Path) -> None:
    assert len(decoded("--count", "2", batch_file, batch_file, batch_file).stdout.splitlines()) == 4


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("/nowhere/batch.bin",), "/nowhere/batch.bin"),
        (("no\nsuch",), "no\\u000Asuch"),
        (("/",), "folder"),
        (("",), '""'),
        (("--format", "xml"), "xml"),
        (("--count", "0"), "--count"),
        (("--count", "-3"), "--count"),
        (("--count", "many"), "many"),
        (("--count", "9" * 30), "--count"),
        (("--gateway", "a/b"), "--gateway"),
        (("--gateway", "a\nb"), "--gateway"),
        (("--topic", "t"), "--subscribe"),
        (("--tls-ca", "x"), "--subscribe"),
        (("--subscribe", "localhost", "file"), "FILE"),
        (("--subscribe", "localhost", "--lines"), "--lines"),
        (("--subscribe", "mqtt://localhost"), "HOST:PORT"),
        (("--subscribe", "localhost:0"), "HOST:PORT"),
        (("--subscribe", "localhost:99999"), "HOST:PORT"),
        (("--subscribe", "[::1"), "HOST:PORT"),
        (("--subscribe", "a b"), "HOST:PORT"),
        (("--subscribe", ""), "HOST:PORT"),
        (("--subscribe", "localhost", "--tls-ca", "x", "--tls-key", "x"), "--tls-cert"),
        (("--subscribe", "localhost", "--tls-cert", "x", "--tls-key", "x"), "--tls-ca"),
        (("--subscribe", "localhost", "--tls-ca", "/nowhere/ca.crt"), "--tls-ca: /nowhere/ca.crt"),
        (("--nonsense",), "--nonsense"),
    ],
)
def test_a_mistake_is_one_line_with_a_next_step(arguments: tuple[str, ...], word: str) -> None:
    assert_one_line(decoded(*arguments), 2, word)


def test_a_missing_file_is_told_before_any_row_is_written(batch_file: Path) -> None:
    assert_one_line(decoded(batch_file, "/nowhere"), 2, "/nowhere")


def test_a_file_too_large_for_a_message_is_not_read(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(1 << 40)

    assert_one_line(decoded(large), 2, "16 MiB", "--lines")


@pytest.mark.parametrize("endless", ["/dev/zero", "-"])
def test_a_stream_without_end_is_refused(endless: str) -> None:
    assert_one_line(decoded(endless, stdin=b"x" * (MAX_FILE_BYTES + 1)), 2, "16 MiB")


def test_a_file_that_may_not_be_read_is_exit_code_3(batch_file: Path) -> None:
    batch_file.chmod(0)
    command = [*COMMAND, str(batch_file)]
    if os.geteuid() == 0:
        # Root may read everything that does not ask for a capability it has dropped.
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", *command]
    run = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=30, check=False)

    assert_one_line(run, 3, "batch.bin")


def test_nothing_to_decode_on_a_terminal_is_a_mistake() -> None:
    ours, theirs = os.openpty()
    try:
        run = subprocess.run(
            COMMAND, cwd=HERE, stdin=theirs, capture_output=True, text=True, timeout=30, check=False
        )
    finally:
        os.close(ours)
        os.close(theirs)

    assert_one_line(run, 2, "nothing to decode")


def test_a_full_disk_is_one_line(batch_file: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        run = subprocess.run(
            [*COMMAND, str(batch_file)],
            cwd=HERE,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )

    assert run.returncode == 1
    assert len(run.stderr.splitlines()) == 1 and b"cannot be written" in run.stderr


def test_a_reader_that_leaves_early_causes_no_complaint(tmp_path: Path) -> None:
    many = tmp_path / "many.bin"
    many.write_bytes(payload_of(*range(1, 3000)))
    shell = f"{' '.join(COMMAND)} {many} {many} | head -n 1"
    run = subprocess.run(shell, shell=True, cwd=HERE, capture_output=True, text=True, timeout=30, check=False)

    assert run.stderr == ""
    assert identities(run.stdout) == [(None, 1)]


# A broker


@contextmanager
def subscribed(broker: Mosquitto, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Run `decode --subscribe` until it listens; the rest is the test's."""
    command = [*COMMAND, "--subscribe", f"127.0.0.1:{broker.port}", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=HERE, stdout=pipe, stderr=pipe, text=True) as child:
        try:
            until = time.monotonic() + 20
            while "Sending SUBACK" not in broker.log_text():
                assert child.poll() is None and time.monotonic() < until, "no subscription"
                time.sleep(0.02)
            yield child
        finally:
            child.kill()


def client(name: str) -> str:
    return program(name, "mosquitto-clients")


def publish(port: int, topic: str, payload: bytes, folder: Path, *options: str) -> None:
    file = folder / "published.bin"
    file.write_bytes(payload)
    command = [
        client("mosquitto_pub"),
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
        "-q",
        "1",
        "-t",
        topic,
        "-f",
        str(file),
    ]
    subprocess.run([*command, *options], timeout=20, check=True)


def test_a_subscription_shows_rows_as_they_come(broker: Mosquitto, tmp_path: Path) -> None:
    with subscribed(broker, "--count", "4", "--dedupe") as child:
        assert child.stdout is not None
        publish(broker.port, TOPIC, payload_of(1, 2), tmp_path)
        assert select.select([child.stdout], [], [], 20)[0], "the rows of the first message are not flushed"
        assert identities(child.stdout.readline() + child.stdout.readline()) == [("gw-7", 1), ("gw-7", 2)]
        publish(broker.port, TOPIC, b"\x1bnonsense", tmp_path)
        publish(broker.port, TOPIC, payload_of(1, 2), tmp_path)
        publish(broker.port, f"{TOPIC}/json", encode_rows_json(EPOCH, [sample_row(3)]), tmp_path)
        stdout, stderr = child.communicate(timeout=20)

    assert identities(stdout) == [("gw-7", 3)]
    assert stderr.startswith(f"sinyal: {TOPIC}: ") and len(stderr.splitlines()) == 1
    assert child.returncode == 1


def test_ctrl_c_ends_a_subscription_quietly(broker: Mosquitto) -> None:
    with subscribed(broker) as child:
        # Python may lose a signal that falls into a finaliser; a person presses Ctrl-C again.
        for _press in range(5):
            child.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(4)
                break
        stdout, stderr = child.communicate(timeout=20)
    assert (stdout, child.returncode) == ("", 130)
    assert "Traceback" not in stderr


def test_a_broker_that_goes_away_is_exit_code_5(broker: Mosquitto) -> None:
    with subscribed(broker) as child:
        broker.kill()
        stdout, stderr = child.communicate(timeout=20)
    assert (stdout, child.returncode) == ("", 5)
    assert len(stderr.splitlines()) == 1


def test_a_broker_that_is_not_there_is_exit_code_5() -> None:
    port = free_port()

    assert_one_line(decoded("--subscribe", f"localhost:{port}"), 5, str(port), "PORT")


def test_tls_with_a_certificate_of_ones_own(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker", tls=True, gateway_id="centre", acl="pattern readwrite #") as broker:
        tls = broker.tls
        assert tls is not None
        authority = ("--tls-ca", tls.ca)
        identity = ("--tls-cert", tls.client_cert, "--tls-key", tls.client_key)
        theirs = (("--cafile", tls.ca), ("--cert", tls.client_cert), ("--key", tls.client_key))
        options = [str(word) for option in theirs for word in option]
        publish(broker.port, TOPIC, payload_of(8), tmp_path, "-r", *options)
        address = ("--subscribe", f"127.0.0.1:{broker.port}", "--topic", TOPIC, "--count", "1")

        run = decoded(*address, *authority, *identity)
        assert (run.returncode, identities(run.stdout)) == (0, [("gw-7", 8)])
        assert_one_line(decoded(*address, *authority), 5, "--tls-cert")


def test_a_file_that_is_no_certificate_is_named_by_its_option() -> None:
    assert_one_line(decoded("--subscribe", "localhost", "--tls-ca", HERE / "pyproject.toml"), 2, "--tls-ca")


def test_what_mosquitto_sub_prints_can_be_decoded(broker: Mosquitto, tmp_path: Path) -> None:
    publish(broker.port, TOPIC, payload_of(1, 2), tmp_path, "-r")
    listen = [
        "mosquitto_sub",
        "-h",
        "127.0.0.1",
        "-p",
        str(broker.port),
        "-t",
        "desa/v1/+/readings",
        "-C",
        "1",
    ]
    heard = subprocess.run([*listen, "-F", "%t %x"], capture_output=True, timeout=20, check=True)

    assert identities(decoded("--lines", stdin=heard.stdout).stdout) == [("gw-7", 1), ("gw-7", 2)]


@pytest.mark.parametrize(
    ("text", "tls", "address"),
    [
        ("broker.example", False, ("broker.example", 1883)),
        ("broker.example", True, ("broker.example", 8883)),
        ("broker.example:1", True, ("broker.example", 1)),
        ("[2001:db8::7]", False, ("2001:db8::7", 1883)),
        ("[2001:db8::7]:99", False, ("2001:db8::7", 99)),
        ("2001:db8::7", True, ("2001:db8::7", 8883)),
        ("10.0.0.1:5", False, ("10.0.0.1", 5)),
    ],
)
def test_host_and_port(text: str, tls: bool, address: tuple[str, int]) -> None:
    assert decode._address(text, tls=tls) == address


# What a gateway says beside readings, and what cannot be


def test_messages_without_readings_are_skipped_with_one_note(tmp_path: Path) -> None:
    log = tmp_path / "messages.log"
    log.write_bytes(
        b'desa/v1/gw-7/status {"v":1,"state":"online"}\n'
        + b"desa/v1/gw-7/inventory "
        + b'{"v":1}'.hex().encode()
        + b'\ndesa/v1/gw-7/event/power {"v":1,"what":"mains_lost"}\n'
        + b"desa/v1/gw-7/readings "
        + payload_of(1).hex().encode()
        + b"\ndesa/v1/gw-7/stored \n"
    )
    run = decoded("--lines", log)

    assert run.returncode == 0
    assert identities(run.stdout) == [("gw-7", 1)]
    assert (
        run.stderr == "sinyal: 4 messages that hold no readings (such as desa/v1/gw-7/status) are skipped.\n"
    )


def test_a_message_that_is_skipped_does_not_count(tmp_path: Path) -> None:
    log = tmp_path / "messages.log"
    line = b"desa/v1/gw-7/readings " + payload_of(1).hex().encode() + b"\n"
    log.write_bytes(b"desa/v1/gw-7/status {}\n" + line + line)

    assert len(identities(decoded("--lines", "--count", "1", log).stdout)) == 1


def test_a_text_where_the_catalogue_says_number_is_left_out_and_counted() -> None:
    columns = {
        "seq": [1, 1, 1],
        "ts": 1768953600,
        "rsrp_dbm": [["weak", 2], [None, 1]],
        "rtt_ms": [5, 6, -900],
    }
    columns |= {"band": 3, "pci": [7, 1, 9999], "cpu_pct_min": "low", "new_text": "kept"}
    batch = {"v": 1, "epoch": EPOCH, "n": 3, "late": 0, "c": columns}
    run = decoded("--format", "influx", stdin=json.dumps(batch).encode())

    assert run.returncode == 0
    assert [line.split(" ")[1] for line in run.stdout.splitlines()] == [
        f'epoch="{EPOCH}",seq=1i,late=0i,pci=7i,rtt_ms=5.0,new_text="kept"',
        f'epoch="{EPOCH}",seq=2i,late=0i,pci=8i,rtt_ms=11.0,new_text="kept"',
        f'epoch="{EPOCH}",seq=3i,late=0i,new_text="kept"',
    ]
    assert (
        run.stderr
        == "sinyal: stdin: 10 values that the catalogue does not allow are left out, first 'rsrp_dbm'.\n"
    )


# The guide


def test_the_example_of_the_guide_decodes_to_the_rows_it_shows() -> None:
    guide = (HERE / "docs" / "decoding.md").read_text()
    batch, rows, stored = re.findall(r"```json\n(.*?)```", guide, re.DOTALL)

    assert decoded("--gateway", "gw-jambi-04", stdin=batch.strip().encode()).stdout == rows
    assert read_notice(stored.strip().encode()).missing == ((4601, 4620), (4633, 4633))
