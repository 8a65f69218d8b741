"""Why there is no connection, or why a message was refused: a stable code, one sentence, one next step.

The codes are for programs and logs (they do not change with the language); the sentences are for people.
"""

import errno
import socket
import ssl
import time
from dataclasses import dataclass

from agent.errors import BrokerUnreachable
from agent.language import N_, _, system_reason

Address = tuple[str, int]
"""Host name or IP address, and TCP port."""


class LinkProblem(BrokerUnreachable):
    """The connection to the broker could not be made or has ended.

    code is a stable word such as "refused" or "tls_expired". by_peer: the far side ended an accepted
    connection by an act of its own, which may be its answer to what it was sent last.
    """

    def __init__(self, code: str, what: str, next_step: str = "", *, by_peer: bool = False) -> None:
        super().__init__(what, next_step)
        self.code = code
        self.by_peer = by_peer


@dataclass(frozen=True, slots=True)
class Words:
    """A problem's stable code, its sentence ({where}, {detail} and {clock} may stand in it) and next step."""

    code: str
    what: str
    next_step: str
    by_peer: bool = False

    def problem(self, address: Address, detail: object = "") -> LinkProblem:
        """Return the problem as met at `address`."""
        texts = (
            _(text).format(where=f"{address[0]}:{address[1]}", host=address[0], detail=detail, clock=_clock())
            for text in (self.what, self.next_step)
            if text
        )
        return LinkProblem(self.code, *texts, by_peer=self.by_peer)


def _clock() -> str:
    # gmtime raises where time_t has 32 bits and the clock stands beyond 2038.
    try:
        return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    except (OverflowError, ValueError, OSError):
        return _("an impossible date")


CHECK_HOST = N_("check broker.host and broker.port")
ASK_OPERATOR = N_("ask the broker's operator")
CHECK_CLOCK = N_("check the clock of this gateway (date -u), then the broker's certificate")
CHECK_CERTIFICATE = N_("check broker.cert_file and broker.key_file with the broker's operator")

NAME_NOT_RESOLVED = Words(
    "name_not_resolved",
    N_("the name {host} cannot be resolved ({detail})"),
    N_("check broker.host, and that the uplink gives a name server"),
)
NAME_IMPOSSIBLE = Words("name_impossible", N_("{host!r} is not a possible host name"), CHECK_HOST)
REFUSED = Words(
    "refused",
    N_("{where} refuses connections"),
    N_("check that the broker runs, then broker.port"),
)
UNREACHABLE = Words("unreachable", N_("there is no way to {where} ({detail})"), N_("check the uplink"))
TIMEOUT = Words(
    "timeout", N_("{where} does not answer"), N_("check the uplink, then broker.host and broker.port")
)
NETWORK = Words("network", N_("the connection to {where} failed: {detail}"), N_("check the uplink"))

