"""The lines that every conversation test runs over."""

from agent.modem.simulator import Behaviour

NOTICES = ("RING", "+CREG: 2", '+CMTI: "SM",3', "^RSSI: 20", "*PSUTTZ: 2024,3,8", '+QIND: "csq",20,99')
"""Notices of other commands' kinds, and one with the very prefix of a query."""

LINES = {
    "perfect": Behaviour(),
    "echoing": Behaviour(echo=True),
    "byte_by_byte": Behaviour(bytewise=True),
    "with_notices": Behaviour(notices=NOTICES, notice_chance=0.4, seed=7),
    "slow": Behaviour(line_delay_s=0.06),
}
"""Lines that must not change a single field."""

LOSSY = Behaviour(notices=NOTICES, notice_chance=0.3, lose_line_chance=0.04, seed=11)
"""A line that loses whole lines: a field may be unknown, never wrong."""
