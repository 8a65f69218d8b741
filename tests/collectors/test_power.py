from pathlib import Path

import pytest

from agent.collectors.power import PowerCollector, PowerReading


def supplies(folder: Path) -> Path:
    for name, files in {
        "AC": {"online": "1\n"},
        "BAT0": {"voltage_now": "12450000\n", "capacity": "87\n"},
    }.items():
        (folder / name).mkdir()
        for file, text in files.items():
            (folder / name / file).write_text(text)
    return folder


def test_mains_and_battery_are_read_from_the_kernels_supplies(tmp_path: Path) -> None:
    collector = PowerCollector("AC", "BAT0", supplies=supplies(tmp_path), hwmon=tmp_path, throttled=tmp_path)
    assert collector.collect() == PowerReading(1, 12.45, 87, None)
    (tmp_path / "AC" / "online").write_text("0")
    assert collector.collect().mains_present == 0


def test_an_input_of_the_box_goes_before_the_kernel(tmp_path: Path) -> None:
    collector = PowerCollector("AC", "", lambda: False, supplies=supplies(tmp_path), hwmon=tmp_path)
    assert collector.collect().mains_present == 0


@pytest.mark.parametrize("text", ["", "yes", "\xff"])
def test_what_cannot_be_read_is_not_known(tmp_path: Path, text: str) -> None:
    supplies(tmp_path)
    (tmp_path / "AC" / "online").write_text(text, encoding="latin-1")
    (tmp_path / "BAT0" / "capacity").unlink()
    reading = PowerCollector("AC", "BAT0", supplies=tmp_path, hwmon=tmp_path).collect()
    assert (reading.mains_present, reading.battery_pct, reading.battery_v) == (None, None, 12.45)


@pytest.mark.parametrize(
    ("alarm", "throttled", "undervoltage"),
    [("0", None, 0), ("1", None, 1), (None, "50000", 0), (None, "50005", 1), (None, "1", 1), ("0", "0", 0),
     ("1", "0", 1), (None, None, None), (None, "rubbish", None)],
)  # fmt: skip
def test_undervoltage_comes_from_the_alarm_or_the_firmwares_bit(
    tmp_path: Path, alarm: str | None, throttled: str | None, undervoltage: int | None
) -> None:
    other = tmp_path / "hwmon0"
    other.mkdir()
    (other / "name").write_text("cpu_thermal\n")
    if alarm is not None:
        sensor = tmp_path / "hwmon1"
        sensor.mkdir()
        (sensor / "name").write_text("rpi_volt\n")
        (sensor / "in0_lcrit_alarm").write_text(f"{alarm}\n")
    bits = tmp_path / "get_throttled"
    if throttled is not None:
        bits.write_text(f"{throttled}\n")
    collector = PowerCollector("", "", supplies=tmp_path, hwmon=tmp_path, throttled=bits)
    assert collector.collect() == PowerReading(None, None, None, undervoltage)
