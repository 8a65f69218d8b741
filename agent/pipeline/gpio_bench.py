"""The wiring of the box under a technician's hands: through the running agent, or by ourselves.

Two programs never have one line, so the running agent is asked; it ends a cut of the modem's power by itself.
Without an agent a child does the cutting, which ends it when this process ends, however that happens.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from agent.config.model import Config
from agent.errors import SinyalError
from agent.language import _, current_language
from agent.pipeline.control_client import ask_daemon

END_OF_CUT_S = 5.0


class Bench(Protocol):
    """Does one thing with one role at a time; all methods raise SinyalError."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Return the roles that have a line."""

    def light(self, role: str, *, lit: bool) -> None:
        """Hold a light on or off for some seconds."""

    def beep(self) -> None:
        """Play three tones, each higher."""

    def is_active(self, role: str) -> bool:
        """Return the level of an input now."""

    def cut_modem(self) -> float:
        """Begin to cut the modem's power; return for how many seconds it will be away."""

    def close(self) -> None:
        """Leave everything safe: the modem has its power."""


class AgentBench:
    """Through the running agent."""

    def __init__(self, config: Config) -> None:
        self._runtime = config.paths.runtime
        self._off_s = config.gpio.relay_off_s
        self._has_cut = False
        told = ask_daemon(self._runtime, "gpio_roles")
        self.roles = tuple(str(role) for role in told["roles"])

    def light(self, role: str, *, lit: bool) -> None:
        """Hold a light on or off for some seconds."""
        self._try(role, "on" if lit else "off")

    def beep(self) -> None:
        """Play three tones, each higher."""
        self._try("buzzer", "beep")

    def is_active(self, role: str) -> bool:
        """Return the level of an input now."""
        return bool(self._try(role, "read")["active"])

    def cut_modem(self) -> float:
        """Ask for one cut."""
        if not self._try("relay", "cut")["done"]:
            raise SinyalError(
                _("the modem's power was cut a moment ago"),
                _("wait as long as gpio.relay_pause_s says, then test again"),
            )
        self._has_cut = True
        return self._off_s

    def close(self) -> None:
        """Have a cut ended that may be under way; the agent would do so by itself a little later."""
        if self._has_cut:
            with contextlib.suppress(SinyalError):
                self._try("relay", "restore")

    def _try(self, role: str, what: str) -> Mapping[str, Any]:
        return ask_daemon(self._runtime, "gpio_try", role=role, what=what)


class OwnBench:
    """With the lines to ourselves; the relay's belongs to a child as long as it cuts, to nobody else."""

    def __init__(self, config: Config) -> None:
        from agent.pipeline.box_control import try_role, wiring_of
        from firmware_hooks.gpio.adapters import open_adapter
        from firmware_hooks.gpio.panel import Panel

        self._try = try_role
        self._gpio, self._runtime = config.gpio, config.paths.runtime
        self._holder: subprocess.Popen[bytes] | None = None
        _make_folder(self._runtime)
        adapter = open_adapter(self._gpio.adapter, self._runtime)
        self._panel = Panel(adapter, wiring_of(self._gpio)._replace(relay=""))
        self._panel.start()
        self.roles = (*self._panel.roles, *(["relay"] if self._gpio.relay else []))

    def light(self, role: str, *, lit: bool) -> None:
        """Hold a light on or off for some seconds."""
        self._try(self._panel, role, "on" if lit else "off", lambda: False)

    def beep(self) -> None:
        """Play three tones, each higher."""
        self._try(self._panel, "buzzer", "beep", lambda: False)

    def is_active(self, role: str) -> bool:
        """Return the level of an input now."""
        return self._panel.read(role)

    def cut_modem(self) -> float:
        """Have a child cut the power that restores it when this process is gone."""
        self._end_cut()
        gpio = self._gpio
        arguments = [gpio.adapter, gpio.relay, str(gpio.relay_off_s), str(self._runtime), current_language()]
        self._holder = subprocess.Popen(
            [sys.executable, "-P", "-m", "firmware_hooks.gpio.hold_relay", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=_environment(),
        )
        assert self._holder.stdout is not None
        if not self._holder.stdout.readline():
            assert self._holder.stderr is not None
            what, _end, step = self._holder.stderr.read().decode(errors="replace").strip().partition("\n")
            raise SinyalError(what.rpartition("\n")[2] or "?", step)
        return gpio.relay_off_s

    def close(self) -> None:
        """Give the modem its power and all lines back."""
        self._end_cut()
        self._panel.stop()

    def _end_cut(self) -> None:
        holder, self._holder = self._holder, None
        if holder is None:
            return
        assert holder.stdin is not None
        holder.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            holder.wait(END_OF_CUT_S)
        for pipe in (holder.stdout, holder.stderr):
            if pipe is not None:
                pipe.close()


def _environment() -> dict[str, str]:
    home = str(Path(__file__).parents[2])
    known = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{home}{os.pathsep}{known}" if known else home}


def _make_folder(runtime: Path) -> None:
    try:
        runtime.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise SinyalError(
            _("the folder {folder} cannot be made: {reason}").format(folder=runtime, reason=fault.strerror),
            _("run as the user sinyal or with sudo, or move paths.state and paths.runtime"),
        ) from None
