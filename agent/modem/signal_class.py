"""The word for how good the signal is; steps of Digi's IX20 and WR21 documents, scale version 1.

Overall on 4G and 5G it is the worse of level (RSRP) and quality (SINR); on 3G RSCP decides, on 2G RSSI.
"""

from collections.abc import Mapping

from agent.contract.catalogue import Value

CLASSES = ("excellent", "good", "fair", "poor", "very_poor")

# The lowest value of each class but the last. A bound at which the better class begins above, not at,
# the value is written a hair higher: levels are whole dBm.
_RSRP_DBM = (-84.999, -95.0, -105.0, -115.0)
_SINR_DB = (13.0, 4.5, 1.0, -3.0)
_RSRQ_DB = (-10.0, -13.0, -15.0, -20.0)  # Teltonika's scale
_RSCP_DBM = (-79.999, -90.0, -100.0, -105.999)
_RSSI_2G_DBM = (-79.999, -89.0, -98.0, -103.999)

_2G = frozenset(("gsm", "gprs", "edge"))
_3G = frozenset(("umts", "hspa"))
_NO_SERVICE = frozenset(("searching", "denied", "not_registered"))
_LEVELS = ("rsrp_dbm", "rscp_dbm", "rssi_dbm")


def signal_class(reading: Mapping[str, Value]) -> str | None:
    """Return the class of a reading's signal.

    "none" when the modem is without service and hears no level at all; None when the class is not
    known, which is never the same as bad. The 5G leg of EN-DC does not count, its LTE anchor does.
    """
    technology = reading.get("access_technology")
    if technology in _2G:
        step = _step(reading.get("rssi_dbm"), _RSSI_2G_DBM)
    elif technology in _3G:
        step = _step(reading.get("rscp_dbm"), _RSCP_DBM)
    else:
        step = _step(reading.get("rsrp_dbm"), _RSRP_DBM)
        quality = _step(reading.get("sinr_db"), _SINR_DB)
        if step is not None and quality is not None:
            step = max(step, quality)
    if step is not None:
        return CLASSES[step]
    has_no_service = technology == "none" or reading.get("registration") in _NO_SERVICE
    if has_no_service and all(reading.get(level) is None for level in _LEVELS):
        return "none"
    return None


_BOUNDS = {"rsrp_dbm": _RSRP_DBM, "sinr_db": _SINR_DB, "rsrq_db": _RSRQ_DB, "rscp_dbm": _RSCP_DBM}


def value_class(field: str, value: Value, access_technology: Value) -> str | None:
    """Return the class of one measured value, NR fields among them; None where no scale is agreed on.

    A total level (RSSI) says how good the signal is on 2G only.
    """
    bounds = _BOUNDS.get(field.removeprefix("nr_"))
    if field == "rssi_dbm" and access_technology in _2G:
        bounds = _RSSI_2G_DBM
    step = None if bounds is None else _step(value, bounds)
    return None if step is None else CLASSES[step]


def _step(value: Value, bounds: tuple[float, ...]) -> int | None:
    """Return how many bounds `value` lies below: 0 is the best class."""
    if not isinstance(value, int | float):
        return None
    return sum(value < bound for bound in bounds)
