"""What is wired to the box, in the running agent: lights show the state, the button is heard.

`firmware_hooks.gpio` is loaded here, and only where `gpio.adapter` names an adapter.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from agent.config.model import Config
from agent.errors import SinyalError
from agent.language import _
from agent.pipeline.control import Answerer, Question

if TYPE_CHECKING:
    from agent.pipeline.box_states import Seen
    from firmware_hooks.gpio.panel import Panel

log = logging.getLogger("sinyal.gpio")

ASKS = ("gpio_roles", "gpio_try", "gpio_beep")
"""The questions that box_control answers."""

TECHNICIAN_S = 3600.0
"""How long a very long press keeps the agent's hands off the modem."""


class Box:
    """The panel with its meaning. Nothing of it is there, and all answers are None, without an adapter."""

    def __init__(
        self,
        config: Config,
        *,
        note_mains: Callable[[bool, float], None],
        note_battery_low: Callable[[bool], None],
        long_press: Callable[[], None],
        technician_for: Callable[[float], None],
    ) -> None:
        self._panel: Panel | None = None
        self._note_mains = note_mains
        self._note_battery_low = note_battery_low
        self._long_press = long_press
        self._technician_for = technician_for
        self._code = "fine"
        if config.gpio.adapter:
            self._panel = self._opened(config)

    def _opened(self, config: Config) -> "Panel | None":
        from agent.pipeline.box_control import wiring_of
        from firmware_hooks.gpio.adapters import open_adapter
        from firmware_hooks.gpio.panel import Listeners, Panel

        listeners = Listeners(
            mains=self._note_mains,
            battery_low=lambda low, _at: self._note_battery_low(low),
            button=self._hear,
        )
        try:
            return Panel(
                open_adapter(config.gpio.adapter, config.paths.runtime), wiring_of(config.gpio), listeners
            )
        except SinyalError as fault:
            # Readings go on without lights and relay.
            log.error(  # noqa: TRY400 -- a sentence
                _("the box's pins are not used: {what}. Next step: {step}").format(
                    what=fault.what, step=fault.next_step
                )
            )
            return None

    def start(self) -> None:
        """Begin to blink and to watch; tells at once what the inputs say now."""
        panel = self._panel
        if panel is None:
            return
        panel.start()
        if panel.mains is not None:
            self._note_mains(panel.mains, time.monotonic())
        if panel.battery_low is not None:
            self._note_battery_low(panel.battery_low)

    def stop(self) -> None:
        """Give the modem its power and all lines back."""
        if self._panel is not None:
            self._panel.stop()

    @property
    def mains(self) -> bool | None:
        """Return whether mains is present, debounced; None without an input for it."""
        return None if self._panel is None else self._panel.mains

    @property
    def has_relay(self) -> bool:
        """Return whether the modem's power can be cut."""
        return self._panel is not None and self._panel.has_relay

    def cut_modem(self) -> bool:
        """Cut the modem's power for a while; return whether that was done."""
        return self._panel is not None and self._panel.cut_modem()

    @property
    def has_panel(self) -> bool:
        """Return whether there is anything to show on."""
        return self._panel is not None

    def update(self, seen: "Seen") -> None:
        """Let the lights show what is seen."""
        if self._panel is None:
            return
        from agent.pipeline.box_states import code_of, states_of

        self._code = code_of(seen)
        self._panel.show(states_of(seen))

    def answerers(self) -> Mapping[str, Answerer]:
        """Return what is done for each question about the box."""
        return dict.fromkeys(ASKS, self._answer)

    # ---- the panel's thread ----

    def _hear(self, press: str) -> None:
        from firmware_hooks.gpio.patterns import CODES

        words = {
            "short": _("the button was pressed: show the state"),
            "long": _("the button was held for 3 s: cut the modem's power"),
        }
        log.info(words.get(press) or _("the button was held for 10 s: technician mode for an hour"))
        assert self._panel is not None
        if press == "short":
            self._panel.tell_code(CODES[self._code])
        elif press == "long":
            self._long_press()
        else:
            self._technician_for(TECHNICIAN_S)

    def _answer(self, question: Question) -> Mapping[str, Any]:
        panel = self._open_panel()
        from agent.pipeline.box_control import answer

        return answer(panel, question)

    def _open_panel(self) -> "Panel":
        if self._panel is None:
            raise SinyalError(
                _("the running agent uses no pins"), _("see [gpio] in the configuration, and the agent's log")
            )
        return self._panel
