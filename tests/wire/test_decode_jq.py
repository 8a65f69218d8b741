"""The jq program of docs/decoding.md reads batches as the contract says."""

import json
import subprocess
import zlib
from pathlib import Path

import pytest

from agent.contract.catalogue import Row
from agent.wire.columns import encode_batch
from tests.support.programs import program
from tests.support.rows import EPOCH, sample_row
from tests.wire import independent_decoder

PROGRAM = Path(__file__).with_name("decode.jq")
GUIDE = Path(__file__).parents[2] / "docs" / "decoding.md"


def jq(document: bytes) -> list[dict[str, object]]:
    decoded = subprocess.run(
        [program("jq"), "-c", "-f", str(PROGRAM)], input=document, capture_output=True, timeout=30, check=True
    )
    return [json.loads(line) for line in decoded.stdout.splitlines()]


ROWS: list[list[Row]] = [
    [sample_row(seq) for seq in range(1, 61)],
    [{"seq": 9, "ts": 5}],
    [{"seq": 1, "ts": 5, "band": "B3"}, {"seq": 2, "ts": 4}, {"seq": 7, "ts": 90, "band": "n78", "pci": 3}],
    [{"seq": seq, "ts": 5, "sinr_db": None if seq % 3 else seq / 10, "band": "B/3"} for seq in range(1, 20)],
    [{"seq": 2**53 - 1, "ts": 1768953600, "cell_id": 2**36 - 2, "text": "[{/ä\n"}],
]


@pytest.mark.parametrize("rows", ROWS)
def test_jq_reads_what_the_independent_decoder_reads(rows: list[Row]) -> None:
    payload = encode_batch(EPOCH, rows, late=True)

    expected = [{**row, "late": 1} for row in independent_decoder.decode(payload)]
    assert jq(zlib.decompress(payload)) == expected


def test_jq_keeps_what_is_null_in_all_rows() -> None:
    document = {"v": 1, "epoch": EPOCH, "n": 2, "late": 0, "c": {"seq": [1, 1], "ts": None, "b": [[None, 2]]}}

    assert [row["b"] for row in jq(json.dumps(document).encode())] == [None, None]


def test_the_guide_shows_this_program_in_six_lines() -> None:
    program = PROGRAM.read_text()

    assert f"```jq\n{program}```\n" in GUIDE.read_text()
    assert len(program.splitlines()) == 6
