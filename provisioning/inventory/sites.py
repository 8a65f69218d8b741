"""`sites.csv`: one row a gateway. Columns may be called as people call them; values stay as they are."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agent.config.keys import RULES
from agent.errors import SinyalError
from agent.language import _
from provisioning.inventory.csv_text import MAX_CELL_CHARS, Row, Table, read_table, table_text
from provisioning.whole_files import SECRET_MODE, disk_faults_told, write_whole

COLUMNS = ("gateway_id", "kode_desa", "kode_edisi", "site_name", "role", "batch_year", "state", "contact")
STATES = ("planned", "installed", "accepted", "retired")
ROLES = ("link", "repeater-monitor")
MAX_ROWS = 100_000

_OTHER_NAMES = {
    "gateway_id": ("id", "gateway", "id gerbang", "id gateway", "kode gerbang"),
    "kode_desa": ("kode desa", "kode", "kode kemendagri", "kode wilayah", "village code"),
    "kode_edisi": ("kode edisi", "edisi", "edition"),
    "site_name": ("site name", "nama lokasi", "nama tempat", "lokasi", "site", "nama desa", "desa", "nama"),
    "role": ("peran", "fungsi", "jenis"),
    "batch_year": ("batch year", "tahun", "tahun angkatan", "year", "batch"),
    "state": ("status", "keadaan"),
    "contact": ("kontak", "narahubung", "telepon", "hp"),
}
_STATE_WORDS = {"rencana": "planned", "terpasang": "installed", "diterima": "accepted", "berhenti": "retired"}
_ROLE_WORDS = {"": "link", "tautan": "link", "pengawas repeater": "repeater-monitor"}
_PHONE = re.compile(r"\+[0-9][0-9 ()./-]{5,30}")


@dataclass(frozen=True, slots=True)
class Site:
    """One row: a gateway, the village it stands in, and how far it is; row as a spreadsheet counts.

    more: the operator's own columns, by name, kept as they are. unsaid: our columns that the row left open.
    """

    row: int
    gateway_id: str
    kode_desa: str
    kode_edisi: str
    site_name: str
    role: str
    batch_year: str
    state: str
    contact: str
    more: tuple[tuple[str, str], ...] = ()
    unsaid: frozenset[str] = frozenset()

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the row, in the order of COLUMNS."""
        return tuple(str(getattr(self, column)) for column in COLUMNS)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing to correct, or (`is_mistake` false) to look at twice, in one row; code is stable."""

    row: int
    code: str
    what: str
    is_mistake: bool = True


class ListUnusable(SinyalError):
    """The list of sites is not one, or holds mistakes that a command cannot work with."""

    exit_code = 2


def read_sites(file: Path) -> tuple[list[Site], list[Finding]]:
    """Return the sites of a list and what is wrong in single cells; raises UsageMistake, TableUnreadable."""
    table = read_table(file)
    places = _places(file, table)
    if len(table.rows) > MAX_ROWS:
        raise ListUnusable(
            _("{file} has more than {n} rows").format(file=file, n=MAX_ROWS), _("split it by province")
        )
    sites, findings = [], []
    if table.encoding == "cp1252":
        findings.append(
            Finding(
                1, "encoding", _("the file is not UTF-8; accents may be wrong: save it as CSV UTF-8"), False
            )
        )
    for row in table.rows:
        findings += _findings_in_cells(row, table, places)
        sites.append(_site_of(row, places, table.header))
    return sites, findings


def _places(file: Path, table: Table) -> dict[str, int]:
    """Return where each column stands; one that is not there is missing."""
    names = [" ".join(name.casefold().replace("_", " ").split()) for name in table.header]
    places: dict[str, int] = {}
    for column in COLUMNS:
        for name in (column.replace("_", " "), *_OTHER_NAMES[column]):
            if name in names and names.index(name) not in places.values():
                places[column] = names.index(name)
                break
    missing = [column for column in ("kode_desa", "site_name") if column not in places]
    if missing:
        raise ListUnusable(
            _("{file} has no column {name}").format(file=file, name=missing[0]),
            _("the first row must name the columns: {names}").format(names=",".join(COLUMNS)),
        )
    return places


def _site_of(row: Row, places: dict[str, int], header: Sequence[str]) -> Site:
    values = dict.fromkeys(COLUMNS, "")
    for column, place in places.items():
        if place < len(row.cells):
            values[column] = " ".join(row.cells[place].split())
    unsaid = frozenset(column for column, value in values.items() if not value)
    more = tuple(
        (name, row.cells[place] if place < len(row.cells) else "")
        for place, name in enumerate(header)
        if name and place not in places.values()
    )
    values["role"] = _ROLE_WORDS.get(values["role"].casefold(), values["role"].casefold())
    values["state"] = _STATE_WORDS.get(values["state"].casefold(), values["state"].casefold()) or "planned"
    return Site(row=row.number, more=more, unsaid=unsaid, **values)


def _findings_in_cells(row: Row, table: Table, places: dict[str, int]) -> Iterator[Finding]:
    if len(row.cells) > len(table.header):
        yield Finding(row.number, "cells", _("the row has more cells than the header"))
    for column, place in places.items():
        cell = row.cells[place] if place < len(row.cells) else ""
        if len(cell) > MAX_CELL_CHARS:
            yield Finding(
                row.number, "long", _("{column} is longer than a text can be").format(column=column)
            )
        elif cell[:1] in ("=", "+", "-", "@") and not (column == "contact" and _PHONE.fullmatch(cell)):
            yield Finding(
                row.number,
                "formula",
                _("{column} begins with {sign!r}, which a spreadsheet would run as a formula").format(
                    column=column, sign=cell[0]
                ),
            )
        elif not cell.isprintable() or "\ufffd" in cell:
            yield Finding(
                row.number, "signs", _("{column} holds signs that cannot be shown").format(column=column)
            )


def value_findings(site: Site) -> Iterator[Finding]:
    """Yield what is wrong with the values of a row by themselves."""
    for column, key in (("gateway_id", "id"), ("site_name", "site_name"), ("kode_edisi", "kode_edisi")):
        value = getattr(site, column)
        if not value:
            yield Finding(site.row, "empty", _("{column} is empty").format(column=column))
            continue
        rule = RULES["gateway"][key]
        try:
            rule.accept(value)
        except ValueError:
            yield Finding(
                site.row,
                "value",
                _("{column} {value!r} is not allowed: {allowed}").format(
                    column=column, value=value[:60], allowed=rule.allowed()
                ),
            )
    for column, allowed in (("role", ROLES), ("state", STATES)):
        value = getattr(site, column)
        if value not in allowed:
            yield Finding(
                site.row,
                "value",
                _("{column} {value!r} is not allowed: {allowed}").format(
                    column=column, value=value[:60], allowed=", ".join(allowed)
                ),
            )
    if site.batch_year and not re.fullmatch(r"20[0-9]{2}", site.batch_year):
        yield Finding(
            site.row, "value", _("batch_year {value!r} is no year").format(value=site.batch_year[:60])
        )


def write_sites(file: Path, sites: list[Site]) -> None:
    """Replace the list by these sites, in one step; raises NoPermission, SinyalError.

    A new list is for its owner alone, as it holds names and telephone numbers.
    """
    more = list(dict.fromkeys(name for site in sites for name, _value in site.more))
    rows = [[*site.cells(), *(dict(site.more).get(name, "") for name in more)] for site in sites]
    with disk_faults_told(file):
        mode = file.stat().st_mode & 0o777 if file.exists() else SECRET_MODE
        write_whole(file, table_text([*COLUMNS, *more], rows), mode)


def with_state(sites: list[Site], gateway_id: str, state: str) -> list[Site]:
    """Return the list with one gateway in another state."""
    return [replace(site, state=state) if site.gateway_id == gateway_id else site for site in sites]
