import fcntl
import os
import signal
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.config import edit
from agent.config.edit import Change, set_keys
from agent.config.load import SAMPLE_FILE, load_config, variables_of
from agent.errors import ConfigMistake, NoPermission, SinyalError, UsageMistake

SAMPLE = SAMPLE_FILE.read_text(encoding="utf-8")


@pytest.fixture
def sample(file: Path) -> Path:
    file.write_text(SAMPLE, encoding="utf-8")
    return file


def last_good(file: Path) -> Path:
    return file.with_name(file.name + ".last-good")


def test_a_change_tells_old_and_new_and_keeps_the_file_before(sample: Path) -> None:
    assert set_keys(sample, {"readings.interval_s": "30"}, {}) == [Change("readings.interval_s", "60", "30")]
    assert load_config(sample, {}).config.readings.interval_s == 30
    assert last_good(sample).read_text(encoding="utf-8") == SAMPLE
    new_lines = sample.read_text(encoding="utf-8").splitlines()
    new_lines.remove("interval_s = 30")
    assert new_lines == SAMPLE.splitlines()


def test_keys_that_need_each_other_are_set_together(sample: Path) -> None:
    wanted = {
        "broker.cert_file": "c.pem",
        "broker.key_file": "k.pem",
        "broker.ca_file": "ca",
        "broker.tls": "true",
    }
    assert [change.key for change in set_keys(sample, wanted, {})] == list(wanted)
    assert load_config(sample, {}).config.broker.tls


@pytest.mark.parametrize(
    ("key", "text", "in_file"),
    [
        ("gateway.site_name", 'Renah "Kemumu" \\ 7 #', '"Renah \\"Kemumu\\" \\\\ 7 #"'),
        ("gateway.site_name", "60", '"60"'),
        ("broker.fallbacks", "a:1,b:2", '["a:1", "b:2"]'),
        ("broker.fallbacks", "", "[]"),
        ("broker.port", "8_883", "8883"),
        ("publish.interval_s", "0.5", "0.5"),
        ("paths.state", "state", '"state"'),
        ("broker.port", "", '""'),
    ],
)
def test_a_value_is_taken_by_the_type_of_its_key(file: Path, key: str, text: str, in_file: str) -> None:
    name = key.partition(".")[2]
    file.write_text('[broker]\nport = 1\nfallbacks = ["x:1"]\n')
    set_keys(file, {key: text}, {})
    assert f"\n{name} = {in_file}\n" in file.read_text()


def test_setting_what_is_already_so_writes_nothing(sample: Path) -> None:
    before = sample.stat()
    assert set_keys(sample, {"readings.interval_s": "60", "broker.port": ""}, {}) == []
    assert sample.stat() == before
    assert not last_good(sample).exists()


def test_the_pin_is_masked_in_what_changed(sample: Path) -> None:
    assert set_keys(sample, {"modem.sim_pin": "4711"}, {}) == [Change("modem.sim_pin", '""', "********")]
    assert set_keys(sample, {"modem.sim_pin": "4712"}, {}) == [
        Change("modem.sim_pin", "********", "********")
    ]


REFUSALS: list[tuple[str, dict[str, str], type[SinyalError], str]] = [
    ("", {"readings.interval": "5"}, UsageMistake, "perhaps you mean readings.interval_s"),
    ("", {"interval_s": "5"}, UsageMistake, "readings.interval_s, publish.interval_s"),
    ("", {"": "5"}, UsageMistake, "not a known key"),
    (
        "",
        {"readings.interval_s": "0"},
        ConfigMistake,
        "readings.interval_s = 0 is not allowed, only a number",
    ),
    ("", {"readings.interval_s": "fast"}, ConfigMistake, '= "fast" is not allowed'),
    ("", {"readings.interval_s": '5\n[modem]\nport = "x"'}, ConfigMistake, "is not allowed"),
    ("", {"gateway.site_name": "a\nb"}, ConfigMistake, "is not allowed"),
    ("", {"modem.sim_pin": "47119999x"}, ConfigMistake, "= ******** is not allowed"),
    ("", {"broker.tls": "true"}, ConfigMistake, "broker.ca_file: needed"),
    ("", {"broker.key_file": "k"}, ConfigMistake, "set together"),
    ("[modem]\nprt = 1\n", {"readings.interval_s": "5"}, ConfigMistake, "perhaps you mean modem.port"),
    ("[modem\n", {"readings.interval_s": "5"}, ConfigMistake, "not valid TOML"),
    (
        "readings = {interval_s = 5}\n",
        {"readings.interval_s": "6"},
        ConfigMistake,
        "cannot be changed by a program",
    ),
    ("readings = 5\n", {"readings.interval_s": "6"}, ConfigMistake, "cannot be changed by a program"),
    (
        '[broker]\nfallbacks = [\n  "a:1", # first\n]\n',
        {"broker.fallbacks": "b:1"},
        ConfigMistake,
        "cannot be changed by a program",
    ),
]