TLS_NOT_YET_VALID = Words(
    "tls_not_yet_valid",
    N_(
        "the certificate of {where} is not valid yet, or the clock of this gateway is behind: it says {clock}"
    ),
    CHECK_CLOCK,
)
CLOCK_WRONG = Words(
    "clock",
    N_(
        "the certificate of {where} seems out of its time, but the clock of this gateway is not "
        "confirmed yet: it says {clock}"
    ),
    N_(
        "check date -u: a wrong clock sets itself when the modem or NTP gives the time; when it is right, "
        "ask the broker's operator about the certificate"
    ),
)
TLS_EXPIRED = Words(
    "tls_expired",
    N_("the certificate of {where} has expired, or the clock of this gateway is ahead: it says {clock}"),
    CHECK_CLOCK,
)
TLS_WRONG_NAME = Words(
    "tls_wrong_name",
    N_("the certificate of {where} is made for another name"),
    N_("set broker.host to the name in the broker's certificate"),
)
TLS_UNKNOWN_AUTHORITY = Words(
    "tls_unknown_authority",
    N_("the certificate of {where} is not from the authority in broker.ca_file ({detail})"),
    N_("check broker.ca_file with the broker's operator"),
)
TLS_SELF_SIGNED = Words(
    "tls_self_signed",
    N_("the certificate of {where} is signed by itself, so nothing vouches for it"),
    N_("check broker.host and broker.port, then ask the broker's operator"),
)
TLS_SERVER_UNTRUSTED = Words(
    "tls_server_untrusted", N_("the certificate of {where} is not acceptable: {detail}"), ASK_OPERATOR
)
TLS_OWN_CERTIFICATE = Words(
    "tls_own_certificate_refused",
    N_("{where} refuses the certificate of this gateway ({detail})"),
    CHECK_CERTIFICATE,
)
ENROL_AGAIN = N_("renew it at the centre: sinyal enrol request")
_OWN_CODE = TLS_OWN_CERTIFICATE.code
TLS_OWN_WORDS = {
    "certificate required": Words(
        _OWN_CODE,
        N_("{where} wants a certificate, and this gateway has none to show ({detail})"),
        N_("set broker.cert_file and broker.key_file; a gateway gets its own by: sinyal enrol request"),
    ),
    "certificate expired": Words(
        _OWN_CODE,
        N_("{where} refuses the certificate of this gateway: it has expired ({detail})"),
        ENROL_AGAIN,
    ),
    "certificate revoked": Words(
        _OWN_CODE,
        N_("{where} refuses the certificate of this gateway: it was withdrawn ({detail})"),
        N_("ask the centre why, then enrol with a new key: sinyal enrol request --new-key"),
    ),
    "unknown ca": Words(
        _OWN_CODE,
        N_("{where} refuses the certificate of this gateway: another authority gave it ({detail})"),
        CHECK_CERTIFICATE,
    ),
    "bad certificate": Words(
        _OWN_CODE,
        N_("{where} refuses the certificate of this gateway: it is not valid yet, or damaged ({detail})"),
        CHECK_CERTIFICATE,
    ),
    "unsupported certificate": Words(
        _OWN_CODE,
        N_("{where} refuses the certificate of this gateway: it was given for another purpose ({detail})"),
        CHECK_CERTIFICATE,
    ),
}
"""By the alert of TLS (RFC 8446, 6.2) that the broker sent."""

TLS_NOT_SPOKEN = Words(
    "tls_not_spoken",
    N_("{where} does not speak TLS ({detail})"),
    N_("check broker.port, usually 8883 with TLS, and broker.tls"),
)
TLS_FAILED = Words("tls_failed", N_("TLS with {where} failed: {detail}"), ASK_OPERATOR)

NO_ANSWER = Words(
    "no_answer",
    N_("{where} accepts connections but does not answer as an MQTT 5 broker"),
    N_("check that the broker speaks MQTT 5, then broker.port"),
)
CLOSED_WITHOUT_ANSWER = Words(
    "closed_without_answer",
    N_("{where} closed the connection without an answer"),
    N_("check that broker.tls fits the port, and that the broker speaks MQTT 5 and knows this certificate"),
)
NOT_MQTT = Words(
    "not_mqtt5",
    N_("{where} does not answer by the rules of MQTT 5"),
    N_("check that the broker speaks MQTT 5, then broker.port"),
    by_peer=True,
)
OLDER_MQTT = Words(
    "not_mqtt5",
    N_("{where} does not speak MQTT 5, which Sinyal needs to know that a reading was refused"),
    N_("use a broker with MQTT 5, for example mosquitto 1.6 or newer"),
)
CLOSED = Words("closed", N_("{where} closed the connection"), "", by_peer=True)
RESET = Words("lost", N_("the connection to {where} was lost: {detail}"), "", by_peer=True)
LOST = Words("lost", N_("the connection to {where} was lost: {detail}"), "")
NO_PING = Words("keepalive", N_("{where} no longer answers"), "")
NO_ACKNOWLEDGEMENT = Words(
    "ack_timeout",
    N_("{where} did not acknowledge a message within {detail} s"),
    N_("wait for the next try; if it goes on while the internet is well, ask the broker's operator"),
)
PACKET_TOO_LARGE = Words("packet_too_large", N_("{where} announced a packet of {detail} bytes"), ASK_OPERATOR)
PACKETS_TOO_SMALL = Words(
    "packets_too_small",
    N_("{where} takes messages of at most {detail} bytes, too small for readings"),
    N_("ask the broker's operator for a larger packet size"),
)
READINGS_END_CONNECTIONS = Words(
    "readings_end_connections",
    N_("{where} closes the connection whenever a reading is sent"),
    N_("ask the broker's operator for the ACL of this id"),
)
TOPIC_REFUSED = Words(
    "topic_refused",
    N_("{where} refuses {detail}"),
    N_("ask the broker's operator to allow this topic for this id (ACL)"),
)
TOPIC_ENDS_CONNECTIONS = Words(
    "topic_refused", N_("{where} closes the connection whenever {detail} is sent"), ""
)
CLONED_BOARD = Words(
    "cloned_board",
    N_("this SD card was enrolled in another board ({detail}); nothing is sent from a copied card"),
    N_("put the SD card back into its own board, or enrol this board as a gateway of its own"),
)
SUBSCRIPTION_REFUSED = Words(
    "subscription_refused", N_("{where} refuses the subscription to {detail}"), ASK_OPERATOR
)
FILTER_IMPOSSIBLE = Words(
    "filter_impossible",
    N_("{detail} is not a possible topic filter"),
    N_("+ stands for one level, # for all levels that follow and only at the end"),
)

