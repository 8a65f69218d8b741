"""TLS towards the brokers: the files of this gateway, one context for all connections, and their sessions.

A resumed session leaves the certificates out: a connection with a client certificate then costs half the
bytes. OpenSSL falls back to the whole handshake by itself when the broker no longer knows the session.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path

from agent.errors import ConfigMistake, NoPermission
from agent.language import _, system_reason
from agent.publish.problems import Address

_Signature = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The authority the broker must be signed by, and this client's own certificate (PEM files).

    ca_file None means the authorities of the system; cert_file None means no certificate of our own.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """Return a context that demands a certificate of the broker, for its name, by ca_file alone, TLS 1.2 on.

    Raises ConfigMistake or NoPermission that names the file which cannot be used.
    """
    for key, path in (
        ("ca_file", files.ca_file),
        ("cert_file", files.cert_file),
        ("key_file", files.key_file),
    ):
        if path is not None:
            _require_readable(f"broker.{key}", path)
    try:
        context = ssl.create_default_context(cafile=files.ca_file)
    except ssl.SSLError:
        raise ConfigMistake(
            _("broker.ca_file: {path} holds no certificate").format(path=files.ca_file),
            _("it must be a PEM file with the certificate of the broker's authority"),
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.cert_file is None:
        return context
    try:
        # Without a password OpenSSL would ask for that of an encrypted key on the terminal, and wait.
        context.load_cert_chain(files.cert_file, files.key_file, password="")
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        if reason == "KEY_VALUES_MISMATCH":
            raise ConfigMistake(
                _("the key in {key} is not that of the certificate in {cert}").format(
                    cert=files.cert_file, key=files.key_file or files.cert_file
                ),
                _("give both files of the same enrolment; a new pair comes by: sinyal enrol request"),
            ) from None
        raise ConfigMistake(
            _("broker.cert_file {cert} and broker.key_file {key} cannot be used together ({reason})").format(
                cert=files.cert_file, key=files.key_file or files.cert_file, reason=reason
            ),
            _("they must be PEM files of one pair, the key without a password"),
        ) from None
    return context


class TlsSessions:
    """The context made of `files`, and the last session with each broker; for one thread, in RAM alone.

    Files that were replaced are read anew, and all sessions forgotten.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._context: ssl.SSLContext | None = None
        self._made_of: _Signature = ()
        self._sessions: dict[Address, ssl.SSLSession] = {}

    def context(self) -> ssl.SSLContext:
        """Return the context; raises as tls_context."""
        signature = self._signature()
        if self._context is None or signature != self._made_of or not signature:
            self._sessions.clear()
            self._context = tls_context(self._files)
            self._made_of = signature
        return self._context

    def session(self, address: Address) -> ssl.SSLSession | None:
        """Return the session to resume at `address`, or None."""
        return self._sessions.get(address)

    def keep(self, address: Address, session: ssl.SSLSession | None) -> None:
        """Keep what a connection that the broker accepted left, in place of an older one."""
        if session is not None:
            self._sessions[address] = session

    def forget(self, address: Address) -> None:
        """Begin from nothing at `address`: a connection was not accepted."""
        self._sessions.pop(address, None)

    def _signature(self) -> _Signature:
        """Return what changes when a file does; empty when that cannot be told."""
        paths = (self._files.ca_file, self._files.cert_file, self._files.key_file)
        try:
            found = [path.stat() for path in paths if path is not None]
        except OSError:
            return ()
        return tuple((each.st_mtime_ns, each.st_size, each.st_ino) for each in found)


def _require_readable(key: str, path: Path) -> None:
    try:
        path.open("rb").close()
    except PermissionError:
        raise NoPermission(
            _("{key}: no permission to read {path}").format(key=key, path=path),
            _("let the user of the agent read it, or run as that user"),
        ) from None
    except OSError as error:
        if isinstance(error, FileNotFoundError) and key != "broker.ca_file":
            # A box between the two visits of the technician.
            raise ConfigMistake(
                _("no certificate yet: {path} is not there").format(path=path), "sinyal enrol show"
            ) from None
        raise ConfigMistake(
            _("{key}: {path} cannot be read: {reason}").format(
                key=key, path=path, reason=system_reason(error.strerror)
            ),
            _("check the path"),
        ) from None
