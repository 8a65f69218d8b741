"""Fibocom with Qualcomm or Unisoc: FM150, FM160, FM190, L610, NL668 and others.

+GTCCINFO? has a line to a cell, without prefix, under headings that need not be read: the first two
columns tell what a line is. Channel numbers and PCI are printed in hexadecimal by some firmware and in
decimal by other; the band beside them tells which, as the number must lie in it. Sources: Fibocom
FM150/FM160, FM350 and L610 AT command manuals (+GTCCINFO, +GTCAINFO, +MTSM); index scales of 3GPP TS
36.133 and TS 38.133. `fibocom_fm350` shares the layout.
"""

from collections.abc import Callable, Mapping

from agent.modem.bands import is_in_band
from agent.modem.cells import IS_NEIGHBOUR, IS_SECONDARY
from agent.modem.conversions import (
    CESQ_ECNO,
    CESQ_RSCP,
    CESQ_RSRP,
    CESQ_RSRQ,
    CESQ_SS_RSRP,
    CESQ_SS_RSRQ,
    CESQ_SS_SINR,
    hexadecimal,
    sinr_in_halves,
    whole,
    width_of_blocks_mhz,
)
from agent.modem.dialect import (
    Convert,
    Dialect,
    Field,
    Query,
    coded,
    constant,
    converted,
    hex_number,
    layout,
    network_code,
    number,
    query,
)

CELL_INFO = "AT+GTCCINFO?"
CARRIER_INFO = "AT+GTCAINFO?"

_LTE_RAT, _NR_RAT, _3G_RAT = "4", "9", "2"
_SERVING, _NEIGHBOUR = "1", "2"
_LTE_OFFSET = 100
_FIRST_OF_CELL = (None, "nr5g-sa")
_LEG_OF_LTE = ("lte", "nr5g-nsa")


def lte_band(text: str) -> str | None:
    """Return "B3" from 103 or, as the L610 prints it, from 3."""
    number_of_band = whole(text)
    if number_of_band is None:
        return None
    if number_of_band > _LTE_OFFSET:
        number_of_band -= _LTE_OFFSET
    return f"B{number_of_band}" if 1 <= number_of_band <= 88 else None


def nr_band(text: str) -> str | None:
    """Return "n78" from 5078, "n5" from 505."""
    digits = text[2:] if text.startswith("50") else ""
    number_of_band = whole(digits)
    return f"n{number_of_band}" if number_of_band and number_of_band <= 512 else None


def _channel_base(channel: str, band: str | None, usual_base: int) -> int:
    """Return 10 or 16: the base in which the channel lies in its band, the family's where both or none do."""
    is_decimal, is_hexadecimal = is_in_band(band, whole(channel)), is_in_band(band, hexadecimal(channel))
    if is_decimal != is_hexadecimal:
        return 10 if is_decimal else 16
    return usual_base


def _in_base(text: str, base: int) -> int | None:
    return whole(text) if base == 10 else hexadecimal(text)


def _numbers(band_of: Callable[[str], str | None], usual_base: int) -> tuple[Convert, Convert]:
    """Return the conversions of (channel, band) and of (pci, channel, band)."""

    def channel_number(channel: str, band: str) -> int | None:
        return _in_base(channel, _channel_base(channel, band_of(band), usual_base))

    def pci_number(pci: str, channel: str, band: str) -> int | None:
        return _in_base(pci, _channel_base(channel, band_of(band), usual_base))

    return channel_number, pci_number


def _nr_leg(ss_rsrp: str) -> str | None:
    """Return "nr5g-nsa" when the NR line carries a level: without one there is no leg."""
    return None if CESQ_SS_RSRP.value(ss_rsrp) is None else "nr5g-nsa"


