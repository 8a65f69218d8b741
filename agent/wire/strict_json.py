"""JSON from strangers: what Python's parser lets pass, this one refuses."""

import json
from collections import Counter
from typing import Never

from agent.errors import BatchUnreadable
from agent.language import _


def parse(payload: bytes) -> object:
    """Return the JSON document in `payload`.

    Raises BatchUnreadable for bytes that are not UTF-8 text or begin with a byte order mark, duplicate keys,
    NaN and Infinity, half surrogate pairs, nesting or numbers without end, and anything that is not JSON.
    A number such as 1e999 still arrives as infinity: whoever accepts floats must ask.
    """
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BatchUnreadable(_("byte {position} is not UTF-8 text").format(position=error.start)) from None
    if text.startswith("\ufeff"):
        raise BatchUnreadable(_("the batch begins with a byte order mark"))
    try:
        document: object = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
        if "\\u" in text:
            json.dumps(document, ensure_ascii=False).encode()
    except RecursionError:
        raise BatchUnreadable(_("the JSON is nested too deeply")) from None
    except json.JSONDecodeError as error:
        raise BatchUnreadable(
            _("the JSON is wrong or breaks off at character {position}").format(position=error.pos)
        ) from None
    except UnicodeEncodeError:
        raise BatchUnreadable(_("a text holds half a surrogate pair")) from None
    except ValueError:
        raise BatchUnreadable(_("a number has too many digits")) from None
    return document


def shown(text: object) -> str:
    """Return a stranger's text so that it can be printed: short, in quotes, without control characters."""
    quoted = ascii(text)
    return quoted if len(quoted) <= 40 else f"{quoted[:36]}…{quoted[-1]}"


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        twice = Counter(key for key, _value in pairs).most_common(1)[0][0]
        raise BatchUnreadable(_("the key {key} stands there twice").format(key=shown(twice)))
    return document


def _refuse_constant(name: str) -> Never:
    raise BatchUnreadable(_("{name} is not a JSON number").format(name=name))
