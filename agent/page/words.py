"""The words of the village page: plain ones only; tests/page/jargon.txt lists those that nobody may meet."""

import time
from typing import NamedTuple

from agent.language import N_, current_language, ngettext
from agent.screen import WIB_OFFSET_S


class Advice(NamedTuple):
    """What a villager is told: what is the matter, and what to do."""

    sentence: str
    step: str


WHY_OFF = {
    "power": Advice(
        N_("The power is out. The internet comes back when the power does."),
        N_("Check the circuit breaker and the plug, and note when the power went."),
    ),
    "gateway": Advice(
        N_("The village's internet box stopped or is starting anew."),
        N_("Wait five minutes. If it happens again, call the technician."),
    ),
    "modem": Advice(N_("The modem is not found."), N_("Pull the modem out and plug it in again, once.")),
    "sim": Advice(
        N_("The SIM card cannot be read or is locked."),
        N_("Do not try any PIN. Call whoever looks after the card."),
    ),
    "quota": Advice(
        N_("The data package seems to be used up, or the subscription has ended."),
        N_("Call whoever looks after the subscription, and tell today's date."),
    ),
    "no_service": Advice(
        N_("There is no signal of the operator here."),
        N_("Check the cable and the direction of the antenna."),
    ),
    "weak_signal": Advice(
        N_("The signal is weak, the connection breaks often."),
        N_("Ask the technician to aim the antenna anew."),
    ),
    "bearer": Advice(
        N_("There is a signal, but the internet is not connected."),
        N_("Call the technician: the settings of the card need a look."),
    ),
    "backhaul": Advice(
        N_("The operator's network has a fault outside the village."),
        N_("Report it to the operator. The equipment in the village may stay as it is."),
    ),
    "dns": Advice(
        N_("The connection is there, but web sites cannot be opened."),
        N_("Wait a quarter of an hour, then call the technician."),
    ),
    "unknown": Advice(
        N_("The cause is not known yet."), N_("Note since when it is off, then call the technician.")
    ),
}
"""Why the internet is off, by cause (contract, section 5)."""

WHY_UNKNOWN = {
    "starting": Advice(
        N_("The village's internet box has just started."), N_("Look again in a few minutes.")
    ),
    "silent": Advice(
        N_("The village's internet box no longer reports its state."),
        N_("See whether the box has power. If it has, call the technician."),
    ),
}

NOTHING_WRONG = Advice(N_("There is no trouble."), N_("Nothing needs to be done."))
BEING_CHECKED = Advice(
    N_("The connection is being checked; it may be breaking."), N_("Wait a few minutes, then look again.")
)
REPORTS_LATE = Advice(
    N_("The internet works. Only the reports to the centre are late."), N_("Nothing needs to be done.")
)
ON_BATTERY = Advice(
    N_("The power is out; the box runs on its battery."),
    N_("Check the circuit breaker and the plug, and note when the power went."),
)

_WEEKDAYS = {
    "id": ("Senin", "Selasa", "Rabu", "Kamis", "Jumat", "Sabtu", "Minggu"),
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
}
_MONTHS = {
    "id": (
        *("Januari", "Februari", "Maret", "April", "Mei", "Juni", "Juli"),
        *("Agustus", "September", "Oktober", "November", "Desember"),
    ),
    "en": (
        *("January", "February", "March", "April", "May", "June", "July"),
        *("August", "September", "October", "November", "December"),
    ),
}


def advice_for(state: str, cause: str, *, reports_late: bool, on_battery: bool) -> Advice:
    """Return what to tell about this state, in English for `_`."""
    if state == "off":
        return WHY_OFF.get(cause, WHY_OFF["unknown"])
    if state == "unknown":
        return WHY_UNKNOWN.get(cause, WHY_UNKNOWN["silent"])
    if on_battery:
        return ON_BATTERY
    if cause == "checking":
        return BEING_CHECKED
    return REPORTS_LATE if reports_late else NOTHING_WRONG


def long_date(ts: float) -> str:
    """Return the day of a UTC second in WIB, such as "Sunday, 29 November 2026"."""
    at = time.gmtime(ts + WIB_OFFSET_S)
    language = current_language()
    day = f"{at.tm_mday} {_MONTHS[language][at.tm_mon - 1]} {at.tm_year}"
    return f"{_WEEKDAYS[language][at.tm_wday]}, {day}"


def short_date(day: int) -> str:
    """Return a day (counted from 1970-01-01) such as "Sunday 29/11"."""
    at = time.gmtime(day * 86400)
    return f"{_WEEKDAYS[current_language()][at.tm_wday]} {at.tm_mday}/{at.tm_mon}"


def clock(ts: float) -> str:
    """Return the time of day of a UTC second, such as "09.12 WIB"."""
    at = time.gmtime(ts + WIB_OFFSET_S)
    return f"{at.tm_hour:02d}{'.' if current_language() == 'id' else ':'}{at.tm_min:02d} WIB"


def hours(length_h: float) -> str:
    """Return a length in hours, short ones in minutes."""
    if length_h < 1:
        minutes = round(length_h * 60)
        return ngettext("{n} minute", "{n} minutes", minutes).format(n=minutes)
    whole = round(length_h)
    return ngettext("{n} hour", "{n} hours", whole).format(n=whole)
