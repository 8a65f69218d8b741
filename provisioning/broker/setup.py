"""The folder of a rendered broker set-up: what goes to the broker's machine, as a whole."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509

from provisioning.authority.folder import CA_FILE, CRL_FILE, Authority
from provisioning.broker.render import (
    ACL_FILE,
    CONFIG_FILE,
    SERVER_CERT_FILE,
    SERVER_KEY_FILE,
    BrokerPlan,
    acl,
    configuration,
)
from provisioning.whole_files import SECRET_MODE, write_whole


def write_setup(folder: Path, plan: BrokerPlan, authority: Authority, hosts: Sequence[str]) -> bool:
    """Write everything; return whether the server got a new certificate. Raises OSError, NotSigned.

    The certificate that is there stays while it is for the same names and not due.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / CONFIG_FILE, configuration(plan).encode())
    write_whole(folder / ACL_FILE, acl(plan).encode())
    write_whole(folder / CA_FILE, (authority.folder / CA_FILE).read_bytes())
    write_whole(folder / CRL_FILE, (authority.folder / CRL_FILE).read_bytes())
    if _is_still_good(folder, authority, hosts):
        return False
    cert, key = authority.sign_own(hosts[0], kind="server", hosts=hosts)
    write_whole(folder / SERVER_KEY_FILE, key, SECRET_MODE)
    write_whole(folder / SERVER_CERT_FILE, cert)
    return True


def _is_still_good(folder: Path, authority: Authority, hosts: Sequence[str]) -> bool:
    if not (folder / SERVER_KEY_FILE).exists():
        return False
    try:
        present = x509.load_pem_x509_certificate((folder / SERVER_CERT_FILE).read_bytes())
        names = present.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    serial = f"{present.serial_number:x}"
    known = [each for each in authority.index.of(hosts[0]) if each.serial == serial]
    found = [
        *names.get_values_for_type(x509.DNSName),
        *(str(address) for address in names.get_values_for_type(x509.IPAddress)),
    ]
    now_ts = dt.datetime.now(dt.UTC).timestamp()
    return bool(known) and not known[0].is_due(now_ts) and sorted(found) == sorted(hosts)
