from pathlib import Path

import pytest

from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.transcript import read_transcript
from tests.cli.terminal import Terminal
from tests.cli.test_main import sinyal
from tests.pipeline.whole_gateway import DEMO_TRANSCRIPT, Gateway, wait_until


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """Give the folder of a gateway with keys, configuration and history; its agent does not run."""
    (tmp_path / "state").mkdir()
    (tmp_path / "run").mkdir()
    for name in (
        "gateway.key",
        "gateway.csr",
        "gateway.crt",
        "gateway.crt.new",
        "ca.crt.pem",
        "sinyal.toml.last-good",
    ):
        (tmp_path / name).write_text("secret")
    for name in ("sinyal.db", "sinyal.db.damaged-1", "modem.json", "enrolled.json", "somebody.txt"):
        (tmp_path / "state" / name).write_text("history")
    (tmp_path / "sinyal.toml").write_text(
        '[gateway]\nid = "gw-7"\nlanguage = "en"\n[paths]\nstate = "state"\nruntime = "run"\n'
        '[broker]\nhost = "localhost"\nca_file = "ca.crt.pem"\n'
        'key_file = "gateway.key"\ncert_file = "gateway.crt"\n'
    )
    return tmp_path


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_after_two_answers_only_what_is_no_secret_is_left(used: Path) -> None:
    with Terminal(["wipe", "--config", str(used / "sinyal.toml")], used) as screen:
        screen.wait_for("gateway.key")
        screen.answer("Remove all of it", "y")
        screen.answer("Type gw-7 to confirm", "gw-7")
        assert screen.end() == 0, screen.seen

    assert files(used) == {"ca.crt.pem", "state/somebody.txt"}
    for told in ("not ours: somebody.txt", "fstrim", "revoked"):
        assert told in " ".join(screen.seen.split())


def test_on_openwrt_the_identity_does_not_come_back_from_its_own_configuration(used: Path) -> None:
    etc = used / "etc"
    (etc / "sinyal").mkdir(parents=True)
    (etc / "config").mkdir()
    (etc / "sinyal" / "sinyal.toml").write_text((used / "sinyal.toml").read_text())
    (etc / "config" / "sinyal").write_text("config gateway 'gateway'\n\toption id 'gw-7'\n")
    (etc / "config" / "network").write_text("not ours")

    with Terminal(["wipe", "--config", str(etc / "sinyal/sinyal.toml")], used) as screen:
        screen.answer("Remove all of it", "y")
        screen.answer("Type gw-7 to confirm", "gw-7")
        assert screen.end() == 0, screen.seen

    assert files(etc) == {"config/network"}
    assert "gateway retire gw-7" in " ".join(screen.seen.split())


@pytest.mark.parametrize(("first", "second"), [("", ""), ("y", "gw-8"), ("y", "")])
def test_any_other_answer_removes_nothing(used: Path, first: str, second: str) -> None:
    before = files(used)
    with Terminal(["wipe", "--config", str(used / "sinyal.toml")], used) as screen:
        screen.answer("Remove all of it", first)
        if first:
            screen.answer("to confirm", second)
        screen.wait_for("Nothing was removed")
        assert screen.end() == 1

    assert files(used) == before


def test_a_script_cannot_wipe(used: Path) -> None:
    before = files(used)

    done = sinyal("wipe", "--config", str(used / "sinyal.toml"), "--lang", "en")

    assert done.returncode == 2
    assert "terminal" in done.stderr
    assert files(used) == before


def test_a_running_agent_is_stopped_first_and_only_with_consent(tmp_path: Path) -> None:
    with SimulatedModem(read_transcript(DEMO_TRANSCRIPT), Behaviour()) as modem:
        gateway = Gateway(tmp_path, modem=str(modem.path))
        gateway.start()
        try:
            wait_until("a reading", lambda: bool(gateway.shown().get("reading")), 60)
            for consent in ("n", "y"):
                with Terminal(["wipe", "--config", str(gateway.config)], tmp_path) as screen:
                    screen.answer("Remove all of it", "ya")
                    screen.answer("to confirm", "gw-test")
                    screen.answer("Stop it now?", consent)
                    if consent == "n":
                        assert screen.end() == 1
                        assert gateway.is_running()
                        assert gateway.database.exists()
                    else:
                        # It is this test's child: only it can tell the kernel that it has seen it end.
                        wait_until("the agent's end", lambda: not gateway.is_running(), 60)
                        assert screen.end() == 0, screen.seen
            assert not gateway.database.exists()
            assert not gateway.config.exists()
        finally:
            gateway.stop_anyhow()
