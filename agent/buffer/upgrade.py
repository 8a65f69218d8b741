"""Adds the columns of a newer catalogue to an older database: `python -m agent.buffer.upgrade PATH`.

Always a child process, so that the memory of sqlite-utils is given back when it ends. One transaction
holds all columns and the record of them: a power cut leaves the file as it was before or after.
The agent works without it (sqlite-utils is not packaged for OpenWrt): it leaves the new columns out.
"""

import logging
import os
import sqlite3
import sys
from pathlib import Path

from agent.buffer.faults import explain
from agent.buffer.schema import LOCK_WAIT_S, file_columns, wanted_columns
from agent.contract.catalogue import catalogue
from agent.language import DEFAULT_LANGUAGE, LANGUAGES, _, current_language, use_language

log = logging.getLogger("sinyal.buffer")

TIMEOUT_S = 45.0


def upgrade_in_child(path: Path) -> None:
    """Run the upgrade of `path` and log how it ended; the database must not be open meanwhile."""
    import subprocess  # once per upgrade: not worth its memory at every start

    try:
        child = subprocess.run(
            [sys.executable, "-m", "agent.buffer.upgrade", str(path)],
            env={**os.environ, "SINYAL_LANG": current_language()},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as failure:
        log.warning(_("The reading database was not upgraded: {reason}").format(reason=failure))
        return
    last_line = (child.stdout or child.stderr).strip().rpartition("\n")[2]
    answer = last_line or _("The reading database was not upgraded: {reason}").format(reason=child.returncode)
    log.log(logging.WARNING if child.returncode else logging.INFO, "%s", answer)


def upgrade(path: Path) -> list[str]:
    """Add the columns that the catalogue has and the file lacks; return their names.

    Raises ImportError without sqlite-utils, sqlite3.Error when the file cannot be changed.
    """
    from sqlite_utils import Database, Migrations  # its only home; see the module's docstring

    added: list[str] = []
    migrations = Migrations("sinyal-readings")

    @migrations(name=f"columns of catalogue {catalogue().id}")
    def add_columns(database: Database) -> None:
        present = file_columns(database.conn)
        for name, declared in wanted_columns().items():
            if name not in present:
                database.table("readings").add_column(name, declared)
                added.append(name)

    database = Database(sqlite3.connect(path, timeout=LOCK_WAIT_S), execute_plugins=False)
    try:
        migrations.apply(database)
    finally:
        database.close()
    return added


def main(arguments: list[str]) -> int:
    """Upgrade the database named by the one argument; one line says how it ended, 1 means not done."""
    language = os.environ.get("SINYAL_LANG", DEFAULT_LANGUAGE)
    use_language(language if language in LANGUAGES else DEFAULT_LANGUAGE)
    if len(arguments) != 1 or not Path(arguments[0]).is_file():
        print(_("Usage: python -m agent.buffer.upgrade DATABASE (an existing file)"))
        return 2
    path = Path(arguments[0])
    try:
        added = upgrade(path)
    except ImportError:
        print(_("sqlite-utils is not installed here: the reading database keeps the columns it has"))
        return 1
    except sqlite3.Error as error:
        failure = explain(error, path)
        print(f"{failure.what}. {failure.next_step}.")
        return 1
    print(_("Reading database upgraded, new columns: {names}").format(names=", ".join(added) or "-"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
