"""SIMCom: SIM7x00 (LTE), SIM8200 (5G), SIM70xx (LTE-M, NB-IoT), A76xx and SIM767x (LTE), SIM52xx (3G).

One +CPSI layout comes in three scales: tenths (SIM7x00, SIM8200), whole dBm and dB (SIM70xx), and the
indices of +CESQ (A76xx, SIM767x). The RSRP column tells which, its three ranges do not overlap.
SIM800 has none of these commands. Sources: SIMCom AT command manuals (SIM7500_SIM7600, SIM8200,
SIM7070_SIM7080_SIM7090, A76XX, SIM5300E), commands +CPSI, +CNSMOD, +CPMUTEMP.
"""

from collections.abc import Iterable

from agent.modem.conversions import (
    CESQ_RSRP,
    CESQ_RSRQ,
    band_label,
    decimal,
    plmn,
    whole,
)
from agent.modem.dialect import (
    Dialect,
    Field,
    Layout,
    constant,
    converted,
    hex_number,
    layout,
    query,
    whole_number,
    worded,
)

_LTE = {
    "LTE": "lte",
    "LTE CAT-M": "lte-m",
    "LTE CAT-M1": "lte-m",
    "LTE-M": "lte-m",
    "CAT-M": "lte-m",
    "LTE NB-IOT": "nb-iot",
    "NB-IOT": "nb-iot",
}
_NR_SA = ("NR5G_SA", "NR5G-SA")
_NR_NSA = ("NR5G_NSA", "NR5G-NSA")
_NR = ("NR5G",)

_LOWEST_RSRP_DBM, _HIGHEST_RSRP_DBM = -157, -30
_NO_EARFCN = "4294967295"
_CPSI_RSSI_OFFSET_DBM = -110
_MAX_CPSI_INDEX = 97
_HIGHEST_SINR_DB = 50


def _plmn(text: str) -> str | None:
    mcc, _, mnc = text.partition("-")
    return plmn(mcc, mnc)


def _lte_band(text: str) -> str | None:
    word, _, band = text.upper().partition("BAND")
    return band_label("B", band) if word == "EUTRAN-" else None


def _nr_band(text: str) -> str | None:
    word, _, band = text.upper().partition("BAND")
    return band_label("n", band) if word in ("NR5G_", "NR5G-") else None


def _per_unit(rsrp: float | None) -> int | None:
    """Return what a level must be divided by: 10 or 1; None when the column holds no level."""
    if rsrp is None or rsrp > _HIGHEST_RSRP_DBM:
        return None
    return 1 if rsrp >= _LOWEST_RSRP_DBM else 10


def _are_indices(rsrq: str, rsrp: str) -> bool:
    """Return True for the columns of an A76xx; two zeros are what any model prints before it measures."""
    rsrq_index, rsrp_index = whole(rsrq), whole(rsrp)
    if rsrq_index is None or rsrp_index is None:
        return False
    return min(rsrq_index, rsrp_index) >= 0 and max(rsrq_index, rsrp_index) > 0


def _rsrp_dbm(rsrp: str, rsrq: str) -> float | None:
    if _are_indices(rsrq, rsrp):
        return CESQ_RSRP.value(rsrp)
    level = decimal(rsrp)
    scale = _per_unit(level)
    return None if level is None or scale is None else level / scale


def _rsrq_db(rsrq: str, rsrp: str) -> float | None:
    if _are_indices(rsrq, rsrp):
        return CESQ_RSRQ.value(rsrq)
    quality, scale = decimal(rsrq), _per_unit(decimal(rsrp))
    return None if quality is None or scale is None else quality / scale


def _rssi_dbm(rssi: str, rsrp: str, rsrq: str) -> float | None:
    level = decimal(rssi)
    if level is None:
        return None
    if _are_indices(rsrq, rsrp):
        return level + _CPSI_RSSI_OFFSET_DBM if 0 < level <= _MAX_CPSI_INDEX else None
    scale = _per_unit(decimal(rsrp))
    return None if scale is None else level / scale


def _sinr_db(rssnr: str, rsrp: str, rsrq: str) -> float | None:
    """Return dB: printed so on the models with indices, as 2 n - 20 on those with tenths.

    The models with whole units do not say which of the two they mean.
    """
    index = decimal(rssnr)
    if index is None:
        return None
    if _are_indices(rsrq, rsrp):
        return index
    is_coded = _per_unit(decimal(rsrp)) == 10 and 0 <= index <= 25
    return 2 * index - 20 if is_coded else None


def _nr_levels(first: str, second: str) -> tuple[float, float] | None:
    """Return RSRP and RSRQ of an NR line; their order and scale differ, but RSRP is always the lower."""
    levels = [level for level in (decimal(first), decimal(second)) if level is not None]
    if len(levels) < 2:
        return None
    scale = _per_unit(min(levels))
    return None if scale is None else (min(levels) / scale, max(levels) / scale)


def _nr_rsrp_dbm(first: str, second: str) -> float | None:
    levels = _nr_levels(first, second)
    return None if levels is None else levels[0]


def _nr_rsrq_db(first: str, second: str) -> float | None:
    levels = _nr_levels(first, second)
    return None if levels is None else levels[1]


def _nr_sinr_db(rssnr: str, first: str, second: str) -> float | None:
    """Return dB of a column in tenths or whole dB, whatever scale the levels beside it have.

    Not known where both are possible: a small number beside levels in tenths.
    """
    ratio, levels = decimal(rssnr), _nr_levels(first, second)
    if ratio is None or levels is None:
        return None
    if abs(ratio) > _HIGHEST_SINR_DB:
        return ratio / 10
    return ratio if _per_unit(min(decimal(first) or 0, decimal(second) or 0)) == 1 else None


