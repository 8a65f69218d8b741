"""Telit: LE910, LM9xx, HE910, GE910 and other xE modules, ME910 (LTE-M, NB-IoT).

Sources: Telit LE9x0 AT reference guide (80407ST10116A), ME910C1 AT reference guide (80529ST10815A),
HE910 AT reference guide (80378ST10091A), commands #RFSTS, #MONI, #CCID, #TEMPSENS.
Empty columns may go with their comma, so the place of the IMSI tells the shape of #RFSTS.
"""

from collections.abc import Mapping

from agent.modem.cells import IS_NEIGHBOUR
from agent.modem.conversions import hexadecimal, leading_number, lte_band, plmn_digits, whole
from agent.modem.dialect import (
    Dialect,
    Field,
    Layout,
    Query,
    between,
    constant,
    converted,
    hex_number,
    layout,
    network_code,
    number,
    query,
    whole_number,
)
from agent.modem.identity import IdentityQuery, read_iccid
from agent.modem.labels import WORDS, labelled


def _is_imsi(text: str) -> bool:
    return text.isascii() and text.isdigit() and 14 <= len(text) <= 15


def _text(text: str) -> str | None:
    return text or None


def _is_area(text: str) -> bool:
    """Return False for the FFFF of a modem without a cell, whose levels then mean nothing."""
    return (hexadecimal(text) or 0xFFFF) < 0xFFFE


_NAMES: Mapping[str, Field] = {
    "operator_mccmnc": converted("plmn", plmn_digits),
    "operator_name": converted("name", _text),
}


def _lte(columns: str, technology: Mapping[str, Field]) -> Layout:
    return layout(
        columns,
        marks={"imsi": _is_imsi, "rsrp": between(-156, -30)},
        fields={
            **technology,
            **_NAMES,
            "earfcn": whole_number("earfcn"),
            "rsrp_dbm": whole_number("rsrp"),
            "rssi_dbm": whole_number("rssi"),
            "rsrq_db": number("rsrq"),
            "tac": hex_number("tac"),
            "cell_id": hex_number("cell_id"),
            "band": converted("band", lte_band),
        },
    )


def _status(lte: Mapping[str, Field]) -> Query:
    """Make #RFSTS; lte gives the technology of the 4G lines, which for some modules is LTE-M or NB-IoT."""
    levels = "plmn earfcn rsrp rssi rsrq tac"
    return query(
        "AT#RFSTS",
        "#RFSTS:",
        _lte(f"{levels} rac tx_power drx mm rrc cell_id imsi name domain band", lte),
        _lte(f"{levels} tx_power drx mm rrc cell_id imsi name domain band", lte),
        layout(
            "plmn uarfcn psc ecio rscp rssi lac rac tx_power drx mm rrc nom bler cell_id imsi name",
            marks={"imsi": _is_imsi, "rscp": between(-125, -20)},
            fields={
                "access_technology": constant("umts"),
                **_NAMES,
                "uarfcn": whole_number("uarfcn"),
                "ecio_db": number("ecio"),
                "rscp_dbm": whole_number("rscp"),
                "rssi_dbm": whole_number("rssi"),
                "lac": hex_number("lac"),
                "cell_id": hex_number("cell_id"),
            },
        ),
        layout(
            "plmn arfcn rssi lac rac tx_power mm rr nom cell_id imsi name",
            marks={"imsi": _is_imsi, "lac": _is_area},
            fields={
                "access_technology": constant("gsm"),
                "operator_mccmnc": converted("plmn", plmn_digits),
                "arfcn": whole_number("arfcn"),
                "rssi_dbm": whole_number("rssi"),
                "lac": hex_number("lac"),
                "cell_id": hex_number("cell_id"),
            },
        ),
    )


_MONITOR_COLUMNS = "part cc nc rsrp rsrq tac lac id earfcn uarfcn arfcn pci rscp ecio pwr"
_POWER = converted("pwr", leading_number)


def _monitor(lte: Mapping[str, Field]) -> Query:
    """Make #MONI of the serving cell, which is the one that names its area."""
    network = {"operator_mccmnc": network_code("cc", "nc")}
    return query(
        "AT#MONI",
        "#MONI:",
        layout(
            _MONITOR_COLUMNS,
            marks={"tac": _is_area, "rsrp": bool},
            fields={
                **lte,
                **network,
                "rsrp_dbm": number("rsrp"),
                "rsrq_db": number("rsrq"),
                "tac": hex_number("tac"),
                "cell_id": hex_number("id"),
                "earfcn": whole_number("earfcn"),
                "pci": whole_number("pci"),
                "rssi_dbm": _POWER,
            },
        ),
        layout(
            _MONITOR_COLUMNS,
            marks={"lac": _is_area, "uarfcn": bool},
            fields={
                "access_technology": constant("umts"),
                **network,
                "rscp_dbm": number("rscp"),
                "ecio_db": number("ecio"),
                "lac": hex_number("lac"),
                "cell_id": hex_number("id"),
                "uarfcn": whole_number("uarfcn"),
                "rssi_dbm": _POWER,
            },
        ),
        layout(
            _MONITOR_COLUMNS,
            marks={"lac": _is_area, "arfcn": bool},
            fields={
                "access_technology": constant("gsm"),
                **network,
                "lac": hex_number("lac"),
                "cell_id": hex_number("id"),
                "arfcn": whole_number("arfcn"),
                "rssi_dbm": _POWER,
            },
        ),
        split=labelled(_MONITOR_COLUMNS, WORDS),
    )


# Which cells #MONI tells of is a setting; neighbours come when somebody has asked for them.
_NEIGHBOURS = query(
    "AT#MONI",
    "#MONI:",
    layout(
        _MONITOR_COLUMNS,
        marks={"tac": lambda text: not text, "rsrp": bool, "earfcn": bool},
        fields={
            **IS_NEIGHBOUR,
            "access_technology": constant("lte"),
            "rsrp_dbm": number("rsrp"),
            "rsrq_db": number("rsrq"),
            "pci": hex_number("id"),
            "earfcn": whole_number("earfcn"),
            "rssi_dbm": _POWER,
        },
    ),
    split=labelled(_MONITOR_COLUMNS, WORDS),
)

_TEMPERATURE = query(
    "AT#TEMPSENS=2",
    "#TEMPSENS:",
    layout("sensor temperature", fields={"modem_temperature_c": converted("temperature", whole)}),
    keep={"modem_temperature_c": max},
)
_IDENTITY = (IdentityQuery("AT#CCID", "iccid", ("#CCID:",), read_iccid),)
_LTE: Mapping[str, Field] = {"access_technology": constant("lte")}


def _family(name: str, lte: Mapping[str, Field], codes: Mapping[int, str]) -> Dialect:
    queries = (_status(lte), _monitor(lte), _TEMPERATURE)
    return Dialect(name, queries, technology_codes=codes, cell_queries=(_NEIGHBOURS,), identity=_IDENTITY)


DIALECTS = (_family("Telit ME910", {}, {8: "lte-m"}), _family("Telit", _LTE, {}))
