"""Sierra Wireless: MC and EM 73xx, 74xx, 75xx, 91xx, and their Dell and HP rebrands.

Sources: Sierra Wireless EM/MC AT command reference (4117727) and EM919x AT command reference,
commands !GSTATUS, !LTEINFO. Labels differ by firmware: "RSRP (dBm)" or "PCC RxM RSRP".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from agent.contract.catalogue import Value
from agent.modem.cells import IS_NEIGHBOUR, IS_SECONDARY
from agent.modem.conversions import (
    hexadecimal,
    leading_number,
    number_in_brackets,
    plmn,
    printed_band,
    whole,
)
from agent.modem.dialect import (
    Dialect,
    Field,
    Layout,
    Row,
    constant,
    converted,
    layout,
    number,
    query,
    whole_number,
    worded,
)
from agent.modem.labels import PHRASES, labelled


def _hexadecimal_and_decimal(text: str) -> int | None:
    """Return the number of "D5AC (54700)", or of "2d6600" alone."""
    in_brackets = number_in_brackets(text)
    return hexadecimal(text) if in_brackets is None else in_brackets


def _network(text: str) -> str | None:
    mcc, _dash, mnc = text.partition("-")
    return plmn(mcc, mnc)


def _first(convert: Callable[[str], Value], *columns: str) -> Field:
    """Read the first of several labels that gives a value."""

    def read(*texts: str) -> Value:
        return next((value for text in texts if (value := convert(text)) is not None), None)

    return Field(columns, read)


def _level(*columns: str) -> Field:
    return _first(leading_number, *columns)


_STATUS_COLUMNS = """part system_mode temperature lte_band lte_rx_chan tac cell_id
    pcc_rxm_rssi pcc_rxm_rsrp rssi_dbm rsrp_dbm rsrq_db sinr_db
    nr5g_band nr5g_rx_chan nr5g_tac nr5g_cell_id nr5g_mcc_mnc nr5g_rsrp_dbm nr5g_rsrq_db nr5g_sinr_db
    wcdma_band wcdma_channel lac rxm_rssi_c0
    gsm_channel"""
_TECHNOLOGIES = {
    "LTE": "lte",
    "ENDC": "nr5g-nsa",
    "NR5G": "nr5g-sa",
    "SA": "nr5g-sa",
    "WCDMA": "umts",
    "UMTS": "umts",
    "GSM": "gsm",
}
_4G = ("LTE", "ENDC")
_TECHNOLOGY = worded("system_mode", _TECHNOLOGIES)
_TEMPERATURE = converted("temperature", leading_number)
_PLACE_2G_3G: Mapping[str, Field] = {
    "lac": converted("lac", _hexadecimal_and_decimal),
    "cell_id": converted("cell_id", _hexadecimal_and_decimal),
    "rssi_dbm": converted("rxm_rssi_c0", leading_number),
}

_STATUS = query(
    "AT!GSTATUS?",
    ("!GSTATUS:", ""),
    layout(
        _STATUS_COLUMNS,
        marks={"system_mode": _4G},
        fields={
            "modem_temperature_c": _TEMPERATURE,
            "access_technology": _TECHNOLOGY,
            "band": converted("lte_band", printed_band),
            "earfcn": whole_number("lte_rx_chan"),
            "tac": converted("tac", _hexadecimal_and_decimal),
            "cell_id": converted("cell_id", _hexadecimal_and_decimal),
            "rssi_dbm": _level("pcc_rxm_rssi", "rssi_dbm"),
            "rsrp_dbm": _level("pcc_rxm_rsrp", "rsrp_dbm"),
            "rsrq_db": _level("rsrq_db"),
            "sinr_db": _level("sinr_db"),
            "nr_band": converted("nr5g_band", printed_band),
            "nr_rsrp_dbm": _level("nr5g_rsrp_dbm"),
            "nr_rsrq_db": _level("nr5g_rsrq_db"),
            "nr_sinr_db": _level("nr5g_sinr_db"),
        },
    ),
    layout(
        _STATUS_COLUMNS,
        marks={"system_mode": ("NR5G", "SA")},
        fields={
            "modem_temperature_c": _TEMPERATURE,
            "access_technology": _TECHNOLOGY,
            "operator_mccmnc": converted("nr5g_mcc_mnc", _network),
            "band": converted("nr5g_band", printed_band),
            "arfcn": whole_number("nr5g_rx_chan"),
            "tac": _first(_hexadecimal_and_decimal, "nr5g_tac", "tac"),
            "cell_id": _first(_hexadecimal_and_decimal, "nr5g_cell_id", "cell_id"),
            "rsrp_dbm": _level("nr5g_rsrp_dbm"),
            "rsrq_db": _level("nr5g_rsrq_db"),
            "sinr_db": _level("nr5g_sinr_db"),
        },
    ),
    layout(
        _STATUS_COLUMNS,
        marks={"system_mode": ("WCDMA", "UMTS")},
        fields={
            "modem_temperature_c": _TEMPERATURE,
            "access_technology": _TECHNOLOGY,
            "uarfcn": whole_number("wcdma_channel"),
            **_PLACE_2G_3G,
        },
    ),
    layout(
        _STATUS_COLUMNS,
        marks={"system_mode": ("GSM",)},
        fields={
            "modem_temperature_c": _TEMPERATURE,
            "access_technology": _TECHNOLOGY,
            "arfcn": whole_number("gsm_channel"),
            **_PLACE_2G_3G,
        },
    ),
    layout(_STATUS_COLUMNS, fields={"modem_temperature_c": _TEMPERATURE}),
    split=labelled(_STATUS_COLUMNS, PHRASES, starts=()),
    deadline_s=5.0,
)

_SECTIONS = ("SERVING", "INTRAFREQ", "INTERFREQ", "WCDMA", "GSM", "CDMA 1X", "CDMA HRPD")


def _rows_of_sections(answers: Iterable[str]) -> Iterator[Row]:
    """Make rows of a table in columns of blanks; its headings begin with the section's name."""
    section = ""
    for answer in answers:
        heading, colon, _columns = answer.partition(":")
        if colon and heading.upper() in _SECTIONS:
            section = heading.upper()
        elif section:
            yield [section, *answer.split()]


