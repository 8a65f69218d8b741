"""The framing of AT answers: bytes become lines, and a line is an answer, a final result or a notice.

Nothing here touches a port. Source: ITU-T V.250 clause 5.7 (result codes), 3GPP TS 27.007 clause 9.2
(+CME ERROR), TS 27.005 clause 3.2.5 (+CMS ERROR).
"""

from dataclasses import dataclass

MAX_LINE_BYTES = 2048
"""A longer run without a line end is noise and is thrown away."""

_NOISE = bytes(code for code in (*range(32), 127) if code not in b"\t\r\n")

_C1 = dict.fromkeys(range(0x80, 0xA0))
"""Control characters too: U+009B steers a terminal as ESC [ does."""

_CALL_RESULTS = frozenset(("NO CARRIER", "BUSY", "NO ANSWER", "NO DIALTONE", "NO DIAL TONE"))
_PLAIN_RESULTS = _CALL_RESULTS | {"OK", "ERROR", "COMMAND NOT SUPPORT", "TOO MANY PARAMETERS", "MODEM ERROR"}
_NUMBERED_RESULTS = ("+CME ERROR", "+CMS ERROR")

_BOOT_NOTICES = ("RDY", "APP RDY", "^BOOT", "MODEM:STARTUP", "^SYSSTART", "NORMAL POWER DOWN")
"""The modem has just started (or goes down now): every setting is gone."""

_START_UP_NOTICES = (
    "SMS DONE",
    "SMS READY",
    "CALL READY",
    "PB DONE",
    "PB READY",
    "+PBREADY",
    "+QIND: SMS DONE",
)
"""Printed once, up to a minute after a start; on their own they too tell that there was one."""

_NOTICE_WORDS = frozenset((*_BOOT_NOTICES, *_START_UP_NOTICES, "RING", "POWERED DOWN"))
_NOTICE_SIGNS = "+^*#%!$&_"


class LineSplitter:
    """Turns chunks of bytes into lines, whatever the line ends: CR LF, CR CR LF, bare LF or bare CR."""

    def __init__(self) -> None:
        self._tail = b""

    def feed(self, chunk: bytes) -> list[str]:
        """Return the lines that `chunk` completes, without blank ones, NULs and other control bytes."""
        *lines, tail = (self._tail + chunk.translate(None, _NOISE).replace(b"\r", b"\n")).split(b"\n")
        # What is too long stays begun, so that its end does not look like a line of its own.
        self._tail = tail[:MAX_LINE_BYTES]
        texts = (_text(line[:MAX_LINE_BYTES]) for line in lines)
        return [text for text in texts if text]

    @property
    def unfinished(self) -> str:
        """Return the line that has begun and not yet ended, "" when there is none."""
        return _text(self._tail)

    def forget(self) -> None:
        """Drop the unfinished line."""
        self._tail = b""


def _text(line: bytes) -> str:
    text = line.decode("utf-8", "replace")
    return (text if text.isascii() else text.translate(_C1)).strip()


@dataclass(frozen=True, slots=True)
class FinalResult:
    """How the modem ended an answer.

    word: "OK", "ERROR", "+CME ERROR", … code: the error's number, None when it came as words or empty.
    text: the error's words as printed, "" when it came as a number or empty.
    """

    word: str
    code: int | None = None
    text: str = ""

    @property
    def is_ok(self) -> bool:
        """Return True when the command was carried out."""
        return self.word == "OK"

    @property
    def is_of_a_call(self) -> bool:
        """Return True for the end of a call, which also comes unasked, in the middle of another answer."""
        return self.word in _CALL_RESULTS


def read_final_result(line: str) -> FinalResult | None:
    """Return the final result that `line` is as a whole, or None: "OKAY" and "ERRORS: 0" are none."""
    if line in _PLAIN_RESULTS:
        return FinalResult(line)
    word, _, cause = line.partition(":")
    word, cause = word.rstrip(), cause.strip()
    if word not in _NUMBERED_RESULTS:
        return None
    if cause.isascii() and cause.isdigit() and len(cause) < 6:
        return FinalResult(word, code=int(cause))
    return FinalResult(word, text=cause)


def tells_of_boot(line: str) -> bool:
    """Return True for a notice that the modem starts or stops right now."""
    return line.upper().startswith(_BOOT_NOTICES)


def tells_of_start_up(line: str) -> bool:
    """Return True for a notice that ends a start which may lie up to a minute back."""
    return line.upper().startswith(_START_UP_NOTICES)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came after a command.

    lines: everything but echo and final result, in order of arrival, notices included.
    final: None when the deadline, the byte cap or a silence came before a final result. wanted_text: the
    modem asked for a text ("> ") and was told that there is none.
    """

    command: str
    lines: tuple[str, ...]
    final: FinalResult | None
    wanted_text: bool = False

    def answers(self, *prefixes: str) -> list[str]:
        """Return the text after its prefix of each answer line, split off from unsolicited lines.

        prefixes: "" among them stands for lines without a prefix that are no notices. A line whose
        quotes stay open is joined with the one that closes them: some networks put a line end into
        the operator's name.
        """
        found: list[str] = []
        unfinished = ""
        for line in self.lines:
            prefix = next((one for one in prefixes if one and line.startswith(one)), None)
            if prefix is not None:
                text = line[len(prefix) :].strip()
                unfinished = text if text.count('"') % 2 else ""
                if not unfinished:
                    found.append(text)
            elif unfinished and '"' in line and is_answer(line, ("",)):
                found.append(unfinished + line)
                unfinished = ""
            elif "" in prefixes and is_answer(line, ("",)):
                found.append(line)
        return found


def is_answer(line: str, prefixes: tuple[str, ...]) -> bool:
    """Return True when `line` begins with one of the prefixes; "" stands for all but notices."""
    if "" not in prefixes:
        return line.startswith(prefixes)
    if line.startswith(tuple(prefix for prefix in prefixes if prefix)):
        return True
    return line[0] not in _NOTICE_SIGNS and line.upper() not in _NOTICE_WORDS
