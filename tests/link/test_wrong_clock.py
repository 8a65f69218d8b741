"""A gateway whose clock is months behind: no certificate is valid, and the agent says it is the clock."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_main import sinyal
from tests.pipeline.whole_gateway import Gateway, wait_until
from tests.support.mosquitto import Mosquitto
from tests.support.programs import program

SOURCE = Path(__file__).with_name("wrong_clock.c")

LINK = """
[link]
targets = ["127.0.0.1", "127.0.0.2"]
probe_interval_s = 1
suspect_interval_s = 0.2
page_url = ""
"""


@pytest.fixture
def wrong_clock(tmp_path: Path) -> Path:
    compiler = program("cc", "gcc libc6-dev")
    if list(Path("/sys/class/rtc").glob("rtc*")):
        pytest.skip("this machine has a clock chip, which the agent would believe")
    library = tmp_path / "wrong_clock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return library


def test_a_wrong_clock_is_the_cause_when_no_certificate_is_valid_yet(
    tmp_path: Path, wrong_clock: Path, tls_broker: Mosquitto
) -> None:
    assert tls_broker.tls is not None
    tls = tls_broker.tls
    gateway = Gateway(
        tmp_path / "box", modem=str(tmp_path / "none"), publish=LINK, interval_s=0.3,
        broker=f'host = "localhost"\nport = {tls_broker.port}\ntls = true\nca_file = "{tls.ca}"\n'
        f'cert_file = "{tls.client_cert}"\nkey_file = "{tls.client_key}"',
    )  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SINYAL_")}
    with gateway.log.open("ab") as log:
        agent = subprocess.Popen(
            [sys.executable, "-m", "agent", "run", "--config", str(gateway.config)],
            stderr=log,
            env={**environment, "LD_PRELOAD": str(wrong_clock)},
        )
    try:

        def outages() -> list[dict[str, Any]]:
            done = sinyal("outages", "--json", "--config", str(gateway.config))
            found: list[dict[str, Any]] = json.loads(done.stdout or '{"outages": []}')["outages"]
            return found

        wait_until("the cause", lambda: [one["cause"] for one in outages()] == ["clock"], 60)
        (one,) = outages()
    finally:
        agent.kill()
        agent.wait()
    assert one["evidence"]["report_problem"] == "clock", gateway.log_text()
    assert (one["kind"], one["counts_as_down"]) == ("report", False)
