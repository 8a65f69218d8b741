"""Outages begin and end exactly where the contract says, to the probe."""

from hypothesis import given
from hypothesis import strategies as st

from agent.link.detector import DEAD_AFTER_FAILURES, Change, Detector


def run(detector: Detector, probes: list[tuple[int, float, bool]]) -> list[Change]:
    changes = [detector.note(target, at_s, answered=answered) for target, at_s, answered in probes]
    return [change for change in changes if change is not None]


def test_three_failures_in_a_row_on_two_targets_begin_an_outage_at_the_first() -> None:
    detector = Detector(2)
    changes = run(detector, [(0, 0, True), (1, 20, False), (0, 30, False), (1, 30, False)])
    assert changes == [Change(is_down=True, at_s=20, precision_s=20)]
    assert detector.is_down


def test_it_ends_at_the_first_success() -> None:
    detector = Detector(2)
    run(detector, [(0, 0, True), (1, 20, False), (0, 30, False), (1, 30, False), (0, 40, False)])
    assert run(detector, [(1, 50, True), (0, 60, True)]) == [Change(is_down=False, at_s=50, precision_s=10)]


def test_two_failures_are_none() -> None:
    assert run(Detector(2), [(0, 0, True), (0, 20, False), (1, 30, False), (0, 30, True)] * 5) == []


def test_a_target_that_never_answers_makes_no_outage_while_the_other_one_does() -> None:
    detector = Detector(2)
    assert run(detector, [(at % 2, at, at % 2 == 1) for at in range(60)]) == []
    assert detector.dead == {0}
    assert not detector.is_suspect


def test_failures_of_one_target_alone_are_not_enough() -> None:
    assert run(Detector(2), [(0, at, False) for at in range(20)]) == []


def test_a_dead_target_that_answers_again_counts_again() -> None:
    detector = Detector(2)
    run(detector, [(at % 2, at, at % 2 == 1) for at in range(2 * DEAD_AFTER_FAILURES)])
    assert detector.dead == {0}
    run(detector, [(0, 100, True)])
    assert detector.dead == frozenset()


def test_an_outage_that_began_before_the_agent_goes_on_and_ends() -> None:
    detector = Detector(2)
    detector.resume_down(100.0)
    assert run(detector, [(0, 110, False), (1, 110, False)]) == []
    assert run(detector, [(0, 120, True)]) == [Change(is_down=False, at_s=120, precision_s=10)]


@given(st.lists(st.tuples(st.integers(0, 1), st.booleans()), max_size=200))
def test_any_probes_give_outages_that_alternate_and_follow_the_definition(
    probes: list[tuple[int, bool]],
) -> None:
    detector = Detector(2)
    changes = run(detector, [(target, at, answered) for at, (target, answered) in enumerate(probes)])
    assert [change.is_down for change in changes] == [at % 2 == 0 for at in range(len(changes))]
    for begun, ended in zip(changes[::2], [*changes[1::2], None], strict=False):
        until = int(ended.at_s) if ended else len(probes)
        within = probes[int(begun.at_s) : until]
        assert not any(answered for _target, answered in within)
        assert len(within) >= 3 and {target for target, _answered in within} == {0, 1}
        assert begun.at_s == 0 or probes[int(begun.at_s) - 1][1]
        assert ended is None or probes[until][1]
