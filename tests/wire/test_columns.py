import json
import math
import random
import string
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.contract.catalogue import Metric, Row, catalogue
from agent.errors import BatchUnreadable
from agent.wire.columns import (
    LARGEST_INTEGER,
    Batch,
    ReadingTooLarge,
    decode_batch,
    encode_batch,
    encode_rows_json,
    split_to_fit,
)
from tests.wire import reference_week
from tests.wire.independent_decoder import decode

EPOCH = "9f2c01ab"

needs_week = pytest.mark.skipif(
    not reference_week.FILE.exists(), reason=f"{reference_week.FILE.name} does not lie beside the project"
)


def values_of(metric: Metric) -> st.SearchStrategy[Any]:
    """Return what a collector may have given for a metric, cleaned as the buffer keeps it."""
    raw: st.SearchStrategy[Any]
    if metric.type == "text":
        raw = (
            st.sampled_from(metric.values)
            if metric.values
            else st.text(min_size=1, max_size=12).filter(_encodable)
        )
    else:
        low = -(2.0**40) if metric.minimum is None else metric.minimum
        high = 2.0**40 if metric.maximum is None else metric.maximum
        if metric.type == "number":
            raw = st.floats(low, high)
        else:
            raw = st.integers(math.ceil(low), math.floor(high))
    return st.none() | raw.map(metric.clean)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


OTHERS = [metric for metric in catalogue().reading_metrics if metric.name not in ("seq", "ts")]


@st.composite
def batches(draw: st.DrawFn) -> list[Row]:
    """Rows with gaps, constants, resets and extremes in any of the catalogue's columns."""
    count = draw(st.integers(1, 12))
    metrics = draw(st.lists(st.sampled_from(OTHERS), max_size=8, unique_by=lambda metric: metric.name))
    seqs = sorted(draw(st.sets(st.integers(1, 2**53 - 1), min_size=count, max_size=count)))
    rows: list[Row] = [{"seq": seq, "ts": draw(st.integers(0, 2**40))} for seq in seqs]
    for metric in metrics:
        constant = draw(st.booleans())
        value = draw(values_of(metric))
        for row in rows:
            cell = value if constant else draw(values_of(metric))
            if cell is not None:
                row[metric.name] = cell
    return rows


@given(rows=batches(), late=st.booleans())
@settings(deadline=None, max_examples=300)
def test_a_batch_reads_back_as_it_was(rows: list[Row], late: bool) -> None:
    payload = encode_batch(EPOCH, rows, late=late)

    assert decode_batch(payload) == Batch(EPOCH, late, tuple(rows))
    independent = [
        {name: value for name, value in row.items() if value is not None} for row in decode(payload)
    ]
    assert independent == [{"epoch": EPOCH, **row} for row in rows]


@given(rows=batches())
@settings(deadline=None, max_examples=150)
def test_the_json_form_reads_back_as_it_was(rows: list[Row]) -> None:
    assert decode_batch(encode_rows_json(EPOCH, rows)) == Batch(EPOCH, False, tuple(rows))


@given(
    columns=st.dictionaries(
        st.text("abcdefghijklmnop_", min_size=3, max_size=8).map(lambda name: "x_" + name),
        st.sampled_from(
            [
                [1, None, -5],
                [None, None, 3],
                [0.5, 0.25, None],
                ["a", "a", None],
                [LARGEST_INTEGER, 0, -LARGEST_INTEGER],
            ]
        ),
        max_size=4,
    )
)
@settings(deadline=None)
def test_metrics_that_this_version_does_not_know_travel_and_are_kept(columns: dict[str, list[Any]]) -> None:
    rows: list[Row] = [{"seq": 1 + at, "ts": 100} for at in range(3)]
    for name, cells in columns.items():
        for row, cell in zip(rows, cells, strict=True):
            if cell is not None:
                row[name] = cell

    assert decode_batch(encode_batch(EPOCH, rows, late=False)).rows == tuple(rows)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([{"seq": 7, "ts": 100, "rsrq_db": -10.5}], {"seq": 7, "ts": 100, "rsrq_db/2": -21}),
        (
            [{"seq": 7, "ts": 100, "band": "B3"}, {"seq": 8, "ts": 160, "band": "B40"}],
            {"seq": [7, 1], "ts": [100, 60], "band": [["B3", 1], ["B40", 1]]},
        ),
        (
            [{"seq": 7, "ts": 100, "pci": 0}, {"seq": 8, "ts": 160}, {"seq": 9, "ts": 219, "pci": 5}],
            {"seq": [7, 1, 1], "ts": [100, 60, 59], "pci": [0, None, 5]},
        ),
        ([{"seq": 1, "ts": 1, "epoch": "x", "late": 1, "imsi": "510", "gateway": "g"}], {"seq": 1, "ts": 1}),
    ],
)
def test_the_columns_are_those_of_the_contract(rows: list[Row], expected: dict[str, Any]) -> None:
    document = json.loads(zlib.decompress(encode_batch(EPOCH, rows, late=True)))

    assert document == {"v": 1, "epoch": EPOCH, "n": len(rows), "late": 1, "c": expected}


