"""Sequans: Monarch (LTE-M, NB-IoT) and Calliope (LTE), also inside modules of other names.

Source: Sequans Monarch 2 GM02S AT commands reference, command +SQNMONI. All numbers are decimal.
"""

from agent.modem.bands import eutra_band
from agent.modem.cells import IS_NEIGHBOUR
from agent.modem.conversions import whole
from agent.modem.dialect import Dialect, converted, layout, network_code, number, query, whole_number
from agent.modem.labels import WORDS, labelled

_COLUMNS = "part cc nc rsrp cinr rsrq tac id earfcn pwr"


def _band(earfcn: str) -> str | None:
    return eutra_band(whole(earfcn))


_LEVELS = {
    "pci": whole_number("id"),
    "earfcn": whole_number("earfcn"),
    "band": converted("earfcn", _band),
    "rsrp_dbm": number("rsrp"),
    "rsrq_db": number("rsrq"),
    "sinr_db": number("cinr"),
    "rssi_dbm": number("pwr"),
}
_SPLIT = labelled(_COLUMNS, WORDS)

_SERVING_CELL = query(
    "AT+SQNMONI=9",
    "+SQNMONI:",
    layout(
        _COLUMNS,
        marks={"tac": bool},
        fields={"operator_mccmnc": network_code("cc", "nc"), "tac": whole_number("tac"), **_LEVELS},
    ),
    split=_SPLIT,
)
_NEIGHBOURS = query(
    "AT+SQNMONI=7",
    "+SQNMONI:",
    layout(
        _COLUMNS,
        marks={"tac": lambda text: not text, "rsrp": bool},
        fields={**IS_NEIGHBOUR, **_LEVELS},
    ),
    split=_SPLIT,
)

_MONARCH_CODES = {7: "lte-m"}

DIALECTS = (
    Dialect("Sequans Monarch", (_SERVING_CELL,), _MONARCH_CODES, cell_queries=(_NEIGHBOURS,)),
    Dialect("Sequans", (_SERVING_CELL,), cell_queries=(_NEIGHBOURS,)),
)
