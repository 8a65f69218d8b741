"""The engine: layouts, ranks, ranges; and whatever comes in, only possible values come out."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.contract.catalogue import catalogue
from agent.modem.at_reply import FinalResult, Reply
from agent.modem.dialect import (
    Dialect,
    Query,
    constant,
    layout,
    query,
    read_answer,
    refine,
    split_columns,
    whole_number,
    worded,
)
from agent.modem.dialects import FAMILIES, choose_dialect, load_dialect
from agent.modem.dialects.generic_3gpp import CESQ, CSQ, GENERIC_3GPP, SIGNAL_QUERIES
from agent.modem.network_operator import parse_operator
from agent.modem.ranges import RANGES, is_possible
from agent.modem.reading import Findings
from agent.modem.registration import REGISTRATION_QUERIES, last_registration
from agent.modem.sim import sim_state

SENTINELS = (99, 255, 127, 126, -32768, -3276, 32767, 65535, 0xFFFFFFFF, 0x7FFFFFFF, -273, 0xFFFFFFF)
DIALECTS = tuple({id(one): one for one in map(load_dialect, FAMILIES)}.values())
READING_QUERIES = (*SIGNAL_QUERIES, *(one for dialect in DIALECTS for one in dialect.queries))
ALL_QUERIES = (*SIGNAL_QUERIES, *(one for dialect in DIALECTS for one in dialect.queries))


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("20,99", ["20", "99"]),
        (' 2, 1, "0426" ', ["2", "1", "0426"]),
        ('0,0,"T-Mobile USA, In",2', ["0", "0", "T-Mobile USA, In", "2"]),
        ('"a","","b"', ["a", "", "b"]),
        ("", [""]),
        ('"open,2', ["open,2"]),
        (",,", ["", "", ""]),
    ],
)
def test_columns_are_split(text: str, columns: list[str]) -> None:
    assert split_columns(text) == columns


def test_a_misspelt_column_is_found_when_the_table_is_made() -> None:
    with pytest.raises(ValueError, match="not in"):
        layout("rat rsrp", fields={"rsrp_dbm": whole_number("rsrq")})


@pytest.mark.parametrize(
    ("technology", "fields"),
    [
        ("lte", {"rsrp_dbm": -112, "rsrq_db": -18}),
        ("gsm", {"rssi_dbm": -94}),
        ("umts", {"rscp_dbm": -91, "ecio_db": -4}),
        ("nr5g-sa", {"rsrp_dbm": -105, "rsrq_db": -6, "sinr_db": 5}),
        (
            "nr5g-nsa",
            {"rsrp_dbm": -112, "rsrq_db": -18, "nr_rsrp_dbm": -105, "nr_rsrq_db": -6, "nr_sinr_db": 5},
        ),
    ],
)
def test_the_active_technology_decides_which_part_of_cesq_counts(
    technology: str, fields: dict[str, float]
) -> None:
    assert read_answer(CESQ, ["17,99,30,41,4,29,75,52,57"], technology) == fields


def test_cesq_without_known_technology_takes_the_part_that_is_alive() -> None:
    assert read_answer(CESQ, ["99,99,255,255,255,255,65,70,77"], None) == {
        "rsrp_dbm": -87,
        "rsrq_db": -11,
        "sinr_db": 15,
    }
    assert read_answer(CESQ, ["10,6,255,255,255,255"], None) == {"rssi_dbm": -101}


def test_the_last_line_wins_field_by_field() -> None:
    assert read_answer(CSQ, ["12,99", "20,99", "99,99"], None) == {"rssi_dbm": -73}


def test_an_impossible_value_is_left_to_the_next_source() -> None:
    assert read_answer(CSQ, ["31"], "none") == {}
    assert not is_possible("lte", "pci", 999)
    assert is_possible("nr5g-sa", "pci", 999)
    assert not is_possible("lte", "lac", 10)
    assert not is_possible("gsm", "cell_id", 0xFFFF)
    assert not is_possible("lte", "tac", 0xFFFE)
    assert is_possible("lte", "pci", 0)
    assert not is_possible("lte", "band", 3)
    assert not is_possible(None, "rsrp_dbm", None)


def test_better_sources_make_questions_needless() -> None:
    assert not CSQ.is_worth_asking("lte", {"rssi_dbm"})
    assert CSQ.is_worth_asking("lte", {"rsrp_dbm"})
    assert not CESQ.is_worth_asking("lte", {"rsrp_dbm", "rsrq_db", "sinr_db"})
    assert CESQ.is_worth_asking("umts", {"rssi_dbm"})
    assert not CESQ.is_worth_asking("gsm", {"rssi_dbm"})
    assert CESQ.is_worth_asking(None, {"rsrp_dbm"})


@pytest.mark.parametrize(
    ("known", "heard", "refined"),
    [
        (None, "lte", "lte"),
        ("gsm", "edge", "edge"),
        ("umts", "hspa", "hspa"),
        ("lte", "nr5g-nsa", "lte"),
        ("lte", None, "lte"),
        ("edge", "gsm", "edge"),
    ],
)
def test_technology_is_refined_but_not_overruled(known: str | None, heard: str | None, refined: str) -> None:
    assert refine(known, heard) == refined


def test_a_family_may_keep_another_than_the_last_value() -> None:
    hottest = query(
        "AT+X",
        "+X:",
        layout("t", fields={"modem_temperature_c": whole_number("t")}),
        keep={"modem_temperature_c": max},
    )
    assert read_answer(hottest, ["40", "44", "-273", "37"], None) == {"modem_temperature_c": 44}


def test_the_nearest_layout_is_taken() -> None:
    two = query(
        "AT+X",
        "+X:",
        layout(
            "rat rsrp", marks={"rat": ("LTE",)}, fields={"access_technology": worded("rat", {"LTE": "lte"})}
        ),
        layout(
            "rat a b", marks={"rat": ("GSM",)}, min_columns=3, fields={"access_technology": constant("gsm")}
        ),
    )
    assert read_answer(two, ["lte,1"], None) == {"access_technology": "lte"}
    assert read_answer(two, ["GSM,1"], None) == {}
    assert read_answer(two, ["GSM,1,2"], None) == {"access_technology": "gsm"}


@pytest.mark.parametrize(
    ("maker", "model", "name"),
    [
        ("Quectel", "EC25", "Quectel EC2x, EG2x, EG9x, Exx06"),
        ("Quectel", "EC20F", "Quectel EC2x, EG2x, EG9x, Exx06"),
        ("Quectel", "EC200A", "Quectel EC200, EG91x"),
        ("Quectel", "EG912Y", "Quectel EC200, EG91x"),
        ("Quectel", "EG91", "Quectel EC2x, EG2x, EG9x, Exx06"),
        ("Quectel", "RM520N-GL", "Quectel LTE-A and 5G"),
        ("Quectel", "EG18", "Quectel LTE-A and 5G"),
        ("Quectel", "BG95-M3", "Quectel BG"),
        ("Quectel_Ltd", "Quectel_BC26", "Quectel BC"),
        ("Quectel_Ltd", "Quectel_M95", "Quectel M"),
        ("QUECTEL", "", "Quectel LTE-A and 5G"),
        ("Fibocom Wireless Inc.", "L850", "Fibocom, Intel XMM"),
        ("Fibocom Wireless Inc.", "FM350-GL", "Fibocom FM350"),
        ("Fibocom Wireless Inc.", "FM160-CN", "Fibocom"),
        ("SIMCOM INCORPORATED", "SIMCOM_SIM7600E-H", "SIMCom"),
        ("SIMCOM INCORPORATED", "A7670E-FASE", "SIMCom"),
        ("QUALCOMM INCORPORATED", "SIM7100E", "SIMCom"),
        ("QUALCOMM INCORPORATED", "MF190", "ZTE"),
        ("ZTE CORPORATION", "MF286R", "ZTE"),
        ("u-blox", "SARA-R510S", "u-blox"),
        ("huawei", "ME909s-120", "Huawei"),
        ("HUAWEI_TECHNOLOGY", "E3372", "Huawei"),
        ("Sierra Wireless, Incorporated", "EM7455B", "Sierra"),
        ("Sierra Wireless, Incorporated", "RC7620", "3GPP"),
        ("Telit", "ME910C1-E1", "Telit ME910"),
        ("Telit", "LE910C1-EU", "Telit"),
        ("QUALCOMM", "T99W175", "Foxconn"),
        ("Thales", "MV31-W", "Foxconn"),
        ("Thales", "PLS63-W", "Cinterion"),
        ("SEQUANS Communications", "GM02SP", "Sequans Monarch"),
        ("SEQUANS Communications", "CB610L", "Sequans"),
        (None, "EC25", "3GPP"),
        (None, None, "3GPP"),
    ],
)
def test_dialect_follows_maker_and_model(maker: str | None, model: str | None, name: str) -> None:
    assert choose_dialect(maker, model).name == name


def test_firmware_tells_the_family_under_a_foreign_name() -> None:
    assert choose_dialect("Dell Inc.", "DW5811e", "SWI9X30C_02.24.05.06 r7040").name == "Sierra"
    assert choose_dialect("QUALCOMM", "5G Modem", "T99W175.F0.1.0.0.9.DF.015").name == "Foxconn"


QUESTIONS_WITH_A_VALUE = {
    "AT#TEMPSENS=2",
    "AT+GTSENRDTEMP=1",
    "AT+MTSM=1",
    'AT+QENG="neighbourcell"',
    'AT+QENG="servingcell"',
    "AT+QENG=0",
    "AT+SQNMONI=7",
    "AT+SQNMONI=9",
    "AT+XMCI=1",
    "AT^CELLINFO=1",
}
"""Their manuals call them set commands, but they set nothing."""


def test_no_dialect_asks_anything_but_questions() -> None:
    commands = [asked.command for asked in ALL_QUERIES]
    commands += [asked.command for dialect in DIALECTS for asked in dialect.cell_queries]
    commands += [asked.command for dialect in DIALECTS for asked in dialect.identity]
    commands += [family.probe[0] for family in FAMILIES if family.probe is not None]
    for command in commands:
        assert not command.startswith(("AT+CFUN", "AT+CSCS", "AT+COPS"))
        assert "=" not in command or command in QUESTIONS_WITH_A_VALUE
    assert GENERIC_3GPP.queries == ()
    assert {setting for dialect in DIALECTS for setting in dialect.set_up} <= {"AT+UCGED=2"}


def test_every_family_has_its_dialect_and_its_probe_is_one_of_its_questions() -> None:
    for family in FAMILIES:
        dialect = load_dialect(family)
        assert dialect.queries
        assert family.makers or family.models
        assert family.probe is None or family.probe[0] in {asked.command for asked in dialect.queries}


def test_only_the_module_of_the_modem_is_imported() -> None:
    script = (
        "import sys; from agent.modem import session; from agent.modem.dialects import choose_dialect;"
        "choose_dialect('huawei', 'ME909s-120');"
        "print(sorted(name for name in sys.modules if name.startswith('agent.modem.dialects.')))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "['agent.modem.dialects.generic_3gpp', 'agent.modem.dialects.huawei']"


_NUMBERS = st.one_of(
    st.sampled_from(SENTINELS).map(str),
    st.integers(-40000, 2**36).map(str),
    st.integers(0, 2**36).map(lambda number: f"{number:X}"),
    st.floats(-200, 200).map(lambda number: f"{number:.2f}"),
)
_WORDS = st.sampled_from(
    (
        "servingcell",
        "NOCONN",
        "LTE",
        "FDD",
        "NR5G-SA",
        "NR5G-NSA",
        "WCDMA",
        "GSM",
        "eMTC",
        "NBIoT",
        "0",
        "-",
        "x",
        "",
        "FDD LTE",
        "TDD NR5G",
        "LTE BAND 3",
    )
)
_COLUMNS = st.one_of(_NUMBERS, _WORDS, _WORDS.map(lambda word: f'"{word}"'), st.text(max_size=6))
_LINES = st.lists(st.lists(_COLUMNS, max_size=22).map(",".join), max_size=4)
_TECHNOLOGIES = st.sampled_from([technology for technology in RANGES if technology != "none"])


@given(asked=st.sampled_from(READING_QUERIES), lines=_LINES, technology=_TECHNOLOGIES)
def test_no_answer_gives_an_impossible_value(asked: Query, lines: list[str], technology: str | None) -> None:
    found = read_answer(asked, lines, technology)
    for name, value in found.items():
        assert catalogue()[name].clean(value) is not None
        assert is_possible(None, name, value)


@given(
    vendor=_LINES,
    registrations=st.lists(st.lists(_COLUMNS, max_size=8).map(",".join), max_size=4),
    operator=st.lists(_COLUMNS, max_size=5).map(",".join),
    signal=_LINES,
    dialect=st.sampled_from(DIALECTS),
)
def test_whatever_a_modem_says_the_reading_is_possible(
    vendor: list[str], registrations: list[str], operator: str, signal: list[str], dialect: Dialect
) -> None:
    findings = Findings()
    for asked in dialect.queries:
        findings.add(asked.command, read_answer(asked, vendor, findings.access_technology))
    for asked_registration, text in zip(REGISTRATION_QUERIES, registrations, strict=False):
        heard = last_registration([text])
        if heard is not None:
            findings.add_registration(asked_registration, heard, dialect.technology_codes)
    findings.add_operator("AT+COPS?", parse_operator([operator]), dialect.technology_codes)
    for asked in SIGNAL_QUERIES:
        findings.add(asked.command, read_answer(asked, signal, findings.access_technology))
    reading = findings.settle()
    technology = reading.fields.get("access_technology")
    assert technology is None or isinstance(technology, str)
    for name, value in reading.fields.items():
        assert catalogue()[name].clean(value) == value
        assert is_possible(technology, name, value)
    assert set(reading.sources) <= set(reading.fields)


@given(st.lists(st.text(max_size=40).filter(lambda text: bool(text.strip())), max_size=5))
def test_any_lines_are_survived_by_the_reply(lines: list[str]) -> None:
    reply = Reply("AT+CPIN?", tuple(line.strip() for line in lines), FinalResult("OK"))
    reply.answers("+CPIN:")
    sim_state(reply)