_LTE_LEVELS = {"rsrp_dbm": coded("rsrp", CESQ_RSRP), "rsrq_db": coded("rsrq", CESQ_RSRQ)}
_NR_LEVELS = {"rsrp_dbm": coded("rsrp", CESQ_SS_RSRP), "rsrq_db": coded("rsrq", CESQ_SS_RSRQ)}
_SERVING_COLUMNS = "role rat mcc mnc area cell_id channel pci band width rssnr rxlev rsrp rsrq"


def cell_info(*, usual_base: int, lte_sinr: Convert, nr_sinr: Convert) -> Query:
    """Make +GTCCINFO? for the serving cell.

    usual_base: 10 or 16, of channel and PCI where the band does not tell. lte_sinr, nr_sinr: conversions
    of the column rssnr.
    """
    earfcn, lte_pci = _numbers(lte_band, usual_base)
    nr_arfcn, nr_pci = _numbers(nr_band, usual_base)
    uarfcn, _ = _numbers(lambda _text: None, usual_base)
    place: Mapping[str, Field] = {
        "operator_mccmnc": network_code("mcc", "mnc"),
        "cell_id": hex_number("cell_id"),
    }
    nr_cell = {
        **_NR_LEVELS,
        "sinr_db": converted("rssnr", nr_sinr),
        "band": converted("band", nr_band),
    }
    return query(
        CELL_INFO,
        ("+GTCCINFO:", ""),
        layout(
            _SERVING_COLUMNS,
            marks={"role": (_SERVING,), "rat": (_LTE_RAT,)},
            min_columns=14,
            fields={
                "access_technology": constant("lte"),
                **place,
                "tac": hex_number("area"),
                "earfcn": Field(("channel", "band"), earfcn),
                "pci": Field(("pci", "channel", "band"), lte_pci),
                "band": converted("band", lte_band),
                "sinr_db": converted("rssnr", lte_sinr),
                **_LTE_LEVELS,
            },
        ),
        layout(
            _SERVING_COLUMNS,
            marks={"role": (_SERVING,), "rat": (_NR_RAT,)},
            min_columns=14,
            technologies=_FIRST_OF_CELL,
            fields={
                "access_technology": constant("nr5g-sa"),
                **place,
                "tac": hex_number("area"),
                "arfcn": Field(("channel", "band"), nr_arfcn),
                "pci": Field(("pci", "channel", "band"), nr_pci),
                **nr_cell,
            },
        ),
        layout(
            _SERVING_COLUMNS,
            marks={"role": (_SERVING,), "rat": (_NR_RAT,)},
            min_columns=14,
            technologies=_LEG_OF_LTE,
            fields={
                "access_technology": converted("rsrp", _nr_leg),
                **{f"nr_{name}": field for name, field in nr_cell.items()},
            },
        ),
        layout(
            "role rat mcc mnc area cell_id channel psc band ecno rscp rac rxlev",
            marks={"role": (_SERVING,), "rat": (_3G_RAT,)},
            min_columns=12,
            fields={
                "access_technology": constant("umts"),
                **place,
                "lac": hex_number("area"),
                "uarfcn": Field(("channel", "band"), uarfcn),
                "rscp_dbm": coded("rscp", CESQ_RSCP),
                "ecio_db": coded("ecno", CESQ_ECNO),
            },
        ),
        deadline_s=5.0,
    )


def neighbour_info(*, usual_base: int, nr_sinr: Convert) -> Query:
    """Make +GTCCINFO? for the neighbours, whose lines have no band."""
    channel, pci = _numbers(lambda _text: None, usual_base)
    numbers = {"pci": Field(("pci", "channel", "empty"), pci)}
    columns = "role rat mcc mnc area cell_id channel pci {eighth} rxlev rsrp rsrq empty"
    return query(
        CELL_INFO,
        ("+GTCCINFO:", ""),
        layout(
            columns.format(eighth="width"),
            marks={"role": (_NEIGHBOUR,), "rat": (_LTE_RAT,)},
            min_columns=12,
            fields={
                **IS_NEIGHBOUR,
                "access_technology": constant("lte"),
                "earfcn": Field(("channel", "empty"), channel),
                **numbers,
                **_LTE_LEVELS,
            },
        ),
        layout(
            columns.format(eighth="ss_sinr"),
            marks={"role": (_NEIGHBOUR,), "rat": (_NR_RAT,)},
            min_columns=12,
            fields={
                **IS_NEIGHBOUR,
                "access_technology": constant("nr5g"),
                "arfcn": Field(("channel", "empty"), channel),
                **numbers,
                **_NR_LEVELS,
                "sinr_db": converted("ss_sinr", nr_sinr),
            },
        ),
        deadline_s=5.0,
    )


