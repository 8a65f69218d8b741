"""Writing a bundle: rendered first, compared with what is there, and left alone if it is the same."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.errors import SinyalError
from agent.language import _
from provisioning.authority.folder import CA_FILE, Authority, fingerprint
from provisioning.bundle.label import Place, label_page
from provisioning.bundle.seal import COMES_LATER, LIST_FILE, SIGNATURE_FILE, hash_list, is_signed
from provisioning.bundle.settings import gateway_settings
from provisioning.inventory.register import Register
from provisioning.inventory.sites import Site
from provisioning.whole_files import PUBLIC_MODE, write_whole

INSTALLER = Path(__file__).with_name("install.sh")


@dataclass(frozen=True)
class Fleet:
    """What every bundle has in common: the broker's address, shared settings."""

    host: str
    port: int = 8883
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def bundle_files(site: Site, fleet: Fleet, register: Register, authority: Authority) -> dict[str, bytes]:
    """Return the files of a site's bundle by name, without its seal; raises ConfigMistake."""
    village = register.village(site.kode_desa)
    if village is None:
        # The list was checked before; this guards whoever calls without.
        raise SinyalError(_("the code {code} is in no edition of the register").format(code=site.kode_desa))
    place = Place(village.name, village.kecamatan, village.kabupaten)
    return {
        "sinyal.toml": gateway_settings(site, fleet.host, fleet.port, fleet.settings).encode(),
        "ca.pem": (authority.folder / CA_FILE).read_bytes(),
        "label.html": label_page(site, place, fingerprint(authority.certificate)),
        "install.sh": INSTALLER.read_bytes(),
    }


def write_bundle(folder: Path, files: Mapping[str, bytes], authority: Authority) -> bool:
    """Write and seal a bundle; return False when it was there already, whole and the same.

    A request that the gateway has put beside it stays. Raises OSError.
    """
    listed = hash_list(dict(files))
    if _is_whole(folder, files, listed, authority):
        return False
    folder.mkdir(parents=True, exist_ok=True)
    # First the seal goes: half a bundle after a power cut must not look like a whole one.
    (folder / SIGNATURE_FILE).unlink(missing_ok=True)
    for file in folder.iterdir():
        if file.name not in files and not file.name.endswith(COMES_LATER):
            file.unlink()
    for name, content in files.items():
        write_whole(folder / name, content, 0o755 if name.endswith(".sh") else PUBLIC_MODE)
    write_whole(folder / LIST_FILE, listed)
    write_whole(folder / SIGNATURE_FILE, authority.signature_of(listed))
    return True


def _is_whole(folder: Path, files: Mapping[str, bytes], listed: bytes, authority: Authority) -> bool:
    try:
        same = all((folder / name).read_bytes() == content for name, content in files.items())
        present, signature = (folder / LIST_FILE).read_bytes(), (folder / SIGNATURE_FILE).read_bytes()
    except OSError:
        return False
    return same and present == listed and is_signed(listed, signature, authority.certificate)
