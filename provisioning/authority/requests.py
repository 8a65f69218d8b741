"""Certificate requests: untrusted files from boxes. What is taken from one is its key and its name alone."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.errors import SinyalError
from agent.language import _

MAX_BYTES = 16_384
"""A request of an EC key has some 500 bytes."""


class RequestRefused(SinyalError):
    """A certificate request is damaged, forged, or asks for what is not signed here."""


@dataclass(frozen=True)
class SigningRequest:
    """A request whose own signature is good: the name it asks for and its public key."""

    common_name: str
    public_key: ec.EllipticCurvePublicKey
    pem: bytes

    @property
    def key_sha256(self) -> str:
        """Return the SHA-256 of the public key (SubjectPublicKeyInfo), 64 hex digits."""
        return key_sha256(self.public_key)


def key_sha256(public_key: ec.EllipticCurvePublicKey) -> str:
    """Return the SHA-256 of a public key (SubjectPublicKeyInfo), 64 hex digits."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(
        public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return digest.finalize().hex()


def read_request(pem: bytes) -> SigningRequest:
    """Return what a PEM request asks for; raises RequestRefused.

    Extensions are not looked at: what a certificate may do is decided by the authority alone.
    """
    again = _("make a new request on the gateway: sinyal enrol request")
    if len(pem) > MAX_BYTES:
        raise RequestRefused(_("the request has more than {n} bytes").format(n=MAX_BYTES), again)
    try:
        request = x509.load_pem_x509_csr(pem)
        public_key = request.public_key()
        genuine = request.is_signature_valid
        names = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        raise RequestRefused(_("this is no certificate request in PEM form"), again) from None
    if not genuine:
        raise RequestRefused(_("the request's own signature is wrong: it was changed on its way"), again)
    if not isinstance(public_key, ec.EllipticCurvePublicKey) or not isinstance(
        public_key.curve, ec.SECP256R1
    ):
        raise RequestRefused(_("the key of the request is not EC P-256"), again)
    if len(names) != 1 or len(list(request.subject)) != 1 or not isinstance(names[0].value, str):
        raise RequestRefused(_("the request must hold one name (CN) and nothing else"), again)
    return SigningRequest(names[0].value, public_key, pem)
