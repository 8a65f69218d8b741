"""A rollup travels like a reading, with what it adds: extremes at the field's scale, and whole counts."""

import csv
import io
import json

import pytest

from agent.contract.catalogue import Row, catalogue
from agent.wire.columns import Batch, decode_batch, encode_batch, encode_rows_json
from agent.wire.formats import FORMATS, identified_rows
from agent.wire.plausible import without_impossible_values
from agent.wire.rollup import field_of, is_count, value_metric
from agent.wire.zlib_stream import inflate
from tests.contract.schema_files import faults
from tests.support.rows import EPOCH, sample_row


def rollup(number: int) -> Row:
    """Return an hour's rollup of sample rows."""
    return {
        **sample_row(60 * number),
        "slot_s": 3600,
        "seq_first": 60 * number - 59,
        "folded_rows": 60,
        "rsrp_dbm_min": -110 + number % 3,
        "rsrp_dbm_max": -90,
        "rsrp_dbm_count": 57,
        "sinr_db_min": -3.5,
        "sinr_db_max": 12.0 + number / 10,
        "sinr_db_count": 60,
        "loss_ratio": 0.125,
        "loss_ratio_min": 0.0,
        "loss_ratio_max": 0.667,
        "loss_ratio_count": 60 - number % 2,
        "clients_count": 9,
        "clients_count_min": 1,
        "clients_count_max": 9,
        "clients_count_count": 60,
    }


ROLLUPS = [rollup(number) for number in range(1, 25)]


def test_what_a_column_tells_of() -> None:
    assert field_of("rsrp_dbm_min") == field_of("rsrp_dbm_count") == "rsrp_dbm"
    assert (field_of("clients_count"), is_count("clients_count")) == ("clients_count", False)
    assert (field_of("clients_count_count"), is_count("clients_count_count")) == ("clients_count", True)
    assert field_of("link_up_mean") == "link_up"
    assert not is_count("folded_rows") and not is_count("new_count") and not is_count("new_rows")
    assert value_metric("sinr_db_max") == catalogue()["sinr_db"]
    assert value_metric("sinr_db_count") is None and value_metric("sinr_db_max_min") is None


@pytest.mark.parametrize("late", [True, False])
def test_rollups_and_readings_read_back_as_they_were(late: bool) -> None:
    rows = [*ROLLUPS, *(sample_row(seq) for seq in range(2000, 2036))]
    assert list(decode_batch(encode_batch(EPOCH, rows, late=late)).rows) == rows
    assert list(decode_batch(encode_rows_json(EPOCH, rows)).rows) == rows


def test_their_values_keep_the_type_of_their_field() -> None:
    row = decode_batch(encode_batch(EPOCH, ROLLUPS, late=True)).rows[9]
    kinds = {
        name: type(row[name]) for name in ("folded_rows", "rsrp_dbm_min", "sinr_db_max", "sinr_db_count")
    }
    assert kinds == {"folded_rows": int, "rsrp_dbm_min": int, "sinr_db_max": float, "sinr_db_count": int}
    assert type(row["loss_ratio_min"]) is float


def test_a_day_of_rollups_costs_little_more_than_a_day_of_hourly_readings() -> None:
    rolled = len(encode_batch(EPOCH, ROLLUPS, late=True)) / len(ROLLUPS)
    print(f"{rolled:.1f} bytes a rollup")
    assert rolled < 60


def test_the_schemas_know_them() -> None:
    assert faults("readings-json.json", encode_rows_json(EPOCH, ROLLUPS)) == []
    assert faults("readings-columnar.json", inflate(encode_batch(EPOCH, ROLLUPS, late=True), 1 << 20)) == []
    for wrong in (
        {"folded_rows": 0},
        {"rsrp_dbm_count": -1},
        {"sinr_db_max": 900.0},
        {"rsrp_dbm_count": "x"},
    ):
        assert faults("readings-json.json", json.dumps([{**ROLLUPS[0], "epoch": EPOCH, **wrong}]).encode())


def _lines(name: str) -> str:
    rows = identified_rows(Batch(EPOCH, True, tuple(ROLLUPS)), "gw-1")
    return "".join(FORMATS[name](lambda _note: None)(rows))


def test_in_line_protocol_counts_are_whole_and_means_are_floats() -> None:
    line = _lines("influx").splitlines()[0].replace(" ", ",")
    for written in (
        "folded_rows=60i",
        "rsrp_dbm_count=57i",
        "clients_count_count=60i",
        "clients_count_min=1i",
    ):
        assert f",{written}," in line
    for written in ("rsrp_dbm_min=-109", "sinr_db_max=12.1", "loss_ratio_min=0.0"):
        assert f",{written}," in line


def test_what_a_rollup_adds_follows_its_field() -> None:
    header = next(csv.reader(io.StringIO(_lines("csv"))))
    names = list(json.loads(_lines("jsonl").splitlines()[0]))
    at = names.index("rsrp_dbm")
    assert names[at : at + 4] == ["rsrp_dbm", "rsrp_dbm_min", "rsrp_dbm_max", "rsrp_dbm_count"]
    assert names[names.index("seq_first") + 1] == "folded_rows"
    assert set(names) <= set(header)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rsrp_dbm", "strong"),
        ("rsrp_dbm", 5),
        ("rsrp_dbm_min", 5),
        ("rsrp_dbm_count", -1),
        ("rsrp_dbm_count", 1.5),
        ("folded_rows", "many"),
        ("pci", 7.5),
        ("link_up", 2),
        ("ts", -1),
        ("operator_name", 51010),
    ],
)
def test_a_value_that_cannot_be_is_left_out_and_counted(name: str, value: float | str) -> None:
    batch, left_out = without_impossible_values(
        Batch(EPOCH, False, ({**ROLLUPS[0], name: value}, ROLLUPS[1]))
    )
    assert left_out == {name: 1}
    assert name not in batch.rows[0] and batch.rows[1] == ROLLUPS[1]


def test_good_values_unknown_words_and_unknown_columns_stay() -> None:
    newer: Row = {**ROLLUPS[0], "modem_state": "dreaming", "new_field": "text", "new_number": 1e300}
    batch = Batch(EPOCH, False, (newer, *ROLLUPS))
    assert without_impossible_values(batch) == (batch, {})
