"""A whole gateway behind a bad link to a real broker, and the quiet phase after the faults."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.oracle import Arrivals, Identity, Ledger, Verdict, judge
from tests.pipeline.whole_gateway import Gateway, wait_until
from tests.support.listener import Listener
from tests.support.mosquitto import Mosquitto, mosquitto
from tests.support.proxy import Proxy


@dataclass
class Scene:
    """Gateway, the link it sees, the broker, and what the judge needs."""

    gateway: Gateway
    proxy: Proxy
    broker: Mosquitto
    listener: Listener
    ledger: Ledger
    arrivals: Arrivals

    def note(self) -> None:
        """Write down what is committed; only while the agent is dead."""
        self.ledger.note(self.gateway.database)

    def kill(self) -> None:
        """End the agent as a power cut would, and write down what it had committed."""
        self.gateway.kill()
        self.note()

    def wait_for_a_life(self) -> None:
        """Wait until this life of the agent has taken its first reading."""
        wait_until("the first reading", lambda: self.gateway.shown().get("pid") == self.gateway.pid)

    def wait_for(self, what: str, condition: Callable[[Arrivals], bool], timeout_s: float = 30) -> None:
        """Wait until what arrived fulfils the condition."""
        wait_until(what, lambda: condition(self.arrivals.take()), timeout_s)

    def wait_for_fresh(self, timeout_s: float = 30) -> None:
        """Wait until a reading arrives that was not there before this call."""
        before = len(self.arrivals.take().rows)
        self.wait_for("a fresh reading", lambda arrivals: len(arrivals.rows) > before, timeout_s)

    def after_the_faults(self, timeout_s: float = 40) -> Verdict:
        """The quiet phase: let the link be good and the agent run until all has arrived, and judge."""
        self.proxy.mode = "pass"
        if self.gateway.is_running():
            self.kill()
        due = set(self.ledger.rows)
        self.gateway.start()
        self.wait_for_due(due, timeout_s)
        self.wait_for_fresh()
        return self.judge_at_the_end(due)

    def judge_at_the_end(self, due: set[Identity]) -> Verdict:
        """Stop the agent and judge: `due` and whatever the database calls sent must have arrived."""
        code, _seconds = self.gateway.terminate()
        assert code == 0, self.gateway.log_text()[-3000:]
        assert "Traceback" not in self.gateway.log_text(), self.gateway.log_text()[-3000:]
        self.note()
        epochs = {epoch for epoch, _seq in self.ledger.rows}
        unsent = {(epoch, seq) for epoch in epochs for seq in self.gateway.unsent_seqs()}
        due |= set(self.ledger.rows) - unsent
        self.wait_for_due(due, 10)
        return judge(self.ledger, self.arrivals, due=due)

    def wait_for_due(self, due: set[Identity], timeout_s: float) -> None:
        """Wait until all of these have arrived; the judge tells what is missing if they do not."""
        try:
            self.wait_for("every committed reading", lambda arrivals: due <= arrivals.covered(), timeout_s)
        except AssertionError:
            if self.gateway.is_running():
                self.kill()
            print(self.gateway.log_text()[-3000:])
            judge(self.ledger, self.arrivals, due=due).holds(interruptions=0)
            raise


@contextmanager
def scene(
    folder: Path,
    *,
    state: Path | None = None,
    publish: str = "",
    interval_s: float = 0.1,
    acl: str = "",
    broker_extra: str = "",
) -> Iterator[Scene]:
    """Build a scene in `folder`; the agent is not started. state: where the database shall be, if elsewhere.

    The broker keeps its sessions on disk, and the subscriber has one: what is lost is not lost there.
    publish: further lines of the configuration, which may open sections of their own.
    """
    extra = f"max_queued_messages 0\nmax_inflight_messages 0\n{broker_extra}"
    with (
        mosquitto(folder / "broker", persistence=True, acl=acl, extra=extra) as broker,
        Listener(broker.port) as listener,
        Proxy(broker.port) as proxy,
    ):
        gateway = Gateway(
            folder / "gw",
            modem="/dev/ttyNONE",
            broker=f'host = "127.0.0.1"\nport = {proxy.port}\n',
            publish=publish,
            interval_s=interval_s,
        )
        if state is not None:
            text = gateway.config.read_text().replace('state = "state"', f'state = "{state}"')
            gateway.config.write_text(text)
            gateway.database = state / "sinyal.db"
        try:
            yield Scene(gateway, proxy, broker, listener, Ledger(), Arrivals(listener.heard))
        finally:
            gateway.stop_anyhow()
