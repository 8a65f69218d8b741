"""Probes of a running broker: not what it grants, but what arrives.

A broker may grant a subscription that it then filters, acknowledge a message that it drops, or drop the
connection instead of refusing. So each question about topics is answered by what a listener with rights of
its own has heard, after a message that was sent last and is allowed has come through.
"""

import secrets
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Literal, NamedTuple

from agent.language import _
from agent.publish.mqtt import Message
from agent.publish.problems import LinkProblem, connect_problem
from agent.publish.topics import ROOT
from provisioning.broker.ears import Ears, Identity, Probe, ears, publish
from provisioning.broker.operator_words import for_the_operator
from provisioning.broker.render import GATEWAY_READS

NEEDED_PAYLOAD_BYTES = 8192
"""The agent's largest message as shipped (publish.max_payload_bytes)."""

NEEDED_WINDOW = 4
FEWEST_DAYS = 60
"""Gateways may be offline for weeks; whoever renews wants no hurry."""

WRITTEN = ("readings", "readings/json", "status", "inventory", "event/outage", "reply")
ALL_TOPICS = (*WRITTEN, *GATEWAY_READS)

Verdict = Literal["pass", "fail", "skip"]


class Outcome(NamedTuple):
    """One probe: its stable name, the question it answers, the verdict, what was seen, what to do."""

    probe: str
    question: str
    verdict: Verdict
    seen: str
    next_step: str = ""


def probe_broker(probe: Probe) -> Iterator[Outcome]:
    """Yield the outcome of each probe as it is known; raises BrokerUnreachable when there is no broker.

    While not even a good gateway gets in, a refusal proves nothing: what needs one is skipped, not judged.
    """
    entry = _mutual_tls(probe)
    yield entry
    yield _server_certificate(probe)
    for name, question, ask in _REFUSALS:
        yield ask(probe, name, question()) if entry.verdict == "pass" else _not_judged(name, question())
    yield _plain_refused(probe)
    for ask_topics, question in _QUESTIONS.items():
        if entry.verdict == "pass":
            yield _guarded(probe, ask_topics)
        else:
            yield _not_judged(ask_topics.__name__.strip("_"), question())


def _not_judged(name: str, question: str) -> Outcome:
    return Outcome(name, question, "skip", _("not tried: no gateway gets in yet"))


def _guarded(probe: Probe, ask: Callable[[Probe], Outcome]) -> Outcome:
    """Let a probe that cannot even be made be a failed one."""
    try:
        return ask(probe)
    except LinkProblem as problem:
        told = for_the_operator(problem)
        return Outcome(ask.__name__.strip("_"), _QUESTIONS[ask](), "fail", told.what, told.next_step)


def _mutual_tls(probe: Probe) -> Outcome:
    question = _("a gateway's certificate is accepted, with MQTT 5")
    try:
        with probe.connected(probe.first):
            return Outcome(
                "mutual_tls", question, "pass", _("connected as {name}").format(name=probe.first.name)
            )
    except LinkProblem as problem:
        told = for_the_operator(problem)
        if problem.code in ("refused", "unreachable", "timeout", "name_not_resolved", "name_impossible"):
            raise told from None
        return Outcome("mutual_tls", question, "fail", told.what, told.next_step)


def _refused(probe: Probe, name: str, question: str, identity: Identity | None) -> Outcome:
    try:
        with probe.connected(identity):
            step = _(
                "set require_certificate, cafile and crlfile as `broker render` writes them, then restart it"
            )
            return Outcome(name, question, "fail", _("it was let in"), step)
    except LinkProblem as problem:
        if problem.code == "tls_own_certificate_refused" or problem.code.startswith(
            ("connack", "bad_cred", "not_auth")
        ):
            return Outcome(name, question, "pass", problem.what)
        # The broker may close without a word; what counts is that the good certificate got in before.
        if problem.code in ("closed_without_answer", "closed", "lost", "tls_failed", "tls_not_spoken"):
            return Outcome(name, question, "pass", _("it was not let in ({what})").format(what=problem.what))
        told = for_the_operator(problem)
        return Outcome(name, question, "fail", told.what, told.next_step)


def _no_certificate(probe: Probe, name: str, question: str) -> Outcome:
    return _refused(probe, name, question, None)


def _foreign_certificate(probe: Probe, name: str, question: str) -> Outcome:
    return _refused(probe, name, question, probe.foreign)


def _revoked_certificate(probe: Probe, name: str, question: str) -> Outcome:
    if probe.revoked is None:
        step = _("run it where the authority's folder is: --ca")
        return Outcome(name, question, "skip", _("no withdrawn certificate is at hand"), step)
    return _refused(probe, name, question, probe.revoked)


_REFUSALS: tuple[tuple[str, Callable[[], str], Callable[[Probe, str, str], Outcome]], ...] = (
    ("no_certificate", lambda: _("a client without a certificate is refused"), _no_certificate),
    ("foreign_certificate", lambda: _("a certificate of another authority is refused"), _foreign_certificate),
    ("revoked_certificate", lambda: _("a withdrawn certificate is refused"), _revoked_certificate),
)

