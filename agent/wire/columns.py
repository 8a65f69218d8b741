"""The batch of readings on the wire: rows to a payload and back (contract, section 4).

A batch is written column by column, numbers as whole differences, because neighbours in time resemble each
other; zlib then leaves some 26 bytes of a reading that takes 643 as a JSON object. Scales come from the
metric catalogue; a metric it does not know still travels, and a column it does not know is kept.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from types import NoneType
from typing import Any, Literal, TypeGuard

from agent.contract.catalogue import Row, Value, catalogue
from agent.errors import BatchUnreadable, SinyalError
from agent.language import _
from agent.wire.rollup import field_of, value_metric
from agent.wire.strict_json import parse, shown
from agent.wire.zlib_stream import compress, compress_apart, inflate

VERSION = 1

MAX_INFLATED_BYTES = 1 << 20
MAX_ROWS = 100_000
MAX_CELLS = 2_000_000
"""A column that is one number fills a cell of every row: 300 hostile bytes could claim 10 billion cells."""

LARGEST_INTEGER = 2**63 - 1
"""What SQLite and InfluxDB can hold."""

ENVELOPE = frozenset({"epoch", "late", "gateway"})
"""Said once for a batch by its header or topic; never a column."""

COLUMN_ORDER = (
    # One line is one run of relatives; a new metric may stand anywhere, or be left out and go to the end.
    *(
        "ts_quality",
        "seq",
        "slot_s",
        "seq_first",
        "folded_rows",
        "mains_present",
        "earfcn",
        "uarfcn",
        "arfcn",
    ),
    *("buffer_unsent", "tac", "lac", "access_technology", "link_up", "disk_used_pct", "agent_bytes"),
    *("battery_v", "battery_pct", "loss_ratio", "undervoltage", "registration", "sim_state", "mem_used_pct"),
    *("clients_count", "signal_class", "modem_state", "band", "nr_band", "boot", "modem_temperature_c"),
    *(
        "rssi_dbm",
        "rscp_dbm",
        "rsrp_dbm",
        "nr_rsrp_dbm",
        "rsrq_db",
        "nr_rsrq_db",
        "ecio_db",
        "pci",
        "cpu_pct",
    ),
    *("cell_id", "soc_temp_c", "load1", "operator_name", "operator_mccmnc", "nr_sinr_db", "sinr_db"),
    *("jitter_ms", "rtt_ms", "rtt_p95_ms", "wan_tx_bytes", "wan_rx_bytes", "buffer_oldest_s"),
    *("clock_offset_s", "uptime_s", "ts"),
)
"""Any order can be read. This one was found by search over a week of readings and saves 3 % against the
catalogue's: zlib finds names and sequences again that stand close to their like."""

NOISE_CHARACTERS = 3.4
"""A column of differences that takes more characters a row than this hardly repeats itself."""

NOISE_APART_BYTES = 700
"""From here on, noise is worth a Huffman table of its own."""

_CONSTANT, _RUNS, _DIFFERENCES = range(3)
_RANK = {name: rank for rank, name in enumerate(COLUMN_ORDER)}
_EPOCH = re.compile(r"[0-9a-f]{8}")
_COLUMN_KEY = re.compile(r"([^/]+)(?:/([1-9][0-9]{0,8}))?")
_MOST_DECIMALS = 6

