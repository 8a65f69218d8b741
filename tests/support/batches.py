"""What the batches that arrived at a broker say."""

from collections.abc import Iterable, Sequence

from agent.wire.columns import Batch, decode_batch
from tests.support.listener import Heard
from tests.support.rows import EPOCH, sample_row


def batches(heard: Iterable[Heard]) -> list[Batch]:
    """Return the batches among messages, in the order they came."""
    return [decode_batch(message.payload) for message in heard if "/readings" in message.topic]


def seqs(found: Iterable[Batch]) -> list[int]:
    """Return every seq of the batches, repeats included."""
    return [seq for batch in found for row in batch.rows if isinstance(seq := row["seq"], int)]


def assert_delivered(found: Sequence[Batch], count: int) -> None:
    """Check that rows 1 to count arrived, none invented, each as it was stored."""
    assert set(seqs(found)) == set(range(1, count + 1))
    for batch in found:
        assert batch.epoch == EPOCH
        for row in batch.rows:
            assert row == sample_row(int(row["seq"] or 0))
