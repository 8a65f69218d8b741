"""`sinyal decode`: batches of readings from files, stdin or a broker, as rows on stdout."""

import argparse
import os
import re
import stat
import sys
from collections import OrderedDict
from collections.abc import Generator, Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from agent.cli.stdout_lines import write_lines
from agent.config.keys import RULES, effective_port
from agent.config.rules import host_in, split_address
from agent.config.toml_text import one_line
from agent.contract.catalogue import Row, Value
from agent.errors import BatchUnreadable, NoPermission, SinyalError, UsageMistake
from agent.language import _, system_reason
from agent.wire.columns import MAX_INFLATED_BYTES, decode_batch
from agent.wire.formats import FORMATS, CsvLines, identified_rows
from agent.wire.plausible import without_impossible_values
from agent.wire.public import public_row

DEFAULT_TOPICS = ("desa/v1/+/readings", "desa/v1/+/readings/json")

STDIN = "-"

MAX_FILE_BYTES = 16 << 20
"""A file or stream is one message; none is as large, and what has no end must not fill the memory."""

MAX_LINE_BYTES = 65_536 + 2 * MAX_INFLATED_BYTES
"""The longest topic, and the largest batch in hexadecimal digits."""

REMEMBERED_ROWS = 100_000
"""--dedupe knows so many rows again, some 20 MB; a repeated batch follows soon after the first."""

_READINGS_TOPIC = re.compile(r"desa/v1/([^/]+)/readings(?:/json)?")
_OTHER_TOPIC = re.compile(r"desa/v1/[^/]+/(?:status|inventory|event/[^/]+|command|reply|stored)")
_HEXADECIMAL = re.compile(rb"(?:[0-9a-fA-F]{2})*")
_JSON_STARTS = re.compile(rb"(?:^|(?<= ))[{\[]")

_WORDS_HERE = {
    "broker.host": "HOST",
    "broker.port": "PORT",
    "broker.ca_file": "--tls-ca",
    "broker.cert_file": "--tls-cert",
    "broker.key_file": "--tls-key",
}
"""The connection speaks of keys of the configuration, which this command does not read."""


class Arrival(NamedTuple):
    """Something to decode: where it came from in words, its MQTT topic if it has one, and its bytes."""

    source: str
    topic: str | None
    content: bytes


Arrivals = Generator[Arrival, None, None]


class SeenRows:
    """The identities of the last REMEMBERED_ROWS different rows."""

    def __init__(self) -> None:
        self._keys: OrderedDict[tuple[Value, Value, Value], None] = OrderedDict()

    def new_among(self, rows: Iterable[Row]) -> list[Row]:
        """Return the rows not seen yet, and remember them."""
        return [row for row in rows if self._is_new((row["gateway"], row["epoch"], row["seq"]))]

    def _is_new(self, key: tuple[Value, Value, Value]) -> bool:
        if key in self._keys:
            return False
        self._keys[key] = None
        if len(self._keys) > REMEMBERED_ROWS:
            self._keys.popitem(last=False)
        return True