@needs_week
@pytest.mark.parametrize("size", [1, 15, 60, 240])
def test_the_reference_week_reads_back_within_8_kib_a_batch(size: int) -> None:
    week = reference_week.rows()[:2400]
    for at in range(0, len(week), size):
        rows = [
            {name: value for name, value in row.items() if value is not None} for row in week[at : at + size]
        ]
        payload = encode_batch("039d74ed", rows, late=False)
        assert payload[:1] == b"\x78"
        assert len(payload) <= 8192
        assert [{"epoch": "039d74ed", **row} for row in decode_batch(payload).rows] == rows


@pytest.mark.parametrize("encoding", ["columns", "json"])
@pytest.mark.parametrize("max_bytes", [512, 700, 2000])
def test_batches_are_split_by_rows_and_never_cut(encoding: Any, max_bytes: int) -> None:
    rows: list[Row] = [
        {"seq": seq, "ts": seq * 61 % 997, "wan_rx_bytes": seq * 7919 % 99991} for seq in range(1, 200)
    ]

    pieces = list(split_to_fit(EPOCH, rows, late=True, max_bytes=max_bytes, encoding=encoding))

    assert all(len(payload) <= max_bytes for payload, _first, _last in pieces)
    found = [row for payload, _first, _last in pieces for row in decode_batch(payload).rows]
    assert found == rows
    assert [(first, last) for _payload, first, last in pieces] == [
        (batch.rows[0]["seq"], batch.rows[-1]["seq"])
        for batch in (decode_batch(piece[0]) for piece in pieces)
    ]


@pytest.mark.parametrize("encoding", ["columns", "json"])
def test_a_piece_covers_what_its_rollups_cover(encoding: Any) -> None:
    rollups: list[Row] = [
        {
            "seq": seq,
            "seq_first": seq - 4,
            "slot_s": 300,
            "ts": seq * 61 % 997,
            "wan_rx_bytes": seq * seq * 7919 % 99991,
        }
        for seq in range(5, 1001, 5)
    ]
    rows: list[Row] = [*rollups, {"seq": 1001, "ts": 1001}]
    pieces = list(split_to_fit(EPOCH, rows, late=True, max_bytes=512, encoding=encoding))
    assert len(pieces) > 1
    assert [first for _payload, first, _last in pieces] == [
        1,
        *(last + 1 for _payload, _first, last in pieces[:-1]),
    ]
    assert pieces[-1][2] == 1001


def test_a_single_reading_that_fits_nowhere_is_a_clear_error() -> None:
    rows: list[Row] = [
        {"seq": 1, "ts": 2, "operator_name": "".join(random.Random(1).choices(string.ascii_letters, k=900))}
    ]

    with pytest.raises(ReadingTooLarge, match="1"):
        list(split_to_fit(EPOCH, rows, late=False, max_bytes=512, encoding="columns"))


@pytest.mark.parametrize(
    ("epoch", "rows"),
    [
        (EPOCH, []),
        ("9F2C01AB", [{"seq": 1, "ts": 1}]),
        (EPOCH, [{"seq": 1, "ts": 1, "band": "B3"}, {"seq": 2, "ts": 1, "band": 3}]),
        (EPOCH, [{"seq": 1, "ts": 1, "load1": math.nan}]),
        (EPOCH, [{"seq": 1, "ts": 1, "wan_rx_bytes": 2**70}]),
        (EPOCH, [{"seq": 1, "ts": 1, "pci": True}]),
    ],
)
def test_rows_that_no_buffer_holds_are_refused(epoch: str, rows: list[Row]) -> None:
    with pytest.raises(ValueError, match=r"."):
        encode_batch(epoch, rows, late=False)


def batch(**changes: Any) -> bytes:
    document: dict[str, Any] = {
        "v": 1,
        "epoch": EPOCH,
        "n": 2,
        "late": 0,
        "c": {"seq": [1, 1], "ts": [100, 60]},
    }
    columns = changes.pop("c", {})
    document.update(changes)
    document["c"] = {**document["c"], **columns} if isinstance(columns, dict) else columns
    return json.dumps({key: value for key, value in document.items() if value != "absent"}).encode()


