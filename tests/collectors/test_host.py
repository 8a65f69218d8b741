from pathlib import Path

import pytest

from agent.collectors.host import HostCollector, disk_used_pct, soc_temp_c
from agent.contract.catalogue import catalogue


def zone(root: Path, number: int, kind: str, millidegrees: str) -> None:
    folder = root / f"thermal_zone{number}"
    folder.mkdir()
    (folder / "type").write_text(kind + "\n")
    (folder / "temp").write_text(millidegrees + "\n")


@pytest.mark.parametrize(
    ("zones", "expected_c"),
    [
        ([("cpu-thermal", "48312")], 48.312),
        ([("acpitz", "30000"), ("x86_pkg_temp", "51000")], 51.0),
        ([("acpitz", "30000")], 30.0),
        ([("cpu-thermal", "-5000")], -5.0),
        ([("cpu-thermal", "broken"), ("other", "40000")], 40.0),
        ([], None),
    ],
)
def test_processor_temperature_comes_from_the_zone_that_names_it(
    zones: list[tuple[str, str]], expected_c: float | None, tmp_path: Path
) -> None:
    for number, (kind, millidegrees) in enumerate(zones):
        zone(tmp_path, number, kind, millidegrees)

    assert soc_temp_c(tmp_path) == expected_c


def test_host_reading_holds_only_possible_values(tmp_path: Path) -> None:
    reading = HostCollector(tmp_path).collect()

    for field in reading.__dataclass_fields__:
        value = getattr(reading, field)
        assert value is None or catalogue()[field].clean(value) is not None


def test_disk_use_of_a_folder_that_is_gone_is_not_known(tmp_path: Path) -> None:
    assert disk_used_pct(tmp_path / "gone") is None
