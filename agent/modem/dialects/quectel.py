"""Quectel: EC/EG/EP/EM (LTE), RM/RG (5G), EC200/EG91x (Unisoc, ASR), BG (LTE-M, NB-IoT), BC (NB-IoT), M (2G).

Sources: Quectel AT command manuals (EC2x&EG9x&EG25-G, RG50xQ&RM5xxQ, BG95&BG77, BC660K, M series),
commands +QENG, +QCSQ, +QNWINFO, +QCAINFO, +QTEMP.
"""

from collections.abc import Iterable, Mapping

from agent.modem.cells import IS_NEIGHBOUR, IS_SECONDARY, IS_SERVING
from agent.modem.conversions import (
    band_label,
    decimal,
    level_below_zero,
    plmn_digits,
    sinr_in_fifths,
    sinr_in_whole_db,
    whole,
    width_of_blocks_mhz,
)
from agent.modem.dialect import (
    Convert,
    Dialect,
    Field,
    Layout,
    Query,
    Test,
    constant,
    converted,
    hex_number,
    layout,
    network_code,
    number,
    query,
    whole_number,
    worded,
)

_TECHNOLOGIES = {
    "GSM": "gsm",
    "GPRS": "gprs",
    "EDGE": "edge",
    "WCDMA": "umts",
    "HSDPA": "hspa",
    "HSUPA": "hspa",
    "HSPA": "hspa",
    "HSPA+": "hspa",
    "LTE": "lte",
    "FDD LTE": "lte",
    "TDD LTE": "lte",
    "EMTC": "lte-m",
    "CAT-M": "lte-m",
    "CAT-M1": "lte-m",
    "NBIOT": "nb-iot",
    "NB-IOT": "nb-iot",
    "CAT-NB": "nb-iot",
    "CAT-NB1": "nb-iot",
}
_2G = ("GSM", "GPRS", "EDGE")
_3G = ("WCDMA", "HSDPA", "HSUPA", "HSPA", "HSPA+")
_4G = tuple(word for word in _TECHNOLOGIES if word not in (*_2G, *_3G))
_NR = ("NR5G", "FDD NR5G", "TDD NR5G")
_ROW = ("SERVINGCELL", "SERVINGSCELL")

_FIRST_OF_CELL: tuple[str | None, ...] = (None, "nr5g-sa")
_LEG_OF_LTE = ("lte", "nr5g-nsa")


def _lte_band(text: str) -> str | None:
    return band_label("B", text)


def _nr_band(text: str) -> str | None:
    return band_label("n", text)


def _nr_leg(rsrp: str) -> str | None:
    """Return "nr5g-nsa" when the NR line carries a level: without one there is no leg, only a hint."""
    level = decimal(rsrp)
    return "nr5g-nsa" if level is not None and -157 <= level <= -30 else None


