"""Neoway: N720, N75, N511 and kin.

Source: Neoway N75 and N720 AT command manuals, command +NETDMSGEX. Levels are tenths or whole by firmware;
RSRP tells which, as no cell is heard below -157 dBm. Cell and area codes are left to the +CREG family.
"""

from collections.abc import Mapping

from agent.modem.conversions import decimal, lte_band, nr_band, plmn_digits
from agent.modem.dialect import (
    Dialect,
    Field,
    constant,
    converted,
    layout,
    query,
    whole_number,
)

_LOWEST_LEVEL_DBM = -157


def _in_scale_of_level(text: str, level_text: str) -> float | None:
    """Return a column's value in the scale that the level beside it is printed in."""
    value, level = decimal(text), decimal(level_text)
    if value is None or level is None:
        return None
    return value / 10 if level < _LOWEST_LEVEL_DBM else value


def _scaled(column: str, level: str) -> Field:
    return Field((column, level), _in_scale_of_level)


def _network(text: str) -> str | None:
    return plmn_digits(text.replace("+", ""))


_NETWORK: Mapping[str, Field] = {"operator_mccmnc": converted("plmn", _network)}

_SERVING_CELL = query(
    "AT+NETDMSGEX",
    "+NETDMSGEX:",
    layout(
        "mode plmn band earfcn tac cell_id pci rx_level tx_level rsrp rsrq sinr rssi",
        marks={"mode": ("LTE", "FDD LTE", "TDD LTE", "FDD-LTE", "TDD-LTE", "LTE FDD", "LTE TDD")},
        min_columns=12,
        fields={
            "access_technology": constant("lte"),
            **_NETWORK,
            "band": converted("band", lte_band),
            "earfcn": whole_number("earfcn"),
            "pci": whole_number("pci"),
            "rsrp_dbm": _scaled("rsrp", "rsrp"),
            "rsrq_db": _scaled("rsrq", "rsrp"),
            "sinr_db": _scaled("sinr", "rsrp"),
            "rssi_dbm": _scaled("rssi", "rsrp"),
        },
    ),
    layout(
        "mode plmn band arfcn gnb_id pci rsrp rsrq sinr",
        marks={"mode": ("NR TO 5GCN",)},
        min_columns=9,
        fields={
            "access_technology": constant("nr5g-sa"),
            **_NETWORK,
            "band": converted("band", nr_band),
            "arfcn": whole_number("arfcn"),
            "pci": whole_number("pci"),
            "rsrp_dbm": _scaled("rsrp", "rsrp"),
            "rsrq_db": _scaled("rsrq", "rsrp"),
            "sinr_db": _scaled("sinr", "rsrp"),
        },
    ),
    layout(
        "mode plmn band arfcn gnb_id pci rsrp rsrq sinr",
        marks={"mode": ("NR TO EPS", "NR-LTE ENDC")},
        min_columns=9,
        fields={
            "access_technology": constant("nr5g-nsa"),
            **_NETWORK,
            "nr_band": converted("band", nr_band),
            "nr_rsrp_dbm": _scaled("rsrp", "rsrp"),
            "nr_rsrq_db": _scaled("rsrq", "rsrp"),
            "nr_sinr_db": _scaled("sinr", "rsrp"),
        },
    ),
    layout(
        "mode plmn band uarfcn lac cell_id psc rac rx_level tx_level rscp ecio rssi",
        marks={"mode": ("WCDMA", "HSDPA", "HSUPA", "HSPA", "HSPA+")},
        min_columns=12,
        fields={
            "access_technology": constant("umts"),
            **_NETWORK,
            "uarfcn": whole_number("uarfcn"),
            "rscp_dbm": _scaled("rscp", "rscp"),
            "ecio_db": _scaled("ecio", "rscp"),
        },
    ),
)

DIALECTS = (Dialect("Neoway", (_SERVING_CELL,)),)
