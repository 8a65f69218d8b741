"""What any modem understands: signal quality and identity.

Sources: 3GPP TS 27.007 clauses 8.5 (+CSQ), 8.69 (+CESQ), 5.1 to 5.4 (identity).
"""

from agent.modem.conversions import (
    CESQ_ECNO,
    CESQ_RSCP,
    CESQ_RSRP,
    CESQ_RSRQ,
    CESQ_RXLEV,
    CESQ_SS_RSRP,
    CESQ_SS_RSRQ,
    CESQ_SS_SINR,
    csq_rssi_dbm,
)
from agent.modem.dialect import Dialect, Field, coded, converted, layout, query

_CESQ_COLUMNS = "rxlev ber rscp ecno rsrq rsrp ss_rsrq ss_rsrp ss_sinr"
_CESQ_2G = {"rssi_dbm": coded("rxlev", CESQ_RXLEV)}
_CESQ_3G = {"rscp_dbm": coded("rscp", CESQ_RSCP), "ecio_db": coded("ecno", CESQ_ECNO)}
_CESQ_LTE = {"rsrp_dbm": coded("rsrp", CESQ_RSRP), "rsrq_db": coded("rsrq", CESQ_RSRQ)}
_CESQ_NR = {
    "rsrp_dbm": coded("ss_rsrp", CESQ_SS_RSRP),
    "rsrq_db": coded("ss_rsrq", CESQ_SS_RSRQ),
    "sinr_db": coded("ss_sinr", CESQ_SS_SINR),
}


def _first(code: str, other_code: str) -> Field:
    """Read the LTE column, or the NR one where the LTE one says "not known"."""
    scales = {"rsrp": CESQ_RSRP, "rsrq": CESQ_RSRQ, "ss_rsrp": CESQ_SS_RSRP, "ss_rsrq": CESQ_SS_RSRQ}

    def convert(text: str, other_text: str) -> float | None:
        value = scales[code].value(text)
        return scales[other_code].value(other_text) if value is None else value

    return Field((code, other_code), convert)


# Stale values may stand in the groups of other technologies: the active one decides which is read.
CESQ = query(
    "AT+CESQ",
    "+CESQ:",
    layout(_CESQ_COLUMNS, technologies=("gsm", "gprs", "edge"), fields=_CESQ_2G),
    layout(_CESQ_COLUMNS, technologies=("umts", "hspa"), fields=_CESQ_3G),
    layout(_CESQ_COLUMNS, technologies=("lte", "lte-m", "nb-iot"), fields=_CESQ_LTE),
    layout(_CESQ_COLUMNS, technologies=("nr5g-sa",), fields=_CESQ_NR),
    layout(
        _CESQ_COLUMNS,
        technologies=("nr5g-nsa",),
        fields={**_CESQ_LTE, **{f"nr_{name}": field for name, field in _CESQ_NR.items()}},
    ),
    layout(
        _CESQ_COLUMNS,
        technologies=(None,),
        fields={
            **_CESQ_2G,
            **_CESQ_3G,
            "rsrp_dbm": _first("rsrp", "ss_rsrp"),
            "rsrq_db": _first("rsrq", "ss_rsrq"),
            "sinr_db": coded("ss_sinr", CESQ_SS_SINR),
        },
    ),
)

CSQ = query("AT+CSQ", "+CSQ:", layout("rssi ber", fields={"rssi_dbm": converted("rssi", csq_rssi_dbm)}))

SIGNAL_QUERIES = (CESQ, CSQ)
"""Asked last, for what better sources left open."""

GENERIC_3GPP = Dialect("3GPP", queries=())
