"""`sinyal wipe`: the gateway forgets who it was, before it goes to another place or into the bin."""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agent import screen
from agent.cli.typed_answer import is_wanted, require_terminal, typed
from agent.cli.wrapping import say
from agent.config.keys import DEFAULTS
from agent.errors import ConfigMistake, NoPermission, SinyalError
from agent.language import N_, _, ngettext
from agent.pipeline.snapshot import LOCK_NAME, daemon_runs

STATE_FILES = (
    "sinyal.db*",
    "modem.json*",
    "acceptance.json*",
    "enrolled.json*",
    "*.damaged*",
    "*.tmp",
    "*.new",
)
"""What the agent keeps in its state folder; a strange file that lies there stays, and is named."""

KEY_NAMES = ("*.key", "*.key.pem", "*.csr", "*.crt", "*.token")
"""Beside the configuration, whatever their name: keys, requests and certificates."""

RUNTIME_FILES = ("status.json*",)

STOP_WAIT_S = 15.0

SERVICE_COMMANDS = (
    ("/run/systemd/system", ["systemctl", "stop", "sinyal.service"]),
    ("/etc/init.d/sinyal", ["/etc/init.d/sinyal", "stop"]),
)
"""How an agent that a service manager would start anew is stopped: what has to exist, and the command."""