def _serving_cell(sinr: Convert) -> Query:
    """Make +QENG="servingcell"; sinr converts the LTE line's column, whose unit differs by family."""
    lte_line = "duplex mcc mnc cell_id pci earfcn band ul_width dl_width tac rsrp rsrq rssi sinr"
    lte_fields = {
        "access_technology": worded("rat", _TECHNOLOGIES),
        "operator_mccmnc": network_code("mcc", "mnc"),
        "cell_id": hex_number("cell_id"),
        "pci": whole_number("pci"),
        "earfcn": whole_number("earfcn"),
        "band": converted("band", _lte_band),
        "tac": hex_number("tac"),
        "rsrp_dbm": whole_number("rsrp"),
        "rsrq_db": number("rsrq"),
        "rssi_dbm": whole_number("rssi"),
        "sinr_db": Field(("sinr", "rsrq"), sinr),
    }
    return query(
        'AT+QENG="servingcell"',
        "+QENG:",
        layout(f"row state rat {lte_line}", marks={"row": _ROW, "rat": _4G}, fields=lte_fields),
        # EN-DC: the state stands in a line of its own, then the LTE anchor, then the NR leg.
        layout(f"rat {lte_line}", marks={"rat": _4G}, fields=lte_fields),
        layout(
            "rat mcc mnc pci rsrp sinr rsrq arfcn band width scs",
            marks={"rat": ("NR5G-NSA",)},
            fields={
                "access_technology": converted("rsrp", _nr_leg),
                "nr_rsrp_dbm": whole_number("rsrp"),
                "nr_sinr_db": number("sinr"),
                "nr_rsrq_db": number("rsrq"),
                "nr_band": converted("band", _nr_band),
            },
        ),
        layout(
            "row state rat duplex mcc mnc cell_id pci tac arfcn band width rsrp rsrq sinr",
            marks={"row": _ROW, "rat": ("NR5G-SA",)},
            fields={
                "access_technology": constant("nr5g-sa"),
                "operator_mccmnc": network_code("mcc", "mnc"),
                "cell_id": hex_number("cell_id"),
                "pci": whole_number("pci"),
                "tac": hex_number("tac"),
                "arfcn": whole_number("arfcn"),
                "band": converted("band", _nr_band),
                "rsrp_dbm": whole_number("rsrp"),
                "rsrq_db": number("rsrq"),
                "sinr_db": number("sinr"),
            },
        ),
        layout(
            "row state rat mcc mnc lac cell_id uarfcn psc rac rscp ecio",
            marks={"row": _ROW, "rat": _3G},
            fields={
                "access_technology": worded("rat", _TECHNOLOGIES),
                "operator_mccmnc": network_code("mcc", "mnc"),
                "lac": hex_number("lac"),
                "cell_id": hex_number("cell_id"),
                "uarfcn": whole_number("uarfcn"),
                "rscp_dbm": whole_number("rscp"),
                "ecio_db": number("ecio"),
            },
        ),
        layout(
            "row state rat mcc mnc lac cell_id bsic arfcn band rxlev",
            marks={"row": _ROW, "rat": _2G},
            fields={
                "access_technology": worded("rat", _TECHNOLOGIES),
                "operator_mccmnc": network_code("mcc", "mnc"),
                "lac": hex_number("lac"),
                "cell_id": hex_number("cell_id"),
                "arfcn": whole_number("arfcn"),
                "rssi_dbm": whole_number("rxlev"),
            },
        ),
        deadline_s=5.0,
    )


def _signal(sinr: Convert) -> Query:
    """Make +QCSQ, the short form that older and smaller modules have."""
    return query(
        "AT+QCSQ",
        "+QCSQ:",
        layout(
            "rat rssi rsrp sinr rsrq",
            marks={"rat": _4G},
            fields={
                "access_technology": worded("rat", _TECHNOLOGIES),
                "rssi_dbm": converted("rssi", level_below_zero),  # EP06 and EG21 print it without sign
                "rsrp_dbm": whole_number("rsrp"),
                "sinr_db": Field(("sinr", "rsrq"), sinr),
                "rsrq_db": number("rsrq"),
            },
        ),
        layout(
            "rat rsrp sinr rsrq",
            marks={"rat": _NR},
            technologies=_FIRST_OF_CELL,
            fields={
                "access_technology": constant("nr5g-sa"),
                "rsrp_dbm": whole_number("rsrp"),
                "sinr_db": number("sinr"),
                "rsrq_db": number("rsrq"),
            },
        ),
        layout(
            "rat rsrp sinr rsrq",
            marks={"rat": _NR},
            technologies=_LEG_OF_LTE,
            fields={
                "access_technology": converted("rsrp", _nr_leg),
                "nr_rsrp_dbm": whole_number("rsrp"),
                "nr_sinr_db": number("sinr"),
                "nr_rsrq_db": number("rsrq"),
            },
        ),
        layout(
            "rat rssi rscp ecio",
            marks={"rat": _3G},
            fields={
                "access_technology": worded("rat", _TECHNOLOGIES),
                "rssi_dbm": converted("rssi", level_below_zero),
                "rscp_dbm": whole_number("rscp"),
                "ecio_db": number("ecio"),
            },
        ),
        layout(
            "rat rssi",
            marks={"rat": _2G},
            fields={
                "access_technology": worded("rat", _TECHNOLOGIES),
                "rssi_dbm": converted("rssi", level_below_zero),
            },
        ),
    )