class Skipped:
    """The messages of a gateway that hold no readings; on leaving, one note says how many there were."""

    def __init__(self) -> None:
        self._count = 0
        self._topic = ""

    def without(self, arrivals: Iterable[Arrival], *, as_line: bool) -> Iterator[Arrival]:
        """Yield the arrivals that are not of another known topic."""
        for arrival in arrivals:
            topic = arrival.topic or (_topic_of_line(arrival.content) if as_line else "")
            if not _OTHER_TOPIC.fullmatch(topic):
                yield arrival
                continue
            self._count += 1
            self._topic = self._topic or topic

    def __enter__(self) -> None:
        """Begin to count."""

    def __exit__(self, *_exception: object) -> None:
        if self._count:
            _note(
                _("{count} messages that hold no readings (such as {topic}) are skipped").format(
                    count=self._count, topic=self._topic
                )
            )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the files and options of `sinyal decode`."""
    parser.add_argument("files", nargs="*", metavar="FILE", help=_("one message each; - or none is stdin"))
    parser.add_argument(
        "--lines",
        action="store_true",
        help=_("one message a line: topic or none, then hexadecimal digits or JSON"),
    )
    parser.add_argument("--format", choices=FORMATS, default="jsonl", help=_("default jsonl"))
    parser.add_argument(
        "--public", action="store_true", help=_("only what anybody may see; fewer than five devices are <5")
    )
    parser.add_argument("--gateway", metavar="ID", help=_("of which gateway, where no topic says it"))
    parser.add_argument(
        "--dedupe", action="store_true", help=_("drop rows that have come before (the last 100,000)")
    )
    parser.add_argument("--count", type=int, metavar="N", help=_("stop after N messages"))
    parser.add_argument("--subscribe", metavar="HOST[:PORT]", help=_("read from this MQTT 5 broker instead"))
    parser.add_argument(
        "--topic",
        action="append",
        metavar="FILTER",
        help=_("topics to read, may be repeated; default desa/v1/+/readings and …/readings/json"),
    )
    parser.add_argument(
        "--tls-ca", type=Path, metavar="FILE", help=_("use TLS; the authority that signed the broker")
    )
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help=_("certificate of your own"))
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help=_("its private key"))


def run(args: argparse.Namespace) -> int:
    """Write the rows of every message; return 1 when one was damaged."""
    _check_usage(args)
    subscribes, is_csv = args.subscribe is not None, args.format == "csv"
    arrivals = _from_broker(args) if subscribes else _from_files(args.files or [STDIN], by_line=args.lines)
    formatter = CsvLines(_note, public=True) if args.public and is_csv else FORMATS[args.format](_note)
    seen = SeenRows() if args.dedupe else None
    damaged = False
    skipped = Skipped()
    with closing(arrivals), skipped:
        for arrival in islice(skipped.without(arrivals, as_line=args.lines), args.count):
            try:
                rows = _decoded(arrival, as_line=args.lines, gateway=args.gateway)
            except BatchUnreadable as error:
                _note(f"{arrival.source}: {error.what}")
                damaged = True
            else:
                rows = seen.new_among(rows) if seen else rows
                write_lines(formatter(list(map(public_row, rows)) if args.public else rows))
    return 1 if damaged else 0


def _note(text: str) -> None:
    print(f"sinyal: {one_line(text)}.", file=sys.stderr, flush=True)


# What was typed


def _check_usage(args: argparse.Namespace) -> None:
    subscribes = args.subscribe is not None
    for typed_wrongly, what in (
        (subscribes and (args.files or args.lines), _("--subscribe reads no FILE and no --lines")),
        (
            not subscribes and (args.topic or args.tls_ca or args.tls_cert or args.tls_key),
            _("--topic and --tls-… belong to --subscribe"),
        ),
        (
            args.public and args.format == "influx",
            _("--public gives jsonl or csv: in InfluxDB a number cannot become <5"),
        ),
        (
            (args.tls_cert is None) != (args.tls_key is None),
            _("--tls-cert and --tls-key go together"),
        ),
        (args.tls_cert and not args.tls_ca, _("TLS needs --tls-ca")),
        (args.count is not None and not 1 <= args.count <= sys.maxsize, _("--count takes 1 or more")),
        (
            not subscribes and not args.files and (sys.stdin is None or sys.stdin.isatty()),
            _("there is nothing to decode"),
        ),
    ):
        if typed_wrongly:
            raise UsageMistake(what, _("see `{command} --help`").format(command="sinyal decode"))
    rule = RULES["gateway"]["id"]
    try:
        rule.accept(args.gateway or "")
    except ValueError:
        raise UsageMistake(_("--gateway is not the id of a gateway"), rule.allowed()) from None
    for name in args.files:
        _check_file(name, by_line=args.lines)


def _check_file(name: str, *, by_line: bool) -> None:
    """Raise what will be wrong with a file, before a row of another one is written."""
    if name == STDIN:
        return
    try:
        status = Path(name).stat()
    except (OSError, ValueError) as error:
        raise _unopened(name, error) from None
    if stat.S_ISDIR(status.st_mode):
        raise UsageMistake(_("{file} is a folder").format(file=_shown(name)), _("name the files in it"))
    if not by_line and status.st_size > MAX_FILE_BYTES:
        raise _too_large(name)
    if not os.access(name, os.R_OK):
        raise _unopened(name, PermissionError())


def _unopened(name: str, error: OSError | ValueError) -> SinyalError:
    if isinstance(error, PermissionError):
        return NoPermission(
            _("no permission to read {file}").format(file=_shown(name)),
            _("run as a user who may read it"),
        )
    reason = system_reason((error.strerror if isinstance(error, OSError) else None) or error)
    return UsageMistake(
        _("{file} cannot be read: {reason}").format(file=_shown(name), reason=reason), _("check the path")
    )


def _too_large(name: str) -> UsageMistake:
    return UsageMistake(
        _("{file} is larger than any message ({limit} MiB)").format(
            file=_shown(name), limit=MAX_FILE_BYTES >> 20
        ),
        _("if it has one message a line, add --lines"),
    )


def _shown(name: str) -> str:
    return "stdin" if name == STDIN else one_line(name) or '""'


def _address(text: str, *, tls: bool) -> tuple[str, int]:
    has_port = not text.endswith("]") and (text.startswith("[") or text.count(":") == 1)
    try:
        return split_address(text) if has_port else (host_in(text), effective_port(None, tls=tls))
    except ValueError:
        raise UsageMistake(
            _("--subscribe: {address} is not HOST or HOST:PORT").format(address=ascii(text)),
            _("write it like broker.example:8883 or [2001:db8::7]:8883"),
        ) from None


# Where messages come from


def _from_files(names: Iterable[str], *, by_line: bool) -> Arrivals:
    for name in names:
        try:
            with _opened(name) as file:
                if by_line:
                    yield from _lines_of(file, name)
                else:
                    content = file.read(MAX_FILE_BYTES + 1)
                    if len(content) > MAX_FILE_BYTES:
                        raise _too_large(name)
                    yield Arrival(_shown(name), None, content)
        except OSError as error:
            raise _unopened(name, error) from None


def _opened(name: str) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if name == STDIN else Path(name).open("rb")


def _lines_of(file: BinaryIO, name: str) -> Iterator[Arrival]:
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        rest = line
        while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = file.readline(MAX_LINE_BYTES + 1)
        content = line.rstrip(b"\r\n")
        if content:
            yield Arrival(_("{file} line {number}").format(file=_shown(name), number=number), None, content)


def _from_broker(args: argparse.Namespace) -> Arrivals:
    host, port = _address(args.subscribe, tls=args.tls_ca is not None)
    # Decoding a file must not wait for MQTT and TLS to load.
    from agent.publish.subscriber import subscribe

    try:
        with subscribe(
            host,
            port,
            args.topic or DEFAULT_TOPICS,
            tls=args.tls_ca is not None,
            ca_file=args.tls_ca,
            cert_file=args.tls_cert,
            key_file=args.tls_key,
        ) as subscription:
            for message in subscription:
                yield Arrival(message.topic, message.topic, message.payload)
    except SinyalError as error:
        error.what, error.next_step = _in_words_here(error.what), _in_words_here(error.next_step)
        raise


def _in_words_here(text: str) -> str:
    for key, word in _WORDS_HERE.items():
        text = text.replace(key, word)
    return text


# From message to rows


def _decoded(arrival: Arrival, *, as_line: bool, gateway: str | None) -> list[Row]:
    """Return the rows of a message; raises BatchUnreadable."""
    topic, payload = _split_line(arrival.content) if as_line else (arrival.topic, arrival.content)
    match = _READINGS_TOPIC.fullmatch(topic or "")
    batch, left_out = without_impossible_values(decode_batch(payload))
    if left_out:
        _note(
            f"{arrival.source}: "
            + _("{count} values that the catalogue does not allow are left out, first {column}").format(
                count=left_out.total(), column=ascii(next(iter(left_out)))
            )
        )
    return identified_rows(batch, match[1] if match else gateway)


def _topic_of_line(line: bytes) -> str:
    try:
        return _split_line(line)[0]
    except BatchUnreadable:
        return ""


def _split_line(line: bytes) -> tuple[str, bytes]:
    """Return topic ("" for none) and payload of a line as `mosquitto_sub -F '%t %x'` prints it, or with %p.

    Raises BatchUnreadable. A topic may hold spaces.
    """
    if len(line) > MAX_LINE_BYTES:
        raise BatchUnreadable(_("the line has more than {limit} bytes").format(limit=MAX_LINE_BYTES))
    topic, _space, last_word = line.rpartition(b" ")
    if _HEXADECIMAL.fullmatch(last_word):
        payload = bytes.fromhex(last_word.decode("ascii"))
    elif json_start := _JSON_STARTS.search(line):
        topic, payload = line[: json_start.start()].rstrip(b" "), line[json_start.start() :]
    else:
        raise BatchUnreadable(_("the line ends in neither hexadecimal digits nor JSON"))
    try:
        return topic.decode("utf-8"), payload
    except UnicodeDecodeError:
        raise BatchUnreadable(_("the topic is not UTF-8 text")) from None
