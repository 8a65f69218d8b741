"""Rollups against the readings they stand for, worked out again with fractions."""

import json
import sqlite3
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.buffer import rollup
from agent.buffer.ranges import SeqRange, SeqRanges
from agent.buffer.rollup import fold_slice, with_extremes
from agent.buffer.schema import create_statements, wanted_columns
from agent.contract.catalogue import Metric, Row, Value, catalogue
from agent.wire.columns import decode_batch, encode_batch
from tests.contract.schema_files import as_json, faults

COLUMNS = tuple(wanted_columns())
EPOCH = "9f2c01ab"


def values_of(metric: Metric) -> st.SearchStrategy[Value]:
    if metric.type == "text":
        return st.sampled_from(metric.values or ("B3", "B40"))
    least, most = int(metric.minimum or 0), int(min(metric.maximum or 0, 10**6))
    return st.integers(least * metric.divisor, most * metric.divisor).map(
        lambda units: metric.clean(units / metric.divisor)
    )


MEASURED = (
    *("rsrp_dbm", "rsrq_db", "loss_ratio", "load1", "rtt_p95_ms", "clients_count", "wan_rx_bytes"),
    *("link_up", "mains_present", "undervoltage", "band", "registration", "cell_id", "disk_used_pct"),
)

readings = st.fixed_dictionaries(
    {"boot": st.just(1), "uptime_s": st.integers(30, 90), "slot_s": st.just(60)},
    optional={name: values_of(catalogue()[name]) for name in MEASURED}
    | {"ts": st.integers(0, 2**40), "ts_quality": st.sampled_from(["ntp", "unset"])},
)


