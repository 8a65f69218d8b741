import io
import json
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.config.keys import DEFAULTS
from agent.config.load import SAMPLE_FILE


@pytest.fixture
def sample(file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file.write_bytes(SAMPLE_FILE.read_bytes())
    file.chmod(0o640)
    monkeypatch.setenv("SINYAL_CONFIG", str(file))
    monkeypatch.setenv("SINYAL_LANG", "en")
    return file


def append(file: Path, section: str, lines: str) -> None:
    file.write_text(file.read_text(encoding="utf-8").replace(f"[{section}]\n", f"[{section}]\n{lines}\n"))


# --- check ---


def test_check_says_that_all_is_fine(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    append(sample, "gateway", 'id = "desa-1"')
    assert main(["config", "check"]) == 0
    assert capsys.readouterr() == (f"configuration is fine: {sample}\n", "")


def test_check_lists_every_mistake_on_its_own_line(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    append(sample, "modem", 'port = "ttyUSB2"\nprt = 1')
    assert main(["config", "check"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert [line.split(" ")[1] for line in shown.err.splitlines()] == ["modem.prt", "modem.port"]


def test_check_of_one_mistake_gives_the_next_step(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    append(sample, "modem", "port = 1")
    assert main(["config", "check"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "Next step:" in error


def test_check_as_json(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    append(sample, "gateway", 'id = "desa-1"')
    append(sample, "broker", 'host = "192.0.2.7"')
    assert main(["config", "check", "--json"]) == 0
    warning = "broker.tls is false: readings travel to 192.0.2.7 unencrypted"
    fine = {"fine": True, "mistakes": [], "problems": [], "warnings": [warning]}
    assert json.loads(capsys.readouterr().out) == fine
    append(sample, "modem", "port = 1\nprt = 1")
    assert main(["config", "check", "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert (document["fine"], len(document["mistakes"])) == (False, 2)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (
            'host = "localhost"\ntls = true\nca_file = "none.pem"',
            "broker.ca_file: {folder}/none.pem is not there",
        ),
        ('host = "localhost"\ntls = true\nca_file = "."', "broker.ca_file: {folder} is not there"),
        (
            'host = "::1"\ntls = true\nca_file = "sinyal.toml"\ncert_file = "sinyal.toml"\nkey_file = "k"',
            "broker.key_file: {folder}/k is not there",
        ),
    ],
)
def test_check_of_a_tls_file_that_is_not_there_is_a_problem(
    sample: Path, capsys: pytest.CaptureFixture[str], lines: str, problem: str
) -> None:
    append(sample, "gateway", 'id = "desa-1"')
    append(sample, "broker", lines)
    assert main(["config", "check"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert problem.format(folder=sample.parent) in shown.err
    assert shown.err.count("Next step:") == 1
    assert main(["config", "check", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["fine"] is False


def test_check_of_a_gateway_without_a_name_is_a_problem(
    sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "check"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "gateway.id is empty" in shown.err and "sinyal config set gateway.id NAME" in shown.err
    assert main(["config", "check", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "fine": False,
        "mistakes": [],
        "problems": ["gateway.id is empty: `sinyal run` will refuse to start"],
        "warnings": [],
    }


def test_check_tells_every_problem_on_its_own_line(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    append(sample, "broker", 'host = "localhost"\ntls = true\nca_file = "none.pem"')
    assert main(["config", "check"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_an_impossible_list_of_addresses_is_refused_in_the_words_of_the_help(
    sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "set", "broker.fallbacks", "a:1,b"]) == 2
    error = capsys.readouterr().err
    assert "broker.fallbacks = a:1,b is not allowed" in error
    allowed = error.partition("addresses like ")[2].partition(".example")[0]
    assert allowed == "broker2"
    assert main(["config", "set", "broker.fallbacks", "broker2.example:8883,[2001:db8::7]:8883"]) == 0


def test_check_of_a_missing_file_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(tmp_path / "none"), "config", "check"]) == 2
    assert main(["config", "check", "--json", "--config", str(tmp_path / "none")]) == 2
    assert json.loads(capsys.readouterr().out)["fine"] is False


@pytest.mark.parametrize(
    ("lines", "warning"),
    [
        ('host = "broker.example"', "readings travel to broker.example unencrypted"),
        ('host = "localhost"\nfallbacks = ["192.0.2.7:1883"]', "travel to 192.0.2.7 unencrypted"),
        ('fallbacks = ["a:1"]', "broker.host is empty: nothing is published"),
        ('tls = true\nca_file = "none.pem"', "broker.ca_file: "),
        ('cert_file = "sinyal.toml"\nkey_file = "open.pem"', "everybody may read"),
    ],
)
def test_check_warns_of_what_was_probably_not_meant(
    sample: Path, capsys: pytest.CaptureFixture[str], lines: str, warning: str
) -> None:
    sample.with_name("open.pem").touch(0o644)
    append(sample, "gateway", 'id = "desa-1"')
    append(sample, "broker", lines)
    assert main(["config", "check"]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"configuration is fine: {sample}\n"
    assert warning in shown.err


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_plain_mqtt_on_the_gateway_itself_is_no_warning(
    sample: Path, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    append(sample, "broker", f'host = "{host}"')
    main(["config", "check"])
    assert "unencrypted" not in capsys.readouterr().err


def test_check_warns_of_a_variable_that_belongs_to_no_key(
    sample: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SINYAL_BROKER_HOTS", "b")
    monkeypatch.setenv("SINYAL_BROKER_HOST", "localhost")
    main(["config", "check"])
    warnings = capsys.readouterr().err
    assert "SINYAL_BROKER_HOTS is set, but belongs to no key" in warnings
    assert "SINYAL_BROKER_HOST " not in warnings
    assert "SINYAL_CONFIG" not in warnings


def test_check_warns_of_a_pin_that_everybody_may_read(
    sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    append(sample, "modem", 'sim_pin = "4711"')
    main(["config", "check"])
    assert "SIM PIN" not in capsys.readouterr().err
    sample.chmod(0o644)
    main(["config", "check"])
    assert "SIM PIN" in capsys.readouterr().err


# --- show ---


def test_show_gives_each_key_its_value_and_origin_in_80_columns(
    sample: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    append(sample, "broker", "fallbacks = [" + ", ".join(f'"broker{n}.example:8883"' for n in range(9)) + "]")
    append(sample, "gateway", f'site_name = "{"x" * 100}"')
    monkeypatch.setenv("SINYAL_READINGS_INTERVAL_S", "5")
    assert main(["config", "show"]) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert shown.err == ""
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines if line[0] != " "] == list(DEFAULTS)
    assert ["readings.interval_s", "5", "environment"] in [line.split() for line in lines]
    assert ["buffer.commit_interval_s", "5", "default"] in [line.split() for line in lines]
    assert "".join(lines).count("broker8.example:8883") == 1


def test_show_as_json_is_as_the_contract_says(
    sample: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    append(sample, "paths", 'state = "state"')
    append(sample, "modem", 'sim_pin = "4711"')
    monkeypatch.setenv("SINYAL_BROKER_FALLBACKS", "a:1")
    assert main(["config", "show", "--json"]) == 0
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert set(document) == set(DEFAULTS)
    assert document["readings.interval_s"] == {"value": 60, "from": "default"}
    assert document["paths.state"] == {"value": str(sample.parent / "state"), "from": "file"}
    assert document["broker.fallbacks"] == {"value": ["a:1"], "from": "environment"}
    assert document["broker.port"] == {"value": 1883, "from": "default"}
    assert document["broker.ca_file"] == {"value": None, "from": "default"}
    assert document["modem.sim_pin"] == {"value": "********", "from": "file"}
    assert "4711" not in shown.out


def test_show_without_any_configuration_gives_the_defaults(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for module in ("agent.cli.configuration", "agent.cli.config"):
        monkeypatch.setattr(f"{module}.DEFAULT_CONFIG_FILE", tmp_path / "sinyal.toml")
    assert main(["config", "show", "--json", "--lang", "en"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["modem.port"] == {"value": "auto", "from": "default"}
    assert "these are the defaults" in shown.err


# --- set ---


def test_set_says_what_changed_and_what_must_be_restarted(
    sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "set", "readings.interval_s", "30", "gateway.site_name", "Renah Kemumu"]) == 0
    shown = capsys.readouterr()
    assert shown.out == 'readings.interval_s: 60 -> 30\ngateway.site_name: "" -> "Renah Kemumu"\n'
    assert "restart the daemon" in shown.err
    assert main(["config", "set", "readings.interval_s", "30"]) == 0
    shown = capsys.readouterr()
    assert "nothing to change" in shown.out
    assert shown.err == ""


@pytest.mark.parametrize(
    "words",
    [["readings.interval_s"], ["a", "b", "c"], ["readings.interval_s", "5", "readings.interval_s", "6"], []],
)
def test_set_without_pairs_is_a_usage_mistake(
    sample: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(["config", "set", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_set_says_when_a_variable_hides_the_new_value(
    sample: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SINYAL_READINGS_INTERVAL_S", "5")
    main(["config", "set", "readings.interval_s", "30"])
    assert "SINYAL_READINGS_INTERVAL_S is set in this shell" in capsys.readouterr().err


def test_set_takes_a_negative_number_for_a_value_and_refuses_it(
    sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "set", "publish.backlog_bytes_per_s", "-1"]) == 2
    assert "publish.backlog_bytes_per_s = -1 is not allowed" in capsys.readouterr().err


def test_a_secret_is_read_from_stdin_and_shown_nowhere(
    sample: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("4711\n"))
    assert main(["config", "set", "modem.sim_pin", "-"]) == 0
    assert 'sim_pin = "4711"' in sample.read_text(encoding="utf-8")
    main(["config", "show"])
    assert main(["config", "set", "modem.sim_pin", "47"]) == 2
    shown = capsys.readouterr()
    assert "47" not in shown.out + shown.err
    assert "history" in shown.err


def test_a_secret_that_nobody_types_changes_nothing(
    sample: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    before = sample.read_bytes()
    assert main(["config", "set", "modem.sim_pin", "-"]) == 2
    assert sample.read_bytes() == before


@pytest.mark.parametrize("action", ["check", "show", "set"])
def test_help_of_each_action_has_an_example_in_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        main(["config", action, "--help", "--lang", "en"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"example: sinyal config {action}" in shown
    assert max(map(len, shown.splitlines())) <= 80
