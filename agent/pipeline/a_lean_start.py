"""Imported before anything else of the daemon: sqlite3 without `datetime`.

sqlite3 imports it to turn date objects into text and back, which no table of ours holds; it takes 0.3 MB.
Only the daemon does so: its children and the commands have the real thing.
"""

from types import ModuleType

from agent.late_modules import stand_ins

_datetime = ModuleType("datetime")
for _name in ("date", "time", "datetime"):
    setattr(_datetime, _name, type(_name, (), {}))

with stand_ins(datetime=_datetime):
    import sqlite3  # noqa: F401 -- loaded here so that it is there for all others
