"""The link as the daemon watches it: a real database, real probes on the loopback, a broker that fails."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.buffer.keeper import Keeper
from agent.config.model import BrokerConfig, Config, LinkConfig, PublishConfig, UplinkConfig
from agent.errors import SinyalError, UsageMistake
from agent.language import use_language
from agent.link import tables
from agent.link.causes import explain
from agent.link.detector import Change
from agent.link.outage import Edge, Outage
from agent.link.probe import Target
from agent.modem.at_reply import Reply
from agent.modem.poll import Look
from agent.pipeline.link_control import OUTAGES_AN_ANSWER, link_answerers
from agent.pipeline.link_history import outages_between
from agent.pipeline.link_watch import LinkWatch, corrector, targets_of
from tests.link.test_probe import can_ping
from tests.pipeline.whole_gateway import wait_until

pytestmark = pytest.mark.skipif(not can_ping(), reason="this user may not send ICMP echoes")

REGISTERED = {
    "modem_state": "ok", "sim_state": "ready", "registration": "home", "signal_class": "good",
    "operator_mccmnc": "51010",
}  # fmt: skip


class Modem:
    """A modem that says what the test wants."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = dict(REGISTERED)
        self.reply: tuple[str, ...] | None = None
        self.asked: list[str] = []

    def look(self) -> Look:
        return Look(self.fields, {}, {}, "/dev/test", None)

    def ask(self, command: str, deadline_s: float, *, awaits: str = "") -> Reply:
        assert deadline_s > 0 and awaits == "+CUSD:"
        self.asked.append(command)
        if self.reply is None:
            raise SinyalError("for a test")
        return Reply(command, self.reply, None)


class World:
    """A watch over a real database; `reports` is the state of the broker's connection."""

    def __init__(self, folder: Path, **link: Any) -> None:
        use_language("en")
        self.keeper = Keeper(
            folder / "sinyal.db", max_bytes=4 << 20, commit_interval_s=0, commit_readings=1, keep_days=9
        )
        self.keeper.start()
        self.keeper.note_true_time(1_790_000_000.0, "ntp")
        self.modem = Modem()
        self.reports: tuple[str, str | None] = ("connected", None)
        self.clock_trusted = True
        broker = link.pop("broker", "127.0.0.1")
        settings = {
            "targets": ("127.0.0.1", "127.0.0.2"), "probe_interval_s": 1, "suspect_interval_s": 0.1,
            "page_url": "", **link,
        }  # fmt: skip
        config = Config(
            broker=BrokerConfig(host=broker),
            publish=PublishConfig(reconnect_max_s=1),
            uplink=UplinkConfig(interface="lo"),
            link=LinkConfig(**settings),
        )
        self.watch = LinkWatch(
            config,
            self.keeper,
            self.modem,  # type: ignore[arg-type]
            reports=lambda: self.reports,
            modem_expected=lambda: True,
            clock_trusted=lambda: self.clock_trusted,
        )

    def outages(self) -> list[dict[str, Any]]:
        found = self.keeper.read(
            lambda connection: outages_between(
                connection, corrector(connection, self.keeper.boot), from_ts=None, to_ts=None
            )
        )
        return [one.document() for one in found]

    def close(self) -> None:
        self.watch.stop(4)
        self.keeper.close()


Start = Callable[..., World]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    made: list[World] = []

    def begin(**link: Any) -> World:
        world = World(tmp_path, **link)
        made.append(world)
        world.watch.start()
        return world

    yield begin
    for world in made:
        world.close()
    use_language("id")


def report_outage(world: World, problem: str, found: str) -> dict[str, Any]:
    world.reports = ("offline", problem)
    wait_until(found, lambda: [one["cause"] for one in world.outages()] == [found], 40)
    world.reports = ("connected", None)
    wait_until("the end", lambda: all(one["is_over"] for one in world.outages()), 40)
    (one,) = world.outages()
    return one


def test_a_broker_that_is_away_while_the_internet_works(start: Start) -> None:
    one = report_outage(start(), "refused", "broker")
    assert (one["kind"], one["counts_as_down"], one["inferred"]) == ("report", False, False)


def test_a_wrong_clock(start: Start) -> None:
    world = start()
    world.clock_trusted = False
    assert report_outage(world, "tls_not_yet_valid", "clock")["kind"] == "report"


def test_names_that_do_not_resolve(start: Start) -> None:
    assert report_outage(start(broker="centre.invalid"), "name_not_resolved", "dns")["kind"] == "report"


def test_a_broker_that_is_away_for_a_moment_is_no_outage(start: Start) -> None:
    world = start()
    world.reports = ("offline", "refused")
    time.sleep(1.5)
    world.reports = ("connected", None)
    time.sleep(1.5)
    assert world.outages() == []