_PLAIN_CONNECT = b"\x10\x1a\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x0dsinyal-check1"


def _plain_refused(probe: Probe) -> Outcome:
    question = _("a connection without TLS is refused")
    host, port = probe.address
    for each in {port, port if probe.plain_port is None else probe.plain_port}:
        if _answers_in_plain(probe, host, each):
            step = _(
                "let every listener have certfile, keyfile and cafile; options before `listener` open 1883"
            )
            seen = _("port {port} answers in plain MQTT").format(port=each)
            return Outcome("plain_refused", question, "fail", seen, step)
    return Outcome("plain_refused", question, "pass", _("no MQTT answer without TLS"))


def _answers_in_plain(probe: Probe, host: str, port: int) -> bool:
    answer = b""
    with suppress(OSError), socket.create_connection((host, port), probe.wait_s) as plain:
        plain.settimeout(probe.wait_s)
        plain.sendall(_PLAIN_CONNECT)
        answer = plain.recv(4)
    return answer[:1] == b"\x20"


def _server_certificate(probe: Probe) -> Outcome:
    question = _("the broker's certificate is good for a while")
    try:
        days = _certificate_days_left(probe)
    except OSError as error:
        problem = for_the_operator(connect_problem(probe.address, error))
        return Outcome("server_certificate", question, "fail", problem.what, problem.next_step)
    seen = _("{n} days left").format(n=int(days))
    if days < FEWEST_DAYS:
        step = _("renew it: sinyal-provision broker render")
        return Outcome("server_certificate", question, "fail", seen, step)
    return Outcome("server_certificate", question, "pass", seen)


def _limits(probe: Probe) -> Outcome:
    question = _limits_question()
    with probe.connected(probe.first) as connection:
        topic = f"{ROOT}/{probe.first.name}/readings"
        room = connection.payload_limit_bytes(topic)
        if room < NEEDED_PAYLOAD_BYTES:
            step = _("raise max_packet_size to {n}").format(n=2 * NEEDED_PAYLOAD_BYTES)
            seen = _("it takes {n} bytes, a batch may have {needed}").format(
                n=room, needed=NEEDED_PAYLOAD_BYTES
            )
            return Outcome("limits", question, "fail", seen, step)
        window = connection.room
        if publish(connection, topic, secrets.token_bytes(NEEDED_PAYLOAD_BYTES), probe.wait_s) >= 128:
            step = _("look for message_size_limit in the broker's configuration and take it out")
            return Outcome(
                "limits",
                question,
                "fail",
                _("it refused a message of {n} bytes").format(n=NEEDED_PAYLOAD_BYTES),
                step,
            )
    if window < NEEDED_WINDOW:
        seen = _("only {n} messages may be under way at once").format(n=window)
        return Outcome("limits", question, "fail", seen, _("raise max_inflight_messages to 20"))
    return Outcome(
        "limits", question, "pass", _("a message of {n} bytes was taken").format(n=NEEDED_PAYLOAD_BYTES)
    )


def _limits_question() -> str:
    return _("messages of the agent's size are taken")


def _own_topics(probe: Probe) -> Outcome:
    """Publish on each topic of the first gateway; the listener must hear all of them."""
    question = _own_topics_question()
    with ears(probe, probe.listener, [f"{ROOT}/{probe.first.name}/#"]) as heard:
        marks = {f"{ROOT}/{probe.first.name}/{topic}": _mark() for topic in WRITTEN}
        with probe.connected(probe.first) as connection:
            refused = [
                topic
                for topic, mark in marks.items()
                if publish(connection, topic, mark, probe.wait_s) >= 128
            ]
        if refused:
            return Outcome(
                "own_topics",
                question,
                "fail",
                _("refused: {topics}").format(topics=", ".join(refused)),
                _ACL_STEP(),
            )
        if heard is None:
            return Outcome("own_topics", question, "pass", _("all were acknowledged; nobody listened"))
        came = heard.until(
            lambda messages: marks.items() <= {(each.topic, each.payload) for each in messages}
        )
    missing = [
        topic
        for topic, mark in marks.items()
        if (topic, mark) not in {(each.topic, each.payload) for each in came}
    ]
    if missing:
        seen = _("acknowledged, but never delivered: {topics}").format(topics=", ".join(missing))
        return Outcome("own_topics", question, "fail", seen, _ACL_STEP())
    return Outcome("own_topics", question, "pass", _("{n} of {n} topics were delivered").format(n=len(marks)))


def _own_topics_question() -> str:
    return _("a gateway's own topics arrive")


