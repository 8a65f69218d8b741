"""Certificate requests as boxes make them, good and bad ones."""

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make an EC P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def request_pem(
    name: str, key: Key | None = None, *, more: tuple[tuple[x509.ObjectIdentifier, str], ...] = ()
) -> bytes:
    """Return a request for a name; more are further parts of its subject."""
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, name), *(x509.NameAttribute(*part) for part in more)]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(parts))
    # Asks for what it shall never get.
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(
        x509.SubjectAlternativeName([x509.DNSName("broker.example")]), critical=False
    )
    return builder.sign(key or new_key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
