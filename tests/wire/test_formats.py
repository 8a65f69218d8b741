import csv
import io
import json
import re
from typing import Any

import pytest

from agent.contract.catalogue import Row, catalogue
from agent.wire.columns import Batch, decode_batch, encode_batch
from agent.wire.formats import FORMATS, NAMED_AT_MOST, identified_rows
from tests.support.rows import EPOCH, sample_row

HOSTILE = 'a"b\\c,d=e f\r\n\x00\x1b[2J\x7f\x85\u2028\u2029é'


def rows_of(*rows: Row, gateway: str | None = "gw-1", late: bool = False) -> list[Row]:
    return identified_rows(Batch(EPOCH, late, rows), gateway)


def written(name: str, *batches: list[Row]) -> tuple[str, list[str]]:
    """Return what a formatter writes for these batches, and its notes."""
    notes: list[str] = []
    formatter = FORMATS[name](notes.append)
    return "".join(line for rows in batches for line in formatter(rows)), notes


def parsed_influx(line: str) -> tuple[str, dict[str, str], dict[str, str], int]:
    """Return measurement, tags, fields and time of one line, by the line protocol reference alone."""
    name = r"(?:[^\\,= \n]|\\[,= ]|\\(?![,= ]))+"
    value = r'(?:"(?:[^"\\\n]|\\.)*"|-?[0-9.e+-]+i?)'
    shape = rf"({name})((?:,{name}={name})*) ({name}={value}(?:,{name}={value})*) (-?[0-9]+)\n"
    match = re.fullmatch(shape, line)
    assert match is not None, line
    pair = rf"({name})=({value}|{name})"
    tags, fields = (dict(re.findall(pair, match[part])) for part in (2, 3))
    return match[1], tags, fields, int(match[4])


def test_every_row_begins_with_its_identity_and_follows_the_catalogue() -> None:
    (row,) = rows_of({"band": "B3", "new_thing": 5, "ts": 1768953600, "seq": 7}, late=True)

    assert list(row.items()) == [
        ("gateway", "gw-1"), ("epoch", EPOCH), ("seq", 7), ("late", 1), ("ts", 1768953600), ("band", "B3"),
        ("new_thing", 5),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "jsonl",
            '{"gateway":"gw-1","epoch":"9f2c01ab","seq":1,"late":0,"ts":1768953600,"uptime_s":60,'
            '"operator_name":"Telkomsel","rsrp_dbm":-103,"rsrq_db":-10.0}\n'
            '{"gateway":"gw-1","epoch":"9f2c01ab","seq":2,"late":0,"ts":1768953660,"link_up":1}\n',
        ),
        (
            "influx",
            'sinyal,gateway=gw-1 epoch="9f2c01ab",seq=1i,late=0i,uptime_s=60,operator_name="Telkomsel",'
            "rsrp_dbm=-103,rsrq_db=-10.0 1768953600000000000\n"
            'sinyal,gateway=gw-1 epoch="9f2c01ab",seq=2i,late=0i,link_up=1i 1768953660000000000\n',
        ),
    ],
)
def test_a_batch_as_lines(name: str, expected: str) -> None:
    first: Row = {"seq": 1, "ts": 1768953600, "uptime_s": 60, "operator_name": "Telkomsel"}
    first |= {"rsrp_dbm": -103, "rsrq_db": -10.0}

    assert written(name, rows_of(first, {"seq": 2, "ts": 1768953660, "link_up": 1})) == (expected, [])


def test_csv_has_every_field_of_the_catalogue_in_its_order() -> None:
    text, _notes = written("csv", rows_of({"seq": 1, "ts": 5, "rsrp_dbm": -103, "rsrq_db": -10.5}))

    header, row = csv.reader(io.StringIO(text))
    fields = [metric.name for metric in catalogue().reading_metrics if metric.name != "seq"]
    assert header == ["gateway", "epoch", "seq", "late", *fields]
    known = {name: cell for name, cell in zip(header, row, strict=True) if cell}
    assert known == {
        "gateway": "gw-1", "epoch": EPOCH, "seq": "1", "late": "0", "ts": "5",
        "rsrp_dbm": "-103", "rsrq_db": "-10.5",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+62", "'+62"),
        ("-103", "'-103"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ('=cmd|" /C calc"!A0', '"\'=cmd|"" /C calc""!A0"'),
        ("XL, Axiata", '"XL, Axiata"'),
        ("", '""'),
        ("a\tb\r\nc", r"a\tb\r\nc"),
        ("Indosat é", "Indosat é"),
    ],
)
def test_a_text_in_csv_stays_one_cell_and_no_formula(text: str, cell: str) -> None:
    lines, _notes = written("csv", rows_of({"seq": 1, "ts": 5, "zz": text}, gateway=None))

    assert lines.endswith("," + cell + "\n")
    assert lines.count("\n") == 2


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_in_a_text_or_name_breaks_a_line(name: str) -> None:
    row: Row = {"seq": 1, "ts": 5, "operator_name": HOSTILE, HOSTILE: HOSTILE}
    lines, notes = written(name, rows_of(row, gateway=HOSTILE))

    assert len(lines.splitlines()) == (2 if name == "csv" else 1)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]", lines)
    assert notes == []


