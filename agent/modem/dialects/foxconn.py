"""Foxconn T99W175 and its kin, Dell DW5821e, DW5930e, Thales MV31: labels and values from ^DEBUG?.

Sources: Foxconn T77W968 and T99W175 AT command guides, commands ^DEBUG, ^TEMP. All numbers are decimal.
The manufacturer's name changes with the customer: model or firmware tell the family.
"""

import re
from collections.abc import Mapping

from agent.modem.cells import IS_SECONDARY
from agent.modem.conversions import (
    leading_number,
    lte_band,
    number_in_brackets,
    plmn_digits,
    printed_band,
    whole,
)
from agent.modem.dialect import (
    Dialect,
    Field,
    constant,
    converted,
    layout,
    network_code,
    query,
    whole_number,
    worded,
)
from agent.modem.labels import WORDS, labelled

# Some labels have brackets or a dash, and the PLMN of the DW5821e has a blank.
_PAIRS = re.compile(
    r"((?:eNB ID|EARFCN)\([A-Z/]+\)|\b[\w-]{1,40}):"
    r"(?:[ \t]*(?!\w{1,40}:)([0-9]{3} [0-9]{2,3}(?!\S)|[^\s,:]+))?"
)
_COLUMNS = """part rat mcc mnc lte_cell_id lte_tac nr_cell_id nr_tac
    lte_band lte_band_width channel pci lte_rsrp lte_rssi lte_snr rsrp rsrq rssi snr
    nr_band nr_band_width nr_channel nr_pci nr_rsrp nr_rsrq nr_snr
    band plmn tac earfcn_dl_ul enb_id_pci rs_sinr rs_snr"""
_PARTS = ("pcell", "scell", "nr_band")
_TECHNOLOGIES = {"LTE": "lte", "LTE+NR": "nr5g-nsa", "NR5G_SA": "nr5g-sa", "WCDMA": "umts"}


def _either(*columns: str) -> Field:
    """Read the first of several labels that has a number."""

    def read(*texts: str) -> float | None:
        return next((value for text in texts if (value := leading_number(text)) is not None), None)

    return Field(columns, read)


def _first_of_pair(text: str) -> int | None:
    return whole(text.partition("/")[0])


def _cell_of_sector(text: str) -> int | None:
    """Return the cell identity of "645413-4(130)": eNB number, sector, and the PCI."""
    enb, _dash, sector = text.partition("(")[0].partition("-")
    enb_number, sector_number = whole(enb), whole(sector)
    if enb_number is None or sector_number is None or not 0 <= sector_number <= 255:
        return None
    return enb_number * 256 + sector_number


_NETWORK = network_code("mcc", "mnc")
_LEVELS: Mapping[str, Field] = {
    "rsrp_dbm": _either("lte_rsrp", "rsrp"),
    "rsrq_db": _either("rsrq"),
    "rssi_dbm": _either("lte_rssi", "rssi"),
    "sinr_db": _either("lte_snr", "snr", "rs_sinr", "rs_snr"),
}
_CARRIER: Mapping[str, Field] = {
    "band": converted("lte_band", lte_band),
    "earfcn": whole_number("channel"),
    "pci": whole_number("pci"),
    **_LEVELS,
}
_SPLIT = labelled(_COLUMNS, _PAIRS, starts=_PARTS)

_SERVING_CELL = query(
    "AT^DEBUG?",
    "",
    layout(
        _COLUMNS,
        marks={"part": ("",), "rat": ("LTE",), "plmn": bool},
        fields={
            "access_technology": constant("lte"),
            "operator_mccmnc": converted("plmn", plmn_digits),
            "earfcn": converted("earfcn_dl_ul", _first_of_pair),
            "band": converted("band", lte_band),
            "tac": whole_number("tac"),
            "cell_id": converted("enb_id_pci", _cell_of_sector),
            "pci": converted("enb_id_pci", number_in_brackets),
            **_LEVELS,
        },
    ),
    layout(
        _COLUMNS,
        marks={"part": ("",), "rat": ("LTE", "LTE+NR")},
        fields={
            "access_technology": worded("rat", _TECHNOLOGIES),
            "operator_mccmnc": _NETWORK,
            "cell_id": whole_number("lte_cell_id"),
            "tac": whole_number("lte_tac"),
        },
    ),
    layout(
        _COLUMNS,
        marks={"part": ("",), "rat": ("NR5G_SA",)},
        fields={
            "access_technology": constant("nr5g-sa"),
            "operator_mccmnc": _NETWORK,
            "cell_id": whole_number("nr_cell_id"),
            "tac": whole_number("nr_tac"),
        },
    ),
    layout(
        _COLUMNS,
        marks={"part": ("",), "rat": ("WCDMA",)},
        fields={"access_technology": constant("umts"), "operator_mccmnc": _NETWORK},
    ),
    layout(_COLUMNS, marks={"part": ("PCELL",)}, fields=_CARRIER),
    layout(
        _COLUMNS,
        marks={"part": ("NR_BAND",)},
        technologies=("nr5g-sa",),
        fields={
            "band": converted("nr_band", printed_band),
            "arfcn": whole_number("nr_channel"),
            "pci": whole_number("nr_pci"),
            "rsrp_dbm": _either("nr_rsrp"),
            "rsrq_db": _either("nr_rsrq"),
            "sinr_db": _either("nr_snr"),
        },
    ),
    layout(
        _COLUMNS,
        marks={"part": ("NR_BAND",)},
        technologies=("nr5g-nsa",),
        fields={
            "nr_band": converted("nr_band", printed_band),
            "nr_rsrp_dbm": _either("nr_rsrp"),
            "nr_rsrq_db": _either("nr_rsrq"),
            "nr_sinr_db": _either("nr_snr"),
        },
    ),
    split=_SPLIT,
    deadline_s=5.0,
)
_TEMPERATURE = query(
    "AT^TEMP?",
    "",
    layout(
        "part tsens",
        marks={"tsens": bool},
        fields={"modem_temperature_c": converted("tsens", leading_number)},
    ),
    split=labelled("part tsens", WORDS, starts=()),
)

_CARRIERS = query(
    _SERVING_CELL.command,
    "",
    layout(
        _COLUMNS,
        marks={"part": ("SCELL",)},
        fields={
            **IS_SECONDARY,
            "access_technology": constant("lte"),
            "bandwidth_mhz": _either("lte_band_width"),
            **_CARRIER,
        },
    ),
    layout(
        _COLUMNS,
        marks={"part": ("NR_BAND",)},
        technologies=("nr5g-nsa",),
        fields={
            **IS_SECONDARY,
            "access_technology": constant("nr5g"),
            "band": converted("nr_band", printed_band),
            "bandwidth_mhz": _either("nr_band_width"),
            "arfcn": whole_number("nr_channel"),
            "pci": whole_number("nr_pci"),
            "rsrp_dbm": _either("nr_rsrp"),
            "rsrq_db": _either("nr_rsrq"),
            "sinr_db": _either("nr_snr"),
        },
    ),
    split=_SPLIT,
    deadline_s=5.0,
)

DIALECTS = (Dialect("Foxconn", (_SERVING_CELL, _TEMPERATURE), cell_queries=(_CARRIERS,)),)
