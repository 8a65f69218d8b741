"""Which adapter the configuration means; only the one that is named is loaded."""

from pathlib import Path

from firmware_hooks.gpio.lines import Adapter


def open_adapter(name: str, runtime: Path) -> Adapter:
    """Return the adapter `gpiozero`, `kernel` or `mock`; raises LineTrouble.

    runtime: a folder that the agent may write, in memory.
    """
    if name == "gpiozero":
        from firmware_hooks.gpio.gpiozero_adapter import GpiozeroAdapter, lgpio_factory

        return GpiozeroAdapter(lgpio_factory(runtime))
    if name == "kernel":
        from firmware_hooks.gpio.kernel_adapter import KernelAdapter

        return KernelAdapter()
    from firmware_hooks.gpio.mock_adapter import MockAdapter

    return MockAdapter(runtime / "gpio")