KINDS = {
    "keys": N_("keys and certificates"),
    "identity": N_("configuration with the gateway's id"),
    "history": N_("readings, events and outages"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `sinyal wipe`: none, because nothing here may happen by a script."""


def run(args: argparse.Namespace) -> int:
    """Remove keys, identifiers and history after asking twice; return 1 when it was not wanted."""
    require_terminal("sinyal wipe")
    values, config_file = _configuration(args)
    found = _found(values, config_file)
    if not any(found.values()):
        print(_("There is nothing to remove: this gateway knows nothing of itself."))
        return 0
    _require_rights(found)
    _show(found, values)
    if not is_wanted(_("Remove all of it, for good?")):
        return _nothing_done()
    # The id, typed by hand, tells this box from the one that was meant.
    gateway_id = str(values["gateway.id"]) or _("WIPE")
    if typed(_("Type {word} to confirm:").format(word=gateway_id)) != gateway_id:
        return _nothing_done()
    if daemon_runs(values["paths.runtime"]) and not _stopped(values["paths.runtime"]):
        return _nothing_done()
    # What came into being until the agent had stopped goes as well.
    _remove(_found(values, config_file))
    _say_what_stays(values["paths.state"])
    return 0


def _configuration(args: argparse.Namespace) -> tuple[Mapping[str, Any], Path | None]:
    try:
        loaded = args.configuration.load()
    except ConfigMistake:
        if not args.configuration.is_unconfigured():
            raise
        return DEFAULTS, None
    return loaded.values, loaded.path


def _found(values: Mapping[str, Any], config_file: Path | None) -> dict[str, list[Path]]:
    """Return the files of each kind, in the order in which they are to go: keys first."""
    keys: set[Path] = set()
    for named in (values["broker.key_file"], values["broker.cert_file"]):
        # Beside a key stand its request, and what was being written when the power went.
        if named:
            keys |= {*named.parent.glob(f"{named.name}*"), *named.parent.glob(f"{named.stem}.*")}
    identity: list[Path] = []
    if config_file is not None:
        for pattern in KEY_NAMES:
            keys |= set(config_file.parent.glob(pattern))
        keys.discard(values["broker.ca_file"])
        identity = [config_file, *sorted(config_file.parent.glob(f"{config_file.name}.*"))]
        if config_file.parent.name == "sinyal":
            # OpenWrt writes it again from /etc/config/sinyal at the next start.
            identity += sorted((config_file.parents[1] / "config").glob("sinyal*"))
    state, runtime = values["paths.state"], values["paths.runtime"]
    history = [path for pattern in STATE_FILES for path in sorted(state.glob(pattern))]
    history += [path for pattern in RUNTIME_FILES for path in sorted(runtime.glob(pattern))]
    found = {"keys": sorted(keys), "history": list(dict.fromkeys(history)), "identity": identity}
    return {
        kind: [path for path in paths if path.is_file() or path.is_symlink()] for kind, paths in found.items()
    }


def _require_rights(found: Mapping[str, list[Path]]) -> None:
    for path in (path for paths in found.values() for path in paths):
        if not os.access(path.parent, os.W_OK | os.X_OK, effective_ids=True):
            raise NoPermission(
                _("no permission to remove {path}; nothing was removed").format(path=path), _("use sudo")
            )


def _show(found: Mapping[str, list[Path]], values: Mapping[str, Any]) -> None:
    site = " ".join(str(values[f"gateway.{key}"]) for key in ("id", "site_name", "kode_desa")).strip()
    say(_("This removes from the gateway {site}:").format(site=site or "-"))
    for kind, paths in found.items():
        if paths:
            print(f"  {_(KINDS[kind])}", file=sys.stderr)
            for path in paths:
                print(f"    {path}", file=sys.stderr)
    unsent = _unsent(values)
    if unsent:
        text = ngettext(
            "{n} reading was never sent. Take it along first: sinyal buffer export",
            "{n} readings were never sent. Take them along first: sinyal buffer export",
            unsent,
        )
        say(text.format(n=unsent))
    told = _(
        "The certificate stays valid until it is revoked at the centre: sinyal-provision gateway retire {id}"
    ).format(id=values["gateway.id"] or _("ID"))
    say(told)


def _unsent(values: Mapping[str, Any]) -> int:
    from agent.cli.buffer_source import BufferSource

    try:
        return int(BufferSource(values).stats()["unsent"])
    except SinyalError:
        return 0  # a damaged or missing database is one more reason to wipe


def _nothing_done() -> int:
    print(_("Nothing was removed."), file=sys.stderr)
    return 1


def _stopped(runtime: Path) -> bool:
    """Stop the agent when that is wanted; return whether it has stopped. Raises SinyalError."""
    if not is_wanted(_("The agent still runs. Stop it now?")):
        return False
    for needed, command in SERVICE_COMMANDS:
        if Path(needed).exists():
            with contextlib.suppress(OSError):
                subprocess.run(command, check=False, timeout=60)
    with contextlib.suppress(OSError, ValueError):
        if daemon_runs(runtime):
            os.kill(int((runtime / LOCK_NAME).read_text(encoding="ascii")), signal.SIGTERM)
    ends_at = time.monotonic() + STOP_WAIT_S
    while daemon_runs(runtime):
        if time.monotonic() > ends_at:
            raise SinyalError(
                _("the agent does not stop; nothing was removed"), _("sudo service sinyal stop, then again")
            )
        time.sleep(0.1)
    return True


def _remove(found: Mapping[str, list[Path]]) -> None:
    """Remove the files; raises SinyalError naming the first that stays."""
    folders = set()
    for path in (path for paths in found.values() for path in paths):
        try:
            path.unlink(missing_ok=True)
        except OSError as fault:
            raise SinyalError(
                _("{path} cannot be removed: {reason}; what stands before it in the list is gone").format(
                    path=path, reason=fault.strerror
                ),
                _("look at that disk with `df -h` and `dmesg`, then type sinyal wipe again"),
            ) from None
        folders.add(path.parent)
    for folder in folders:
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            os.fsync(descriptor)
            os.close(descriptor)
    print(_("Removed. This gateway no longer knows who it was."))


def _say_what_stays(state: Path) -> None:
    strangers = list(_strangers(state))
    if strangers:
        names = ", ".join(strangers[:5])
        print(_("Left in {folder}, not ours: {names}").format(folder=state, names=names))
    told = _(
        "Be aware: on a memory card or in flash removed files can be read with special tools until their"
        " place is used again. `sudo fstrim -av` helps on some cards."
        " When the card leaves your hands, destroy it."
    )
    print(screen.broken(told, screen.columns()))


def _strangers(state: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):
        yield from sorted(path.name for path in state.iterdir())
