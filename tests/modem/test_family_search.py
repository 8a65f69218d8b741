"""A modem under a foreign name is known by what it does not refuse; that is asked politely."""

from pathlib import Path

from agent.modem.dialects import FAMILIES
from agent.modem.poll import ModemPoller
from agent.modem.session import MAX_PROBES
from agent.modem.simulator import SimulatedModem
from agent.modem.transcript import Answer, Transcript, read_transcript

TRANSCRIPTS = Path(__file__).parents[1] / "transcripts"
PROBES = {family.probe[0] for family in FAMILIES if family.probe is not None}


def transcript(situation: str) -> Transcript:
    return read_transcript(TRANSCRIPTS / situation / "conversation.txt")


def collect(modem: SimulatedModem, memory: Path | None, times: int) -> dict[str, object]:
    poller = ModemPoller(str(modem.path), sim_pin="", memory_file=memory)
    for _ in range(times):
        values = dict(poller.collect())
    poller.close()
    return {**values, "sources": dict(poller.sources())}


def test_the_family_that_answers_is_kept() -> None:
    with SimulatedModem(transcript("generic/dialect_found_by_probing")) as modem:
        values = collect(modem, None, times=3)
        heard = list(modem.heard)
    assert values["sinr_db"] == 6.0
    assert heard.count("AT^HCSQ?") == 4  # the probe, then once a reading
    assert heard.count("AT!GSTATUS?") <= 1


def test_a_modem_that_refuses_all_probes_is_left_alone_even_after_a_restart(tmp_path: Path) -> None:
    memory = tmp_path / "modem.json"
    with SimulatedModem(transcript("generic/lte_home")) as modem:
        collect(modem, memory, times=2)
        assert set(modem.heard) >= PROBES
        assert all(modem.heard.count(probe) == 1 for probe in PROBES)
    with SimulatedModem(transcript("generic/lte_home")) as modem:
        collect(modem, memory, times=2)
        assert not PROBES & set(modem.heard)


def test_a_modem_of_a_known_family_and_one_without_service_are_not_probed() -> None:
    for situation in ("telit/lte_home", "generic/no_signal", "generic/no_sim"):
        with SimulatedModem(transcript(situation)) as modem:
            collect(modem, None, times=2)
            assert len(PROBES & set(modem.heard)) <= 1, situation


def test_answers_that_mean_nothing_choose_no_family_and_the_search_ends() -> None:
    known = transcript("generic/lte_home")
    empty = Answer((b"\r\n^HCSQ:\r\n", b"\r\nOK\r\n"))
    with SimulatedModem(Transcript({**known.answers, "AT^HCSQ?": (empty,)})) as modem:
        values = collect(modem, None, times=MAX_PROBES + 2)
        assert modem.heard.count("AT^HCSQ?") == 2 * MAX_PROBES
    assert values["modem_state"] == "ok"


def test_a_renamed_modem_that_refuses_its_makers_commands_is_read_through_the_core() -> None:
    known = transcript("generic/lte_home")
    renamed = {"AT+CGMI": (Answer((b"\r\nQuectel\r\n", b"\r\nOK\r\n")),)}
    with SimulatedModem(Transcript({**known.answers, **renamed})) as modem:
        values = collect(modem, None, times=1)
    assert values["access_technology"] == "lte"
