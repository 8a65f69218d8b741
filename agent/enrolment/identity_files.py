"""The gateway's key and certificate: made here, checked before they are used, put in place in one step each.

A new key waits beside the present one (`.new`) until its certificate has come, so that a gateway that is
being enrolled anew goes on sending with what it has.
"""

import contextlib
import os
import ssl
from pathlib import Path
from typing import NamedTuple

from agent.enrolment.openssl import OpensslFailed, openssl
from agent.errors import ConfigMistake, NoPermission, SinyalError
from agent.language import _

NEW_SUFFIX = ".new"
SECRET_MODE = 0o600
PUBLIC_MODE = 0o644
MAX_CERTIFICATE_BYTES = 65_536

LIFE_DAYS = 730
"""How long the centre's authority signs for (see docs/security-model.md)."""

RENEW_DAYS = LIFE_DAYS // 3
"""Renewal begins with so many days left: a gateway may be offline for months."""


class CertificateRefused(SinyalError):
    """A certificate is not for this gateway, this key or this centre; nothing was changed."""


class IdentityFiles(NamedTuple):
    """Where a gateway's identity lies, who it is, and whose the files are to be (uid, gid; None: mine)."""

    gateway_id: str
    key_file: Path
    cert_file: Path
    ca_file: Path
    owner: tuple[int, int] | None = None

    @property
    def waiting_key(self) -> Path:
        """Where a key lies whose certificate has not come yet."""
        return self.key_file.with_name(self.key_file.name + NEW_SUFFIX)

    def key_in_use(self) -> Path | None:
        """Return the key that a request is for: the waiting one, else the present one, else None."""
        return next((file for file in (self.waiting_key, self.key_file) if file.exists()), None)


def identity_files(gateway_id: str, broker: dict[str, Path | None], state: Path) -> IdentityFiles:
    """Return where identity lies by the configuration; raises ConfigMistake naming the key that is missing.

    The files will belong to whom the state folder belongs: the agent reads them, root enrols.
    """
    if not gateway_id:
        raise ConfigMistake(_("gateway.id is empty"), _("sinyal config set gateway.id NAME"))
    for key, example in (("ca_file", "ca.pem"), ("cert_file", "gateway.pem"), ("key_file", "gateway.key")):
        if broker[key] is None:
            raise ConfigMistake(
                _("broker.{key} is not set").format(key=key),
                f"sinyal config set broker.{key} /etc/sinyal/tls/{example}",
            )
    owner = None
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            found = state.stat()
            owner = (found.st_uid, found.st_gid)
    key_file, cert_file, ca_file = broker["key_file"], broker["cert_file"], broker["ca_file"]
    assert key_file is not None
    assert cert_file is not None
    assert ca_file is not None
    return IdentityFiles(gateway_id, key_file, cert_file, ca_file, owner)


def make_request(files: IdentityFiles, *, new_key: bool = False) -> bytes:
    """Return a certificate request (PEM) for this gateway, making its key (EC P-256, 0600) if there is none.

    new_key: make a new one although there is one. Raises OpensslMissing, OpensslFailed, NoPermission,
    SinyalError.
    """
    key = files.key_in_use()
    if key is None or (new_key and key == files.key_file):
        key = files.waiting_key
        made = openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        _put(key, made, SECRET_MODE, files.owner)
    _require_private(key)
    return openssl("req", "-new", "-sha256", "-key", key, "-subj", f"/CN={files.gateway_id}")


class Certificate(NamedTuple):
    """What a certificate says: its name (CN), its public key as PEM, and its end in UTC seconds."""

    name: str
    public_key: bytes
    ends_ts: float

    def days_left(self, now_ts: float) -> float:
        """Return for how many days it is still good; below 0 when it has ended."""
        return (self.ends_ts - now_ts) / 86400

    def is_due(self, now_ts: float) -> bool:
        """Return whether it should be renewed."""
        return self.days_left(now_ts) <= RENEW_DAYS


def read_certificate(pem: bytes) -> Certificate:
    """Return what a certificate says; raises CertificateRefused, OpensslMissing."""
    try:
        told = openssl(
            "x509", "-noout", "-subject", "-nameopt", "RFC2253", "-enddate", "-pubkey", given=pem
        ).decode()
    except OpensslFailed:
        raise CertificateRefused(
            _("this is no certificate in PEM form"), _("ask the centre for it again")
        ) from None
    subject = _line(told, "subject=").strip()
    try:
        ends_ts = float(ssl.cert_time_to_seconds(_line(told, "notAfter=").strip()))
    except (ValueError, OverflowError):
        ends_ts = 0.0
    name = subject.removeprefix("CN=") if "," not in subject else subject
    key = told[told.find("-----BEGIN PUBLIC KEY-----") :].strip().encode()
    return Certificate(name, key, ends_ts)


