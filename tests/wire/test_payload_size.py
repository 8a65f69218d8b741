import pytest

from agent.wire.columns import encode_batch
from tests.wire import reference_week


@pytest.mark.skipif(
    not reference_week.FILE.exists(), reason=f"{reference_week.FILE.name} does not lie beside the project"
)
@pytest.mark.parametrize(("size", "reached"), [(15, 50.5), (30, 35.0), (60, 26.3)])
def test_bytes_a_reading_once_reached_are_not_lost_again(size: int, reached: float) -> None:
    week = reference_week.rows()
    batches = [week[at : at + size] for at in range(0, len(week), size)]
    payload_bytes = sum(len(encode_batch(str(rows[0]["epoch"]), rows, late=False)) for rows in batches)
    assert payload_bytes / len(week) <= reached
