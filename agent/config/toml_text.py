"""Values as a TOML file writes them: in messages, in `config show`, in the file that `config set` edits.

tomllib reads TOML but does not write it. Plain values and lists are all that our keys need.
"""

from pathlib import Path

MAX_SHOWN_CHARS = 60
"""A longer value is cut in a message, so that the message stays one readable line."""


def written(value: object) -> str:
    """Return `value` as TOML writes it: true, 60, "text", ["a", "b"]; None is the empty text.

    A value that no key can hold comes as plain text for the message that refuses it, what is nested as […].
    """
    if value is None:
        return '""'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | Path):
        escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
        return f'"{one_line(escaped)}"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join("[…]" if isinstance(each, list) else written(each) for each in value) + "]"
    if isinstance(value, dict):
        return "{…}"
    if isinstance(value, int) and value.bit_length() > 64:
        # str() refuses a number of thousands of digits, and TOML allows 0x in front of as many.
        return hex(value)
    return one_line(str(value))


def one_line(text: str) -> str:
    r"""Return `text` with every character that is not printable as \uXXXX, so that it stays one line."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else _escaped(ord(sign)) for sign in text)


def _escaped(code: int) -> str:
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"


def shortened(text: str) -> str:
    """Return `text`, cut to MAX_SHOWN_CHARS."""
    return text if len(text) <= MAX_SHOWN_CHARS else text[: MAX_SHOWN_CHARS - 1] + "…"


def number_in(text: str) -> object:
    """Return the number that `text` is by the rules of TOML; `text` itself when it is no TOML value."""
    # The daemon gets its values checked already and never comes here.
    import tomllib

    try:
        document = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return document["value"] if len(document) == 1 else text
