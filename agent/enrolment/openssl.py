"""The program `openssl`, which makes keys and requests: the standard library has no such thing.

It is part of Raspberry Pi OS; on OpenWrt it is the package openssl-util. No key ever stands in an argument,
and its own configuration file is not needed.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from agent.errors import SinyalError
from agent.language import _

TIMEOUT_S = 120.0
"""Making a key takes seconds on the smallest board while its random numbers are young."""

_CONFIGURATION = "[req]\ndistinguished_name = dn\nprompt = no\n[dn]\n"


class OpensslMissing(SinyalError):
    """There is no program openssl."""


class OpensslFailed(SinyalError):
    """openssl refused what it was asked."""


def openssl(*arguments: str | Path, given: bytes = b"") -> bytes:
    """Run openssl and return what it prints; raises OpensslMissing, OpensslFailed with its own words."""
    program = shutil.which("openssl")
    if program is None:
        raise OpensslMissing(
            _("the program openssl is not installed"),
            _("apt-get install openssl, or on OpenWrt: opkg install openssl-util"),
        )
    with tempfile.TemporaryDirectory(prefix="sinyal-") as folder:
        configuration = Path(folder) / "openssl.cnf"
        configuration.write_text(_CONFIGURATION)
        environment = {**os.environ, "OPENSSL_CONF": str(configuration), "LC_ALL": "C"}
        try:
            done = subprocess.run(
                [program, *map(str, arguments)],
                input=given,
                capture_output=True,
                timeout=TIMEOUT_S,
                check=False,
                env=environment,
            )
        except subprocess.TimeoutExpired:
            raise OpensslFailed(_("openssl {verb} does not end").format(verb=arguments[0])) from None
    if done.returncode:
        raise OpensslFailed(
            _("openssl {verb} failed: {reason}").format(verb=arguments[0], reason=_last_line(done.stderr))
        )
    return done.stdout


def _last_line(output: bytes) -> str:
    lines: Sequence[str] = output.decode("utf-8", "replace").split("\n")
    told = [line.strip() for line in lines if line.strip()]
    return "".join(sign for sign in told[-1] if sign.isprintable())[:200] if told else "?"