_CONNACK_WORDS = {
    132: OLDER_MQTT,
    133: Words(
        "client_id_refused",
        N_("{where} does not accept the id of this gateway"),
        N_("check gateway.id with the broker's operator"),
    ),
    134: Words("bad_credentials", N_("{where} does not know this gateway"), CHECK_CERTIFICATE),
    135: Words(
        "not_authorised",
        N_("{where} does not allow this gateway to connect"),
        N_("ask the broker's operator to allow gateway.id, its last will on desa/v1/<gateway.id>/status too"),
    ),
    136: Words("server_unavailable", N_("{where} says that it is not available"), ""),
    137: Words("server_busy", N_("{where} says that it is too busy"), ""),
    138: Words("banned", N_("{where} has banned this gateway"), ASK_OPERATOR),
    151: Words("quota_exceeded", N_("{where} says that a quota is used up"), ASK_OPERATOR),
    159: Words("rate_exceeded", N_("{where} says that there are too many connections at once"), ""),
}
_CONNACK_OTHER = Words(
    "connack_{code}", N_("{where} refuses the connection with reason {detail}"), ASK_OPERATOR
)

_DISCONNECT_WORDS = {
    0: CLOSED,
    139: Words("shutting_down", N_("{where} is shutting down"), ""),
    141: NO_PING,
    142: Words(
        "taken_over",
        N_("{where} closed the connection because another client came with the id of this gateway"),
        N_("look for a second gateway with the same gateway.id, for example from a copied card"),
    ),
    151: _CONNACK_WORDS[151],
}
_DISCONNECT_OTHER = Words(
    "disconnect_{code}", N_("{where} closed the connection with reason {detail}"), ASK_OPERATOR, by_peer=True
)

_ENDS_FOR_ITSELF = frozenset({0, 136, 137, 138, 139, 141, 142, 152, 156, 157, 160})
"""Reason codes of a DISCONNECT that speak of the broker, another client or the time, not of a message."""

_TLS_VERIFY_WORDS = {
    9: TLS_NOT_YET_VALID,
    10: TLS_EXPIRED,
    18: TLS_SELF_SIGNED,
    19: TLS_UNKNOWN_AUTHORITY,
    20: TLS_UNKNOWN_AUTHORITY,
    21: TLS_UNKNOWN_AUTHORITY,
    62: TLS_WRONG_NAME,
    64: TLS_WRONG_NAME,
}
"""OpenSSL's X509_V_ERR numbers (x509_vfy.h); the texts beside them differ between releases."""

_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN)
_OWN_CERTIFICATE_ALERTS = ("certificate", "unknown ca", "access denied", "handshake failure")
_NO_TLS = ("wrong version number", "http request", "packet length too long", "unexpected eof", "record layer")

_REFUSAL_WORDS = {
    131: N_("the broker cannot handle it"),
    135: N_("not allowed by the broker's access list"),
    144: N_("the broker does not accept the topic"),
    149: N_("the message is too large for the broker"),
    150: N_("the broker gets too many messages"),
    151: N_("a quota at the broker is used up"),
    153: N_("the broker does not accept the format"),
}
_REFUSAL_STEPS = {135: N_("ask the broker's operator for the ACL of this id"), 149: ""}