GOOD = zlib.compress(batch())


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"", "empty"),
        (b"\x00\x01", "0x00"),
        (b"\xef\xbb\xbf" + batch(), "0xef"),
        (batch().decode().encode("utf-16"), "0x"),
        (GOOD[:-3], "breaks off"),
        (GOOD + b"x", "follow"),
        (GOOD[:20] + b"\xff" + GOOD[21:], "damaged"),
        (zlib.compress(b" " * (2 << 20)), "inflates"),
        (zlib.compress(b"7"), "object"),
        (b"[" * 100_000, "nested"),
        (b"[]", "0 readings"),
        (b"[1]", "not a reading"),
        (b'[{"epoch":"9f2c01ab","seq":1}]', "no ts"),
        (b'[{"epoch":"9f2c01ab","seq":1,"ts":1},{"epoch":"00000000","seq":2,"ts":1}]', "more than one epoch"),
        (b'[{"epoch":"9f2c01ab","seq":1,"ts":1,"load1":1e999}]', "load1"),
        (b'[{"epoch":"9f2c01ab","seq":1,"ts":1.5}]', "ts"),
        (b'{"v":1,"v":1}', "twice"),
        (b'{"v":1,"n":NaN}', "NaN"),
        (b'{"v":1,"n":' + b"9" * 5000 + b"}", "digits"),
        (batch(v=2), "v is 2"),
        (batch(v=True), "v is True"),
        (batch(n=0), "n is 0"),
        (batch(n=10**9), "n is"),
        (batch(n=100_000, c={f"c{at}": 1 for at in range(30)}), "cells"),
        (batch(late=2), "late"),
        (batch(epoch="ABCDEF01"), "epoch"),
        (batch(epoch="absent"), "epoch"),
        (batch(c=[]), "columns"),
        (batch(c={"seq": [1]}), "seq"),
        (batch(c={"seq": [0, 1]}), "seq"),
        (batch(c={"seq": [5, 0]}), "same seq"),
        (batch(c={"seq": None}), "seq"),
        (batch(c={"ts": [1.5, 2]}), "ts"),
        (batch(c={"pci": [1, True]}), "pci"),
        (batch(c={"pci": ["1", 2]}), "pci"),
        (batch(c={"pci": {}}), "pci"),
        (batch(c={"band": [["B3", 1]]}), "band"),
        (batch(c={"band": [["B3", 0], ["B3", 2]]}), "band"),
        (batch(c={"band": [["B3", 10**12]]}), "band"),
        (batch(c={"band": [["B3", -1], ["B3", 3]]}), "band"),
        (batch(c={"band/10": "B3"}), "band"),
        (batch(c={"rsrq_db/0": 1}), "rsrq_db/0"),
        (batch(c={"rsrq_db": 1, "rsrq_db/10": 1}), "twice"),
        (batch(c={"epoch": "x"}), "epoch"),
        (batch(c={"wan_rx_bytes": [2**63 - 1, 2**62]}), "64 bits"),
        (b'{"v":1,"epoch":"9f2c01ab","n":1,"late":0,"c":{"seq":1}}', "ts is missing"),
        (b'[{"epoch":"9f2c01ab","seq":1,"ts":1,"band":"\\ud800"}]', "surrogate"),
        (b'{"v":"\xff"}', "UTF-8"),
    ],
)
def test_what_is_not_wholly_a_batch_gives_no_rows_but_a_reason(payload: bytes, says: str) -> None:
    from agent.language import use_language

    use_language("en")
    try:
        with pytest.raises(BatchUnreadable) as caught:
            decode_batch(payload)
    finally:
        use_language("id")
    assert says in caught.value.what
    assert "\n" not in caught.value.what


@given(
    rows=batches(),
    cuts=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=3),
    plain=st.booleans(),
)
@settings(deadline=None, max_examples=400)
def test_damaged_payloads_never_give_wrong_rows(
    rows: list[Row], cuts: list[tuple[int, int]], plain: bool
) -> None:
    good = encode_batch(EPOCH, rows, late=False)
    damaged = bytearray(zlib.decompress(good) if plain else good)
    for at, value in cuts:
        damaged[at % len(damaged)] = value
    try:
        found = decode_batch(bytes(damaged))
    except BatchUnreadable:
        return
    # Plain JSON has only its syntax as guard; the zlib form has a checksum.
    if not plain:
        assert found.rows == tuple(rows)


@given(payload=st.binary(max_size=300))
@settings(deadline=None)
def test_any_bytes_are_refused_in_words(payload: bytes) -> None:
    with pytest.raises(BatchUnreadable):
        decode_batch(payload)