def primary_carrier(*, usual_base: int) -> Query:
    """Make +GTCAINFO? for band and channel, which +GTCCINFO? leaves empty at times."""
    earfcn, lte_pci = _numbers(lte_band, usual_base)
    nr_arfcn, nr_pci = _numbers(nr_band, usual_base)
    columns = "band pci channel width"
    return query(
        CARRIER_INFO,
        "PCC:",
        layout(
            columns,
            marks={"band": _is_nr_band},
            technologies=("nr5g-sa",),
            fields={
                "band": converted("band", nr_band),
                "arfcn": Field(("channel", "band"), nr_arfcn),
                "pci": Field(("pci", "channel", "band"), nr_pci),
            },
        ),
        layout(
            columns,
            marks={"band": _is_nr_band},
            technologies=("nr5g-nsa",),
            fields={"nr_band": converted("band", nr_band)},
        ),
        layout(
            columns,
            marks={"band": _is_lte_band},
            technologies=_LEG_OF_LTE,
            fields={
                "band": converted("band", lte_band),
                "earfcn": Field(("channel", "band"), earfcn),
                "pci": Field(("pci", "channel", "band"), lte_pci),
            },
        ),
    )


def _is_lte_band(text: str) -> bool:
    return lte_band(text) is not None


def _is_nr_band(text: str) -> bool:
    return nr_band(text) is not None


def carrier_info(*, usual_base: int) -> Query:
    """Make +GTCAINFO? for the carriers aggregated with the serving cell, "SCC 1:" or "SCC1:"."""
    earfcn, lte_pci = _numbers(lte_band, usual_base)
    nr_arfcn, nr_pci = _numbers(nr_band, usual_base)
    columns = "state uplink band pci channel width"
    return query(
        CARRIER_INFO,
        tuple(f"SCC{blank}{position}:" for blank in ("", " ") for position in range(1, 8)),
        layout(
            columns,
            marks={"band": _is_nr_band},
            min_columns=6,
            fields={
                **IS_SECONDARY,
                "access_technology": constant("nr5g"),
                "band": converted("band", nr_band),
                "arfcn": Field(("channel", "band"), nr_arfcn),
                "pci": Field(("pci", "channel", "band"), nr_pci),
                "bandwidth_mhz": converted("width", width_of_blocks_mhz),
            },
        ),
        layout(
            columns,
            marks={"band": _is_lte_band},
            min_columns=6,
            fields={
                **IS_SECONDARY,
                "access_technology": constant("lte"),
                "band": converted("band", lte_band),
                "earfcn": Field(("channel", "band"), earfcn),
                "pci": Field(("pci", "channel", "band"), lte_pci),
                "bandwidth_mhz": converted("width", width_of_blocks_mhz),
            },
        ),
    )


_TEMPERATURE = query(
    "AT+MTSM=1",
    "+MTSM:",
    layout("temperature", fields={"modem_temperature_c": number("temperature")}),
)

DIALECTS = (
    Dialect(
        "Fibocom",
        (
            cell_info(usual_base=16, lte_sinr=sinr_in_halves, nr_sinr=CESQ_SS_SINR.value),
            primary_carrier(usual_base=16),
            _TEMPERATURE,
        ),
        cell_queries=(
            neighbour_info(usual_base=16, nr_sinr=CESQ_SS_SINR.value),
            carrier_info(usual_base=16),
        ),
    ),
)
