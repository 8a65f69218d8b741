"""A broker that is killed, denies readings, or takes only small messages: the whole gateway against it."""

import random
import signal
import time
from pathlib import Path

import pytest

from tests.faults.campaigns import quick_and_soak, say
from tests.faults.prefill import prefill
from tests.faults.scene import scene
from tests.pipeline.whole_gateway import wait_until

DENY = "topic read #\ntopic write desa/v1/gw-test/status\ntopic write desa/v1/gw-test/inventory\n"
ALLOW = DENY + "topic write desa/v1/gw-test/readings\n"


@quick_and_soak("kills", 4, 40)
def test_a_broker_killed_again_and_again_gets_every_reading(kills: int, tmp_path: Path) -> None:
    chance = random.Random(51)
    with scene(tmp_path, publish="batch_readings = 2\n") as at:
        prefill(at.gateway, 300)
        at.gateway.start()
        for kill in range(kills):
            if kill:
                at.wait_for_fresh()
            time.sleep(chance.uniform(0.0, 0.6))
            at.broker.kill()
            time.sleep(chance.uniform(0.0, 0.6))
            at.broker.start()
            at.listener.wait_until_back()
        verdict = at.after_the_faults()
        connections = at.proxy.accepted
    say(f"broker SIGKILL: {kills} kills, {connections} connections, {verdict}")
    verdict.holds(interruptions=connections, held_rows=2)


# A refused gateway asks again after a minute: that is waited for in the soak only.
@pytest.mark.parametrize("restarted", [True, pytest.param(False, marks=pytest.mark.soak)])
def test_readings_a_broker_denies_are_kept_and_flow_when_it_allows_them(
    restarted: bool, tmp_path: Path
) -> None:
    with scene(tmp_path, acl=DENY, publish="batch_readings = 2\n") as at:
        at.gateway.start()
        wait_until("the denial", lambda: "reason code 135" in at.gateway.log_text())
        wait_until("rows kept", lambda: at.gateway.shown()["buffer"]["unsent"] >= 10)
        assert at.arrivals.take().rows == {}
        if restarted:
            at.kill()
        (at.broker.folder / "acl").write_text(ALLOW)
        at.broker.signal(signal.SIGHUP)
        if restarted:
            at.gateway.start()
        at.wait_for_fresh(90)
        denials = at.broker.log_text().count("Denied PUBLISH")
        verdict = at.after_the_faults()
    say(f"ACL denial, {'restarted' if restarted else 'running on'}: {denials} refused messages, {verdict}")
    assert denials <= 12, "a broker that says no must not be hammered"
    verdict.holds(interruptions=2, held_rows=2)


@pytest.mark.parametrize("limit", ["message_size_limit 700", "max_packet_size 900"])
def test_a_broker_that_takes_only_small_messages_gets_every_reading(limit: str, tmp_path: Path) -> None:
    with scene(tmp_path, broker_extra=f"{limit}\n") as at:
        prefill(at.gateway, 1500)
        at.gateway.start()
        at.wait_for("the backlog", lambda arrivals: len(arrivals.rows) > 1500)
        connections = at.proxy.accepted
        verdict = at.after_the_faults()
    say(f"broker with {limit}: {connections} connections, up to {verdict.most_rows} rows each, {verdict}")
    assert connections <= 5, "a limit must not cost a connection for each message"
    verdict.holds(interruptions=2, held_rows=60)