def _network_layout(
    rats: Iterable[str],
    technology: Field,
    *,
    technologies: Iterable[str | None] | None = None,
    **fields: Field,
) -> Layout:
    """Make one line of +QNWINFO; they differ in the words and in what the channel number is."""
    return layout(
        "rat plmn band channel",
        marks={"rat": rats},
        technologies=technologies,
        fields={
            "access_technology": technology,
            "operator_mccmnc": converted("plmn", plmn_digits),
            **fields,
        },
    )


_RAT_WORD = worded("rat", _TECHNOLOGIES)
_CHANNEL = whole_number("channel")
_NETWORK = query(
    "AT+QNWINFO",
    "+QNWINFO:",
    _network_layout(_4G, _RAT_WORD, band=converted("band", _lte_band), earfcn=_CHANNEL),
    _network_layout(
        _NR,
        constant("nr5g-sa"),
        technologies=_FIRST_OF_CELL,
        band=converted("band", _nr_band),
        arfcn=_CHANNEL,
    ),
    _network_layout(_NR, constant("nr5g-nsa"), technologies=_LEG_OF_LTE, nr_band=converted("band", _nr_band)),
    _network_layout(_3G, _RAT_WORD, uarfcn=_CHANNEL),
    _network_layout(_2G, _RAT_WORD, arfcn=_CHANNEL),
)


def _temperature(first: str, second: str) -> float | None:
    """Return °C of a line "31,28,28" (the first of the sensors) or "name","35".

    A named sensor that is switched off shows 0 or -273.
    """
    unnamed = decimal(first)
    return unnamed if unnamed is not None else decimal(second) or None


# 5G modules print one named sensor to a line, of which the hottest counts.
_TEMPERATURE = query(
    "AT+QTEMP",
    "+QTEMP:",
    layout("first second", fields={"modem_temperature_c": Field(("first", "second"), _temperature)}),
    keep={"modem_temperature_c": max},
)

_NB_IOT_CELL = query(
    "AT+QENG=0",
    "+QENG:",
    layout(
        "row earfcn offset pci cell_id rsrp rsrq rssi sinr band tac",
        marks={"row": ("0",)},
        min_columns=10,
        fields={
            "access_technology": constant("nb-iot"),
            "earfcn": whole_number("earfcn"),
            "pci": whole_number("pci"),
            "cell_id": hex_number("cell_id"),
            "rsrp_dbm": whole_number("rsrp"),
            "rsrq_db": number("rsrq"),
            "rssi_dbm": whole_number("rssi"),
            "sinr_db": Field(("sinr", "rsrq"), sinr_in_whole_db),
            "band": converted("band", _lte_band),
            "tac": hex_number("tac"),
        },
    ),
)

_GSM_CELL = query(
    "AT+QENG?",
    "+QENG:",
    layout(
        "row mcc mnc lac cell_id arfcn bsic rxlev",
        marks={"row": ("0",)},
        min_columns=8,
        fields={
            "access_technology": constant("gsm"),
            "operator_mccmnc": network_code("mcc", "mnc"),
            "lac": hex_number("lac"),
            "cell_id": hex_number("cell_id"),
            "arfcn": whole_number("arfcn"),
            "rssi_dbm": whole_number("rxlev"),
        },
    ),
)

_GSM_TEMPERATURE = query(
    "AT+QTEMP?",
    "+QTEMP:",
    layout("status temperature", fields={"modem_temperature_c": whole_number("temperature")}),
)

_NR_WIDTHS_MHZ = (5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100, 200, 400)


def _nr_width_mhz(text: str) -> float | None:
    """Return MHz from the index of a bandwidth, 0 to 14."""
    index = whole(text)
    return _NR_WIDTHS_MHZ[index] if index is not None and 0 <= index < len(_NR_WIDTHS_MHZ) else None


def _lower(first: str, second: str) -> float | None:
    """Return RSRP of two columns whose order differs by firmware: it is always below RSRQ."""
    levels = [level for level in (decimal(first), decimal(second)) if level is not None]
    return min(levels) if len(levels) == 2 else None


