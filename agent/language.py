"""The language of screens and messages: Indonesian first, English beside it (gettext).

The source texts are English; `agent/locale/id/LC_MESSAGES/sinyal.po` holds the Indonesian ones.
`LANG` is not asked: images ship it as English (contract, section 1).
"""

import gettext
from pathlib import Path

LANGUAGES = ("id", "en")
DEFAULT_LANGUAGE = "id"

_translations: gettext.NullTranslations | None = None
_language = DEFAULT_LANGUAGE


def use_language(code: str) -> None:
    """Make `_` and `ngettext` answer in `code` ("id" or "en"); any other code raises ValueError."""
    global _translations, _language
    if code not in LANGUAGES:
        raise ValueError(code)
    _language = code
    if code == "en":
        _translations = gettext.NullTranslations()
        return
    folder = Path(__file__).parent / "locale"
    _translations = gettext.translation("sinyal", folder, [code], fallback=True)


def current_language() -> str:
    """Return the language in use, "id" or "en"."""
    return _language


def _current() -> gettext.NullTranslations:
    if _translations is None:
        use_language(_language)
    assert _translations is not None
    return _translations


def _(message: str) -> str:
    """Return `message` in the language in use."""
    return _current().gettext(message)


def ngettext(singular: str, plural: str, count: int) -> str:
    """Return the form of a message that fits `count`, in the language in use."""
    return _current().ngettext(singular, plural, count)


def N_(message: str) -> str:  # noqa: N802 -- the gettext convention for "translate later"
    """Mark a constant for translation; it is translated with `_` where it is shown."""
    return message
