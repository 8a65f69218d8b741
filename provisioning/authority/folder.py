"""The authority's folder: opened with the passphrase it signs and withdraws; without, it can be looked at.

ca.pem          the authority's certificate: on every gateway and at the broker
ca.key          its key, encrypted, 0600; nothing else here is secret
crl.pem         what is withdrawn: at the broker
index.jsonl     every certificate and withdrawal, never rewritten
issued/         each certificate by its serial
requests/       the last request of each name, for renewal
withdrawn/      a pair that is in every CRL, to show that a broker reads it
"""

import datetime as dt
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.config.keys import RULES
from agent.errors import NoPermission, SinyalError, UsageMistake
from agent.language import _
from provisioning.authority import certificates
from provisioning.authority.index import Index, Issued
from provisioning.authority.passphrase import PassphraseWrong
from provisioning.authority.requests import SigningRequest, key_sha256, read_request
from provisioning.whole_files import SECRET_MODE, write_whole

CA_FILE, KEY_FILE, CRL_FILE = "ca.pem", "ca.key", "crl.pem"
WITHDRAWN_FOLDER = "withdrawn"
WITHDRAWN_NAME = "sinyal-check-withdrawn"
CHECK_NAMES = ("sinyal-check-a", "sinyal-check-b", "sinyal-check")
"""Two gateways and the listener of `broker check`; no gateway may be called so."""


class NotSigned(SinyalError):
    """A certificate was asked for that this authority does not give."""


@dataclass(frozen=True)
class Signed:
    """A certificate that was given: its record, its PEM, and whether it was made just now."""

    issued: Issued
    pem: bytes
    is_new: bool


