"""Puts the page into the folder that a web server shows; a reader sees the old page or the new one."""

import contextlib
import os
from pathlib import Path

from agent.errors import NoPermission, SinyalError
from agent.language import _, system_reason

PAGE_NAME = "index.html"
MODE = 0o644
"""The web server is another user."""


def put_page(folder: Path, page: str) -> Path:
    """Write the page into `folder`, which is made if it is missing; return its path. Raises SinyalError."""
    target, beside = folder / PAGE_NAME, folder / f".{PAGE_NAME}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # No fsync: a page that a power cut spoils is written anew after the next start.
        beside.write_text(page, encoding="utf-8")
        beside.chmod(MODE)
        beside.replace(target)
    except PermissionError:
        raise NoPermission(
            _("no permission to write {path}").format(path=target),
            _("use sudo, or choose another folder: sinyal config set page.folder PATH"),
        ) from None
    except OSError as error:
        raise SinyalError(
            _("the page {path} cannot be written: {reason}").format(
                path=target, reason=system_reason(error.strerror)
            ),
            _("make room on the disk, or choose another folder: sinyal config set page.folder PATH"),
        ) from None
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()
    return target
