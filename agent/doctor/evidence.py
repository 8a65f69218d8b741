"""What was looked at: plain values, gathered once and judged by the checks."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agent.config.model import Config
from agent.enrolment.board import Standing
from agent.errors import SinyalError
from agent.language import N_
from agent.link.probe import Outcome
from agent.publish.certificate import Certificate
from agent.publish.problems import Address


class DiskSeen(NamedTuple):
    """The state folder and the database.

    is_there: whether the folder exists. free_bytes, used_pct: its file system. write_errno: what a small
    write met, 0 when it went well, None when not tried. rows is None while the database was not read, and
    fault says why; reading is the newest row of a database that no agent holds.
    """

    is_there: bool
    free_bytes: int | None = None
    used_pct: float | None = None
    write_errno: int | None = None
    rows: int | None = None
    fault: SinyalError | None = None
    reading: Mapping[str, Any] = {}
    queue: Mapping[str, Any] = {}


class ModemSeen(NamedTuple):
    """A reading of the modem, or why there is none.

    answer is as `agent.pipeline.modem_control` gives it. others: programs beside the agent that have the port
    open ("name (process N)"). ever_seen: whether this gateway has had a modem.
    """

    answer: Mapping[str, Any] | None = None
    fault: SinyalError | None = None
    others: Sequence[str] = ()
    ever_seen: bool = True


class Context(NamedTuple):
    """A PDP context of the modem: cid, APN, whether it is active, its address ("" for none).

    active and address are None where the modem does not tell.
    """

    cid: int
    apn: str
    active: bool | None
    address: str | None

    @property
    def carries(self) -> bool:
        """Return whether it is up: it has an address, or is active on a modem that tells no addresses."""
        return bool(self.address) or (self.address is None and bool(self.active))


class BearerSeen(NamedTuple):
    """What the modem tells of its data connection; reason is the network's last refusal (+CEER), or ""."""

    contexts: Sequence[Context]
    reason: str = ""
    network_ts: int | None = None


class RouteSeen(NamedTuple):
    """The way out of this gateway: interface of the default route or None, and whether it has an address."""

    interface: str | None
    has_address: bool


class NamesSeen(NamedTuple):
    """Whether a host name was resolved, and what the resolver said when not."""

    host: str
    resolves: bool
    detail: str = ""


class BrokerSeen(NamedTuple):
    """A connection of our own to the broker, as far as it got; each problem is (code, what, next step).

    expires_ts: when the certificate of the broker ends. accepted: whether MQTT was accepted, None when not
    tried; published: whether a reading was taken, None when none was sent.
    """

    address: Address
    tcp_problem: SinyalError | None = None
    tls_problem: SinyalError | None = None
    tls_version: str = ""
    expires_ts: float | None = None
    accepted: bool | None = None
    published: bool | None = None
    mqtt_problem: SinyalError | None = None


RESTS = N_("the battery is nearly empty; the agent begins again by itself when power is back")


class Evidence(NamedTuple):
    """All that was looked at; None stands for a look that did not end in time."""

    config: Config
    settings_path: str
    settings_problem: SinyalError | None
    is_configured: bool
    running: bool | None
    snapshot: Mapping[str, Any]
    now_ts: float
    clock_quality: str
    files_ts: int
    undervoltage: bool | None
    soc_temp_c: float | None
    uptime_s: float
    board: Standing
    certificate: Certificate | None
    disk: DiskSeen | None
    modem: ModemSeen | None
    bearer: BearerSeen | None
    route: RouteSeen
    names: Sequence[NamesSeen] | None
    reach: Sequence[tuple[str, Outcome]] | None
    redirected: bool | None
    broker: BrokerSeen | None

    @property
    def rests(self) -> bool:
        """Return whether the agent stays down until mains is back, because the battery is nearly empty."""
        return self.running is False and self.snapshot.get("state") == "low_battery"

    @property
    def reading(self) -> Mapping[str, Any]:
        """Return the newest reading known without asking the modem, {} without any."""
        shown = self.snapshot.get("reading")
        if isinstance(shown, Mapping):
            return shown
        return self.disk.reading if self.disk is not None else {}

    @property
    def modem_fields(self) -> Mapping[str, Any]:
        """Return what the modem told just now, {} when it told nothing."""
        answer = self.modem.answer if self.modem is not None else None
        return answer["fields"] if answer is not None else {}

    @property
    def operator_says_spent(self) -> bool:
        """Return whether the running agent has the operator's own word for a used-up package."""
        outage = (self.snapshot.get("internet") or {}).get("outage") or {}
        return bool(self.running) and outage.get("cause") == "quota" and not outage["inferred"]

    @property
    def internet_answers(self) -> bool:
        """Return whether anything beyond this gateway answered."""
        outcomes = [outcome for _host, outcome in self.reach or ()]
        tcp_works = self.broker is not None and self.broker.tcp_problem is None
        return tcp_works or any(outcome.rtt_ms is not None for outcome in outcomes)
