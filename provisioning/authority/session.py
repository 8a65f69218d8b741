"""Opening an authority for one command: nobody else at it meanwhile, its disk's refusals told."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioning.authority.folder import Authority, open_authority, read_certificate
from provisioning.authority.passphrase import passphrase
from provisioning.whole_files import disk_faults_told, only_user_of


@contextmanager
def opened(folder: Path, passphrase_file: Path | None) -> Iterator[Authority]:
    """Ask for the passphrase and give the authority; raises what passphrase() and open_authority() raise."""
    # Before the passphrase is asked for, so that nobody types it for a folder that is none.
    read_certificate(folder)
    typed = passphrase(passphrase_file)
    with disk_faults_told(folder), only_user_of(folder, wait_s=5):
        yield open_authority(folder, typed)
