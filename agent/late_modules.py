"""Standard modules that a library imports at its top and hardly ever uses, loaded at their first use.

On a gateway every megabyte counts: `dataclasses` imports `inspect` (0.8 MB with what that imports) for
classes without a docstring, paho imports `uuid` to make up a client id. A stand-in takes their place in
`sys.modules` and becomes the real module when somebody asks it for anything.
(importlib.util.LazyLoader does not serve: the import statement itself touches its modules.)
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class _LateModule(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            # The import system looks for these on every import; they do not mean that it is used.
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        __import__(self.__name__)
        real = sys.modules[self.__name__]
        vars(self).update(vars(real))
        return getattr(real, name)


@contextmanager
def stand_ins(**modules: ModuleType) -> Iterator[None]:
    """Let what is imported inside this block find these modules in place of the real ones of that name.

    A dot is written as two underscores: urllib__request. A module that is loaded already stays as it is;
    afterwards `import` gives the real ones again.
    """
    placed = {name.replace("__", "."): module for name, module in modules.items()}
    placed = {name: module for name, module in placed.items() if name not in sys.modules}
    sys.modules.update(placed)
    try:
        yield
    finally:
        for name, module in placed.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def load_late(names: Iterable[str]) -> None:
    """Let these top-level modules load at their first use; those that are loaded already stay as they are."""
    for name in names:
        if name not in sys.modules:
            sys.modules[name] = _LateModule(name)


DAEMON_NEVER_NEEDS = (
    "base64",
    "glob",
    "inspect",
    "ipaddress",
    "locale",
    "subprocess",
    "textwrap",
    "tokenize",
    "traceback",
    "uuid",
)
"""Imported by paho, pathlib, logging and dataclasses, and used by none of them in daily work: 2 MB of
the daemon's 28, and milliseconds of `sinyal status`."""