@pytest.mark.parametrize(("text", "wanted", "error", "told"), REFUSALS)
def test_a_refused_change_writes_nothing(
    file: Path, text: str, wanted: dict[str, str], error: type[SinyalError], told: str
) -> None:
    file.write_text(text)
    with pytest.raises(error) as refused:
        set_keys(file, wanted, {})
    assert told in refused.value.what
    assert refused.value.what.isprintable()
    assert file.read_text() == text
    assert list(file.parent.iterdir()) == [file]


def test_a_mistake_in_the_file_can_be_set_right_and_does_not_become_the_last_good_file(file: Path) -> None:
    file.write_text("[readings]\ninterval_s = 0\n")
    last_good(file).write_text("# good")
    set_keys(file, {"readings.interval_s": "5"}, {})
    assert file.read_text() == "[readings]\ninterval_s = 5\n"
    assert last_good(file).read_text() == "# good"


def test_a_missing_file_is_told(file: Path) -> None:
    with pytest.raises(ConfigMistake, match="no configuration file"):
        set_keys(file, {"readings.interval_s": "5"}, {})
    with pytest.raises(ConfigMistake, match="no configuration file"):
        set_keys(file.parent / "none" / "x.toml", {"readings.interval_s": "5"}, {})


def test_mode_and_owner_stay_and_the_last_good_file_is_as_closed(sample: Path) -> None:
    sample.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(sample, 12345, 54321)
    before = sample.stat()
    set_keys(sample, {"modem.sim_pin": "4711"}, {})
    for file in (sample, last_good(sample)):
        after = file.stat()
        assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert stat.S_IMODE(sample.stat().st_mode) == 0o640


def test_a_symbolic_link_stays_and_its_file_is_changed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real = tmp_path / "real" / "gateway.toml"
    real.write_text(SAMPLE, encoding="utf-8")
    link = tmp_path / "sinyal.toml"
    link.symlink_to("real/gateway.toml")
    set_keys(link, {"readings.interval_s": "30"}, {})
    assert link.is_symlink()
    assert "\ninterval_s = 30\n" in real.read_text(encoding="utf-8")
    assert last_good(real).exists()


