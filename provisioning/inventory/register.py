"""The register of villages: codes with their names, by edition. The shipped one is that of Jambi."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path

from agent.errors import SinyalError
from agent.language import _
from provisioning.inventory.csv_text import read_table

SHIPPED = Path(__file__).parents[1] / "reference" / "villages.csv"
NEEDED = ("kode_desa", "nama", "kecamatan", "kabupaten", "kode_edisi")
ALIKE_RATIO = 0.85
"""How alike two names must be (difflib's ratio) to be told to a person as easy to mix up."""


class RegisterUnusable(SinyalError):
    """A file given as register is none."""


@dataclass(frozen=True, slots=True)
class Village:
    """One village of one edition of the code list."""

    kode_desa: str
    name: str
    kecamatan: str
    kabupaten: str
    edition: str

    def described(self) -> str:
        """Return name, place and code, as a person can compare them."""
        return f"{self.name} ({self.kecamatan}, {self.kabupaten}, {self.kode_desa})"


class Register:
    """All villages of the editions that were loaded. The newest edition of a province is in force there."""

    def __init__(self, villages: Sequence[Village]) -> None:
        newest: dict[str, tuple[int, str]] = {}
        for village in villages:
            province = village.kode_desa[:2]
            newest[province] = max(newest.get(province, (0, "")), _edition_order(village.edition))
        self.edition_of_province = {province: edition for province, (_year, edition) in newest.items()}
        self._in_force: dict[str, Village] = {}
        self._retired: dict[str, Village] = {}
        self._by_kecamatan: dict[str, list[Village]] = {}
        self._by_name: dict[str, list[Village]] = {}
        for village in villages:
            if village.edition != self.edition_of_province[village.kode_desa[:2]]:
                self._retired[village.kode_desa] = village
                continue
            self._in_force[village.kode_desa] = village
            self._by_kecamatan.setdefault(village.kode_desa[:8], []).append(village)
            self._by_name.setdefault(plain(village.name), []).append(village)

    def village(self, code: str) -> Village | None:
        """Return the village of a code in the edition in force, or None."""
        return self._in_force.get(code)

    def retired(self, code: str) -> Village | None:
        """Return the village of a code that only an older edition holds, or None."""
        return None if code in self._in_force else self._retired.get(code)

    def look_alikes(self, village: Village) -> list[Village]:
        """Return villages that are easily taken for this one: alike in its kecamatan, or of its very name.

        The latter in the same kabupaten: a technician there does not leave it by mistake.
        """
        name = plain(village.name)
        near = [
            other
            for other in self._by_kecamatan[village.kode_desa[:8]]
            if other is not village and _alike(name, plain(other.name))
        ]
        same = [
            other
            for other in self._by_name[name]
            if other is not village and other.kode_desa[:5] == village.kode_desa[:5] and other not in near
        ]
        return near + same

    def names_like(self, text: str) -> list[Village]:
        """Return villages with a name like `text`, the nearest first, at most three: a hint, no answer."""
        found = get_close_matches(plain(text), self._by_name, n=3, cutoff=0.75)
        return [village for name in found for village in self._by_name[name]][:3]


def load_register(files: Sequence[Path]) -> Register:
    """Return the shipped register with those in `files`; raises RegisterUnusable, UsageMistake."""
    return Register([village for file in (SHIPPED, *files) for village in _villages_of(file)])


def _villages_of(file: Path) -> list[Village]:
    table = read_table(file)
    names = [name.casefold() for name in table.header]
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise RegisterUnusable(
            _("{file} has no column {name}").format(file=file, name=missing[0]),
            _("a register has the columns {names}").format(names=", ".join(NEEDED)),
        )
    places = [names.index(name) for name in NEEDED]
    villages = []
    for row in table.rows:
        if len(row.cells) <= max(places) or not CODE.fullmatch(row.cells[places[0]]):
            raise RegisterUnusable(
                _("{file}, row {n}: no village code like 15.02.01.2001").format(file=file, n=row.number),
                _("correct the row"),
            )
        villages.append(Village(*(row.cells[place] for place in places)))
    return villages


CODE = re.compile(r"[0-9]{2}\.[0-9]{2}\.[0-9]{2}\.[123][0-9]{3}")
"""A village code of Kemendagri, as `gateway.kode_desa` takes it."""


def plain(name: str) -> str:
    """Return a name without what differs between spellings: capitals, blanks, apostrophes, accents."""
    letters = unicodedata.normalize("NFKD", name).casefold()
    return "".join(letter for letter in letters if letter.isalnum())


def _alike(one: str, other: str) -> bool:
    if one == other or one.startswith(other) or other.startswith(one):
        return True
    return SequenceMatcher(None, one, other).ratio() >= ALIKE_RATIO


def _edition_order(edition: str) -> tuple[int, str]:
    """Return what editions are ordered by: the year at the end of "300.2.2-2430/2025", then the text."""
    year = re.search(r"(\d{4})\s*$", edition)
    return (int(year[1]) if year else 0, edition)
