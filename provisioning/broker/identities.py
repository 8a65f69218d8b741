"""The certificates that `broker check` comes with: made for an hour and thrown away, or given as files."""

import datetime as dt
from pathlib import Path

from provisioning.authority import certificates
from provisioning.authority.folder import CHECK_NAMES, WITHDRAWN_FOLDER, WITHDRAWN_NAME, Authority
from provisioning.broker.ears import Identity
from provisioning.whole_files import SECRET_MODE, write_whole


def own_identities(authority: Authority, folder: Path) -> tuple[Identity, Identity, Identity]:
    """Return two gateways and a listener, good for an hour, their keys in a private `folder`."""
    made = []
    for name in CHECK_NAMES:
        cert, key = authority.sign_own(name, kind="check")
        made.append(_stored(folder, name, name, cert, key))
    return made[0], made[1], made[2]


def foreign_identity(folder: Path, name: str) -> Identity:
    """Return a certificate for `name` by an authority that nobody knows."""
    now = dt.datetime.now(dt.UTC)
    authority_key, key = certificates.new_key(), certificates.new_key()
    authority = certificates.self_signed(authority_key, "Foreign CA", now)
    made = certificates.certificate(
        authority, authority_key, key.public_key(), name=name, kind="check", now=now
    )
    return _stored(folder, "foreign", name, certificates.pem(made), certificates.key_pem(key, None))


def withdrawn_identity(folder: Path) -> Identity | None:
    """Return the pair of an authority's folder that every CRL holds, None where it is not there."""
    cert, key = folder / WITHDRAWN_FOLDER / "cert.pem", folder / WITHDRAWN_FOLDER / "key.pem"
    return Identity(WITHDRAWN_NAME, cert, key) if cert.exists() and key.exists() else None


def _stored(folder: Path, file_name: str, name: str, cert: bytes, key: bytes) -> Identity:
    cert_file, key_file = folder / f"{file_name}.pem", folder / f"{file_name}.key"
    write_whole(cert_file, cert)
    write_whole(key_file, key, SECRET_MODE)
    return Identity(name, cert_file, key_file)
