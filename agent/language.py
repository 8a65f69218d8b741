"""The language of screens and messages: Indonesian first, English beside it (gettext).

The source texts are English; `agent/locale/id/LC_MESSAGES/sinyal.po` holds the Indonesian ones.
`LANG` is not asked: images ship it as English (contract, section 1).
"""

from pathlib import Path

LANGUAGES = ("id", "en")
DEFAULT_LANGUAGE = "id"


class _Catalogue:
    """The translations in one compiled catalogue (GNU gettext manual, 10.3 "The Format of GNU MO Files").

    gettext.GNUTranslations decodes every text before it can show one, which takes longer with each text
    that is added. Here one is looked up when it is needed, by halving the sorted originals.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
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
        return None

    def _text(self, table: int, row: int) -> bytes:
        length, start = self._number(table + 8 * row), self._number(table + 8 * row + 4)
        return self._content[start : start + length]

    def _number(self, at: int) -> int:
        return int.from_bytes(self._content[at : at + 4], "little")


_catalogue: _Catalogue | None = None
_language = DEFAULT_LANGUAGE


def use_language(code: str) -> None:
    """Make `_` and `ngettext` answer in `code` ("id" or "en"); any other code raises ValueError."""
    global _catalogue, _language
    if code not in LANGUAGES:
        raise ValueError(code)
    if code != _language:
        _language, _catalogue = code, None


def current_language() -> str:
    """Return the language in use, "id" or "en"."""
    return _language


def _current() -> _Catalogue:
    global _catalogue
    if _catalogue is None:
        _catalogue = _Catalogue(_compiled(_language))
    return _catalogue


def _compiled(code: str) -> bytes:
    try:
        return (Path(__file__).parent / "locale" / code / "LC_MESSAGES" / "sinyal.mo").read_bytes()
    except OSError:
        # English is the source and has no catalogue; another language without its own shows English.
        return b""


def _(message: str) -> str:
    """Return `message` in the language in use."""
    return _current().translation_of(message) or message


def ngettext(singular: str, plural: str, count: int) -> str:
    """Return the form of a message that fits `count`, in the language in use."""
    # Indonesian has one form for every number.
    translation = _current().translation_of(f"{singular}\0{plural}")
    return translation or (singular if count == 1 else plural)


def N_(message: str) -> str:  # noqa: N802 -- the gettext convention for "translate later"
    """Mark a constant for translation; it is translated with `_` where it is shown."""
    return message
