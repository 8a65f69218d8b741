"""AT commands that a person types: which only read, and which could change or cut something.

What is not known to read is dangerous. `?` and `=?` (V.250 clause 5.4: read and test) do unless the name says
otherwise; a bare command, or one with values, only when it stands in the list of those that read.
"""

import re

from agent.errors import UsageMistake
from agent.language import _

MAX_TYPED_CHARACTERS = 256

_EXTENDED = re.compile(r"AT([+^$%!#*_@][A-Z][A-Z0-9_]{0,31})(\?|=\?)?")
_BASIC_READING = frozenset(("AT", "AT&V", *(f"ATI{number}" for number in ("", *range(10)))))

_BARE_READING = frozenset(
    (
        *("+CSQ", "+CESQ", "+CGMI", "+CGMM", "+CGMR", "+CGSN", "+CIMI", "+CCID", "+ICCID", "+QCCID", "+GMI"),
        *(
            "+GMM",
            "+GMR",
            "+GSN",
            "+CNUM",
            "+CPAS",
            "+CLAC",
            "+CEER",
            "+CGPADDR",
            "+CGCONTRDP",
            "+GCAP",
            "+CBC",
        ),
        *("+QCSQ", "+QNWINFO", "+QTEMP", "+QCAINFO", "+QSPN", "+QGMR", "+CPMUTEMP", "+TEMP", "+SIMCOMATI"),
        *("+ZRSSI", "+ZPAS", "+NETDMSGEX", "+NUESTATS", "+CSUB", "+CICCID", "+VZWRSRP", "+VZWRSRQ"),
        *("#RFSTS", "#SERVINFO", "#MONI", "#CCID", "#CGMM", "#CGMR", "#CGSN", "#CIMI", "#SWPKGV"),
        *(
            "^SYSINFO",
            "^SYSINFOEX",
            "^MONSC",
            "^MONNC",
            "^SMONI",
            "^SMONP",
            "^SMONC",
            "^SCID",
            "^ICCID",
            "^VERSION",
        ),
        *("%XMONITOR", "%XICCID", "%XVBAT", "%XTEMP", "^HVER", "^CSNR", "^LCSQ"),
    )
)
"""They read without `?`; others of this form act."""

_READING_WITH_VALUES = re.compile(
    r'AT(\+QENG=("SERVINGCELL"|"NEIGHBOURCELL"|[0-3])'
    r'|\+Q(NWPREFCFG|CFG)="(MODE_PREF|NWSCANMODE|BAND|LTE_BAND|NR5G_BAND|NSA_NR5G_BAND)"'
    r"|\+CG(PADDR|CONTRDP|SN)=[0-9]{1,2}|\+CG(MI|MM|MR)=[0-9]"
    r"|\+GTSENRDTEMP=[0-9]|#TEMPSENS=2|\+MTSM=1|\+SQNMONI=[0-9]|\+XMCI=[01]|\^CELLINFO=[01])"
)
"""Written like settings, but they only choose what is printed. In capitals, without blanks."""

_CUTTING = frozenset(
    (
        *("+CFUN", "+CPWD", "+CLCK", "+CPOF", "+CPWROFF", "+CHUP", "+CUSD", "+CRES", "+CIPSHUT", "+CIICR"),
        *("+NETCLOSE", "+NETOPEN", "+NRB", "+TRB", "^SMSO", "+CSAS", "+CGATT", "+CGACT", "^GODLOAD"),
        *("+CGDATA", "+CNACT", "#SGACT", "^DISC", "+GTPOWER"),
    )
)
_CUTTING_PARTS = (
    *(
        "RESET",
        "REBOOT",
        "RESTORE",
        "RST",
        "POWD",
        "POWEROFF",
        "PWROFF",
        "SHDN",
        "SHUTD",
        "BOOT",
        "DOWNLOAD",
        "DLOAD",
    ),
    *("DIAL", "SCAN", "CSURV", "ERASE", "FACTORY", "CMG", "FORMAT", "RESTART", "SLEEP", "DUMP"),
    *("PWRDN", "POWERDOWN", "POWER_DOWN", "DEACT", "CLOSE", "RMCALL", "DMG", "FTM", "EDL"),
)
"""In a name these stand for restarting, switching off, dialling, searching all networks or messages."""

_SEARCH = re.compile(r"AT(\+COPS=\?|[+^#][A-Z0-9]*SCAN=|#CSURV)")

_READABLE = frozenset(("+CFUN", "+CLCK", "+CUSD", "+CGATT", "+CGACT", "+CMGF", "+CNACT", "#SGACT"))
"""Their `?` only reads although the name is among the cutting ones."""


def check_typed_command(command: str) -> None:
    """Raise UsageMistake for what is never sent: two lines, control or foreign characters, no AT command."""
    if not command.isascii() or not command.isprintable():
        raise UsageMistake(
            _("an AT command is one line of plain ASCII characters"),
            _("type it without line ends, control characters and accents"),
        )
    if len(command) > MAX_TYPED_CHARACTERS:
        raise UsageMistake(
            _("the AT command is longer than {count} characters").format(count=MAX_TYPED_CHARACTERS),
            _("type one command at a time"),
        )
    if not command.upper().startswith("AT"):
        raise UsageMistake(_("an AT command begins with AT"), _("for example: sinyal modem at AT+CSQ"))


def why_dangerous(command: str) -> str | None:
    """Return why a command could change or cut something, or None when it only reads."""
    written = "".join(command.split()).upper()
    if ";" in written:
        return _("it holds several commands in one")
    if written in _BASIC_READING or _READING_WITH_VALUES.fullmatch(written):
        return None
    form = _EXTENDED.fullmatch(written)
    if form is None:
        return _("it changes a setting") if "=" in written else _("it dials, hangs up or changes a setting")
    name, question = form[1], form[2] or ""
    if is_network_search(written):
        return _("it searches all networks and cuts the connection for minutes")
    is_cutting = name in _CUTTING or any(part in name for part in _CUTTING_PARTS)
    if is_cutting and question != "=?" and not (question == "?" and name in _READABLE):
        return _("it can restart the modem, cut the connection or touch messages")
    if not question and name not in _BARE_READING:
        return _("it is not known to be one that only reads")
    return None


def is_network_search(command: str) -> bool:
    """Return whether a command searches all networks: it takes minutes, and any byte sent ends it."""
    return _SEARCH.match("".join(command.split()).upper()) is not None
