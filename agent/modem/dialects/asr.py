"""ASR 1603/1606/1802 firmware: Air720, Air724 and other Luat modules, MikroTik R11e.

Source: ASR 1802S AT command manual, command +EEMGINFO; checked against recorded sessions. MCC and MNC
are binary-coded decimals printed as a decimal number (1120 = 0x460); area and cell are decimal.
"""

from agent.modem.cells import IS_NEIGHBOUR
from agent.modem.conversions import CESQ_RSRP, CESQ_RSRQ, lte_band, plmn, whole
from agent.modem.dialect import (
    Dialect,
    Field,
    coded,
    constant,
    converted,
    layout,
    query,
    whole_number,
)


def _network(mcc: str, mnc_digits: str, mnc: str) -> str | None:
    country, digits, network = whole(mcc), whole(mnc_digits), whole(mnc)
    if country is None or network is None or digits not in (2, 3):
        return None
    return plmn(f"{country:03x}", f"{network:0{digits}x}")


_PREFIX = ("+EEMLTESVC:", "+EEMLTESVC :")
_SERVING_CELL = query(
    "AT+EEMGINFO?",
    _PREFIX,
    layout(
        "mcc mnc_digits mnc tac pci earfcn ul_earfcn band width cell_id a rsrp rsrq",
        min_columns=20,
        marks={"mnc_digits": ("2", "3")},
        fields={
            "access_technology": constant("lte"),
            "operator_mccmnc": Field(("mcc", "mnc_digits", "mnc"), _network),
            "tac": whole_number("tac"),
            "pci": whole_number("pci"),
            "earfcn": whole_number("earfcn"),
            "band": converted("band", lte_band),
            "cell_id": whole_number("cell_id"),
            "rsrp_dbm": coded("rsrp", CESQ_RSRP),
            "rsrq_db": coded("rsrq", CESQ_RSRQ),
        },
    ),
)
_NEIGHBOURS = query(
    "AT+EEMGINFO?",
    ("+EEMLTEINTRA:", "+EEMLTEINTER:"),
    layout(
        "place pci earfcn rsrp rsrq",
        min_columns=5,
        fields={
            **IS_NEIGHBOUR,
            "access_technology": constant("lte"),
            "pci": whole_number("pci"),
            "earfcn": whole_number("earfcn"),
            "rsrp_dbm": coded("rsrp", CESQ_RSRP),
        },
    ),
)

DIALECTS = (Dialect("ASR", (_SERVING_CELL,), cell_queries=(_NEIGHBOURS,)),)
