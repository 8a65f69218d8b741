"""What stands in a certificate: for whom, by whom, from when to when. Read by Python's own ssl module."""

import hashlib
import ssl
from pathlib import Path
from typing import Any, NamedTuple

from agent.errors import ConfigMistake, NoPermission
from agent.language import _, system_reason


class Certificate(NamedTuple):
    """subject and issuer are common names, "" without one; begins_ts and ends_ts UTC seconds.

    sha256 is the fingerprint of the whole certificate, in hexadecimal digits.
    """

    subject: str
    issuer: str
    begins_ts: float
    ends_ts: float
    sha256: str


def read_certificate(path: Path) -> Certificate:
    """Return the first certificate of a PEM file; raises ConfigMistake or NoPermission naming the file."""
    try:
        text = path.read_text(encoding="ascii", errors="replace")
        begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
        body = text[text.index(begin) : text.index(end) + len(end)]
        binary = ssl.PEM_cert_to_DER_cert(body)
        # Not public, but there since Python 3.2: the only reader of a certificate in the standard library.
        decoded: dict[str, Any] = ssl._ssl._test_decode_cert(str(path))  # type: ignore[attr-defined]  # noqa: SLF001
        begins_ts, ends_ts = (ssl.cert_time_to_seconds(decoded[key]) for key in ("notBefore", "notAfter"))
    except PermissionError:
        raise NoPermission(
            _("no permission to read {file}").format(file=path), _("run as the user sinyal or with sudo")
        ) from None
    except OSError as error:
        if isinstance(error, ssl.SSLError):
            raise _unreadable(path) from None
        raise ConfigMistake(
            _("{file} cannot be read: {reason}").format(file=path, reason=system_reason(error.strerror)),
            _("check the path"),
        ) from None
    except (ValueError, KeyError):
        raise _unreadable(path) from None
    return Certificate(
        _common_name(decoded.get("subject", ())),
        _common_name(decoded.get("issuer", ())),
        begins_ts,
        ends_ts,
        hashlib.sha256(binary).hexdigest(),
    )


def _common_name(name: Any) -> str:
    return next((str(value) for part in name for key, value in part if key == "commonName"), "")


def _unreadable(path: Path) -> ConfigMistake:
    return ConfigMistake(
        _("{file} holds no certificate").format(file=path),
        _("it must be a PEM file; ask the broker's operator for a new one"),
    )
