"""Fibocom FM350 (MediaTek): the layout of `fibocom`, in decimal and with SINR in whole dB.

Sources: Fibocom FM350 AT command manual, commands +GTCCINFO, +GTCAINFO, +GTSENRDTEMP. AT+GTSENRDTEMP=1
is a question: it reads the first sensor.
"""

from agent.modem.conversions import whole
from agent.modem.dialect import Dialect, converted, layout, query
from agent.modem.dialects.fibocom import carrier_info, cell_info, neighbour_info, primary_carrier

_DECIMAL = 10


def _celsius(millidegrees: str) -> float | None:
    reading = whole(millidegrees)
    return None if reading is None else reading / 1000


_TEMPERATURE = query(
    "AT+GTSENRDTEMP=1",
    "+GTSENRDTEMP:",
    layout("sensor millidegrees", fields={"modem_temperature_c": converted("millidegrees", _celsius)}),
)

DIALECTS = (
    Dialect(
        "Fibocom FM350",
        (
            cell_info(usual_base=_DECIMAL, lte_sinr=whole, nr_sinr=whole),
            primary_carrier(usual_base=_DECIMAL),
            _TEMPERATURE,
        ),
        cell_queries=(
            neighbour_info(usual_base=_DECIMAL, nr_sinr=whole),
            carrier_info(usual_base=_DECIMAL),
        ),
    ),
)
