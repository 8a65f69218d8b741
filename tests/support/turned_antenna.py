"""A simulated modem whose level follows the antenna in front of it."""

from pathlib import Path
from typing import Any

from agent.modem.simulator import SimulatedModem
from agent.modem.transcript import Answer, frame, parse_transcript

GOOD_BEARING = 135.0
HIGHEST_DBM, LOWEST_DBM = -84, -112
BEAM_DEG = 30.0

_TALK = """# modem: Quectel EC25-E    firmware: EC25EFAR06A03M4G
> ATI
< Quectel
< EC25
< Revision: EC25EFAR06A03M4G
< OK
> AT+CGMI
< Quectel
< OK
> AT+CGMM
< EC25
< OK
> AT+CGMR
< EC25EFAR06A03M4G
< OK
> AT+CMEE=1
< OK
> AT+CREG=2
< OK
> AT+CGREG=2
< OK
> AT+CEREG=2
< OK
> AT+CPIN?
< +CPIN: READY
< OK
> AT+CEREG?
< +CEREG: 2,1,"0345","6907678",7
< OK
> AT+COPS?
< +COPS: 0,0,"TELKOMSEL",7
< OK
> AT+QENG="servingcell"
< OK
"""
_SERVING = (
    '+QENG: "servingcell","NOCONN","LTE","FDD",510,10,{cell},{pci},1850,3,5,5,830,{rsrp},-10,{rssi},{sinr},-'
)
_3G = '+QENG: "servingcell","NOCONN","WCDMA",510,10,830,2BAF,3012,187,78,{rscp},-7,0,-,-,0,-,-'


class TurnedAntenna(SimulatedModem):
    """bearing: where the antenna points, degrees. cell: the serving one. is_3g: the modem fell back to 3G."""

    def __init__(self, link: Path | None = None, **behaviour: Any) -> None:
        super().__init__(parse_transcript(_TALK), **behaviour, link=link)
        self.bearing = 0.0
        self.cell = 0x6907678
        self.is_3g = False
        self.looks = 0

    @property
    def level_dbm(self) -> int:
        """What the modem measures now: a beam whose gain falls with the square of the angle."""
        off = abs((self.bearing - GOOD_BEARING + 180) % 360 - 180)
        return round(max(LOWEST_DBM, HIGHEST_DBM - 12 * (off / BEAM_DEG) ** 2))

    def _next_answer(self, command: str) -> Answer:
        if not command.startswith("AT+QENG"):
            return super()._next_answer(command)
        self.looks += 1
        level = self.level_dbm
        # On Quectel's scale SINR is (value / 5) - 20 dB.
        sinr = 5 * (20 + max(-3, (level + 106) // 2))
        line = _3G.format(rscp=level) if self.is_3g else _SERVING.format(
            cell=f"{self.cell:X}", pci=self.cell % 500, rsrp=level, rssi=level + 30, sinr=sinr
        )  # fmt: skip
        return Answer((frame(line), frame("OK")))
