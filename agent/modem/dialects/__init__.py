"""The families of modems the agent knows, as an explicit list. CONTRIBUTING.md shows how to add one.

A family's module is imported only when a modem of that family is there: memory is short.
"""

from importlib import import_module
from typing import NamedTuple

from agent.modem.dialect import Dialect
from agent.modem.dialects.generic_3gpp import GENERIC_3GPP


class Family(NamedTuple):
    """Which modems speak a dialect.

    dialect: its name in `DIALECTS` of the module. makers: beginnings of the manufacturer's name. models:
    beginnings of the model's or the firmware's name. Both in capitals, () = any. probe: a cheap query
    that no other family answers and the beginning of its answer; it finds a modem under a foreign name.
    """

    dialect: str
    module: str
    makers: tuple[str, ...]
    models: tuple[str, ...] = ()
    probe: tuple[str, str] | None = None


# More exact models come before a maker's others.
FAMILIES: tuple[Family, ...] = (
    Family("Quectel M", "quectel", ("QUECTEL",), ("M1", "M2", "M3", "M5", "M6", "M7", "M8", "M9", "MC")),
    Family("Quectel BC", "quectel", ("QUECTEL",), ("BC",)),
    Family("Quectel BG", "quectel", ("QUECTEL",), ("BG",)),
    Family(
        "Quectel EC200, EG91x",
        "quectel",
        ("QUECTEL",),
        ("EC200", "EC800", "EG800", "EG912", "EG915", "EG916"),
    ),
    Family(
        "Quectel EC2x, EG2x, EG9x, Exx06",
        "quectel",
        ("QUECTEL",),
        ("EC2", "EG2", "EG91", "EG95", "EP0", "EM0", "EG0"),
    ),
    Family("Quectel LTE-A and 5G", "quectel", ("QUECTEL",), (), ('AT+QENG="servingcell"', "+QENG:")),
    Family(
        "Foxconn",
        "foxconn",
        (),
        ("T99W175", "T99W373", "T99W640", "DW5930", "DW5821", "MV31"),
        ("AT^DEBUG?", ""),
    ),
    Family("Huawei", "huawei", ("HUAWEI",), (), ("AT^HCSQ?", "^HCSQ:")),
    Family("Sierra", "sierra", (), ("EM7", "EM91", "MC7", "WP7", "SWI9X"), ("AT!GSTATUS?", "!GSTATUS:")),
    Family("Telit ME910", "telit", ("TELIT",), ("ME",)),
    Family("Telit", "telit", ("TELIT",), (), ("AT#RFSTS", "#RFSTS:")),
    Family("SIMCom", "simcom", ("SIMCOM",), (), ("AT+CPSI?", "+CPSI:")),
    Family("SIMCom", "simcom", ("QUALCOMM",), ("SIM5", "SIM7", "SIM8")),
    Family("u-blox", "ublox", ("U-BLOX",)),
    Family("ZTE", "zte", ("ZTE",), (), ("AT+ZPAS?", "+ZPAS:")),
    Family("ZTE", "zte", ("QUALCOMM",), ("MF", "P6")),
    Family("Fibocom FM350", "fibocom_fm350", ("FIBOCOM",), ("FM350",)),
    Family(
        "Fibocom, Intel XMM",
        "fibocom_xmm",
        ("FIBOCOM", "INTEL"),
        ("L83", "L85", "L86", "XMM"),
        ("AT+XCESQ?", "+XCESQ:"),
    ),
    Family("Fibocom", "fibocom", ("FIBOCOM",), (), ("AT+GTCCINFO?", "+GTCCINFO:")),
    Family("Cinterion", "cinterion", ("CINTERION", "GEMALTO", "THALES"), (), ("AT^SMONI", "^SMONI:")),
    Family("Sequans Monarch", "sequans", ("SEQUANS",), ("GM0", "SQN3330", "MONARCH")),
    Family("Sequans", "sequans", ("SEQUANS",)),
    Family("Nordic", "nordic", ("NORDIC",), (), ("AT%XMONITOR", "%XMONITOR:")),
    Family("MeiG", "meig", ("MEIG",), (), ("AT+SGCELLINFOEX?", "+SGCELLINFOEX:")),
    Family("Neoway", "neoway", ("NEOWAY",), (), ("AT+NETDMSGEX", "+NETDMSGEX:")),
    Family("ASR", "asr", ("AIRM2M", "LUAT", "ASR", "MARVELL", "MIKROTIK"), (), ("AT+EEMGINFO?", "+EEM")),
)


def load_dialect(family: Family) -> Dialect:
    """Import the family's module and return its dialect."""
    dialects: tuple[Dialect, ...] = import_module(f"{__name__}.{family.module}").DIALECTS
    return next(dialect for dialect in dialects if dialect.name == family.dialect)


def find_family(manufacturer: str | None, model: str | None, firmware: str | None) -> Family | None:
    """Return the first family that fits; None for a modem that is known to speak plain 3GPP only."""
    maker = (manufacturer or "").upper()
    # "Quectel_BC26", "SIMCOM_SIM7600E": the maker's name before the model's is no part of it.
    names = ((model or "").upper().rpartition("_")[2], (firmware or "").upper())
    for family in FAMILIES:
        is_of_maker = not family.makers or maker.startswith(family.makers)
        is_model = not family.models or any(name.startswith(family.models) for name in names)
        if is_of_maker and is_model:
            return family
    return None


def choose_dialect(manufacturer: str | None, model: str | None, firmware: str | None = None) -> Dialect:
    """Return the dialect of the modem; one that is not in the list speaks plain 3GPP."""
    family = find_family(manufacturer, model, firmware)
    return GENERIC_3GPP if family is None else load_dialect(family)
