"""Lights, relay, inputs, button and buzzer of a box.

             ┌─ gpiozero_adapter  Raspberry Pi
    lines ◀──┼─ kernel_adapter    OpenWrt: LEDs in sysfs, libgpiod for all else
             └─ mock_adapter      tests and benches
      ▲
      │ one level at a time
    lights · relay · debounce · button · buzzer      no clock of their own: each is told the time
      ▲
    panel    the one thread that owns them, and all that others call

Nothing here is loaded unless `gpio.adapter` names an adapter.
"""