def test_without_permission_the_file_stays_and_sudo_is_named(
    open_folder: Path, ordinary_user: AbstractContextManager[None]
) -> None:
    file = open_folder / "sinyal.toml"
    file.write_text("")
    if os.geteuid() != 0:
        open_folder.chmod(0o555)
    with ordinary_user, pytest.raises(NoPermission, match="may not change") as refused:
        set_keys(file, {"readings.interval_s": "5"}, {})
    open_folder.chmod(0o755)
    assert refused.value.exit_code == 3
    assert "sudo" in refused.value.next_step
    assert [path.name for path in open_folder.iterdir()] == ["sinyal.toml"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a file of another user")
def test_a_file_whose_owner_cannot_be_kept_is_not_changed(
    open_folder: Path, ordinary_user: AbstractContextManager[None]
) -> None:
    file = open_folder / "sinyal.toml"
    file.write_text("")
    open_folder.chmod(0o777)
    with ordinary_user, pytest.raises(NoPermission):
        set_keys(file, {"readings.interval_s": "5"}, {})
    assert [path.name for path in open_folder.iterdir()] == ["sinyal.toml"]
    assert file.read_text() == ""


def test_a_disk_that_refuses_leaves_the_file_and_no_litter(
    sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SinyalError, match="No space left") as refused:
        set_keys(sample, {"readings.interval_s": "30"}, {})
    assert refused.value.exit_code == 1
    assert sample.read_text(encoding="utf-8") == SAMPLE
    assert list(sample.parent.iterdir()) == [sample]


# --- two at once ---


def test_changes_at_the_same_time_all_arrive(sample: Path) -> None:
    keys = ["buffer.commit_readings", "buffer.keep_days", "publish.batch_readings", "publish.keepalive_s"]
    with ThreadPoolExecutor(len(keys)) as pool:
        list(pool.map(lambda key: set_keys(sample, {key: "77"}, {}), keys))
    values = load_config(sample, {}).config.effective_values()
    assert [values[key] for key in keys] == [77] * len(keys)


def test_a_change_that_never_ends_is_waited_for_and_then_told(
    sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edit, "LOCK_WAIT_S", 0.1)
    folder = os.open(sample.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        with pytest.raises(SinyalError, match="another program is changing"):
            set_keys(sample, {"readings.interval_s": "30"}, {})
    finally:
        os.close(folder)
    assert set_keys(sample, {"readings.interval_s": "30"}, {})


# --- killed in the middle ---


def killed_at(step: int, change: Callable[[], object]) -> bool:
    """Run `change` in a child that kills itself at its n-th write to disk; return whether it got so far."""
    child = os.fork()
    if child == 0:
        left = step

        def dying(call: Callable[..., Any]) -> Callable[..., Any]:
            def step_or_die(*arguments: Any, **named: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*arguments, **named)

            return step_or_die

        for name in ("open", "fchown", "fchmod", "fdopen", "fsync", "close", "replace", "rename", "unlink"):
            setattr(os, name, dying(getattr(os, name)))
        try:
            change()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_a_kill_at_any_step_leaves_the_old_or_the_new_file(sample: Path) -> None:
    outcomes = set()
    step = 1
    while killed_at(step, lambda: set_keys(sample, {"readings.interval_s": "30"}, {})):
        outcomes.add(load_config(sample, {}).config.readings.interval_s)
        if last_good(sample).exists():
            assert last_good(sample).read_text(encoding="utf-8") == SAMPLE
            last_good(sample).unlink()
        sample.write_text(SAMPLE, encoding="utf-8")
        step += 1
    assert step > 10
    assert outcomes == {30, 60}
    assert sorted(path.name for path in sample.parent.iterdir()) == ["sinyal.toml", "sinyal.toml.last-good"]


# --- any sequence ---

SETTINGS = st.one_of(
    st.tuples(st.just("readings.interval_s"), st.floats(0.1, 3600).map(str)),
    st.tuples(st.just("buffer.keep_days"), st.integers(1, 3650).map(str)),
    st.tuples(
        st.just("gateway.site_name"), st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=30)
    ),
    st.tuples(st.just("modem.sim_pin"), st.from_regex("[0-9]{4,8}", fullmatch=True)),
    st.tuples(st.just("broker.fallbacks"), st.lists(st.just("a:1"), max_size=3).map(",".join)),
    st.tuples(st.just("broker.port"), st.sampled_from(["", "1", "0x10"])),
    st.tuples(st.just("gateway.id"), st.sampled_from(["", "desa-1"])),
)
STARTS = {
    "sample": SAMPLE,
    "empty": "",
    "crlf": SAMPLE.replace("\n", "\r\n"),
    "no end of line": '# a\n[gateway]\nid = "x" # mine\n[modem]\n  sim_pin="0000"# secret',
    "lists": '[broker]\nfallbacks = [\n  "b:1",\n  "c:1",\n] # c\nport = 5\n# last',
}


@pytest.mark.parametrize("start", STARTS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=st.lists(SETTINGS, min_size=1, max_size=8))
def test_any_sequence_of_changes_keeps_the_comments_and_a_good_file(
    tmp_path: Path, start: str, wanted: list[tuple[str, str]]
) -> None:
    file = tmp_path / "sinyal.toml"
    file.write_bytes(STARTS[start].encode())
    for key, text in wanted:
        if set_keys(file, {key: text}, {}):
            load_config(last_good(file), {})
        # The same text in the environment gives the value that the file must now give.
        variable = variables_of(*key.split("."))[0]
        in_file, wished = load_config(file, {}).config, load_config(file, {variable: text}).config
        assert in_file == wished
    after = file.read_bytes().decode()
    assert comments_in(after) == comments_in(STARTS[start])
    assert ("\r" in after) == ("\r" in STARTS[start])


def comments_in(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.lstrip().startswith("#")]
