"""The buzzer of the box for a command: pitch is level, so that a technician on the mast hears the aim."""

from agent.config.model import Config
from agent.errors import SinyalError
from agent.pipeline.control_client import ask_daemon
from agent.pipeline.snapshot import daemon_runs


class BoxBuzzer:
    """Plays levels on the buzzer of the box, through the running agent, which has its line."""

    def __init__(self, config: Config) -> None:
        self._runtime = config.paths.runtime
        self.is_there = bool(config.gpio.adapter and config.gpio.buzzer) and daemon_runs(self._runtime)
        """Whether there is a buzzer to play on; False for good after it failed once."""

    def play(self, level_dbm: float, seconds: float = 0.15) -> None:
        """Play one beep whose pitch tells an RSRP in dBm; never raises, and is silent without a buzzer."""
        if not self.is_there:
            return
        from firmware_hooks.gpio.buzzer import pitch_hz

        try:
            ask_daemon(self._runtime, "gpio_beep", pitch_hz=pitch_hz(level_dbm), seconds=seconds)
        except SinyalError:
            self.is_there = False