_CHANNEL = "earfcn mcc mnc tac cell_id band dl_width ul_width snr pci rsrq rsrp rssi rxlev"
_LTE_INFO_PREFIXES = ("!LTEINFO:", "")
_CELL = query(
    "AT!LTEINFO?",
    _LTE_INFO_PREFIXES,
    layout(
        f"part {_CHANNEL}",
        marks={"part": ("SERVING",)},
        min_columns=13,
        technologies=("lte", "nr5g-nsa"),
        fields={"pci": whole_number("pci"), "operator_mccmnc": Field(("mcc", "mnc"), plmn)},
    ),
    split=_rows_of_sections,
    deadline_s=5.0,
)

_LTE_NEIGHBOUR: Mapping[str, Field] = {
    **IS_NEIGHBOUR,
    "access_technology": constant("lte"),
    "pci": whole_number("pci"),
    "rsrq_db": number("rsrq"),
    "rsrp_dbm": number("rsrp"),
    "rssi_dbm": number("rssi"),
}
_NEIGHBOURS = query(
    "AT!LTEINFO?",
    _LTE_INFO_PREFIXES,
    layout(
        "part pci rsrq rsrp rssi rxlev", marks={"part": ("INTRAFREQ",)}, min_columns=5, fields=_LTE_NEIGHBOUR
    ),
    layout(
        "part earfcn threshold_low threshold_high priority pci rsrq rsrp rssi rxlev",
        marks={"part": ("INTERFREQ",)},
        min_columns=9,
        fields={**_LTE_NEIGHBOUR, "earfcn": whole_number("earfcn")},
    ),
    layout(
        "part uarfcn threshold_low threshold_high priority psc rscp ecno rxlev",
        marks={"part": ("WCDMA",)},
        min_columns=8,
        fields={
            **IS_NEIGHBOUR,
            "access_technology": constant("umts"),
            "uarfcn": whole_number("uarfcn"),
            "rscp_dbm": number("rscp"),
            "ecio_db": number("ecno"),
        },
    ),
    split=_rows_of_sections,
    deadline_s=5.0,
)

_CARRIERS = tuple(f"lte_scc{place}" for place in range(1, 6))
_CARRIER_COLUMNS = "part " + " ".join(
    f"{carrier}_{label}" for carrier in _CARRIERS for label in ("state", "band", "bw", "rx_chan")
)


def _carrier(name: str) -> Layout:
    return layout(
        _CARRIER_COLUMNS,
        marks={f"{name}_state": ("ACTIVE",)},
        fields={
            **IS_SECONDARY,
            "access_technology": constant("lte"),
            "band": converted(f"{name}_band", printed_band),
            "earfcn": converted(f"{name}_rx_chan", whole),
            "bandwidth_mhz": converted(f"{name}_bw", leading_number),
        },
    )


_AGGREGATION = query(
    _STATUS.command,
    _STATUS.prefixes,
    *(_carrier(name) for name in _CARRIERS),
    split=labelled(_CARRIER_COLUMNS, PHRASES, starts=(f"{name}_state" for name in _CARRIERS)),
    deadline_s=5.0,
)

DIALECTS = (Dialect("Sierra", (_STATUS, _CELL), cell_queries=(_AGGREGATION, _NEIGHBOURS)),)
