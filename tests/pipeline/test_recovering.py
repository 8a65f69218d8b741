"""Who may have the modem revived, and who forbids it: the ladder in the daemon, with hands that only note."""

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from agent.buffer.keeper import Keeper
from agent.config.model import Config, RecoveryConfig
from agent.errors import StoreUnusable
from agent.pipeline import climbing, recovering
from agent.pipeline.box import Box
from agent.pipeline.recovering import CURABLE_CAUSES, Recovering
from agent.pipeline.technician import Technician
from tests.pipeline.whole_gateway import wait_until


class Modem:
    """A modem that notes what was done to it."""

    usb_device: str | None = None

    def __init__(self) -> None:
        self.done: list[str] = []

    def reopen(self) -> None:
        self.done.append("reopen")

    def use_other_port(self) -> str | None:
        self.done.append("other_port")
        return None

    def restart_modem(self) -> None:
        self.done.append("soft_reset")


class Scene:
    """A daemon's surroundings, and a clock that jumps."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **config: Any) -> None:
        self.uptime_s = 1000.0
        monkeypatch.setattr(climbing, "_uptime_s", lambda: self.uptime_s)
        self.keeper = Keeper(
            folder / "sinyal.db", max_bytes=2**24, commit_interval_s=1, commit_readings=10, keep_days=1
        )
        self.keeper.start()
        self.modem = Modem()
        self.row: dict[str, Any] = {"modem_state": "hung"}
        self.cause: str | None = "modem"
        self.held: str | None = None
        self.expected = True
        self.recovering = Recovering(
            Config(recovery=RecoveryConfig(wait_s=10, **config)),
            self.keeper,
            self.modem,  # type: ignore[arg-type]
            last_row=lambda: (self.row, time.monotonic()),
            lasting_cause=lambda: self.cause,
            held_by=lambda: self.held,
            modem_expected=lambda: self.expected,
            cut_modem=self._cut,
            reboot=lambda: self.modem.done.append("reboot"),
        )

    def _cut(self) -> bool:
        self.modem.done.append("relay")
        return True

    def live(self, seconds: float) -> list[str]:
        """Let time pass in steps of 5 s; return what was done to the modem so far."""
        for _step in range(int(seconds / 5)):
            self.recovering.tick()
            wait_until("the rung", lambda: not self.recovering.is_working, 60)
            self.uptime_s += 5
        return self.modem.done

    def events(self) -> list[str]:
        return [event.what for event in self.keeper.unsent_events(100)]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    made = Scene(tmp_path, monkeypatch)
    yield made
    made.keeper.close()


def test_a_hung_modem_is_climbed_for_up_to_the_relay_and_no_reboot_by_default(scene: Scene) -> None:
    assert scene.live(100) == ["reopen", "other_port", "soft_reset", "relay"]
    scene.row = {"modem_state": "ok"}
    scene.cause = None
    scene.live(10)
    assert scene.events() == ["recovery"] * 5 + ["revived"]


def test_a_dead_modem_is_given_up_once_and_tried_again_later(scene: Scene) -> None:
    scene.live(120)
    assert scene.events() == ["recovery"] * 5 + ["recovery_given_up"]
    scene.live(600)
    assert scene.events().count("recovery_given_up") == 1
    assert scene.modem.done.count("reopen") > 1


def test_reboot_is_the_last_rung_where_it_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(tmp_path, monkeypatch, reboot=True)
    assert scene.live(200)[-1] == "reboot"
    scene.keeper.close()


def test_the_relay_of_the_box_revives_a_modem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpio_config: Config
) -> None:
    cuts: list[float] = []
    box = Box(
        gpio_config,
        note_mains=lambda _present, _at: None,
        note_battery_low=lambda _low: None,
        long_press=lambda: None,
        technician_for=lambda _seconds: None,
    )
    box.start()
    scene = Scene(tmp_path, monkeypatch)

    def watch() -> None:
        file = gpio_config.paths.runtime / "gpio" / "3"
        wait_until("the cut", lambda: file.read_text() == "1", 60)
        scene.row, scene.cause = {"modem_state": "ok"}, None
        cuts.append(scene.uptime_s)

    watching = threading.Thread(target=watch)
    watching.start()
    monkeypatch.setattr(scene.recovering, "_cut_modem", box.cut_modem)
    scene.live(120)
    watching.join(60)
    scene.live(10)
    box.stop()
    assert len(cuts) == 1
    assert (gpio_config.paths.runtime / "gpio" / "3").read_text() == "0"
    assert scene.events()[-1] == "revived"
    scene.keeper.close()


@pytest.fixture
def gpio_config(tmp_path: Path) -> Config:
    from dataclasses import replace

    from agent.config.model import GpioConfig, PathsConfig

    gpio = GpioConfig(adapter="mock", relay="3", led_power="1", relay_off_s=3)
    return replace(Config(), gpio=gpio, paths=PathsConfig(state=tmp_path / "s", runtime=tmp_path / "r"))


@pytest.mark.parametrize("held_by", ["technician", "mains"])
def test_nothing_is_done_while_it_is_held(
    scene: Scene, held_by: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    scene.held = held_by
    assert scene.live(600) == []
    assert scene.events() == []
    assert len([one for one in caplog.records if one.name == "sinyal.recovery"]) == 1


def test_a_broker_that_is_away_alone_is_no_trouble(scene: Scene) -> None:
    # An outage of the reports is none of the link: lasting_cause() tells of the link's only.
    scene.row, scene.cause = {"modem_state": "ok"}, None
    assert scene.live(3600) == []
    assert scene.recovering._climber is None


@pytest.mark.parametrize(
    "cause", ["power", "gateway", "sim", "quota", "weak_signal", "dns", "broker", "clock"]
)
def test_an_outage_that_no_restart_of_the_modem_ends_is_left_alone(scene: Scene, cause: str) -> None:
    assert cause not in CURABLE_CAUSES
    scene.row, scene.cause = {"modem_state": "ok"}, cause
    assert scene.live(3600) == []


def test_an_uplink_that_stays_dead_gets_a_modem_restart_after_ten_times_the_wait(scene: Scene) -> None:
    scene.row, scene.cause = {"modem_state": "ok"}, "backhaul"
    assert scene.live(100) == []
    assert scene.live(40) == ["soft_reset"]


def test_a_modem_that_hangs_while_the_internet_works_is_not_cut_off(scene: Scene) -> None:
    scene.cause = None
    assert set(scene.live(3600)) == {"reopen", "other_port"}


def test_a_gateway_without_a_modem_has_none_to_revive(scene: Scene) -> None:
    scene.row, scene.expected = {"modem_state": "missing"}, False
    assert scene.live(3600) == []


def test_a_port_that_another_program_holds_is_no_reason(scene: Scene) -> None:
    scene.row, scene.cause = {"modem_state": "busy"}, "modem"
    assert scene.live(3600) == []


def test_switched_off_it_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(tmp_path, monkeypatch, enabled=False)
    assert scene.live(600) == []
    scene.keeper.close()


def test_an_old_reading_tells_nothing_of_now(scene: Scene) -> None:
    scene.recovering._last_row = lambda: (scene.row, time.monotonic() - 3600)
    assert scene.live(600) == []


def test_a_database_that_fails_means_that_nothing_is_done(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_work: object) -> None:
        raise StoreUnusable("disk")

    monkeypatch.setattr(scene.keeper, "write", refuse)
    assert scene.live(600) == []


def test_a_person_who_asks_the_modem_counts_as_here_for_a_while_and_a_program_does_not() -> None:
    technician = Technician()
    seen: list[bool] = []

    def look(_question: object) -> dict[str, Any]:
        seen.append(technician.is_here)
        return {}

    answerers = technician.noticing({"modem_at": look, "modem_port": lambda _question: {}})
    answerers["modem_port"]({})
    seen.append(technician.is_here)
    answerers["modem_at"]({})
    seen.append(technician.is_here)
    technician.leave()
    seen.append(technician.is_here)
    technician.stay(60)
    seen.append(technician.is_here)
    assert seen == [False, True, True, False, True]


def test_the_box_is_switched_off_by_the_systems_own_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    program = tmp_path / "poweroff"
    program.write_text(f"#!/bin/sh\necho off > {tmp_path}/done\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    recovering.run_program("poweroff", tmp_path, systemd=tmp_path / "none")
    wait_until("the program", lambda: (tmp_path / "done").exists(), 60)
    os.wait()
    monkeypatch.setenv("PATH", str(tmp_path))
    recovering.run_program("reboot", tmp_path, systemd=tmp_path / "none")
    assert "reboot" in caplog.text


def test_an_ordinary_user_asks_systemd_by_a_file_and_a_refusal_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    recovering.run_program("reboot", tmp_path, systemd=tmp_path)
    assert (tmp_path / "ask-reboot").exists()
    recovering.run_program("poweroff", tmp_path / "none", systemd=tmp_path)
    assert "poweroff" in caplog.text