def _higher(first: str, second: str) -> float | None:
    levels = [level for level in (decimal(first), decimal(second)) if level is not None]
    return max(levels) if len(levels) == 2 else None


_NEIGHBOURS = query(
    'AT+QENG="neighbourcell"',
    "+QENG:",
    layout(
        "row rat earfcn pci first second rssi",
        marks={"row": ("NEIGHBOURCELL INTRA", "NEIGHBOURCELL INTER", "NEIGHBOURCELL"), "rat": ("LTE",)},
        min_columns=6,
        fields={
            **IS_NEIGHBOUR,
            "access_technology": constant("lte"),
            "earfcn": whole_number("earfcn"),
            "pci": whole_number("pci"),
            "rsrp_dbm": Field(("first", "second"), _lower),
            "rsrq_db": Field(("first", "second"), _higher),
            "rssi_dbm": whole_number("rssi"),
        },
    ),
    deadline_s=5.0,
)


def _is_lte_band(text: str) -> bool:
    return text.upper().startswith("LTE BAND")


def _is_nr_band(text: str) -> bool:
    return text.upper().startswith("NR5G BAND")


_LTE_CARRIER = {
    "access_technology": constant("lte"),
    "earfcn": whole_number("channel"),
    "bandwidth_mhz": converted("width", width_of_blocks_mhz),
    "band": converted("band", _lte_band),
    "pci": whole_number("pci"),
    "rsrp_dbm": whole_number("rsrp"),
    "rsrq_db": number("rsrq"),
    "rssi_dbm": whole_number("rssi"),
}
_NR_CARRIER = {
    "access_technology": constant("nr5g"),
    "arfcn": whole_number("channel"),
    "bandwidth_mhz": converted("width", _nr_width_mhz),
    "band": converted("band", _nr_band),
    "pci": whole_number("pci"),
}


def _carrier_layouts(rows: Iterable[str], role: Mapping[str, Field]) -> tuple[Layout, ...]:
    """Make the lines of +QCAINFO for one role; NR lines of older firmware have no state."""
    is_nr: dict[str, Iterable[str] | Test] = {"row": rows, "band": _is_nr_band}
    return (
        layout(
            "row channel width band state pci rsrp rsrq rssi",
            marks={"row": rows, "band": _is_lte_band},
            fields={**role, **_LTE_CARRIER},
        ),
        layout(
            "row channel width band state pci", marks=is_nr, min_columns=6, fields={**role, **_NR_CARRIER}
        ),
        layout("row channel width band pci", marks=is_nr, fields={**role, **_NR_CARRIER}),
    )


_CARRIERS = query(
    "AT+QCAINFO",
    "+QCAINFO:",
    *_carrier_layouts(("PCC",), IS_SERVING),
    *_carrier_layouts(("SCC",), IS_SECONDARY),
)
_CELLS = (_CARRIERS, _NEIGHBOURS)

_SINR_IN_FIFTHS = (_serving_cell(sinr_in_fifths), _signal(sinr_in_fifths), _NETWORK, _TEMPERATURE)
_SINR_IN_WHOLE_DB = (_serving_cell(sinr_in_whole_db), _signal(sinr_in_whole_db), _NETWORK, _TEMPERATURE)

DIALECTS = (
    Dialect("Quectel M", (_GSM_CELL, _GSM_TEMPERATURE)),
    Dialect("Quectel BC", (_NB_IOT_CELL,)),
    Dialect("Quectel BG", _SINR_IN_FIFTHS, technology_codes={8: "lte-m"}, cell_queries=(_NEIGHBOURS,)),
    Dialect("Quectel EC200, EG91x", _SINR_IN_WHOLE_DB, cell_queries=_CELLS),
    Dialect("Quectel EC2x, EG2x, EG9x, Exx06", _SINR_IN_FIFTHS, cell_queries=_CELLS),
    Dialect("Quectel LTE-A and 5G", _SINR_IN_WHOLE_DB, cell_queries=_CELLS),
)
