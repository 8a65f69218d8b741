"""From a row of the list to readings at the centre: every step as its user takes it, on a rendered broker."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from agent.language import use_language
from provisioning.authority.folder import Authority
from tests.provisioning.conftest import HERE, Run
from tests.provisioning.test_broker import Broker, reader, wait_until


def test_a_box_of_the_list_publishes_and_a_copy_of_its_certificate_ends_with_it(
    province: Path, provision: Run, authority: Authority, tmp_path: Path
) -> None:
    use_language("en")
    broker = Broker(province / "broker", authority)
    etc, programs = tmp_path / "etc", tmp_path / "bin"
    programs.mkdir()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SINYAL_")}
    environment = {
        **clean,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "SINYAL_LANG": "en",
        "SINYAL_PATHS_STATE": str(tmp_path / "state"),
        "SINYAL_PATHS_RUNTIME": str(tmp_path / "run"),
        "SINYAL_READINGS_INTERVAL_S": "0.2",
        "SINYAL_PUBLISH_INTERVAL_S": "0",
        "SINYAL_PUBLISH_STARTUP_DELAY_MAX_S": "0",
        "SINYAL_MODEM_PORT": "/nonexistent/tty",
    }
    (tmp_path / "state").mkdir()
    (programs / "sinyal").write_text(f'#!/bin/sh\nPYTHONPATH={HERE} exec {sys.executable} -m agent "$@"\n')
    (programs / "sinyal").chmod(0o755)

    new = provision(
        "gateway", "new", "15.02.23.2008", "--broker", f"localhost:{broker.port}", "--passphrase-file", "pw"
    )
    assert new.returncode == 0, new.stderr
    bundle = province / "bundles/gw-a"
    install = ["sh", str(bundle / "install.sh"), "--etc", str(etc)]
    for _visit in range(2):
        done = subprocess.run(install, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        signed = provision("ca", "sign", str(bundle / "gw-a.csr"), "--passphrase-file", "pw")
        assert signed.returncode == 0, signed.stderr
    assert (etc / "tls/gateway.pem").exists()

    broker.start()
    heard: list[bytes] = []
    log = (tmp_path / "log").open("wb")
    agent = subprocess.Popen(
        [str(programs / "sinyal"), "--config", str(etc / "sinyal.toml"), "run"],
        env=environment,
        stderr=log,
    )
    try:
        with reader(broker, authority, tmp_path, heard) as client:
            wait_until(client.is_connected)
            client.subscribe("desa/v1/gw-a/#", qos=1)
            wait_until(
                lambda: any(
                    payload[:1] in (b"\x78", b"{") and b'"state"' not in payload for payload in heard
                ),
                60,
            )
        # Withdrawn, and the broker restarted with the new list: the box is out.
        retired = provision("gateway", "retire", "gw-a", "--reason", "stolen", "--passphrase-file", "pw")
        assert retired.returncode == 0, retired.stderr
        shutil.copy(province / "ca/crl.pem", broker.folder / "crl.pem")
        broker.kill()
        broker.start()
        wait_until(lambda: "it was withdrawn" in (tmp_path / "log").read_text(errors="replace"), 60)
    finally:
        agent.send_signal(signal.SIGTERM)
        agent.wait(30)
        log.close()
        broker.kill()