def _foreign_writes(probe: Probe) -> Outcome:
    """Publish as the first gateway on every topic of the second; neither it nor the listener may hear one."""
    question = _foreign_writes_question()
    theirs = f"{ROOT}/{probe.second.name}"
    with (
        ears(probe, probe.listener, [f"{theirs}/#"]) as listener,
        ears(probe, probe.second, [f"{theirs}/{topic}" for topic in GATEWAY_READS]) as second,
    ):
        marks = {f"{theirs}/{topic}": _mark() for topic in ALL_TOPICS}
        endings = 0
        for topic, mark in marks.items():
            # Some brokers end the connection instead of refusing: each topic has its own.
            try:
                with probe.connected(probe.first) as connection:
                    publish(connection, topic, mark, probe.wait_s)
            except LinkProblem:
                endings += 1
        last = _mark()
        if second is not None:
            second.publish(f"{theirs}/status", last)
        delivered = _delivered(listener, second, set(marks.values()), last, probe)
    if delivered:
        return Outcome(
            "foreign_writes",
            question,
            "fail",
            _("delivered: {topics}").format(topics=", ".join(sorted(delivered))),
            _ACL_STEP(),
        )
    where = (
        _("a listener and the gateway itself heard 0 of {n}")
        if probe.listener
        else _("the gateway itself heard 0 of {n}")
    )
    return Outcome("foreign_writes", question, "pass", where.format(n=len(marks)))


def _foreign_writes_question() -> str:
    return _("a gateway cannot write another gateway's topics")


def _delivered(
    listener: Ears | None, second: Ears | None, marks: set[bytes], last: bytes, probe: Probe
) -> set[str]:
    """Return the topics of forbidden messages that came before the allowed one that was sent last."""
    came: list[Message] = []
    if listener is not None:
        came += listener.until(lambda messages: any(each.payload == last for each in messages))
    if second is not None:
        # It may hear nothing that is sent last, so it gets a moment.
        came += second.for_s(min(1.0, probe.wait_s))
    return {each.topic for each in came if each.payload in marks}


def _foreign_reads(probe: Probe) -> Outcome:
    """Subscribe as the second gateway to all of the first's topics, which then publishes on each."""
    question = _foreign_reads_question()
    ours = f"{ROOT}/{probe.first.name}"
    wanted = [
        "#",
        f"{ROOT}/#",
        f"{ROOT}/+/readings",
        f"{ours}/#",
        *(f"{ours}/{topic}" for topic in ALL_TOPICS),
    ]
    with ears(probe, probe.second, wanted, one_by_one=True) as second:
        marks = {f"{ours}/{topic}": _mark() for topic in WRITTEN}
        with (
            ears(probe, probe.listener, [f"{ours}/#"]) as listener,
            probe.connected(probe.first) as connection,
        ):
            for topic, mark in marks.items():
                publish(connection, topic, mark, probe.wait_s)
            if listener is not None:
                listener.until(
                    lambda messages: marks.items() <= {(each.topic, each.payload) for each in messages}
                )
        came = second.for_s(min(1.0, probe.wait_s)) if second is not None else []
    leaked = sorted({each.topic for each in came if each.payload in marks.values()})
    if leaked:
        return Outcome(
            "foreign_reads",
            question,
            "fail",
            _("heard: {topics}").format(topics=", ".join(leaked)),
            _ACL_STEP(),
        )
    return Outcome(
        "foreign_reads", question, "pass", _("{n} subscriptions, 0 messages came").format(n=len(wanted))
    )


def _foreign_reads_question() -> str:
    return _("a gateway cannot read another gateway's topics")


def _client_id(probe: Probe) -> Outcome:
    """Come as the first gateway with the client id of the second, which must stay connected."""
    question = _client_id_question()
    with probe.connected(probe.second) as second:
        with suppress(LinkProblem), probe.connected(probe.first, client_id=probe.second.name) as intruder:
            intruder.exchange(0.2)
        try:
            code = publish(second, f"{ROOT}/{probe.second.name}/status", _mark(), probe.wait_s)
        except LinkProblem as problem:
            step = _("set use_username_as_clientid true, or what your broker calls it")
            return Outcome("client_id", question, "fail", problem.what, step)
    return Outcome("client_id", question, "pass", _("it stayed connected (answer {code})").format(code=code))


def _client_id_question() -> str:
    return _("a gateway cannot push out another one by its client id")


_QUESTIONS: dict[Callable[[Probe], Outcome], Callable[[], str]] = {
    _limits: _limits_question,
    _own_topics: _own_topics_question,
    _foreign_writes: _foreign_writes_question,
    _foreign_reads: _foreign_reads_question,
    _client_id: _client_id_question,
}


def _ACL_STEP() -> str:  # noqa: N802 -- a constant that is said in the person's language
    return _("compare the broker's access list with the one that `broker render` writes, then reload it")


def _mark() -> bytes:
    return secrets.token_hex(8).encode()


def _certificate_days_left(probe: Probe) -> float:
    """Return for how many days the broker's certificate is still good; raises OSError."""
    context = ssl.create_default_context(cafile=probe.ca_file)
    context.load_cert_chain(probe.first.cert_file, probe.first.key_file)
    with (
        socket.create_connection(probe.address, probe.wait_s) as plain,
        context.wrap_socket(plain, server_hostname=probe.address[0]) as secure,
    ):
        certificate = secure.getpeercert()
    assert certificate is not None
    return (ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()) / 86400