def database(rows: Sequence[Row]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in create_statements():
        connection.execute(statement)
    insert = f"INSERT INTO readings VALUES ({', '.join('?' * len(COLUMNS))})"
    connection.executemany(insert, [[row.get(name) for name in COLUMNS] for row in rows])
    return connection


def stored(connection: sqlite3.Connection) -> list[Row]:
    found = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM readings ORDER BY seq")
    rows = [{n: v for n, v in zip(COLUMNS, values, strict=True) if v is not None} for values in found]
    return with_extremes(connection, rows)


def fold_all(connection: sqlite3.Connection, ranges: list[SeqRange], slot_s: int) -> int:
    gone = from_seq = 0
    while True:
        piece = fold_slice(connection, COLUMNS, ranges, from_seq=from_seq, slot_s=slot_s)
        gone += piece.rows_gone
        if piece.done:
            return gone
        from_seq = piece.next_seq


def expected(metric: Metric, rows: Sequence[Row]) -> Row:
    """Return what a rollup should say of one field, by the words of docs/decoding.md."""
    known = [row[metric.name] for row in rows if metric.name in row]
    if not known:
        return {}
    if metric.type == "text" or (metric.fold == "last" and metric.type != "flag"):
        return {metric.name: known[-1]}
    exact = [Fraction(round(value * metric.divisor), metric.divisor) for value in known]  # type: ignore[operator, arg-type]
    fields: Row = {}
    if metric.type == "flag":
        fields[metric.name] = max(known) if metric.fold == "max" else known[-1]  # type: ignore[type-var]
        fields[f"{metric.name}_mean"] = round(float(sum(exact) / len(exact)), 6)
    elif metric.fold == "sum":
        fields[metric.name] = sum(known)  # type: ignore[arg-type]
    else:
        units = sum(exact) / len(exact) * metric.divisor
        mean = Fraction((units + Fraction(1, 2)).__floor__(), metric.divisor)
        fields[metric.name] = float(mean) if metric.fold == "mean" else max(known)  # type: ignore[type-var]
        fields |= {f"{metric.name}_min": min(known), f"{metric.name}_max": max(known)}  # type: ignore[type-var]
    if len(known) != len(rows):
        fields[f"{metric.name}_count"] = len(known)
    return fields


@settings(max_examples=200, deadline=None)
@given(
    drawn=st.lists(readings, min_size=1, max_size=40),
    taken=st.lists(st.tuples(st.integers(1, 40), st.integers(0, 2)), max_size=4),
    reboots=st.sets(st.integers(2, 40), max_size=3),
    slice_rows=st.integers(2, 50),
    slots_s=st.sampled_from([(300,), (3600,), (300, 3600)]),
)
def test_a_rollup_says_of_its_readings_what_fractions_say(
    drawn: list[Row],
    taken: list[tuple[int, int]],
    reboots: set[int],
    slice_rows: int,
    slots_s: tuple[int, ...],
) -> None:
    rows, boot, uptime_s = [], 1, 0
    for seq, row in enumerate(drawn, 1):
        if seq in reboots:
            boot, uptime_s = boot + 1, 0
        uptime_s += int(row["uptime_s"])  # type: ignore[arg-type]
        rows.append({**row, "seq": seq, "boot": boot, "uptime_s": uptime_s})
    ranges = SeqRanges((first, first + more) for first, more in taken).gaps(1, len(rows))
    connection = database(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rollup, "SLICE_ROWS", slice_rows)
        gone = sum(fold_all(connection, ranges, slot_s) for slot_s in slots_s)
    result = stored(connection)
    assert len(result) == len(rows) - gone

    covered: list[int] = []
    for row in result:
        first, last = row.get("seq_first", row["seq"]), row["seq"]
        assert isinstance(first, int) and isinstance(last, int)
        of_it = rows[first - 1 : last]
        covered += range(first, last + 1)
        if len(of_it) == 1:
            assert row == of_it[0]
            continue
        assert row["slot_s"] in slots_s
        assert row["folded_rows"] == len(of_it)
        assert len({(each["boot"], each["uptime_s"] // row["slot_s"]) for each in of_it}) == 1  # type: ignore[operator]
        assert any(begin <= first and last <= end for begin, end in ranges)
        own = ("seq", "boot", "uptime_s", "ts", "ts_quality")
        says: Row = {name: of_it[-1][name] for name in own if name in of_it[-1]}
        for name in MEASURED:
            says |= expected(catalogue()[name], of_it)
        assert {n: v for n, v in row.items() if n not in ("slot_s", "seq_first", "folded_rows")} == says
    assert covered == list(range(1, len(rows) + 1))
    assert decode_batch(encode_batch(EPOCH, [{"ts": 0, **row} for row in result], late=True)).rows
    assert faults("readings-json.json", as_json([{"ts": 0, **row, "epoch": EPOCH} for row in result])) == []


@settings(max_examples=50, deadline=None)
@given(drawn=st.lists(readings, min_size=2, max_size=30), cut=st.integers(1, 29))
def test_folding_twice_is_folding_once(drawn: list[Row], cut: int) -> None:
    rows = [{**row, "seq": seq, "uptime_s": 60 * seq} for seq, row in enumerate(drawn, 1)]
    once, twice = database(rows), database(rows)
    fold_all(once, [(1, len(rows))], 3600)
    fold_all(twice, [(1, cut)], 3600)
    fold_all(twice, [(1, len(rows))], 300)
    fold_all(twice, [(1, len(rows))], 3600)
    # A slot that held one rollup only still says that it is short.
    one, two = ([{**row, "slot_s": 0} for row in stored(connection)] for connection in (once, twice))
    assert one == two


def a_minute(seq: int, **values: Value) -> Row:
    return {"seq": seq, "boot": 1, "uptime_s": 60 * seq, "slot_s": 60, "ts": 60 * seq, **values}


def test_availability_is_not_lost() -> None:
    connection = database([a_minute(seq, link_up=int(seq % 4 > 0)) for seq in range(60, 120)])
    fold_all(connection, [(60, 119)], 300)
    fold_all(connection, [(60, 119)], 3600)
    (row,) = stored(connection)
    assert (row["folded_rows"], row["link_up"], row["link_up_mean"]) == (60, 1, 0.75)


def test_a_sum_that_the_field_cannot_hold_is_not_known() -> None:
    connection = database([a_minute(seq, wan_rx_bytes=9_007_199_254_740_991) for seq in (61, 62)])
    fold_all(connection, [(61, 62)], 3600)
    (row,) = stored(connection)
    assert "wan_rx_bytes" not in row
    assert row["folded_rows"] == 2


@pytest.mark.parametrize("missing", ["uptime_s", "boot"])
def test_a_row_without_its_clock_stays_alone(missing: str) -> None:
    rows: list[Row] = [{**a_minute(seq), missing: None} for seq in (61, 62, 63)]
    connection = database(rows)
    assert fold_all(connection, [(61, 63)], 3600) == 0


def test_rows_longer_than_the_slot_stay_alone_until_the_hour() -> None:
    connection = database([{**a_minute(10 * seq), "seq": seq, "slot_s": 600} for seq in range(6, 12)])
    assert fold_all(connection, [(1, 99)], 300) == 0
    assert fold_all(connection, [(1, 99)], 3600) == 5


def test_a_row_that_is_missing_between_is_not_covered() -> None:
    connection = database([a_minute(seq) for seq in (60, 61, 63, 64)])
    fold_all(connection, [(1, 99)], 3600)
    assert [(row["seq_first"], row["seq"]) for row in stored(connection)] == [(60, 61), (63, 64)]


def test_what_a_newer_version_keeps_stays_as_its_last_row_had_it() -> None:
    connection = database([a_minute(seq) for seq in (60, 61)])
    connection.execute("ALTER TABLE readings ADD COLUMN o3_ppb REAL")
    connection.execute("UPDATE readings SET o3_ppb = seq / 2.0")
    fold_all(connection, [(1, 99)], 3600)
    assert connection.execute("SELECT seq, o3_ppb FROM readings").fetchall() == [(61, 30.5)]


@pytest.mark.parametrize("folded", ["", "{", "[]", '{"rsrp_dbm":[1,1,0,99]}', '{"no_metric":[1]}', None])
def test_a_rollup_with_a_damaged_record_is_still_a_row(folded: str | None) -> None:
    connection = database([a_minute(seq, rsrp_dbm=-100) for seq in (60, 61)])
    fold_all(connection, [(1, 99)], 3600)
    connection.execute("DELETE FROM extremes")
    if folded is not None:
        connection.execute("INSERT INTO extremes VALUES (61, ?)", (folded,))
    (row,) = stored(connection)
    assert (row["rsrp_dbm"], row["folded_rows"]) == (-100, 2)


def test_a_record_is_short() -> None:
    rows = [a_minute(seq, rsrp_dbm=-100 - seq % 2, rsrq_db=-10.5, link_up=1) for seq in range(60, 65)]
    connection = database(rows)
    fold_all(connection, [(1, 99)], 300)
    kept: dict[str, Any] = json.loads(connection.execute("SELECT folded FROM extremes").fetchone()[0])
    assert kept == {"rsrp_dbm": [1, 0, -2]}
    (row,) = stored(connection)
    assert [row[f"rsrq_db_{end}"] for end in ("min", "max")] == [-10.5, -10.5]
