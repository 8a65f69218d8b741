"""Nordic Semiconductor nRF91 series (LTE-M, NB-IoT).

Source: nRF9160 AT commands reference guide, commands %XMONITOR, %XTEMP, %XICCID.
"""

from agent.modem.conversions import CESQ_RSRP, Code, lte_band, plmn_digits
from agent.modem.dialect import (
    Dialect,
    coded,
    converted,
    hex_number,
    layout,
    number,
    query,
    whole_number,
    worded,
)
from agent.modem.identity import IdentityQuery, read_iccid

_SNR = Code(last=49, step=1, offset=-24)
_TECHNOLOGIES = {"7": "lte-m", "9": "nb-iot"}


def _text(text: str) -> str | None:
    return text or None


_SERVING_CELL = query(
    "AT%XMONITOR",
    "%XMONITOR:",
    layout(
        "status full_name short_name plmn tac technology band cell_id pci earfcn rsrp snr",
        marks={"status": ("1", "5"), "technology": _TECHNOLOGIES},
        fields={
            "access_technology": worded("technology", _TECHNOLOGIES),
            "operator_name": converted("full_name", _text),
            "operator_mccmnc": converted("plmn", plmn_digits),
            "tac": hex_number("tac"),
            "band": converted("band", lte_band),
            "cell_id": hex_number("cell_id"),
            "pci": whole_number("pci"),
            "earfcn": whole_number("earfcn"),
            "rsrp_dbm": coded("rsrp", CESQ_RSRP),
            "sinr_db": coded("snr", _SNR),
        },
    ),
)
_TEMPERATURE = query(
    "AT%XTEMP?",
    "%XTEMP:",
    layout("temperature", fields={"modem_temperature_c": number("temperature")}),
)

DIALECTS = (
    Dialect(
        "Nordic",
        (_SERVING_CELL, _TEMPERATURE),
        technology_codes={7: "lte-m"},
        identity=(IdentityQuery("AT%XICCID", "iccid", ("%XICCID:",), read_iccid),),
    ),
)
