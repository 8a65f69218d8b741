"""paho comes in without an HTTP client, and an unfit paho is told in one sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fake_broker import FakeBroker

IMPORT = "from agent import language; language.use_language('en'); import agent.publish.forwarder; "


def _python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_http_client_stays_out_and_can_be_had_later() -> None:
    done = _python(
        IMPORT
        + "import sys\nprint([name for name in ('urllib.request', 'http.client') if name in sys.modules])\n"
        "import urllib.request\nprint(urllib.request.urlopen.__module__)"
    )
    assert (done.stdout, done.stderr) == ("[]\nurllib.request\n", "")


def test_a_real_http_client_that_is_loaded_already_stays() -> None:
    done = _python(
        "import urllib.request as r; " + IMPORT + "import urllib.request as s; print(r is s, s.urlopen)"
    )
    assert done.stdout.startswith("True <function urlopen")


CONNECT = """
import sys, types
socks = types.ModuleType("socks")
socks.HTTP, socks.SOCKS4, socks.SOCKS5 = 3, 1, 2
socks.get_default_proxy = lambda: None
def create_connection(*_, **__): raise SystemExit("went through a proxy")
socks.create_connection = create_connection
sys.modules["socks"] = socks
from agent.publish.mqtt import Connection
connection = Connection(("127.0.0.1", {port}), client_id="gw", keepalive_s=60)
connection.open()
connection.close(goodbye=True)
print("connected")
"""


def test_a_proxy_in_the_environment_is_not_used() -> None:
    names = ("http_proxy", "https_proxy", "all_proxy", "mqtt_proxy")
    with FakeBroker() as broker:
        done = _python(CONNECT.format(port=broker.port), **dict.fromkeys(names, "http://127.0.0.1:9"))
    assert (done.stdout, done.stderr) == ("connected\n", "")


@pytest.mark.parametrize(
    ("version", "words"),
    [("1.6.1", "paho-mqtt 1.6.1 is too old for Sinyal"), ("2.1.0", "paho-mqtt 2.1.0 is too old for Sinyal")],
)
def test_an_old_paho_is_told_in_one_sentence(tmp_path: Path, version: str, words: str) -> None:
    package = tmp_path / "paho" / "mqtt"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").write_text(f'__version__ = "{version}"\n')
    done = _python(_told(), PYTHONPATH=str(tmp_path))
    assert done.stdout == f"{words} | pip install 'paho-mqtt==2.2.*'\n", done.stderr


def test_a_missing_paho_is_told_in_one_sentence() -> None:
    done = _python("import sys; sys.modules['paho'] = None\n" + _told())
    assert done.stdout == "paho-mqtt is not installed | pip install 'paho-mqtt==2.2.*'\n", done.stderr


def _told() -> str:
    return (
        "from agent import language; language.use_language('en')\n"
        "from agent.errors import SinyalError\n"
        "try:\n    import agent.publish.forwarder\n"
        "except SinyalError as error:\n    print(error.what, '|', error.next_step)"
    )
