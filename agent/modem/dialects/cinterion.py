"""Cinterion, Gemalto, Thales: BGS, EHS, PHS, PLS, ELS.

Source: Cinterion EHS6, PLS8-E, PLS62-W AT command sets, commands ^SMONI, ^SCTM, ^SCID.
"""

from agent.modem.conversions import lte_band
from agent.modem.dialect import (
    Dialect,
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

# Without a cell the line ends after SEARCH, so the whole place must be there.
_SERVING_CELL = query(
    "AT^SMONI",
    "^SMONI:",
    layout(
        "rat earfcn band dl_width ul_width duplex mcc mnc tac cell_id pci rx_or_tx_level rsrp rsrq state",
        marks={"rat": ("4G",)},
        min_columns=14,
        fields={
            "access_technology": constant("lte"),
            "earfcn": whole_number("earfcn"),
            "band": converted("band", lte_band),
            "operator_mccmnc": network_code("mcc", "mnc"),
            "tac": hex_number("tac"),
            "cell_id": hex_number("cell_id"),
            "pci": whole_number("pci"),
            "rsrp_dbm": number("rsrp"),
            "rsrq_db": number("rsrq"),
        },
    ),
    layout(
        "rat uarfcn psc ecno rscp mcc mnc lac cell_id squal srxlev",
        marks={"rat": ("3G",)},
        min_columns=9,
        fields={
            "access_technology": constant("umts"),
            "uarfcn": whole_number("uarfcn"),
            "ecio_db": number("ecno"),
            "rscp_dbm": number("rscp"),
            "operator_mccmnc": network_code("mcc", "mnc"),
            "lac": hex_number("lac"),
            "cell_id": hex_number("cell_id"),
        },
    ),
    layout(
        "rat arfcn level mcc mnc lac cell_id c1 c2 ncc bcc gprs",
        marks={"rat": ("2G",)},
        min_columns=7,
        fields={
            "access_technology": constant("gsm"),
            "arfcn": whole_number("arfcn"),
            "rssi_dbm": number("level"),
            "operator_mccmnc": network_code("mcc", "mnc"),
            "lac": hex_number("lac"),
            "cell_id": hex_number("cell_id"),
        },
    ),
)
_TEMPERATURE = query(
    "AT^SCTM?",
    "^SCTM:",
    layout("notice level temperature", fields={"modem_temperature_c": number("temperature")}),
)

DIALECTS = (
    Dialect(
        "Cinterion",
        (_SERVING_CELL, _TEMPERATURE),
        identity=(IdentityQuery("AT^SCID", "iccid", ("^SCID:",), read_iccid),),
    ),
)
