"""What a key may hold. A rule accepts or refuses a value, reads it from text, and says what is allowed.

A rule also holds the default of its key; one whose default is None may be unset, by the empty text.

Types are strict: `true` is not a number, "60" is not a number, 60.0 is not a whole number.
"""

import re
from pathlib import Path
from typing import Any

from agent.config.toml_text import number_in, written
from agent.language import N_, _


class Rule:
    """What one key means, may hold, and holds when nobody sets it.

    meaning and sentence are English: what the key is for, and what is allowed (with the names of
    attributes in braces). default is None where the key may be unset. secret: the value is never shown.
    """

    types: tuple[type, ...] = (str,)
    secret = False

    def __init__(self, meaning: str, sentence: str, *, default: Any) -> None:
        self.meaning = meaning
        self.sentence = sentence
        self.default = default
        self.may_be_unset = default is None

    def accept(self, value: object) -> object:
        """Return `value` as the configuration keeps it; one that is not allowed raises ValueError."""
        if self.may_be_unset and (value is None or value == ""):
            return None
        # isinstance() would take True for an int.
        if type(value) not in self.types:
            raise ValueError
        return self._kept(value)

    def value_in(self, text: str) -> object:
        """Return the value, unchecked, that `text` stands for in the environment or after `config set`."""
        return text if self.may_be_unset and not text else self._parsed(text)

    def allowed(self) -> str:
        """Return what is allowed, in the person's language."""
        sentence = _(self.sentence).format_map(vars(self))
        return _('"" or {sentence}').format(sentence=sentence) if self.may_be_unset else sentence

    def allowed_as_text(self) -> str:
        """Return what is allowed in the environment and for `config set`, in the person's language."""
        return self.allowed()

    def _kept(self, value: Any) -> object:
        raise NotImplementedError

    def _parsed(self, text: str) -> object:
        return text


class Number(Rule):
    """A number from low to high, both included, whole or not."""

    types: tuple[type, ...] = (int, float)

    def __init__(
        self,
        meaning: str,
        low: float,
        high: float,
        *,
        default: float | None,
        sentence: str = N_("a number from {low} to {high}"),
    ) -> None:
        super().__init__(meaning, sentence, default=default)
        self.low = low
        self.high = high

    def _kept(self, value: Any) -> object:
        # NaN fails this comparison too.
        if not self.low <= value <= self.high:
            raise ValueError
        return value

    def _parsed(self, text: str) -> object:
        return number_in(text)


class Whole(Number):
    """A whole number from low to high, both included."""

    types = (int,)

    def __init__(self, meaning: str, low: int, high: int, *, default: int | None) -> None:
        sentence = N_("a whole number from {low} to {high}")
        super().__init__(meaning, low, high, default=default, sentence=sentence)


class Switch(Rule):
    """Either true or false; false is the default unless another is given."""

    types = (bool,)

    def __init__(self, meaning: str, *, default: bool = False) -> None:
        super().__init__(meaning, N_("true or false"), default=default)

    def _kept(self, value: Any) -> object:
        return value

    def _parsed(self, text: str) -> object:
        return {"true": True, "false": False}.get(text, text)


class Word(Rule):
    """One of two words; the first is the default."""

    def __init__(self, meaning: str, first: str, second: str) -> None:
        super().__init__(meaning, N_("{first} or {second}"), default=first)
        self.first = written(first)
        self.second = written(second)

    def _kept(self, value: Any) -> object:
        if written(value) not in (self.first, self.second):
            raise ValueError
        return value


class Text(Rule):
    """One line of printable text: `word`, which is the default, or what `pattern` matches in full."""

    def __init__(
        self, meaning: str, sentence: str, *, pattern: str, word: str = "", secret: bool = False
    ) -> None:
        super().__init__(meaning, sentence, default=word)
        self.pattern = pattern
        self.secret = secret

    def _kept(self, value: Any) -> object:
        # The default first: compiling a pattern costs start-up time.
        if value != self.default and not (value.isprintable() and re.fullmatch(self.pattern, value)):
            raise ValueError
        return value


class FilePath(Rule):
    """A path; the loader takes a relative one from the folder of the configuration file."""

    types = (str, type(Path()))

    def __init__(self, meaning: str, *, default: Path | None) -> None:
        super().__init__(meaning, N_("a path, absolute or from the folder of this file"), default=default)

    def _kept(self, value: Any) -> object:
        path = str(value)
        # No shell reads this file: "~" would become a folder of that name.
        if not path or not path.isprintable() or path.startswith("~"):
            raise ValueError
        return Path(path)