def next_step_for(code: str) -> str:
    """Return the next step of a problem that is known by its stable code, "" where there is none."""
    every = [*_CONNACK_WORDS.values(), *_DISCONNECT_WORDS.values(), *globals().values()]
    steps = (words.next_step for words in every if isinstance(words, Words) and words.code == code)
    return _step(next((step for step in steps if step), ""))


def refusal_words(code: int) -> tuple[str, str]:
    """Return why a message got the negative PUBACK `code`, and the next step (may be empty)."""
    return _(_REFUSAL_WORDS.get(code, N_("refused by the broker"))), _step(
        _REFUSAL_STEPS.get(code, ASK_OPERATOR)
    )


def _step(text: str) -> str:
    return _(text) if text else ""


def connack_problem(address: Address, code: int, name: str) -> LinkProblem:
    """Return the problem of a CONNACK with a reason code other than 0; name is the standard's word for it."""
    return _by_code(_CONNACK_WORDS, _CONNACK_OTHER, address, code, name)


def disconnect_problem(address: Address, code: int, name: str) -> LinkProblem:
    """Return the problem of a DISCONNECT that the broker sent."""
    problem = _by_code(_DISCONNECT_WORDS, _DISCONNECT_OTHER, address, code, name)
    problem.by_peer = code not in _ENDS_FOR_ITSELF
    return problem


def _by_code(known: dict[int, Words], other: Words, address: Address, code: int, name: str) -> LinkProblem:
    words = known.get(code)
    if words is not None:
        return words.problem(address)
    problem = other.problem(address, f"{code} ({name})")
    problem.code = other.code.format(code=code)
    return problem


def connect_problem(address: Address, error: OSError | ValueError) -> LinkProblem:
    """Return why no connection could be opened; error is what the socket or TLS layer raised."""
    words, detail = _connect_words(error)
    return words.problem(address, detail)


def _connect_words(error: OSError | ValueError) -> tuple[Words, object]:
    if isinstance(error, ssl.SSLError):
        return _tls_words(error)
    if isinstance(error, socket.gaierror):
        return NAME_NOT_RESOLVED, system_reason(error.strerror)
    if isinstance(error, ConnectionRefusedError):
        return REFUSED, ""
    if isinstance(error, TimeoutError):
        return TIMEOUT, ""
    if isinstance(error, OSError):
        unreachable = error.errno in _UNREACHABLE
        return (UNREACHABLE if unreachable else NETWORK), system_reason(error.strerror or error)
    return NAME_IMPOSSIBLE, ""


def _tls_words(error: ssl.SSLError) -> tuple[Words, object]:
    if isinstance(error, ssl.SSLCertVerificationError):
        # Python gives its own check of a name (an address that is no certificate's) no number.
        return _TLS_VERIFY_WORDS.get(error.verify_code, TLS_SERVER_UNTRUSTED), error.verify_message
    reason = (getattr(error, "reason", None) or str(error)).replace("_", " ").lower()
    if "alert" in reason and any(word in reason for word in _OWN_CERTIFICATE_ALERTS):
        known = (words for alert, words in TLS_OWN_WORDS.items() if alert in reason)
        return next(known, TLS_OWN_CERTIFICATE), reason
    if isinstance(error, ssl.SSLEOFError) or any(word in reason for word in _NO_TLS):
        return TLS_NOT_SPOKEN, reason
    return TLS_FAILED, reason


def lost_problem(address: Address, error: OSError | None, *, answered: bool) -> LinkProblem:
    """Return why an open connection ended; error is what the socket raised last, None for an orderly end.

    answered says whether the broker had accepted the connection before.
    """
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        words, detail = _tls_words(error)
        return words.problem(address, detail)
    if not answered and (error is None or isinstance(error, ConnectionError | ssl.SSLEOFError)):
        return CLOSED_WITHOUT_ANSWER.problem(address)
    if error is None or isinstance(error, BrokenPipeError | ssl.SSLEOFError):
        return CLOSED.problem(address)
    words = RESET if isinstance(error, ConnectionResetError) else LOST
    return words.problem(address, system_reason(error.strerror or error))