def _nr_leg(first: str, second: str) -> str | None:
    """Return "nr5g-nsa" when the line carries a level: without one there is no leg."""
    return None if _nr_levels(first, second) is None else "nr5g-nsa"


def _magnitude_below_zero(text: str) -> float | None:
    """Return a level or ratio that is printed without its sign ("83" gives -83)."""
    value = decimal(text)
    return None if value is None else 0 - abs(value)


def _arfcn(text: str) -> int | None:
    """Return the channel of "512 DCS 1800" or "512"."""
    return whole(text.partition(" ")[0])


_NR_FIELDS = {
    "rsrp_dbm": Field(("first", "second"), _nr_rsrp_dbm),
    "rsrq_db": Field(("first", "second"), _nr_rsrq_db),
    "sinr_db": Field(("rssnr", "first", "second"), _nr_sinr_db),
}
_LEG_FIELDS = {
    "access_technology": Field(("first", "second"), _nr_leg),
    **{f"nr_{name}": field for name, field in _NR_FIELDS.items()},
}
_PLACE = {"operator_mccmnc": converted("plmn", _plmn), "cell_id": whole_number("cell_id")}
_SA_FIELDS = {
    "access_technology": constant("nr5g-sa"),
    **_PLACE,
    "tac": hex_number("tac"),
    "pci": whole_number("pci"),
    "arfcn": whole_number("arfcn"),
    **_NR_FIELDS,
}


def _sa_layouts(modes: Iterable[str], *states: str) -> tuple[Layout, ...]:
    marks = {"mode": modes, **({"state": states} if states else {})}
    return (
        layout(
            "mode state plmn tac cell_id pci band arfcn first second rssnr",
            marks={**marks, "band": _is_nr_band},
            fields={**_SA_FIELDS, "band": converted("band", _nr_band)},
        ),
        layout(
            "mode state plmn tac cell_id pci arfcn first second rssnr",
            marks=marks,
            min_columns=10,
            fields=_SA_FIELDS,
        ),
    )


def _is_nr_band(text: str) -> bool:
    return _nr_band(text) is not None


_SYSTEM = query(
    "AT+CPSI?",
    "+CPSI:",
    # While the technology changes, the line has zeros for what is not measured yet.
    layout(
        "mode state plmn tac cell_id pci band earfcn",
        marks={"mode": _LTE, "earfcn": (_NO_EARFCN,)},
        fields={"access_technology": worded("mode", _LTE), **_PLACE, "tac": hex_number("tac")},
    ),
    layout(
        "mode state plmn tac cell_id pci band earfcn dl_width ul_width rsrq rsrp rssi rssnr",
        marks={"mode": _LTE},
        min_columns=14,
        fields={
            "access_technology": worded("mode", _LTE),
            **_PLACE,
            "tac": hex_number("tac"),
            "pci": whole_number("pci"),
            "band": converted("band", _lte_band),
            "earfcn": whole_number("earfcn"),
            "rsrq_db": Field(("rsrq", "rsrp"), _rsrq_db),
            "rsrp_dbm": Field(("rsrp", "rsrq"), _rsrp_dbm),
            "rssi_dbm": Field(("rssi", "rsrp", "rsrq"), _rssi_dbm),
            "sinr_db": Field(("rssnr", "rsrp", "rsrq"), _sinr_db),
        },
    ),
    *_sa_layouts(_NR_SA),
    *_sa_layouts(_NR, "ONLINE"),
    layout(
        "mode pci band arfcn first second rssnr scs width",
        marks={"mode": (*_NR_NSA, *_NR), "band": _is_nr_band},
        min_columns=6,
        fields={**_LEG_FIELDS, "nr_band": converted("band", _nr_band)},
    ),
    layout(
        "mode pci arfcn first second rssnr",
        marks={"mode": (*_NR_NSA, *_NR)},
        min_columns=5,
        fields=_LEG_FIELDS,
    ),
    layout(
        "mode state plmn lac cell_id band psc uarfcn ssc ecio rscp quality rxlev tx_power",
        marks={"mode": ("WCDMA",)},
        min_columns=12,
        fields={
            "access_technology": constant("umts"),
            **_PLACE,
            "lac": hex_number("lac"),
            "uarfcn": whole_number("uarfcn"),
            "ecio_db": converted("ecio", _magnitude_below_zero),
            "rscp_dbm": converted("rscp", _magnitude_below_zero),
        },
    ),
    layout(
        "mode state plmn lac cell_id channel rxlev track_lo_adjust c1_c2",
        marks={"mode": ("GSM",)},
        min_columns=8,
        fields={
            "access_technology": constant("gsm"),
            **_PLACE,
            "lac": hex_number("lac"),
            "arfcn": converted("channel", _arfcn),
            "rssi_dbm": whole_number("rxlev"),
        },
    ),
    deadline_s=5.0,
)

_MODES = {
    "1": "gsm",
    "2": "gprs",
    "3": "edge",
    "4": "umts",
    "5": "hspa",
    "6": "hspa",
    "7": "hspa",
    "8": "lte",
}
_SYSTEM_MODE = query(
    "AT+CNSMOD?", "+CNSMOD:", layout("n mode", fields={"access_technology": worded("mode", _MODES)})
)

_TEMPERATURE = query(
    "AT+CPMUTEMP",
    "+CPMUTEMP:",
    layout("temperature", fields={"modem_temperature_c": whole_number("temperature")}),
)

DIALECTS = (Dialect("SIMCom", (_SYSTEM, _SYSTEM_MODE, _TEMPERATURE)),)
