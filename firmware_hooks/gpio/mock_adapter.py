"""No hardware: each line is a file, so that a test or a bench in another process sees and moves it.

`<folder>/<line>` holds 1 (active) or 0; `<folder>/history` a line "time.monotonic() name level" for each
change of an output. Inputs are files too, read every LOOK_S; one that is missing is inactive.
"""

import threading
import time
from contextlib import suppress
from pathlib import Path

from firmware_hooks.gpio.lines import Changed, Line

LOOK_S = 0.02

MAX_HISTORY_BYTES = 256 * 1024


class MockAdapter:
    """Lines as files in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._inputs: list[_Input] = []

    def output(self, line: Line) -> "_Output":
        """Return a file as an output."""
        return _Output(self._folder, _file_name(line))

    def input(self, line: Line, changed: Changed) -> "_Input":
        """Return a file as an input."""
        watched = _Input(self._folder / _file_name(line), changed)
        self._inputs.append(watched)
        return watched

    def sounder(self, line: Line) -> "_Sounder":
        """Return a file that holds the pitch."""
        return _Sounder(self._folder, _file_name(line))

    def close(self) -> None:
        """Watch nothing any more."""
        for one in self._inputs:
            one.close()


def _file_name(line: Line) -> str:
    return line.name.replace(":", "_")


class _Output:
    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self.write(False)

    def write(self, active: bool) -> None:
        _note(self._folder, self._name, str(int(active)))

    def close(self) -> None:
        self.write(False)


class _Sounder:
    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name

    def sound(self, pitch_hz: float | None) -> None:
        _note(self._folder, self._name, str(round(pitch_hz or 0)))

    def close(self) -> None:
        self.sound(None)


def _note(folder: Path, name: str, level: str) -> None:
    with suppress(OSError):  # a bench that took its folder away
        (folder / name).write_text(level)
        with (folder / "history").open("a") as history:
            if history.tell() > MAX_HISTORY_BYTES:
                history.truncate(0)
            history.write(f"{time.monotonic():.3f} {name} {level}\n")


class _Input:
    def __init__(self, file: Path, changed: Changed) -> None:
        self._file, self._changed = file, changed
        self._level = False
        self._level = self.read()
        self._stop = threading.Event()
        threading.Thread(target=self._work, name="mock-input", daemon=True).start()

    def read(self) -> bool:
        try:
            text = self._file.read_text().strip()
        except OSError:
            return False
        # Empty: somebody is just about to write it.
        return text == "1" if text else self._level

    def close(self) -> None:
        self._stop.set()

    def _work(self) -> None:
        while not self._stop.wait(LOOK_S):
            level = self.read()
            if level != self._level:
                self._level = level
                self._changed(level, time.monotonic())
