"""A port in memory: strict, and it records what was written."""

import time
from collections.abc import Callable


class ScriptedPort:
    """Answers each written command with what `answer` gives: chunks, read one at a time.

    A chunk that is a number is a pause in seconds. Bytes may also be put on the line with `push`.
    """

    def __init__(self, answer: Callable[[str], list[bytes | float]]) -> None:
        self._answer = answer
        self._line: list[bytes | float] = []
        self.written: list[str] = []

    def push(self, *chunks: bytes | float) -> None:
        self._line.extend(chunks)

    def write(self, command: bytes) -> None:
        assert command.endswith(b"\r") and command.count(b"\r") == 1
        text = command[:-1].decode("ascii")
        self.written.append(text)
        self.push(*self._answer(text))

    def read(self, timeout_s: float) -> bytes:
        if self._line and isinstance(self._line[0], float):
            if self._line[0] > timeout_s:
                self._line[0] -= timeout_s
                time.sleep(timeout_s)
                return b""
            time.sleep(self._line.pop(0))  # type: ignore[arg-type]
        if self._line:
            chunk = self._line.pop(0)
            assert isinstance(chunk, bytes)
            return chunk
        time.sleep(timeout_s)
        return b""