def test_json_gives_hostile_texts_back_unchanged() -> None:
    rows = rows_of({"seq": 1, "ts": 5, "operator_name": HOSTILE, HOSTILE: HOSTILE}, gateway=HOSTILE)

    lines, _notes = written("jsonl", rows)

    assert json.loads(lines) == rows[0]
    assert lines.isascii()


def test_influx_escapes_names_tags_and_texts() -> None:
    hostile = 'a"b\\c,d=e f\n'
    lines, _notes = written("influx", rows_of({"seq": 1, "ts": 5, hostile: hostile}, gateway=hostile))

    name = r'a"b\x5cc\,d\=e\ f\n'
    value = r'"a\"b\\c,d=e f\\n"'
    assert lines == f'sinyal,gateway={name} epoch="9f2c01ab",seq=1i,late=0i,{name}={value} 5000000000\n'
    assert parsed_influx(lines)[2][name] == value


def test_influx_fields_keep_their_type_whatever_a_batch_brings() -> None:
    row: Row = {"seq": 1, "ts": 5, "pci": 130, "mains_present": 1, "rsrp_dbm": -103, "sinr_db": 3.0}
    row |= {"clients_count_max": 9, "rtt_ms_min": 40, "new_whole": 2, "new_fraction": 2.5}
    lines, _notes = written("influx", rows_of(row))

    fields = parsed_influx(lines)[2]
    assert {name: value for name, value in fields.items() if name in row and name != "seq"} == {
        "pci": "130i", "mains_present": "1i", "rsrp_dbm": "-103", "sinr_db": "3.0", "clients_count_max": "9i",
        "rtt_ms_min": "40", "new_whole": "2", "new_fraction": "2.5",
    }  # fmt: skip


def test_influx_leaves_out_rows_without_a_possible_time_and_says_so() -> None:
    rows = rows_of({"seq": 1, "pci": 1}, {"seq": 2, "ts": 2**62}, {"seq": 3, "ts": -5, "": 1})

    lines, notes = written("influx", rows)

    assert lines == 'sinyal,gateway=gw-1 epoch="9f2c01ab",seq=3i,late=0i -5000000000\n'
    assert len(notes) == 1 and "2" in notes[0] and "9f2c01ab seq 1" in notes[0]


@pytest.mark.parametrize("gateway", [None, ""])
def test_influx_without_a_gateway_has_no_tag(gateway: str | None) -> None:
    lines, _notes = written("influx", rows_of({"seq": 1, "ts": 5}, gateway=gateway))

    assert lines.startswith("sinyal epoch=")


def test_csv_header_comes_from_the_first_batch_and_later_columns_are_named_once() -> None:
    later = rows_of({"seq": 2, "ts": 6, "newer": 2, "new": 3})
    text, notes = written("csv", [], rows_of({"seq": 1, "ts": 5, "new": 1}), later, later)

    lines = text.splitlines()
    assert lines[0].endswith(",new")
    assert [line[-1] for line in lines[1:]] == ["1", "3", "3"]
    assert len(notes) == 1 and "'newer'" in notes[0]


def test_csv_names_only_so_many_columns_that_are_left_out() -> None:
    batches = [rows_of({"seq": 1, "ts": 5, f"new_{number}": 1}) for number in range(NAMED_AT_MOST + 50)]

    assert len(written("csv", *batches)[1]) == NAMED_AT_MOST


def test_influx_and_json_hold_all_that_a_batch_holds() -> None:
    stored = [sample_row(seq) for seq in range(1, 61)]
    batch = decode_batch(encode_batch(EPOCH, stored, late=True))
    rows = identified_rows(batch, "gw-1")

    def fields(line: str) -> dict[str, Any]:
        _measurement, tags, texts, ts = parsed_influx(line)
        assert tags == {"gateway": "gw-1"}
        values = {name: json.loads(text.removesuffix("i")) for name, text in texts.items()}
        return {**values, "gateway": "gw-1", "ts": ts // 10**9}

    assert [json.loads(line) for line in written("jsonl", rows)[0].splitlines()] == rows
    assert [fields(line) for line in written("influx", rows)[0].splitlines(keepends=True)] == rows
    assert [row | {"epoch": EPOCH, "gateway": "gw-1", "late": 1} for row in stored] == rows
