"""Sending a request to the centre's endpoint, with a one-time token or with the certificate in use.

The server must be signed by the centre's own authority, as the broker is.
"""

import http.client
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from agent.errors import BrokerUnreachable, ConfigMistake, SinyalError, UsageMistake
from agent.language import N_, _

PATH = "/v1/enrol"
TIMEOUT_S = 60.0
MAX_ANSWER_BYTES = 65_536
TOKEN_SIGNS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")

REFUSALS = {
    "token": (
        N_("the endpoint does not take the token: it is mistyped, used, or too old"),
        N_("ask the centre for a new one: sinyal-provision enrol token GATEWAY_ID"),
    ),
    "request": (
        N_("the endpoint does not take the request: it is for another gateway_id, or damaged"),
        N_("check gateway.id, and that the token was made for it"),
    ),
    "other_key": (
        N_("this gateway has a certificate for another key already"),
        N_("ask the centre: the box may have been set up anew, or this is a copy of it"),
    ),
    "rate": (
        N_("the endpoint takes no more tries for now"),
        N_("wait five minutes, then repeat the command"),
    ),
    "certificate": (
        N_("the endpoint does not take the certificate of this gateway"),
        N_("ask the centre for a token: sinyal-provision enrol token GATEWAY_ID"),
    ),
}


class EnrolmentRefused(SinyalError):
    """The endpoint gave no certificate."""


def plain_token(typed: str) -> str:
    """Return a token without the blanks and dashes that make it readable; raises UsageMistake."""
    token = typed.upper().replace("-", "").replace(" ", "").strip()
    if len(token) != 26 or not set(token) <= TOKEN_SIGNS:
        raise UsageMistake(
            _("a token has 26 letters and digits (A to Z, 2 to 7)"), _("type it as the centre gave it")
        )
    return token


def send_request(
    url: str,
    request: bytes,
    *,
    ca_file: Path,
    token: str | None = None,
    cert_file: Path | None = None,
    key_file: Path | None = None,
) -> bytes:
    """Return the certificate (PEM) that the endpoint gives for a request.

    token: a one-time token; else cert_file and key_file show who we are. Raises UsageMistake,
    ConfigMistake, BrokerUnreachable, EnrolmentRefused.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.username is not None:
        raise UsageMistake(
            _("{url!r} is no https address").format(url=url[:100]),
            _("for example https://centre.example:8444"),
        )
    connection = http.client.HTTPSConnection(
        parts.hostname, parts.port or 443, timeout=TIMEOUT_S, context=_context(ca_file, cert_file, key_file)
    )
    headers = {"Content-Type": "application/pkcs10"}
    if token is not None:
        headers["Authorization"] = f"Token {token}"
    try:
        connection.request("POST", PATH, body=request, headers=headers)
        answer = connection.getresponse()
        content = answer.read(MAX_ANSWER_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _no_answer(parts.hostname, error) from None
    finally:
        connection.close()
    if answer.status == 200:
        return content
    what, step = REFUSALS.get(
        content.decode("ascii", "replace").strip(),
        (N_("the endpoint refuses the request"), N_("ask the centre")),
    )
    raise EnrolmentRefused(_(what), _(step))


def _context(ca_file: Path, cert_file: Path | None, key_file: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if cert_file is not None:
            context.load_cert_chain(cert_file, key_file, password="")
    except (OSError, ValueError) as error:
        raise ConfigMistake(
            _("the files of this gateway cannot be used for TLS: {reason}").format(reason=error),
            _("check broker.ca_file, broker.cert_file and broker.key_file"),
        ) from None
    return context


def _no_answer(host: str, error: Exception) -> SinyalError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return BrokerUnreachable(
            _("the certificate of {host} is not acceptable: {reason}").format(
                host=host, reason=error.verify_message
            ),
            _("check the clock (date -u), the address, and broker.ca_file"),
        )
    # "[Errno 111] Connection refused" says no more than its second half; TLS puts all into its strerror.
    reason = getattr(error, "strerror", None) or error
    return BrokerUnreachable(
        _("{host} cannot be reached: {reason}").format(host=host, reason=reason or type(error).__name__),
        _("check the uplink and the address; the request can also be carried: sinyal enrol request"),
    )
