"""The seal of a bundle: a list of hashes, signed by the authority. What is not listed does not belong."""

import hashlib
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from agent.errors import SinyalError
from agent.language import _

LIST_FILE, SIGNATURE_FILE = "SHA256SUMS", "SHA256SUMS.sig"
COMES_LATER = (".csr", ".pem")
"""What is put beside it afterwards: the gateway's request and its certificate, which prove themselves."""


class BundleTampered(SinyalError):
    """A bundle is not what the authority sealed."""


def hash_list(files: dict[str, bytes]) -> bytes:
    """Return the list as `sha256sum` writes and checks it."""
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items())]
    return "".join(lines).encode()


def is_signed(listed: bytes, signature: bytes, authority: x509.Certificate) -> bool:
    """Return whether the authority signed the list."""
    key = authority.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    try:
        key.verify(signature, listed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _lines_of(listed: bytes) -> list[tuple[str, str, str]]:
    return [line.partition("  ") for line in listed.decode().splitlines()]


def check_bundle(folder: Path, authority: x509.Certificate) -> None:
    """Raise BundleTampered unless a folder holds exactly what the authority sealed."""
    again = _("make it anew: sinyal-provision gateway new")
    try:
        listed, signature = (folder / LIST_FILE).read_bytes(), (folder / SIGNATURE_FILE).read_bytes()
    except OSError as error:
        raise BundleTampered(
            _("{folder} has no seal: {reason}").format(folder=folder, reason=error.strerror), again
        ) from None
    if not is_signed(listed, signature, authority):
        raise BundleTampered(_("the seal of {folder} is not of this authority").format(folder=folder), again)
    expected = {name: digest for digest, _blanks, name in _lines_of(listed)}
    found = {file.name for file in folder.iterdir() if not file.name.endswith(COMES_LATER)}
    strange = sorted(found - expected.keys() - {LIST_FILE, SIGNATURE_FILE})
    if strange:
        raise BundleTampered(
            _("{file} does not belong to the bundle").format(file=folder / strange[0]), again
        )
    for name, digest in expected.items():
        file = folder / name
        if file.is_symlink() or not file.is_file():
            raise BundleTampered(_("{file} is missing").format(file=file), again)
        if hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            raise BundleTampered(_("{file} was changed").format(file=file), again)
