"""Imported before anything else of the daemon: sqlite3 without `datetime`, pathlib without `urllib.parse`.

sqlite3 imports the one to turn date objects into text and back, which no table of ours holds; pathlib the
other to make file:// addresses. Each takes 0.3 MB.
Only the daemon does so: its children and the commands have the real things.
"""

from types import ModuleType

from agent.late_modules import stand_ins


def _quote_from_bytes(path: bytes) -> str:
    from urllib.parse import quote_from_bytes

    return quote_from_bytes(path)


_datetime = ModuleType("datetime")
for _name in ("date", "time", "datetime"):
    setattr(_datetime, _name, type(_name, (), {}))

_urllib_parse = ModuleType("urllib.parse")
_urllib_parse.quote_from_bytes = _quote_from_bytes  # type: ignore[attr-defined]

with stand_ins(datetime=_datetime, urllib__parse=_urllib_parse):
    import pathlib  # noqa: F401 -- loaded here so that they are there for all others
    import sqlite3  # noqa: F401
