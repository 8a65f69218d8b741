"""What stands in each certificate of the authority, and for how long it is good.

Every notBefore is that of the authority, which lies a year before it was made: a gateway whose clock stopped
on the shelf must still be able to connect. When a certificate was really signed stands in the index.
"""

import datetime as dt
import ipaddress
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = dt.timedelta(days=1)
BACKDATED_BY = 365 * DAY
AUTHORITY_LIFE = 20 * 365 * DAY
LIVES = {
    "gateway": 730 * DAY,
    "centre": 730 * DAY,
    "server": 5 * 365 * DAY,
    "check": DAY / 24,
    "withdrawn": AUTHORITY_LIFE,
}
"""How long a certificate of each kind is good. A gateway may be offline for months; a probe lasts an hour.

"withdrawn" is the one certificate made only to be withdrawn: it shows whether a broker reads the CRL."""

PURPOSES = {
    "gateway": ExtendedKeyUsageOID.CLIENT_AUTH,
    "centre": ExtendedKeyUsageOID.CLIENT_AUTH,
    "check": ExtendedKeyUsageOID.CLIENT_AUTH,
    "withdrawn": ExtendedKeyUsageOID.CLIENT_AUTH,
    "server": ExtendedKeyUsageOID.SERVER_AUTH,
}


def self_signed(key: ec.EllipticCurvePrivateKey, name: str, now: dt.datetime) -> x509.Certificate:
    """Return the authority's own certificate."""
    subject = _name(name)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED_BY)
        .not_valid_after(now + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        # digital_signature: the authority also signs the hash lists of bundles.
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def certificate(
    authority: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    public_key: ec.EllipticCurvePublicKey,
    *,
    name: str,
    kind: str,
    now: dt.datetime,
    hosts: Sequence[str] = (),
) -> x509.Certificate:
    """Return a certificate for `public_key`, good from the authority's birth; hosts are a server's names."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(authority.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(authority.not_valid_before_utc)
        .not_valid_after(min(now + LIVES[kind], authority.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([PURPOSES[kind]]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName(map(_host, hosts)), critical=False)
    return builder.sign(key, hashes.SHA256())


def revocation_list(
    authority: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    revoked: Sequence[tuple[str, int, str]],
    *,
    now: dt.datetime,
) -> x509.CertificateRevocationList:
    """Return the CRL of (serial in hex, UTC second, reason).

    It is good until the authority's end: the broker reads it from a file, and one that ran out would shut
    out every gateway at once.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.subject)
        .last_update(now - DAY)
        .next_update(authority.not_valid_after_utc)
        .add_extension(x509.CRLNumber(int(now.timestamp())), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    for serial, ts, reason in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(int(serial, 16))
            .revocation_date(dt.datetime.fromtimestamp(ts, dt.UTC))
            .add_extension(x509.CRLReason(_REASON_FLAGS[reason]), critical=False)
            .build()
        )
    return builder.sign(key, hashes.SHA256())


_REASON_FLAGS = {
    "lost": x509.ReasonFlags.key_compromise,
    "stolen": x509.ReasonFlags.key_compromise,
    "key_compromise": x509.ReasonFlags.key_compromise,
    "superseded": x509.ReasonFlags.superseded,
    "retired": x509.ReasonFlags.cessation_of_operation,
}


def pem(thing: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    """Return a certificate or CRL as PEM."""
    return thing.public_bytes(serialization.Encoding.PEM)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make an EC P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey, passphrase: bytes | None) -> bytes:
    """Return a private key as PEM (PKCS #8), encrypted when there is a passphrase."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