Encoding = Literal["columns", "json"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Readings of one gateway and epoch as they arrived; late means backlog. Not known is absent in a row."""

    epoch: str
    late: bool
    rows: tuple[Row, ...]


class ReadingTooLarge(SinyalError):
    """A single reading does not fit into a message."""


@dataclass(frozen=True, slots=True)
class _Column:
    """One column as JSON text. shape: _CONSTANT, _RUNS of text or _DIFFERENCES, sent in that order."""

    name: str
    shape: int
    text: str


def encode_batch(epoch: str, rows: Sequence[Mapping[str, Value]], *, late: bool) -> bytes:
    """Return the columnar payload of `rows`, each with seq and ts at least; None or absent means not known.

    Only metrics of a reading travel, so that no identifier leaves by mistake. Raises ValueError when there
    are no rows, the epoch is not 8 hexadecimal digits, or a column mixes text and numbers or holds a number
    that is not finite or wider than 64 bits.
    """
    _check_header(epoch, rows)
    columns = sorted(_columns(rows), key=_place)
    noisy = [column for column in columns if _is_noise(column, len(rows))]
    head = f'{{"v":{VERSION},"epoch":"{epoch}","n":{len(rows)},"late":{int(late)},"c":{{'
    if sum(len(column.text) for column in noisy) < NOISE_APART_BYTES:
        return compress(f"{head}{_listed(columns)}}}}}".encode())
    quiet = [column for column in columns if not _is_noise(column, len(rows))]
    text = f"{head}{_listed(quiet + noisy)}}}}}"
    return compress_apart(text.encode(), len(f"{head}{_listed(quiet)}".encode()))


def encode_rows_json(epoch: str, rows: Sequence[Mapping[str, Value]]) -> bytes:
    """Return `rows` as the payload of `readings/json`, an array of objects; raises as encode_batch."""
    _check_header(epoch, rows)
    documents: list[dict[str, Value]] = [
        {"epoch": epoch, "seq": row["seq"], "ts": row.get("ts")} for row in rows
    ]
    for name in _column_names(rows):
        values = [row.get(name) for row in rows]
        if not _is_text(name, values):
            values = _divided(name, *_whole_numbers(name, values))
        for document, value in zip(documents, values, strict=True):
            if value is not None:
                document[name] = value
    return json.dumps(documents, ensure_ascii=False, separators=(",", ":")).encode()


def split_to_fit(
    epoch: str, rows: Sequence[Mapping[str, Value]], *, late: bool, max_bytes: int, encoding: Encoding
) -> Iterator[tuple[bytes, int, int]]:
    """Yield payloads of at most `max_bytes` that hold all rows in order, each with its first and last seq.

    The first seq of a rollup is where it began: all that it covers is in the payload.

    Raises ReadingTooLarge when a single row needs more, ValueError as encode_batch.
    """
    start, size = 0, len(rows)
    while start < len(rows):
        piece = rows[start : start + size]
        payload = (
            encode_batch(epoch, piece, late=late) if encoding == "columns" else encode_rows_json(epoch, piece)
        )
        if len(payload) <= max_bytes:
            yield payload, _first_seq(piece[0]), _seq(piece[-1])
            start += len(piece)
        elif len(piece) > 1:
            size = max(1, min(len(piece) - 1, len(piece) * max_bytes // len(payload)))
        else:
            raise ReadingTooLarge(
                _("reading {seq} needs {needed} bytes, a message may have {max_bytes}").format(
                    seq=_seq(piece[0]), needed=len(payload), max_bytes=max_bytes
                ),
                _("raise publish.max_payload_bytes, and the packet limit of the broker if it is lower"),
            )


def decode_batch(payload: bytes) -> Batch:
    """Return the batch in a payload of `readings` (zlib or plain JSON) or `readings/json`.

    Raises BatchUnreadable, saying what is wrong, for anything that is not wholly a batch: a part of a batch
    never comes out. Bounds: 1 MiB inflated, 100,000 rows, 2,000,000 cells.
    """
    if payload[:1] == b"x":
        document = parse(inflate(payload, MAX_INFLATED_BYTES))
    elif len(payload) > MAX_INFLATED_BYTES:
        raise BatchUnreadable(
            _("the batch has more than {max_bytes} bytes").format(max_bytes=MAX_INFLATED_BYTES)
        )
    elif payload[:1] in (b"{", b"["):
        document = parse(payload)
    elif payload:
        raise BatchUnreadable(_("no batch begins with the byte {byte}").format(byte=f"0x{payload[0]:02x}"))
    else:
        raise BatchUnreadable(_("the message is empty"))
    if isinstance(document, dict):
        return _batch_of_columns(document)
    if isinstance(document, list) and payload[:1] == b"[":
        return _batch_of_objects(document)
    raise BatchUnreadable(_("the batch is not a JSON object"))


# Encoding


def _check_header(epoch: str, rows: Sequence[Mapping[str, Value]]) -> None:
    if not rows:
        raise ValueError("a batch needs at least one row")
    if not _EPOCH.fullmatch(epoch):
        raise ValueError(f"epoch {epoch!r} is not 8 hexadecimal digits")


def _seq(row: Mapping[str, Value]) -> int:
    seq = row["seq"]
    assert isinstance(seq, int)
    return seq


def _first_seq(row: Mapping[str, Value]) -> int:
    first = row.get("seq_first")
    return first if isinstance(first, int) else _seq(row)


def _column_names(rows: Sequence[Mapping[str, Value]]) -> list[str]:
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
    known = catalogue()
    return [
        name
        for name in names
        if name not in ENVELOPE and ((metric := known.get(name)) is None or metric.kept == "reading")
    ]


def _columns(rows: Sequence[Mapping[str, Value]]) -> Iterator[_Column]:
    for name in _column_names(rows):
        values = [row.get(name) for row in rows]
        if _is_text(name, values):
            yield _text_column(name, values)
        elif name == "ts" or any(value is not None for value in values):
            yield _number_column(name, *_whole_numbers(name, values))


def _place(column: _Column) -> tuple[int, int, int]:
    """Return the sort key of a column: its shape, the rank of its field, and how long it is.

    The extremes and counts of a rollup stand beside their field, which saves 2 % there.
    """
    return column.shape, _RANK.get(field_of(column.name), len(_RANK)), len(column.text)


def _is_noise(column: _Column, n: int) -> bool:
    # Without its name, which weighs more the fewer the rows.
    return column.shape == _DIFFERENCES and len(column.text) - len(column.name) > NOISE_CHARACTERS * n


def _listed(columns: Sequence[_Column]) -> str:
    return ",".join(column.text for column in columns)


def _is_text(name: str, values: Sequence[Value]) -> bool:
    kinds = {type(value) for value in values} - {type(None)}
    if not (kinds == {str} or kinds <= {int, float}):
        raise ValueError(f"column {name!r} mixes {', '.join(sorted(kind.__name__ for kind in kinds))}")
    return kinds == {str}


def _text_column(name: str, values: Sequence[Value]) -> _Column:
    runs = [[value, len(list(run))] for value, run in groupby(values)]
    if len(runs) == 1:
        return _Column(name, _CONSTANT, f"{_json(name)}:{_json(values[0])}")
    return _Column(name, _RUNS, f"{_json(name)}:{_json(runs)}")


def _whole_numbers(name: str, values: Sequence[Value]) -> tuple[int, list[int | None]]:
    """Return the smallest divisor that is exact for the kept precision, and the values times it."""
    numbers = [value for value in values if isinstance(value, int | float)]
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"column {name!r} holds a number that is not finite")
    metric = value_metric(name)
    divisor = metric.divisor if metric else _exact_divisor(numbers)
    whole = [round(value * divisor) if isinstance(value, int | float) else None for value in values]
    known = [number for number in whole if number is not None]
    if any(abs(number) > LARGEST_INTEGER for number in known):
        raise ValueError(f"column {name!r} holds a number wider than 64 bits")
    # Steps of 0.5 dB need no tenths: fewer digits, and dividing gives the very same float.
    common = math.gcd(divisor, *known)
    if common > 1:
        whole = [None if number is None else number // common for number in whole]
    return divisor // common, whole


def _exact_divisor(numbers: Sequence[float]) -> int:
    if all(isinstance(x, int) for x in numbers):
        return 1
    divisors: list[int] = [10**decimals for decimals in range(_MOST_DECIMALS + 1)]
    return next((d for d in divisors if all(round(x * d) / d == x for x in numbers)), divisors[-1])


def _number_column(name: str, divisor: int, whole: Sequence[int | None]) -> _Column:
    key = _json(name if divisor == 1 else f"{name}/{divisor}")
    if all(number == whole[0] for number in whole):
        return _Column(name, _CONSTANT, f"{key}:{_json(whole[0])}")
    differences, before = [], 0
    for number in whole:
        if number is None:
            differences.append("null")
        else:
            differences.append(str(number - before))
            before = number
    return _Column(name, _DIFFERENCES, f"{key}:[{','.join(differences)}]")


_json: Callable[[object], str] = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


# Both ways


def _divided(name: str, divisor: int, whole: Sequence[int | None]) -> list[Value]:
    """Return the values that whole numbers and their divisor stand for, of the type the catalogue gives them.

    A metric kept with decimals is a float also where a batch needed no divisor; a column that is not in the
    catalogue is a float when it has one.
    """
    metric = value_metric(name)
    if divisor == 1 and (metric is None or metric.decimals == 0):
        return list(whole)
    if metric is None or metric.decimals > 0:
        return [None if number is None else number / divisor for number in whole]
    return [_whole_if_possible(number, divisor) for number in whole]


def _whole_if_possible(number: int | None, divisor: int) -> Value:
    if number is None:
        return None
    return number / divisor if number % divisor else number // divisor


# Decoding


def _batch_of_columns(document: dict[str, object]) -> Batch:
    version, epoch, n, late, columns = (document.get(key) for key in ("v", "epoch", "n", "late", "c"))
    if not _is_integer(version) or version != VERSION:
        raise BatchUnreadable(_("v is {found}, not {version}").format(found=shown(version), version=VERSION))
    if not _is_integer(n) or not 1 <= n <= MAX_ROWS:
        raise BatchUnreadable(
            _("n is {found}, not a number of rows from 1 to {most}").format(found=shown(n), most=MAX_ROWS)
        )
    if not _is_integer(late) or late not in (0, 1):
        raise BatchUnreadable(_("late is {found}, not 0 or 1").format(found=shown(late)))
    if not isinstance(columns, dict):
        raise BatchUnreadable(_("c is not an object of columns"))
    if n * len(columns) > MAX_CELLS:
        raise BatchUnreadable(
            _("{n} rows of {columns} columns are more than {most} cells").format(
                n=n, columns=len(columns), most=MAX_CELLS
            )
        )
    rows: list[Row] = [{} for _row in range(n)]
    seen = set()
    for key, column in columns.items():
        name, divisor = _split_key(key)
        if name in seen:
            raise BatchUnreadable(_("the column {column} stands there twice").format(column=shown(name)))
        seen.add(name)
        for row, value in zip(rows, _column_values(name, divisor, column, n), strict=True):
            if value is not None:
                row[name] = value
    if "ts" not in seen:
        raise BatchUnreadable(_("the column ts is missing"))
    return _checked(epoch, rows, late=late == 1)


def _split_key(key: str) -> tuple[str, int]:
    match = _COLUMN_KEY.fullmatch(key)
    if match is None:
        raise BatchUnreadable(_("{key} is not a column name").format(key=shown(key)))
    _refuse_envelope(match[1])
    return match[1], int(match[2] or 1)


def _refuse_envelope(name: str) -> None:
    if name in ENVELOPE:
        raise BatchUnreadable(_("{column} may not be a column").format(column=shown(name)))


def _column_values(name: str, divisor: int, column: object, n: int) -> Sequence[Value]:
    """Return the n values of one column; raises BatchUnreadable when it is not one."""
    if isinstance(column, list):
        if any(isinstance(part, list) for part in column):
            return _run_values(name, divisor, column, n)
        return _divided(name, divisor, _sums(name, column, n))
    if column is None or (isinstance(column, str) and divisor == 1):
        return [column] * n
    return _divided(name, divisor, _sums(name, [column], 1)) * n


def _run_values(name: str, divisor: int, runs: list[Any], n: int) -> list[Value]:
    lengths = 0
    for run in runs:
        match run:
            case [None | str(), int(length)] if length >= 1 and not isinstance(length, bool) and divisor == 1:
                lengths += length
            case _:
                raise BatchUnreadable(
                    _("column {column} is not made of runs of text").format(column=shown(name))
                )
    # The lengths may claim anything: nothing is repeated before they add up.
    _check_length(name, lengths, n)
    return [value for value, length in runs for _repeat in range(length)]


def _sums(name: str, differences: list[Any], n: int) -> list[int | None]:
    _check_length(name, len(differences), n)
    wrong = [difference for difference in differences if type(difference) not in (int, NoneType)]
    if wrong:
        raise BatchUnreadable(
            _("column {column} holds {found}, not a whole number").format(
                column=shown(name), found=shown(wrong[0])
            )
        )
    totals = accumulate(difference for difference in differences if difference is not None)
    sums = [None if difference is None else next(totals) for difference in differences]
    if any(total is not None and abs(total) > LARGEST_INTEGER for total in sums):
        raise BatchUnreadable(_("column {column} is wider than 64 bits").format(column=shown(name)))
    return sums


def _check_length(name: str, found: int, n: int) -> None:
    if found != n:
        raise BatchUnreadable(
            _("column {column} has {found} values for {n} rows").format(column=shown(name), found=found, n=n)
        )


def _batch_of_objects(documents: list[Any]) -> Batch:
    if not 1 <= len(documents) <= MAX_ROWS:
        raise BatchUnreadable(
            _("the array has {found} readings, not 1 to {most}").format(found=len(documents), most=MAX_ROWS)
        )
    rows = []
    for document in documents:
        if not isinstance(document, dict):
            raise BatchUnreadable(_("the array holds {found}, not a reading").format(found=shown(document)))
        if document.get("epoch") != documents[0].get("epoch"):
            raise BatchUnreadable(_("the readings are of more than one epoch"))
        if "ts" not in document:
            raise BatchUnreadable(_("a reading has no ts"))
        rows.append(_flat_row(document))
    return _checked(documents[0].get("epoch"), rows, late=False)


def _flat_row(document: dict[str, Any]) -> Row:
    row: Row = {}
    for name, value in document.items():
        if name == "epoch" or value is None:
            continue
        _refuse_envelope(name)
        if type(value) is str:
            row[name] = value
        elif type(value) in (int, float) and math.isfinite(value) and abs(value) <= LARGEST_INTEGER:
            metric = value_metric(name)
            if metric and metric.decimals:
                value = float(value)
            elif metric and value == int(value):
                value = int(value)
            row[name] = value
        else:
            raise BatchUnreadable(
                _("column {column} holds {found}, not a number or text").format(
                    column=shown(name), found=shown(value)
                )
            )
    return row


def _checked(epoch: object, rows: list[Row], *, late: bool) -> Batch:
    """Return the batch if its rows have their identity: an epoch, and a seq each that no other has."""
    if not isinstance(epoch, str) or not _EPOCH.fullmatch(epoch):
        raise BatchUnreadable(_("the epoch is {found}, not 8 hexadecimal digits").format(found=shown(epoch)))
    seqs = {row.get("seq") for row in rows}
    if not all(_is_integer(seq) and seq >= 1 for seq in seqs):
        raise BatchUnreadable(_("a reading has no seq, or one that is not a positive whole number"))
    if len(seqs) != len(rows):
        raise BatchUnreadable(_("two readings have the same seq"))
    if not all(_is_integer(row.get("ts", 0)) for row in rows):
        raise BatchUnreadable(_("a ts is not in whole seconds"))
    return Batch(epoch, late, tuple(rows))


def _is_integer(value: object) -> TypeGuard[int]:
    return type(value) is int