def _line(text: str, begin: str) -> str:
    return next((line[len(begin) :] for line in text.splitlines() if line.startswith(begin)), "")


class Accepted(NamedTuple):
    """A certificate that was checked and may be put in use, and the key it is for."""

    certificate: Certificate
    pem: bytes
    key: Path


def accept_certificate(files: IdentityFiles, pem: bytes) -> Accepted:
    """Check a certificate, changing nothing.

    Raises CertificateRefused when it is not for this gateway, for none of its keys, or not by the authority
    in broker.ca_file.
    """
    if len(pem) > MAX_CERTIFICATE_BYTES:
        raise CertificateRefused(_("this is no certificate in PEM form"), _("ask the centre for it again"))
    certificate = read_certificate(pem)
    if certificate.name != files.gateway_id:
        raise CertificateRefused(
            _("the certificate is for {name!r}, this gateway is {id}").format(
                name=certificate.name[:80], id=files.gateway_id
            ),
            _("take the file that is named {id}.pem").format(id=files.gateway_id),
        )
    key = _matching_key(files, certificate)
    _require_authority(files, pem)
    return Accepted(certificate, pem, key)


def put_in_use(files: IdentityFiles, accepted: Accepted) -> None:
    """Put an accepted certificate in use, with its key; raises NoPermission, SinyalError."""
    if accepted.key == files.waiting_key:
        _move(accepted.key, files.key_file)
    _put(files.cert_file, accepted.pem, PUBLIC_MODE, files.owner)


def _matching_key(files: IdentityFiles, certificate: Certificate) -> Path:
    for key in (files.waiting_key, files.key_file):
        if key.exists() and openssl("pkey", "-in", key, "-pubout").strip() == certificate.public_key:
            return key
    raise CertificateRefused(
        _("the certificate is not for the key of this gateway"),
        _("make a request, and bring the certificate that is given for it: sinyal enrol request"),
    )


def _require_authority(files: IdentityFiles, pem: bytes) -> None:
    # Its times are not looked at: the clock may be wrong, and the connection will tell.
    if not files.ca_file.exists():
        raise CertificateRefused(
            _("broker.ca_file: {path} is not there").format(path=files.ca_file),
            _("put the centre's ca.pem there first"),
        )
    beside = files.cert_file.with_name(files.cert_file.name + NEW_SUFFIX)
    _put(beside, pem, PUBLIC_MODE, files.owner)
    try:
        openssl("verify", "-no_check_time", "-purpose", "sslclient", "-CAfile", files.ca_file, beside)
    except OpensslFailed:
        raise CertificateRefused(
            _("the certificate is not from the authority in {path}").format(path=files.ca_file),
            _("ask the centre which authority it has"),
        ) from None
    finally:
        beside.unlink(missing_ok=True)


def _require_private(key: Path) -> None:
    if key.stat().st_mode & 0o077:
        raise NoPermission(_("{path} can be read by other users").format(path=key), f"chmod 600 {key}")


def certificate_in_use(files: IdentityFiles) -> Certificate | None:
    """Return the certificate in use, None without one; raises CertificateRefused for a damaged one."""
    try:
        return read_certificate(files.cert_file.read_bytes())
    except FileNotFoundError:
        return None


def _put(path: Path, content: bytes, mode: int, owner: tuple[int, int] | None) -> None:
    """Write a file in one step that survives a power cut; it never has more rights than `mode`."""
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as opened:
            os.fchmod(descriptor, mode)
            if owner is not None:
                os.fchown(descriptor, *owner)
            opened.write(content)
            opened.flush()
            os.fsync(descriptor)
        _move(beside, path)
    except PermissionError:
        raise NoPermission(
            _("no permission for {path}").format(path=path), _("repeat the command with sudo")
        ) from None
    except OSError as error:
        raise SinyalError(
            _("{file} cannot be written: {reason}").format(file=path, reason=error.strerror),
            _("make room or repair the disk, then repeat the command"),
        ) from None


def _move(old: Path, new: Path) -> None:
    old.replace(new)
    folder = os.open(new.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
