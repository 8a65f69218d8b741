"""The language of screens and messages: Indonesian first, English beside it (gettext).

The source texts are English; `agent/locale/id/LC_MESSAGES/sinyal.po` holds the Indonesian ones.
`LANG` is not asked: images ship it as English (contract, section 1).
"""

import os
from pathlib import Path
from typing import Protocol

LANGUAGES = ("id", "en")
DEFAULT_LANGUAGE = "id"


class _Bytes(Protocol):
    """What a catalogue is read from, slice by slice."""

    def __getitem__(self, part: slice, /) -> bytes: ...


class _OnDisk:
    """The bytes of a file that stay on the disk: for a process that seldom speaks and has little memory."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __del__(self) -> None:
        os.close(self._descriptor)

    def __getitem__(self, part: slice, /) -> bytes:
        try:
            return os.pread(self._descriptor, part.stop - part.start, part.start)
        except OSError:  # a card that fails must still be told of, in English then
            return b""


class _Catalogue:
    """The translations in one compiled catalogue (GNU gettext manual, 10.3 "The Format of GNU MO Files").

    gettext.GNUTranslations decodes every text before it can show one, which takes longer with each text
    that is added. Here one is looked up when it is needed, by halving the sorted originals.
    """

    def __init__(self, content: _Bytes, also: "_Catalogue | None" = None) -> None:
        self._content = content
        self._also = also
        self._count, self._originals, self._translations = (self._number(at) for at in (8, 12, 16))

    def translation_of(self, original: str) -> str | None:
        """Return the translation of a text, or None when there is none."""
        wanted = original.encode()
        low, high = 0, self._count
        while low < high:
            middle = (low + high) // 2
            found = self._text(self._originals, middle)
            if found == wanted:
                return self._text(self._translations, middle).decode()
            if found < wanted:
                low = middle + 1
            else:
                high = middle
        return self._also.translation_of(original) if self._also else None

    def _text(self, table: int, row: int) -> bytes:
        length, start = self._number(table + 8 * row), self._number(table + 8 * row + 4)
        return self._content[start : start + length]

    def _number(self, at: int) -> int:
        return int.from_bytes(self._content[at : at + 4], "little")


_more_catalogues: list[tuple[Path, str]] = []
"""Folder and name of each catalogue beside the agent's own, the one that is asked first at the end."""

_catalogue: _Catalogue | None = None
_is_left_on_disk = False
_language = DEFAULT_LANGUAGE


def use_language(code: str) -> None:
    """Make `_` and `ngettext` answer in `code` ("id" or "en"); any other code raises ValueError."""
    global _catalogue, _language
    if code not in LANGUAGES:
        raise ValueError(code)
    if code != _language:
        _language, _catalogue = code, None


def leave_catalogues_on_disk() -> None:
    """Look texts up in the files from now on, not in a copy in memory: 20 µs a text instead of 150 kB."""
    global _catalogue, _is_left_on_disk
    _is_left_on_disk, _catalogue = True, None


def use_catalogue(folder: Path, name: str) -> None:
    """Look texts up in `folder`/LANGUAGE/LC_MESSAGES/`name`.mo first, then where they were looked up so far.

    For commands that stand beside `sinyal`: the daemon must not carry their texts in its memory.
    """
    global _catalogue
    if (folder, name) not in _more_catalogues:
        _more_catalogues.append((folder, name))
        _catalogue = None


def current_language() -> str:
    """Return the language in use, "id" or "en"."""
    return _language


def _current() -> _Catalogue:
    global _catalogue
    if _catalogue is None:
        _catalogue = _catalogue_of(_language)
    return _catalogue


def _catalogue_of(code: str) -> _Catalogue:
    asked: _Catalogue | None = None
    for folder, name in ((Path(__file__).parent / "locale", "sinyal"), *_more_catalogues):
        asked = _Catalogue(_compiled(folder / code / "LC_MESSAGES" / f"{name}.mo"), asked)
    assert asked is not None
    return asked


def _compiled(file: Path) -> _Bytes:
    try:
        if _is_left_on_disk:
            return _OnDisk(os.open(file, os.O_RDONLY | os.O_CLOEXEC))
        return file.read_bytes()
    except OSError:
        # English is the source and has no catalogue; another language without its own shows English.
        return b""


class Text(str):
    """A text in the language in use, which can still be said in another one (see `in_language`)."""

    __slots__ = ("_count", "_details", "_originals")

    _originals: tuple[str, ...]
    _count: int
    _details: dict[str, object]

    @classmethod
    def of(
        cls, originals: tuple[str, ...], count: int = 1, details: dict[str, object] | None = None
    ) -> "Text":
        """Return the text of a message, or of a message and its plural, filled with details."""
        text = cls(_filled(_current(), originals, count, details))
        text._originals, text._count, text._details = originals, count, details or {}
        return text

    def format(self, *args: object, **details: object) -> str:
        """Fill the text in, as str.format does."""
        return super().format(*args) if args else Text.of(self._originals, self._count, details)

    def in_catalogue(self, catalogue: _Catalogue) -> str:
        """Return the text in another language, details that are texts of their own included."""
        details = {
            name: detail.in_catalogue(catalogue) if isinstance(detail, Text) else detail
            for name, detail in self._details.items()
        }
        return _filled(catalogue, self._originals, self._count, details or None)


def in_language(text: str, code: str) -> str:
    """Return a text that `_` or `ngettext` gave in the language `code`, any other text as it is."""
    return text.in_catalogue(_catalogue_of(code)) if isinstance(text, Text) else text


def _filled(
    catalogue: _Catalogue, originals: tuple[str, ...], count: int, details: dict[str, object] | None
) -> str:
    shown = _in_catalogue(catalogue, originals, count)
    if details is None:
        return shown
    try:
        return shown.format(**details)
    except (LookupError, ValueError, AttributeError):
        # A catalogue that is damaged, or was changed under a running agent, costs words, never a reading.
        return originals[0 if count == 1 else -1].format(**details)


def _in_catalogue(catalogue: _Catalogue, originals: tuple[str, ...], count: int) -> str:
    # Indonesian has one form for every number.
    translation = catalogue.translation_of("\0".join(originals))
    return translation or originals[0 if count == 1 else -1]


def _(message: str) -> str:
    """Return `message` in the language in use."""
    return Text.of((message,))


def ngettext(singular: str, plural: str, count: int) -> str:
    """Return the form of a message that fits `count`, in the language in use."""
    return Text.of((singular, plural), count)


def N_(message: str) -> str:  # noqa: N802 -- the gettext convention for "translate later"
    """Mark a constant for translation; it is translated with `_` where it is shown."""
    return message


_SYSTEM_REASONS = frozenset(
    (
        N_("Connection reset by peer"),
        N_("File exists"),
        N_("Input/output error"),
        N_("Is a directory"),
        N_("Name does not resolve"),
        N_("Name or service not known"),
        N_("Network is unreachable"),
        N_("No address associated with hostname"),
        N_("No route to host"),
        N_("No space left on device"),
        N_("No such file or directory"),
        N_("Not a directory"),
        N_("Operation not permitted"),
        N_("Permission denied"),
        N_("Read-only file system"),
        N_("Temporary failure in name resolution"),
        N_("Try again"),
    )
)
"""What the C library (glibc, musl) says of the failures that a gateway meets, in its own words."""


def system_reason(reason: object) -> str:
    """Return what the operating system says (strerror) in the language in use, as far as it is known."""
    text = str(reason)
    return _(text) if text in _SYSTEM_REASONS else text
