"""Generated files are current, and a new metric needs an entry in the catalogue and nothing else."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.buffer.schema import create_statements, wanted_columns
from agent.contract import catalogue as contract
from agent.wire.columns import decode_batch, encode_batch
from agent.wire.zlib_stream import inflate
from docs import catalogue_fields, fields_page, generate, json_schemas
from tests.contract.schema_files import document_faults

RAIN = {
    "name": "rain_mm",
    "group": "host",
    "kept": "reading",
    "type": "number",
    "unit": "mm",
    "decimals": 2,
    "minimum": 0,
    "maximum": 500,
    "fold": "sum",
    "level": "public",
    "label": {"en": "Rainfall", "id": "Curah Hujan"},
    "definition": {"en": "Rain in the slot.", "id": "Hujan dalam rentang."},
    "source": "rain gauge",
}


@pytest.fixture
def with_rain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[bytes]:
    """Let everything read a catalogue with one metric more, and return that catalogue."""
    document = json.loads(contract.CATALOGUE_FILE.read_bytes())
    document["metrics"].append(RAIN)
    file = tmp_path / "catalogue.json"
    file.write_text(json.dumps(document))
    monkeypatch.setattr(contract, "CATALOGUE_FILE", file)
    contract.catalogue.cache_clear()
    yield file.read_bytes()
    contract.catalogue.cache_clear()


def test_generated_files_are_current() -> None:
    assert list(generate.stale_files(generate.documents())) == []
    assert generate.main(["--check"]) == 0


def test_stale_missing_and_left_over_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "SCHEMAS", tmp_path)
    current, stale, missing, left_over = (tmp_path / f"{name}.json" for name in ("a", "b", "c", "d"))
    for file in (current, stale, left_over):
        file.write_text("{}")
    assert list(generate.stale_files({current: "{}", stale: "[]", missing: "{}"})) == [
        stale,
        missing,
        left_over,
    ]


def test_a_new_metric_gets_its_column_in_the_database(with_rain: bytes) -> None:
    assert wanted_columns()["rain_mm"] == "REAL"
    with sqlite3.connect(":memory:") as connection:
        for statement in create_statements():
            connection.execute(statement)
        connection.execute("INSERT INTO readings (rain_mm) VALUES (0.25)")
    connection.close()


def test_a_new_metric_gets_its_scale_on_the_wire(with_rain: bytes) -> None:
    rows = [{"seq": seq, "ts": 60 * seq, "rain_mm": 0.01 * seq} for seq in (1, 2, 3)]
    payload = encode_batch("9f2c01ab", rows, late=False)
    assert b'"rain_mm/100":[1,1,1]' in inflate(payload, 1 << 16)
    assert [row["rain_mm"] for row in decode_batch(payload).rows] == [0.01, 0.02, 0.03]


def test_a_new_metric_gets_its_schema_and_its_line_on_the_page(with_rain: bytes) -> None:
    fields = catalogue_fields.read_fields(with_rain)
    reading = json_schemas.schemas(fields)["reading.json"]
    assert reading["properties"]["rain_mm"]["x-unit"] == "mm"
    assert document_faults(reading, {"seq": 1, "ts": 0, "rain_mm": 0.25, "rain_mm_max": 0.5}) == []
    assert document_faults(reading, {"seq": 1, "ts": 0, "rain_mm": -1})
    assert document_faults(reading, {"seq": 1, "ts": 0, "rain_mm_max": 501})
    columns = json_schemas.schemas(fields)["readings-columnar.json"]["properties"]["c"]["patternProperties"]
    assert "^rain_mm(_min|_max|_count)?(/[1-9][0-9]*)?$" in columns
    assert "| `rain_mm` | number, mm, 0 to 500, two decimals |" in fields_page.fields_page(fields, "00c0ffee")


def test_every_group_of_the_catalogue_has_a_table_on_the_page() -> None:
    fields = catalogue_fields.read_fields(contract.CATALOGUE_FILE.read_bytes())
    page = fields_page.fields_page(fields, "00c0ffee")
    assert [each.metric.name for each in fields if f"\n| `{each.metric.name}` |" not in page] == []