class Authority:
    """An authority whose key is open. Make one with create() or open_authority()."""

    def __init__(
        self,
        folder: Path,
        certificate: x509.Certificate,
        key: ec.EllipticCurvePrivateKey,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.folder = folder
        self.certificate = certificate
        self._key = key
        self._now = now
        self.index = Index(folder)

    def afresh(self) -> "Authority":
        """Return the same authority with the index read anew; for a program that stays open for long."""
        return Authority(self.folder, self.certificate, self._key, now=self._now)

    def sign(
        self,
        request: SigningRequest,
        *,
        kind: str,
        hosts: Sequence[str] = (),
        replace: bool = False,
        renew: bool = False,
        keep_others: bool = False,
    ) -> Signed:
        """Give the certificate of a request; the same request gets the same certificate again.

        kind is "gateway", "centre", "server" or "check"; whether the name may have one is the caller's to
        check. replace: the box has a new key; what it had is withdrawn, or with keep_others only later,
        when the new one is in use. renew: make a new certificate although the present one is
        good. Raises NotSigned when another key holds the name.
        """
        name = request.common_name
        self._require_name(name, kind)
        good = [each for each in self.index.of(name) if each.is_good(self._now())]
        if any(each.key_sha256 == request.key_sha256 and each.revoked_ts for each in self.index.all()):
            raise NotSigned(
                _("the key of {name} was withdrawn, and is never signed again").format(name=name),
                _("make a new key and request on the gateway: sinyal enrol request --new-key"),
            )
        others = [each for each in good if each.key_sha256 != request.key_sha256]
        if others and not replace:
            raise NotSigned(
                _("{name} has a certificate for another key already").format(name=name),
                _("if the box was set up anew, repeat with --replace: what it had is withdrawn"),
            )
        same = [each for each in good if each.key_sha256 == request.key_sha256 and each.kind == kind]
        if same and not renew and not same[-1].is_due(self._now()) and not hosts:
            signed = Signed(same[-1], self.pem_of(same[-1]), is_new=False)
        else:
            signed = self._issue(request.public_key, name, kind, hosts)
        if kind == "gateway":
            write_whole(self.folder / "requests" / f"{name}.csr", request.pem)
        if others and not keep_others:
            self._withdraw(others, "superseded")
        return signed

    def has_other_key(self, request: SigningRequest) -> bool:
        """Return whether a good certificate for another key has the name of a request."""
        return any(
            each.key_sha256 != request.key_sha256 and each.is_good(self._now())
            for each in self.index.of(request.common_name)
        )

    def sign_own(self, name: str, *, kind: str, hosts: Sequence[str] = ()) -> tuple[bytes, bytes]:
        """Return (certificate, key) as PEM of a new pair made here: a server's, or of a probe."""
        key = certificates.new_key()
        signed = self._issue(key.public_key(), name, kind, hosts)
        return signed.pem, certificates.key_pem(key, None)

    def _issue(
        self, public_key: ec.EllipticCurvePublicKey, name: str, kind: str, hosts: Sequence[str]
    ) -> Signed:
        now = dt.datetime.fromtimestamp(self._now(), dt.UTC)
        if now + dt.timedelta(days=30) > self.certificate.not_valid_after_utc:
            raise NotSigned(
                _("the authority itself ends on {date}").format(
                    date=self.certificate.not_valid_after_utc.date()
                ),
                _("make a new one: sinyal-provision ca init, and carry both to the gateways"),
            )
        made = certificates.certificate(
            self.certificate, self._key, public_key, name=name, kind=kind, now=now, hosts=hosts
        )
        issued = Issued(
            serial=f"{made.serial_number:x}",
            name=name,
            kind=kind,
            key_sha256=key_sha256(public_key),
            issued_ts=int(now.timestamp()),
            ends_ts=int(made.not_valid_after_utc.timestamp()),
        )
        pem = certificates.pem(made)
        # First the file, then the index: what the index names is there after a power cut, too.
        write_whole(self.folder / "issued" / f"{issued.serial}.pem", pem)
        self.index.add_issued(issued)
        return Signed(issued, pem, is_new=True)

    def _require_name(self, name: str, kind: str) -> None:
        try:
            RULES["gateway"]["id"].accept(name)
        except ValueError:
            raise NotSigned(
                _("{name!r} cannot be a name in a certificate").format(name=name[:80]),
                RULES["gateway"]["id"].allowed(),
            ) from None
        held = {each.kind for each in self.index.of(name)}
        if (name in CHECK_NAMES and kind != "check") or (held and kind not in held):
            raise NotSigned(
                _("the name {name} belongs to another kind of certificate").format(name=name),
                _("take another name"),
            )

    def now(self) -> float:
        """Return the time this authority goes by, in UTC seconds."""
        return self._now()

    def revoke(self, name: str, reason: str) -> list[Issued]:
        """Withdraw every certificate of a name and write the CRL; return those that were still good."""
        good = [each for each in self.index.of(name) if each.is_good(self._now())]
        self._withdraw(good, reason)
        return good

    def _withdraw(self, each_of: Iterable[Issued], reason: str) -> None:
        for issued in each_of:
            self.index.add_revoked(issued.serial, int(self._now()), reason)
        self.write_crl()

    def write_crl(self) -> Path:
        """Write the CRL from the index and return its file."""
        revoked = [
            (each.serial, each.revoked_ts, each.reason)
            for each in self.index.all()
            if each.revoked_ts is not None
        ]
        made = certificates.revocation_list(
            self.certificate, self._key, revoked, now=dt.datetime.fromtimestamp(self._now(), dt.UTC)
        )
        file = self.folder / CRL_FILE
        write_whole(file, certificates.pem(made))
        return file

    def renew(self, name: str) -> Signed:
        """Make a new certificate for the key that a gateway has; raises NotSigned without its request."""
        try:
            pem = (self.folder / "requests" / f"{name}.csr").read_bytes()
        except OSError:
            raise NotSigned(
                _("there is no request of {name} to renew from").format(name=name),
                _("make one on the gateway: sinyal enrol request"),
            ) from None
        return self.sign(read_request(pem), kind="gateway", renew=True)

    def pem_of(self, issued: Issued) -> bytes:
        """Return a certificate as it was given."""
        return (self.folder / "issued" / f"{issued.serial}.pem").read_bytes()

    def signature_of(self, content: bytes) -> bytes:
        """Return the authority's signature (ECDSA with SHA-256, DER) of a hash list."""
        return self._key.sign(content, ec.ECDSA(hashes.SHA256()))


def create(folder: Path, name: str, passphrase: bytes, *, now: Callable[[], float] = time.time) -> Authority:
    """Make an authority in a folder that is empty or not there; raises UsageMistake, OSError."""
    if folder.exists() and any(folder.iterdir()):
        raise UsageMistake(
            _("{folder} is not empty").format(folder=folder),
            _("name a new folder; an authority is never overwritten"),
        )
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    key = certificates.new_key()
    made = certificates.self_signed(key, name, dt.datetime.fromtimestamp(now(), dt.UTC))
    write_whole(folder / KEY_FILE, certificates.key_pem(key, passphrase), SECRET_MODE)
    write_whole(folder / CA_FILE, certificates.pem(made))
    authority = Authority(folder, made, key, now=now)
    cert, own_key = authority.sign_own(WITHDRAWN_NAME, kind="withdrawn")
    authority.revoke(WITHDRAWN_NAME, "retired")
    write_whole(folder / WITHDRAWN_FOLDER / "cert.pem", cert)
    write_whole(folder / WITHDRAWN_FOLDER / "key.pem", own_key, SECRET_MODE)
    return authority


def read_certificate(folder: Path) -> x509.Certificate:
    """Return the authority's certificate; raises UsageMistake without one, NoPermission."""
    try:
        return x509.load_pem_x509_certificate((folder / CA_FILE).read_bytes())
    except PermissionError:
        # Not "there is none, make one": this one must not be lost sight of.
        raise NoPermission(
            _("no permission for {path}").format(path=folder), _("repeat the command as the user who owns it")
        ) from None
    except (OSError, ValueError):
        raise UsageMistake(
            _("{folder} holds no authority").format(folder=folder),
            _("name its folder with --ca, or make one: sinyal-provision ca init {folder}").format(
                folder=folder
            ),
        ) from None


def open_authority(folder: Path, passphrase: bytes, *, now: Callable[[], float] = time.time) -> Authority:
    """Open the key of an authority; raises PassphraseWrong, UsageMistake, IndexDamaged, OSError."""
    certificate = read_certificate(folder)
    content = (folder / KEY_FILE).read_bytes()
    try:
        key = serialization.load_pem_private_key(content, passphrase)
    except (ValueError, TypeError):
        raise PassphraseWrong(
            _("the passphrase does not open {file}").format(file=folder / KEY_FILE),
            _("type it again; nobody can recover a lost one"),
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise UsageMistake(
            _("{file} is not the key of {ca}").format(file=folder / KEY_FILE, ca=folder / CA_FILE),
            _("take the folder of the authority from its last backup"),
        )
    return Authority(folder, certificate, key, now=now)


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate in groups of four hex digits, as people compare it."""
    digits = certificate.fingerprint(hashes.SHA256()).hex().upper()
    return " ".join(digits[at : at + 4] for at in range(0, 64, 4))
