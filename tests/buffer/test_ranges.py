from hypothesis import given
from hypothesis import strategies as st

from agent.buffer.ranges import SeqRanges

some_ranges = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 9)).map(lambda r: (r[0], r[0] + r[1])))


def members(ranges: SeqRanges) -> set[int]:
    return {seq for first, last in ranges for seq in range(first, last + 1)}


@given(some_ranges)
def test_it_holds_exactly_what_was_added_in_ranges_that_do_not_touch(added: list[tuple[int, int]]) -> None:
    ranges = SeqRanges()
    for first, last in added:
        merged_first, merged_last = ranges.add(first, last)
        assert merged_first <= first <= last <= merged_last
        assert (merged_first, merged_last) in list(ranges)
    assert members(ranges) == {seq for first, last in added for seq in range(first, last + 1)}
    assert all(
        last + 1 < following for (_, last), (following, _) in zip(ranges, list(ranges)[1:], strict=False)
    )


@given(some_ranges, st.integers(1, 50), st.integers(0, 50))
def test_gaps_are_the_complement(added: list[tuple[int, int]], first: int, length: int) -> None:
    ranges = SeqRanges(added)
    gaps = ranges.gaps(first, first + length)
    missing = {seq for low, high in gaps for seq in range(low, high + 1)}
    assert missing == set(range(first, first + length + 1)) - members(ranges)
    assert gaps == list(SeqRanges(gaps))
