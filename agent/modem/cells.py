"""All cells a modem hears: the serving one, the carriers aggregated with it, and the neighbours.

They are asked for on demand. What they say never touches a reading: a neighbour is not the serving cell.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace

from agent.contract.catalogue import Value
from agent.modem.dialect import Field, Query, constant
from agent.modem.ranges import RADIO_FIELDS, is_possible
from agent.modem.reading import Reading

SERVING, SECONDARY, NEIGHBOUR = "serving", "secondary", "neighbour"
IS_SERVING: Mapping[str, Field] = {"role": constant(SERVING)}
IS_SECONDARY: Mapping[str, Field] = {"role": constant(SECONDARY)}
IS_NEIGHBOUR: Mapping[str, Field] = {"role": constant(NEIGHBOUR)}

MAX_CELLS = 64
"""More are noise."""

_NR = "nr5g"
_WIDEST_MHZ = 800.0


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell; None means the modem did not tell.

    role: serving, secondary (a carrier aggregated with it, or the NR leg of EN-DC) or neighbour.
    access_technology: as in a reading, but nr5g for any NR cell. bandwidth_mhz: of the downlink.
    source: the AT command it came from.
    """

    role: str
    source: str
    access_technology: str | None = None
    band: str | None = None
    bandwidth_mhz: float | None = None
    earfcn: int | None = None
    uarfcn: int | None = None
    arfcn: int | None = None
    pci: int | None = None
    cell_id: int | None = None
    tac: int | None = None
    lac: int | None = None
    rssi_dbm: float | None = None
    rsrp_dbm: float | None = None
    rsrq_db: float | None = None
    sinr_db: float | None = None
    rscp_dbm: float | None = None
    ecio_db: float | None = None


_RADIO = frozenset(one.name for one in fields(Cell)) & RADIO_FIELDS


def read_cells(asked: Query, answers: Iterable[str], serving_technology: str | None) -> list[Cell]:
    """Return the cells of an answer, values outside physics left out; rows without a role are none.

    A row that does not name its technology is of the serving cell's.
    """
    cells: list[Cell] = []
    technology_of_others = _NR if serving_technology == "nr5g-sa" else serving_technology
    if serving_technology == "nr5g-nsa":
        technology_of_others = "lte"
    for row in asked.split(answers):
        shape = asked.layout_of(row, serving_technology)
        values = {} if shape is None else shape.read(row)
        cell = _make_cell(values, asked.command, technology_of_others)
        if cell is not None and len(cells) < MAX_CELLS:
            cells.append(cell)
    return cells


def merge_cells(reading: Reading, heard: Iterable[Cell]) -> list[Cell]:
    """Return the serving cell and the NR leg of a reading, completed and followed by the other cells."""
    serving, leg = _serving_cell(reading), _nr_leg(reading)
    others: list[Cell] = []
    for cell in heard:
        if cell.role == SERVING:
            serving = _complete(serving, cell)
        elif leg is not None and cell.role == SECONDARY and _may_be_same(leg, cell):
            others.append(_complete(leg, cell))
            leg = None
        elif cell not in others:
            others.append(cell)
    first = [cell for cell in (serving, leg) if cell is not None]
    return [*first, *sorted(others, key=lambda cell: cell.role == NEIGHBOUR)]


def _make_cell(values: Mapping[str, Value], command: str, technology: str | None) -> Cell | None:
    role, named = values.get("role"), values.get("access_technology")
    if not isinstance(role, str):
        return None
    technology = named if isinstance(named, str) else technology
    physics = "nr5g-sa" if technology == _NR else technology
    radio = {
        name: value for name, value in values.items() if name in _RADIO and is_possible(physics, name, value)
    }
    width = values.get("bandwidth_mhz")
    is_width = isinstance(width, int | float) and 0 < width <= _WIDEST_MHZ
    if not radio:
        return None
    return Cell(
        role,
        command,
        access_technology=technology,
        bandwidth_mhz=float(width) if is_width else None,  # type: ignore[arg-type]
        **radio,  # type: ignore[arg-type]
    )


def _serving_cell(reading: Reading) -> Cell | None:
    technology = reading.fields.get("access_technology")
    radio = {name: value for name, value in reading.fields.items() if name in _RADIO}
    if not radio or technology == "none":
        return None
    source = next(reading.sources[name] for name in reading.sources if name in radio)
    words = {"nr5g-sa": _NR, "nr5g-nsa": "lte"}
    word = words.get(technology, technology) if isinstance(technology, str) else None
    return Cell(SERVING, source, access_technology=word, **radio)  # type: ignore[arg-type]


def _nr_leg(reading: Reading) -> Cell | None:
    leg = {
        name.removeprefix("nr_"): value for name, value in reading.fields.items() if name.startswith("nr_")
    }
    if not leg:
        return None
    source = next(reading.sources[name] for name in reading.sources if name.startswith("nr_"))
    return Cell(SECONDARY, source, access_technology=_NR, **leg)  # type: ignore[arg-type]


def _may_be_same(leg: Cell, cell: Cell) -> bool:
    return cell.access_technology == _NR and (None in (leg.band, cell.band) or leg.band == cell.band)


def _complete(known: Cell | None, more: Cell) -> Cell:
    """Return a cell with what another source adds; what is known stays."""
    if known is None:
        return more
    added = {one.name: getattr(more, one.name) for one in fields(Cell) if getattr(known, one.name) is None}
    return replace(known, **added)
