import pytest

from agent.errors import UsageMistake
from agent.language import use_language
from agent.modem.at_reply import FinalResult
from agent.modem.dialects import FAMILIES, load_dialect
from agent.modem.error_words import error_words
from agent.modem.typed_command import check_typed_command, why_dangerous


@pytest.fixture(autouse=True)
def english() -> None:
    use_language("en")


READING = """AT;ATI;ati;ATI9;AT+CSQ;at+csq;AT+COPS?;AT+CGDCONT?;AT+CPIN?;AT+CFUN?;AT+CLCK=?;AT+CFUN=?
AT+QENG="servingcell";AT+QENG = "neighbourcell";AT^SYSINFOEX;AT!GSTATUS?;AT#RFSTS;AT+CGMR;AT+CGPADDR=1
AT%XMONITOR;AT*CNTI?;AT&V;AT+CIMI;AT+CGSN=1;AT_OSLVL?;AT+QNWPREFCFG="mode_pref";AT+CGATT?"""

DANGEROUS = """AT+CFUN=1|AT+CFUN=1,1|at+cfun = 0|AT+COPS=2|AT+COPS=?|AT+CPIN="1234"|AT+CLCK="SC",1,"1"
AT+CPWD="SC","1","2"|AT^RESET|at^reset|AT+QPOWD|AT+QPOWD=1|AT!RESET|AT!BOOTHOLD|ATD123|ATDT*99#|ATH|ATA
ATO|ATZ|AT&F|AT&W|ATE0|AT+CMGS="1"|AT+CMGD=1,4|AT+CMGR=1|AT+CUSD=1,"*888#"|AT+CSQ;+CFUN=0|AT;ATD1
AT+CSQ+CFUN=0|ATI+CFUN=0|ATI;|AT#REBOOT|AT#SHDN|AT+CRESET|AT+CPOF|AT+CPWROFF|AT^SMSO|AT+NRB|AT+TRB
AT+CMEE=1|AT+CREG=2|AT+QCFG="resetfactory"|AT+QNWPREFCFG="restore_band"|AT+QCFG="band",0,1|ATS0=1
AT+QENG="servingcell",1|AT+CGPADDR=1;+CFUN=1|AT+QSCAN=?|AT+CSQ=|AT=|AT+|AT^GODLOAD|AT+IPR=9600|AT+CHUP
AT#CSURV|AT#CSURVC|AT+CGDATA|AT^DISC|AT^RESTART|AT+ZPWROFF|AT+LPWROFF|AT+SLEEP|AT+DUMP|AT+CNACT
AT$QCPWRDN|AT$QCDMG|AT$QCRMCALL|AT^POWERDOWN|AT+CIPCLOSE|AT+QIDEACT|AT+QIACT|AT!DAFTMACT|AT+CMSS|AT+CNMA|AT+COPS
AT+QSCAN=1|AT+NOBODYKNOWS|AT^EDL|AT+QICLOSE|AT$QCFTM"""


@pytest.mark.parametrize("command", READING.replace("\n", ";").split(";"))
def test_what_only_reads_is_sent_at_once(command: str) -> None:
    check_typed_command(command)
    assert why_dangerous(command) is None


@pytest.mark.parametrize("command", DANGEROUS.replace("\n", "|").split("|"))
def test_what_writes_or_cuts_is_named(command: str) -> None:
    check_typed_command(command)
    assert why_dangerous(command)


@pytest.mark.parametrize(
    "command",
    ["", " ", "AT\r", "AT\nATD1", "AT+CSQ\x00", "AT\x1a", "AT\x1b[2J", "AT\x7f", "ATé", "AT\u2028", "CSQ",
     "A/", "+CSQ", " AT", "AT" + "A" * 255],
)  # fmt: skip
def test_what_is_no_single_plain_at_command_is_never_sent(command: str) -> None:
    with pytest.raises(UsageMistake):
        check_typed_command(command)


def test_all_questions_of_the_dialects_may_be_typed() -> None:
    for family in FAMILIES:
        dialect = load_dialect(family)
        queries = (*dialect.queries, *dialect.cell_queries)
        for command in (*(one.command for one in queries), *(one.command for one in dialect.identity)):
            assert why_dangerous(command) is None, command


@pytest.mark.parametrize(
    ("final", "words"),
    [
        (FinalResult("+CME ERROR", 10), "no SIM card inserted"),
        (FinalResult("+CMS ERROR", 500), "unknown error"),
        (FinalResult("+CME ERROR", 9999), None),
        (FinalResult("+CME ERROR", None, "SIM busy"), "SIM busy"),
        (FinalResult("ERROR"), None),
    ],
)
def test_error_numbers_have_words(final: FinalResult, words: str | None) -> None:
    assert error_words(final) == words