def test_the_event_goes_out_with_the_cause_once_the_outage_is_over(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.link.outage_book.TELL_EVERY_S", 0.1)
    world = start()
    report_outage(world, "refused", "broker")
    wait_until("the event", lambda: len(world.keeper.unsent_events(9)) == 1)
    (event,) = world.keeper.unsent_events(9)
    assert (event.type, event.what) == ("outage", "broker")
    assert event.evidence["report_problem"] == "refused"
    assert b'"cause"' not in event.payload() and b'"what":"broker"' in event.payload()


def test_the_operators_own_reply_is_asked_for_once_a_day_where_it_is_configured(start: Start) -> None:
    world = start(operator_codes=("51010 *888# habis",))
    world.modem.reply = ('+CUSD: 0,"Paket Anda habis",15',)
    one = report_outage(world, "timeout", "quota")
    assert (one["inferred"], one["counts_as_down"]) == (False, True)
    report_again = world.watch._operator_says_spent(REGISTERED)
    assert report_again is None
    assert world.modem.asked == ['AT+CUSD=1,"*888#",15']


def test_the_operators_one_reply_holds_for_the_whole_outage_and_for_no_other(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pause in ("LOOK_AGAIN_S", "LOOK_LATER_S"):
        monkeypatch.setattr(f"agent.pipeline.link_watch.{pause}", 0.1)
    world = start(operator_codes=("51010 *888# habis",))
    world.modem.reply = ('+CUSD: 0,"Paket Anda habis",15',)
    world.reports = ("offline", "refused")
    wait_until("many looks", lambda: world.watch._looks > 4, 40)
    assert [one["cause"] for one in world.outages()] == ["quota"]
    assert len(world.modem.asked) == 1
    world.watch._look_anew()
    assert "operator_says_spent" not in world.watch._evidence("link")


def test_the_connection_to_the_broker_is_asked_before_the_long_look_around(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = start()
    look = world.modem.look

    def slow_look() -> Look:
        world.reports = ("connected", None)
        return look()

    monkeypatch.setattr(world.modem, "look", slow_look)
    world.reports = ("offline", "refused")
    assert explain(world.watch._evidence("report")).cause == "broker"


def test_by_default_no_operator_is_asked(start: Start) -> None:
    world = start()
    assert world.watch._operator_says_spent(REGISTERED) is None
    assert world.modem.asked == []


def test_a_modem_that_cannot_be_asked_tells_nothing(start: Start) -> None:
    world = start(operator_codes=("51010 *888# habis",))
    assert world.watch._operator_says_spent({**REGISTERED, "registration": "searching"}) is None
    assert world.watch._operator_says_spent({**REGISTERED, "operator_mccmnc": "51001"}) is None
    assert world.modem.asked == []
    assert world.watch._operator_says_spent(REGISTERED) is None
    assert world.modem.asked == ['AT+CUSD=1,"*888#",15']


def test_a_link_that_fails_again_while_its_cause_is_still_sought_has_two_outages(start: Start) -> None:
    world = start(probe_interval_s=3600)  # the test makes the changes, the prober none
    watch = world.watch
    wait_until("the first probe", lambda: watch.prober.how != "")
    for at_s in (100.0, 200.0):
        watch.note_change(Change(is_down=True, at_s=at_s, precision_s=20.0))
        watch.note_change(Change(is_down=False, at_s=at_s + 50, precision_s=10.0))
    watch.tick(300.0, is_down=False)
    assert [(one["is_over"], one["duration_s"]) for one in world.outages()] == [(True, 50.0)] * 2


def test_looking_around_is_charged(start: Start) -> None:
    world = start(page_url="http://127.0.0.1:9/")
    wait_until("probes", lambda: world.watch.bytes_used() > 0)
    before = world.watch.bytes_used()
    world.watch._evidence("link")
    assert world.watch.bytes_used() >= before + 2 * 56


def test_what_is_shown(start: Start) -> None:
    world = start()
    wait_until("a probe", lambda: "rtt_ms" in world.watch.prober.collect())
    shown = world.watch.shown()
    assert shown["outage"] is None
    assert shown["probed_by"] == "icmp"
    assert shown["meeting"]["enough"] is True
    assert shown["meeting"]["missing"][-2:] == ["down_kbit_s", "up_kbit_s"]


def test_questions_of_commands_are_answered_in_parts_and_checked(start: Start) -> None:
    world = start()

    def fill(connection: sqlite3.Connection) -> None:
        for number in range(OUTAGES_AN_ANSWER + 2):
            outage = Outage("link", Edge(1, 100.0 * number), Edge(1, 100.0 * number + 50))
            tables.save(connection, outage, boot=1)

    world.keeper.write(fill)
    answerers = link_answerers(world.keeper, world.watch)
    first = answerers["outages"]({"v": 1})
    assert (len(first["outages"]), first["more"]) == (OUTAGES_AN_ANSWER, True)
    ago_s = [one["began_s_ago"] for one in first["outages"][:2]]
    assert ago_s[0] - ago_s[1] == pytest.approx(100.0, abs=0.2)
    rest = answerers["outages"]({"after": first["outages"][-1]["number"]})
    assert (len(rest["outages"]), rest["more"]) == (2, False)
    assert answerers["outages"]({"from_ts": 4e9})["outages"] == []
    assert answerers["availability"]({"month": "2026-09"})["availability"]["month"] == "2026-09"
    for question in ({"after": "1"}, {"from_ts": True}, {"to_ts": [1]}):
        with pytest.raises(UsageMistake):
            answerers["outages"](question)
    for month in (None, 7, "soon"):
        with pytest.raises(UsageMistake):
            answerers["availability"]({"month": month})


def test_the_targets() -> None:
    assert targets_of(Config()) == [Target("1.1.1.1", 443), Target("9.9.9.9", 443)]
    with_broker = Config(broker=BrokerConfig(host="broker.example"))
    assert targets_of(with_broker) == [Target("broker.example", 1883), Target("1.1.1.1", 443)]
    named = Config(link=LinkConfig(targets=("a.example:8883", "2001:db8::7")))
    assert targets_of(named) == [Target("a.example", 8883), Target("2001:db8::7", 443)]


MEMORY = """
import sys
before = set(sys.modules)
import agent.pipeline.link_watch, agent.pipeline.daemon
late = ("agent.link.checks", "agent.link.availability", "agent.link.operator_reply", "asyncio", "http.client")
print([name for name in late if name in sys.modules])
"""


def test_what_only_an_outage_needs_is_not_loaded_before() -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
