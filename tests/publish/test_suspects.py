"""Which row ends connections: found when there is one, and never a row when it is the link or the broker."""

import random
from dataclasses import dataclass, field

import pytest

from agent.publish import suspects
from agent.publish.parcel import Parcel
from agent.publish.suspects import Suspicion

EPOCH = "9f2c01ab"
BYTES_A_ROW = 30


@dataclass
class Line:
    """A broker and a link in words: what is sent arrives, unless a poison row or a coin says otherwise."""

    poison: frozenset[int] = frozenset()
    denies_readings: bool = False
    cut_chance: float = 0.0
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    sent_bytes: dict[int, int] = field(default_factory=dict)
    connections: int = 0
    paused: int = 0

    def takes(self, first: int, last: int) -> bool:
        for seq in range(first, last + 1):
            self.sent_bytes[seq] = self.sent_bytes.get(seq, 0) + BYTES_A_ROW
        poisoned = any(first <= seq <= last for seq in self.poison)
        return not (self.denies_readings or poisoned or self.chance.random() < self.cut_chance)


def _parcel(first: int, last: int) -> Parcel:
    return Parcel("readings", b"", EPOCH, (first, last))


def _run(suspicion: Suspicion, line: Line, rows: int, *, size: int = 60, window: int = 4) -> set[int]:
    """Send rows as a Delivery does while new ones come; return the guilty. At most 400 connections."""
    unsent, guilty, now = set(range(1, rows + 1)), set[int](), 0.0
    newest = rows
    while any(seq <= rows for seq in unsent) and line.connections < 400:
        line.connections += 1
        now += 2
        newest += 1
        unsent.add(newest)
        if line.cut_chance and line.chance.random() < 0.3:
            suspicion.note_not_connected(now)
            continue
        if _connection(suspicion, line, unsent, guilty, now, size=size, window=window):
            now = max(now, suspicion.next_at(now) or 0)
        if suspicion.blames_broker:
            line.paused += 1
            now += 60
    return guilty


def _connection(
    suspicion: Suspicion,
    line: Line,
    unsent: set[int],
    guilty: set[int],
    now: float,
    *,
    size: int,
    window: int,
) -> bool:
    """Return whether the connection lives on, with nothing left to send now."""
    while unsent:
        leased = {seq for first, last in suspicion.leased(EPOCH) for seq in range(first, last + 1)}
        free = sorted(unsent - leased)
        suspect = suspicion.next(now)
        if suspect is not None:
            batch = [_parcel(*suspect.rows)]
        elif free:
            parts = [free[at : at + size] for at in range(0, len(free), size)][:window]
            batch = [_parcel(part[0], part[-1]) for part in parts]
            if suspicion.is_cautious(now):
                batch = batch[:1]
        else:
            last_resort = suspicion.next_when_nothing_else_is_left(now)
            if last_resort is None:
                return True
            batch = [_parcel(*last_resort.rows)]
        for at, parcel in enumerate(batch):
            assert parcel.rows is not None
            if not line.takes(*parcel.rows):
                suspicion.note_ended(batch[at:], by_peer=True, seconds_since_sent=0.2, now=now)
                return False
            unsent -= set(range(parcel.rows[0], parcel.rows[1] + 1))
            for found in suspicion.note_accepted(parcel, now):
                guilty |= {found.rows[0]}
                unsent -= {found.rows[0]}
    return True


@pytest.mark.parametrize("poison", [{1}, {33}, {60}, {61}, {600}, {100, 101}, {5, 300, 599}])
def test_poison_rows_are_found_and_no_others(poison: set[int]) -> None:
    line = Line(poison=frozenset(poison))
    suspicion = Suspicion()
    assert _run(suspicion, line, 600) == poison
    assert len(suspicion) == 0
    assert line.connections <= 20 * len(poison)


def test_finding_a_row_costs_about_three_times_its_message() -> None:
    line = Line(poison=frozenset({500}))
    assert _run(Suspicion(), line, 960, size=240) == {500}
    once = 960 * BYTES_A_ROW
    assert sum(line.sent_bytes.values()) - once <= 4.5 * 240 * BYTES_A_ROW


def test_a_broker_that_ends_every_reading_makes_pauses_and_no_guilty_row() -> None:
    line = Line(denies_readings=True)
    suspicion = Suspicion()
    assert _run(suspicion, line, 600) == set()
    assert line.paused >= line.connections - 5


def test_a_denied_broker_with_one_single_row_makes_pauses_too() -> None:
    line = Line(denies_readings=True)
    assert _run(Suspicion(), line, 1) == set()
    assert line.paused >= line.connections - 5


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("cut_chance", [0.1, 0.25])
def test_a_link_that_is_cut_at_random_condemns_no_row(seed: int, cut_chance: float) -> None:
    line = Line(cut_chance=cut_chance, chance=random.Random(seed))
    guilty = _run(Suspicion(), line, 1200)
    assert guilty == set()
    assert line.connections < 400


def test_only_an_end_by_the_far_side_soon_after_counts() -> None:
    suspicion = Suspicion()
    for by_peer, seconds in ((False, 0.1), (True, suspects.SOON_S + 1)):
        suspicion.note_ended([_parcel(1, 9)], by_peer=by_peer, seconds_since_sent=seconds, now=0)
    assert len(suspicion) == 0


def test_what_cannot_be_connected_again_was_no_answer_to_a_row() -> None:
    suspicion = Suspicion()
    for _time in range(9):
        suspicion.note_ended([_parcel(7, 7)], by_peer=True, seconds_since_sent=0.1, now=0)
        suspicion.note_not_connected(0)
        assert suspicion.note_accepted(_parcel(1, 1), 0) == []
    assert suspicion.next(0) is None, "it waits, and the others go first"
    assert suspicion.next(10_000) is not None


def test_an_idle_connection_that_ends_takes_all_strikes_back() -> None:
    suspicion = Suspicion()
    for _time in range(5):
        suspicion.note_ended([_parcel(7, 7)], by_peer=True, seconds_since_sent=0.1, now=0)
        suspicion.note_ended([], by_peer=True, seconds_since_sent=0.1, now=0)
        assert suspicion.note_accepted(_parcel(1, 1), 0) == []


def test_not_more_than_a_few_rows_are_set_aside_in_an_hour() -> None:
    suspicion, guilty = Suspicion(), []
    for seq in range(1, 60):
        for _time in range(3):
            suspicion.note_ended([_parcel(seq, seq)], by_peer=True, seconds_since_sent=0.1, now=0)
            guilty += suspicion.note_accepted(_parcel(1000, 1000), 0)
    assert len(guilty) == suspects.MOST_CONVICTED


def test_the_list_of_suspects_stays_short() -> None:
    suspicion = Suspicion()
    for seq in range(1, 500):
        together = [_parcel(seq, seq), _parcel(1000 + seq, 1000 + seq)]
        suspicion.note_ended(together, by_peer=True, seconds_since_sent=0.1, now=0)
    assert len(suspicion) == suspects.MOST_SUSPECTS
