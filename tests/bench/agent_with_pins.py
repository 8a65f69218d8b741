"""`sinyal run` whose pins are gpiozero's own mock, for a machine without any: -m … run --config CONFIG.

What lgpio itself takes, a C library of some 0.2 MB, is not in it.
"""

import sys

MODULE = "tests.bench.agent_with_pins"


def _begin() -> int:
    """Do what `sinyal run` does, and let it begin anew as this module."""
    from agent.cli.main import main
    from agent.pipeline import handover

    handover.MODULE = MODULE
    return main()


def _go_on() -> int:
    from agent.pipeline.__main__ import main  # first of all: it keeps some modules out

    _mock_pins()
    return main(sys.argv[1:])


def _mock_pins() -> None:
    from importlib import import_module
    from types import ModuleType

    from agent.late_modules import stand_ins
    from firmware_hooks.gpio import gpiozero_adapter

    def factory(_runtime: object) -> object:
        gpiozero_adapter._load_gpiozero()  # as the real factory does
        plug_ins = ModuleType("importlib_metadata")
        vars(plug_ins)["entry_points"] = None
        with stand_ins(
            importlib_metadata=plug_ins
        ):  # the mock wants it for a default, lgpio's factory does not
            mock = import_module("gpiozero.pins.mock")
        made: object = mock.MockFactory(pin_class=mock.MockPWMPin)
        return made

    setattr(gpiozero_adapter, "lgpio_factory", factory)  # noqa: B010 -- mypy minds the other way


if __name__ == "__main__":
    sys.exit(_begin() if sys.argv[1] == "run" else _go_on())
