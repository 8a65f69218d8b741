"""`sinyal identity`: who this gateway is; the numbers of modem, card and subscriber are masked."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.modem.simulator import Behaviour, SimulatedModem
from tests.cli.test_main import sinyal
from tests.doctor.box import Box, conversation
from tests.support.certificates import make_tls_files

NUMBERS = {
    "imei": "350000000000006",
    "iccid": "89621000000000000012",
    "imsi": "510100000000001",
    "phone": "+6281298765432",
}


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    files = make_tls_files(tmp_path / "tls", "gw-test")
    broker = f'ca_file = "{files.ca}"\ncert_file = "{files.client_cert}"\nkey_file = "{files.client_key}"'
    told = f'\n> AT+CNUM\n< +CNUM: ,"{NUMBERS["phone"]}",145\n< OK\n'
    with SimulatedModem(conversation("generic/lte_home", told), Behaviour()) as simulated:
        yield Box(tmp_path / "box", modem=simulated.path, broker=broker)


@pytest.mark.parametrize("language", ["id", "en"])
def test_numbers_are_masked(box: Box, language: str) -> None:
    shown = sinyal("identity", "--lang", language, "--config", str(box.config))
    assert (shown.returncode, shown.stderr) == (0, "")
    assert [name for name, number in NUMBERS.items() if number in shown.stdout] == []
    for part in (
        "gw-test",
        "15.02.01.2001",
        "Renah Kemumu",
        "TELKOMSEL",
        "350000*******06",
        "+6281*******32",
    ):
        assert part in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert len(shown.stdout.splitlines()) <= 23


def test_reveal_and_json(box: Box) -> None:
    shown = json.loads(sinyal("identity", "--reveal", "--json", "--config", str(box.config)).stdout)
    assert {**shown["modem"], **shown["sim"]}.items() >= NUMBERS.items()
    certificate = shown["certificate"]
    assert (certificate["subject"], certificate["issuer"]) == ("gw-test", "Sinyal test CA")
    assert certificate["ends_ts"] - certificate["begins_ts"] == 31 * 86400
    assert len(certificate["sha256"]) == 64
    masked = json.loads(sinyal("identity", "--json", "--config", str(box.config)).stdout)
    assert masked["sim"]["imsi"] == "510**********01"
    assert not [number for number in NUMBERS.values() if number in json.dumps(masked)]


def test_without_a_modem_the_rest_is_shown_and_said(tmp_path: Path) -> None:
    box = Box(tmp_path / "box", modem=tmp_path / "none", broker=f'cert_file = "{tmp_path}/x"\nkey_file = "k"')
    shown = sinyal("identity", "--lang", "en", "--config", str(box.config))
    assert shown.returncode == 0
    assert "gw-test" in shown.stdout
    text = " ".join(shown.stdout.split())
    assert "cannot be read" in text
    assert "there is no port" in text
