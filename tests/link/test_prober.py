"""The rhythm of probing, and what a slot of it says; answers come from the test."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from agent.link.detector import Change
from agent.link.probe import Outcome, Target
from agent.link.prober import Prober, boot_clock_s
from agent.uplink_socket import is_address
from tests.pipeline.whole_gateway import wait_until

TARGETS = [Target("192.0.2.1", 8883), Target("192.0.2.2")]


@dataclass
class World:
    """Answers for the targets that are named alive, and records who was asked when."""

    alive: set[str] = field(default_factory=lambda: {"192.0.2.1", "192.0.2.2"})
    asked: list[tuple[str, float]] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    ticks: int = 0

    def reach(self, address: str, port: int, *, interface: str | None, timeout_s: float) -> Outcome:
        assert interface == "wwan0" and timeout_s > 0 and port in (8883, 443)
        self.asked.append((address, boot_clock_s()))
        rtt_ms = 80.0 if address in self.alive else None
        return Outcome(rtt_ms, "" if rtt_ms else "timeout", "icmp", 56 if rtt_ms else 28)

    def note_change(self, change: Change) -> None:
        self.changes.append(change)

    def tick(self, _now_s: float, *, is_down: bool) -> None:
        self.ticks += 1


@pytest.fixture
def world() -> World:
    return World()


Start = Callable[..., Prober]


@pytest.fixture
def start(world: World) -> Iterator[Start]:
    made: list[Prober] = []

    def begin(**settings: float) -> Prober:
        prober = Prober(
            TARGETS,
            world,
            interval_s=settings.pop("interval_s", 0.15),
            suspect_interval_s=settings.pop("suspect_interval_s", 0.02),
            interface=lambda: "wwan0",
            reach=world.reach,
        )
        made.append(prober)
        prober.start(**settings)
        return prober

    yield begin
    for prober in made:
        prober.stop(2)


def test_three_probes_a_slot_go_to_both_targets_two_of_them_to_the_first(world: World, start: Start) -> None:
    prober = start()
    wait_until("six probes", lambda: len(world.asked) >= 6)
    assert [address[-1] for address, _at in world.asked[:6]] == ["1", "2", "1", "1", "2", "1"]
    assert prober.bytes_used() >= 6 * 56
    figures = prober.collect()
    assert (figures["link_up"], figures["rtt_ms"], figures["loss_ratio"], figures["jitter_ms"]) == (
        1,
        80,
        0,
        0,
    )


def test_after_a_failure_both_are_probed_often_and_the_edges_are_exact_to_a_probe(
    world: World, start: Start
) -> None:
    prober = start(interval_s=0.3)
    wait_until("a start", lambda: len(world.asked) >= 2)
    broken_at = boot_clock_s()
    world.alive.clear()
    wait_until("an outage", lambda: len(world.changes) == 1)
    assert prober.is_down
    time.sleep(0.2)
    repaired_at = boot_clock_s()
    world.alive.add("192.0.2.2")
    wait_until("its end", lambda: len(world.changes) == 2)
    down, up = world.changes
    first_failed = min(at for _address, at in world.asked if at >= broken_at)
    first_answered = min(at for address, at in world.asked if at >= repaired_at and address == "192.0.2.2")
    assert down.is_down and down.at_s == pytest.approx(first_failed, abs=0.01)
    assert not up.is_down and up.at_s == pytest.approx(first_answered, abs=0.01)
    assert down.precision_s is not None and up.precision_s is not None
    in_between = [address for address, at in world.asked if first_failed < at < repaired_at]
    assert len(in_between) >= 6 and set(in_between) == {"192.0.2.1", "192.0.2.2"}


def test_a_slot_that_was_down_says_so(world: World, start: Start) -> None:
    world.alive.clear()
    prober = start()
    wait_until("an outage", lambda: len(world.changes) == 1)
    figures = prober.collect()
    assert figures == {"link_up": 0, "loss_ratio": 1.0}


def test_between_two_probes_the_link_is_as_it_was(world: World, start: Start) -> None:
    prober = start(interval_s=60)
    wait_until("a probe", lambda: world.ticks == 1)
    assert prober.collect()["rtt_ms"] == 80
    assert prober.collect() == {"link_up": 1}


def test_before_the_first_probe_nothing_is_known(world: World) -> None:
    prober = Prober(TARGETS, world, interval_s=1, suspect_interval_s=1, interface=lambda: None)
    assert prober.collect() == {}


def test_a_dead_target_is_said_once_and_the_other_gets_its_turns(
    world: World, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    world.alive.discard("192.0.2.1")
    start(interval_s=0.03)
    wait_until("many probes", lambda: len(world.asked) >= 60)
    assert [record.message for record in caplog.records].count(
        "the probe target 192.0.2.1 does not answer while another does; it no longer counts"
    ) == 1
    late = [address[-1] for address, _at in world.asked[-12:]]
    assert late.count("2") == 8
    assert world.changes == []


def test_an_outage_of_the_agent_before_is_ended_here(world: World, start: Start) -> None:
    start(down_since_s=boot_clock_s() - 1)
    wait_until("its end", lambda: len(world.changes) == 1)
    assert world.changes[0].is_down is False


def test_a_fault_does_not_end_the_probing(
    world: World, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_more: object) -> None:
        raise RuntimeError("for a test")

    with monkeypatch.context() as broken:
        broken.setattr(world, "tick", fail)
        start(interval_s=0.03)
        wait_until("two probes", lambda: len(world.asked) >= 2)
    wait_until("a tick", lambda: world.ticks > 0)


@pytest.mark.parametrize(
    ("host", "is_one"), [("1.1.1.1", True), ("2001:db8::7", True), ("broker.example", False), ("1.1", False)]
)
def test_addresses_are_told_from_names(host: str, is_one: bool) -> None:
    assert is_address(host) is is_one


def test_a_name_is_looked_up_and_kept(world: World) -> None:
    prober = Prober(
        [Target("localhost"), TARGETS[1]], world, interval_s=1, suspect_interval_s=1, interface=lambda: None
    )
    assert prober.addresses.of(0) == ""
    prober.addresses.refresh(0.0)
    assert prober.addresses.of(0) in ("127.0.0.1", "::1")
    assert prober.bytes_used() > 0


def test_with_the_budget_used_up_what_costs_nothing_still_tells_up_and_down(world: World) -> None:
    """Users' traffic says up, an uplink without an address says down, and neither of them says nothing."""
    seen: list[bool | None] = [None]
    prober = Prober(
        TARGETS, world, interval_s=0.15, suspect_interval_s=0.02, interface=lambda: "wwan0",
        reach=world.reach, rarer=lambda: 0.0, free_look=lambda: seen[0],
    )  # fmt: skip
    prober.start()
    try:
        wait_until("looks", lambda: world.ticks >= 4)
        assert prober.collect() == {} and world.changes == []
        seen[0] = True
        wait_until("up", lambda: prober.collect().get("link_up") == 1)
        seen[0] = False
        wait_until("down", lambda: prober.collect().get("link_up") == 0)
        seen[0] = None
        ticks = world.ticks
        wait_until("more looks", lambda: world.ticks >= ticks + 6)
        assert prober.is_down and prober.collect() == {}
        seen[0] = True
        wait_until("up again", lambda: not prober.is_down)
    finally:
        prober.stop(2)
    assert [change.is_down for change in world.changes] == [True, False]
    assert world.asked == [] and prober.bytes_used() == 0


def test_a_budget_that_runs_short_slows_probing_down(world: World) -> None:
    prober = Prober(
        TARGETS, world, interval_s=0.15, suspect_interval_s=0.02, interface=lambda: "wwan0",
        reach=world.reach, rarer=lambda: 10.0,
    )  # fmt: skip
    prober.start()
    try:
        wait_until("probes", lambda: len(world.asked) >= 3)
        assert prober.collect()["link_up"] == 1
        # Known for ten slots instead of one.
        assert prober.collect()["link_up"] == 1
    finally:
        prober.stop(2)
    assert world.asked[2][1] - world.asked[0][1] >= 2 * 0.05 * 10