class Host(Rule):
    """A host name or an IP address, or "" for none, which is the default."""

    def __init__(self, meaning: str) -> None:
        super().__init__(meaning, N_('"" or a host name or IP address, no "mqtt://", no port'), default="")

    def _kept(self, value: Any) -> object:
        return host_in(value) if value else ""


class Addresses(Rule):
    """A list of "host:port" texts, empty by default."""

    types = (list, tuple)

    def __init__(self, meaning: str) -> None:
        sentence = N_('a list like ["broker2.example:8883", "[2001:db8::7]:8883"]')
        super().__init__(meaning, sentence, default=())

    def allowed_as_text(self) -> str:
        """Return how to write several in one text, as value_in reads it."""
        return _("addresses like broker2.example:8883,[2001:db8::7]:8883")

    def _kept(self, value: Any) -> object:
        for address in value:
            split_address(address)
        return tuple(value)

    def _parsed(self, text: str) -> object:
        return [address.strip() for address in text.split(",")] if text.strip() else []


class Targets(Rule):
    """No host, which is the default, or exactly two: names or addresses, each with a port or without."""

    types = (list, tuple)

    def __init__(self, meaning: str) -> None:
        sentence = N_('[] or two like ["1.1.1.1", "a.example:8883"]')
        super().__init__(meaning, sentence, default=())

    def _kept(self, value: Any) -> object:
        if len(value) not in (0, 2) or len(set(value)) != len(value):
            raise ValueError
        for target in value:
            split_target(target)
        return tuple(value)

    def _parsed(self, text: str) -> object:
        return [target.strip() for target in text.split(",")] if text.strip() else []


class OperatorCodes(Rule):
    """A list of texts "PLMN CODE PATTERN", empty by default."""

    types = (list, tuple)

    def __init__(self, meaning: str) -> None:
        sentence = N_('a list like ["51010 *888# habis"]')
        super().__init__(meaning, sentence, default=())

    def _kept(self, value: Any) -> object:
        for line in value:
            split_operator_code(line)
        return tuple(value)

    def _parsed(self, text: str) -> object:
        # A pattern may hold commas: one operator is all that the environment can tell of.
        return [text] if text.strip() else []


_HOST_NAME = r"(?=.{1,253}$)[A-Za-z0-9_][A-Za-z0-9_-]{0,62}(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?"


def host_in(text: str) -> str:
    """Return the host name or IP address that `text` is, an IPv6 address without brackets.

    Anything else raises ValueError.
    """
    if not text.isprintable():
        raise ValueError
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    is_ipv6 = ":" in host or host != text
    if is_ipv6 or not host.strip("0123456789."):
        # Imported here, so that a host name does not pay for it.
        from ipaddress import IPv4Address, IPv6Address

        return str(IPv6Address(host) if is_ipv6 else IPv4Address(host))
    if not re.fullmatch(_HOST_NAME, host):
        raise ValueError
    return host


def split_address(address: object) -> tuple[str, int]:
    """Return host and port of "host:port", or of "[2001:db8::7]:8883"; anything else raises ValueError."""
    if not isinstance(address, str):
        raise ValueError  # noqa: TRY004 -- one exception for every refusal
    host, _colon, port = address.rpartition(":")
    if (":" in host and not host.startswith("[")) or not re.fullmatch("[0-9]{1,5}", port):
        raise ValueError
    if not 1 <= int(port) <= 65535:
        raise ValueError
    return host_in(host), int(port)


def split_target(target: object) -> tuple[str, int | None]:
    """Return host and port (None: none named) of "host", "host:port" or "[2001:db8::7]:8883".

    Anything else raises ValueError.
    """
    if not isinstance(target, str) or not target:
        raise ValueError
    if target.count(":") == 1 or "]:" in target:
        return split_address(target)
    return host_in(target), None


def split_operator_code(line: object) -> tuple[str, str, str]:
    """Return MCC with MNC, USSD code and pattern of "51010 *888# habis"; anything else raises ValueError.

    The pattern is a regular expression that the reply holds when the package is used up.
    """
    if not isinstance(line, str) or not line.isprintable():
        raise ValueError
    plmn, _blank, rest = line.partition(" ")
    code, _blank, pattern = rest.partition(" ")
    if not re.fullmatch("[0-9]{5,6}", plmn) or not re.fullmatch("[*#][0-9*#]{1,30}#", code) or not pattern:
        raise ValueError
    try:
        re.compile(pattern)
    except re.error:
        raise ValueError from None
    return plmn, code, pattern
