"""thingsboard-gateway from PyPI, in an environment of its own, fed by its MQTT connector."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.bench.peer.feeder import TOPIC, Feeder
from tests.bench.peer.forwarder import Program
from tests.support.listener import Heard
from tests.support.mosquitto import Mosquitto

VERSION = "3.8.5"
CENTRE_TOPIC = "v1/gateway/telemetry"
REQUESTS, ANSWERS = "v1/devices/me/rpc/request/", "v1/devices/me/rpc/response/"
INSTALL_LIMIT_S = 240


class NotInstalled(Exception):
    """It cannot be had here; the text says why."""


def environment_folder() -> Path:
    """Return the folder of its virtual environment, a cache that outlives the bench."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "sinyal-bench" / f"thingsboard-gateway-{VERSION}"


def installed_python() -> Path:
    """Return the interpreter of its environment, made at the first call; raises NotInstalled."""
    folder = environment_folder()
    python = folder / "bin" / "python"
    complete = folder / "complete"
    if complete.exists():
        return python
    pip = [str(python), "-m", "pip", "install", "--quiet", f"thingsboard-gateway=={VERSION}"]
    try:
        subprocess.run(
            [sys.executable, "-m", "venv", "--clear", str(folder)], check=True, capture_output=True
        )
        subprocess.run(pip, check=True, capture_output=True, text=True, timeout=INSTALL_LIMIT_S)
    except subprocess.CalledProcessError as error:
        last = str(error.stderr or "").strip().splitlines()[-1:] or ["no reason given"]
        raise NotInstalled(last[0]) from None
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"pip took more than {INSTALL_LIMIT_S} s") from None
    complete.touch()
    return python


class ThingsBoard:
    """What its server answers before it sends anything: the limits of a session, none here."""

    def __init__(self, port: int) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="thingsboard")
        self._client.on_connect = lambda client, *_: client.subscribe(f"{REQUESTS}+", qos=1)
        self._client.on_message = self._answer
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _answer(self, client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        limits = {
            "maxPayloadSize": 65536,
            "maxInflightMessages": 100,
            "rateLimits": {},
            "gatewayRateLimits": {},
        }
        client.publish(ANSWERS + message.topic.removeprefix(REQUESTS), json.dumps(limits), qos=1)

    def close(self) -> None:
        """Leave the broker."""
        self._client.disconnect()
        self._client.loop_stop()


class ThingsBoardGateway:
    """storage: "sqlite", "memory" or "file", each with the values it is shipped with."""

    def __init__(self, storage: str, folder: Path, key: str, centre_port: int) -> None:
        self.name = f"thingsboard-gateway ({storage})"
        self._key = key
        self._python = installed_python()
        self._program = Program(folder / "gateway")
        self._local = Mosquitto(folder / "local")
        self._local.start()
        self._feeder = Feeder(self._local.port)
        self._configure(folder / "gateway" / "config", centre_port, storage)

    def _configure(self, config: Path, centre_port: int, storage: str) -> None:
        shipped = next(self._python.parents[1].glob("lib/python*/site-packages/thingsboard_gateway/config"))
        config.mkdir()
        main: dict[str, Any] = json.loads((shipped / "tb_gateway.json").read_text())
        main["thingsboard"] |= {"host": "127.0.0.1", "port": centre_port, "remoteConfiguration": False}
        main["thingsboard"]["security"]["accessToken"] = self._key
        main["thingsboard"]["statistics"] = {"enable": False}
        main["storage"] |= {"type": storage}
        main["connectors"] = [{"type": "mqtt", "name": "samples", "configuration": "mqtt.json"}]
        (config / "tb_gateway.json").write_text(json.dumps(main))
        connector = {
            "broker": {
                "host": "127.0.0.1",
                "port": self._local.port,
                "clientId": "thingsboard",
                "version": 5,
                "maxMessageNumberPerWorker": 10,
                "maxNumberOfWorkers": 100,
                "security": {"type": "anonymous"},
            },
            "mapping": [
                {
                    "topicFilter": TOPIC,
                    "subscriptionQos": 1,
                    "converter": {
                        "type": "json",
                        "deviceInfo": {
                            "deviceNameExpressionSource": "constant",
                            "deviceNameExpression": self._key,
                            "deviceProfileExpressionSource": "constant",
                            "deviceProfileExpression": "default",
                        },
                        "timeout": 60000,
                        "attributes": [],
                        "timeseries": [{"type": "integer", "key": "n", "value": "${n}"}],
                    },
                }
            ],
        }
        (config / "mqtt.json").write_text(json.dumps(connector))
        logs = json.loads((shipped / "logs.json").read_text())
        (config / "logs.json").write_text(json.dumps(logs))

    @property
    def pid(self) -> int:
        """Its number."""
        return self._program.pid

    def start(self) -> None:
        """Start it, and give it samples as soon as it listens."""
        program = "from thingsboard_gateway.tb_gateway import main; main()"
        folder = self._program.folder
        environment = {**os.environ, "TB_GW_CONFIG_DIR": str(folder / "config")}
        before = self._subscriptions()
        self._program.begin([str(self._python), "-c", program], environment)
        until = time.monotonic() + 60
        while self._subscriptions() == before and time.monotonic() < until:
            time.sleep(0.2)
        self._feeder.flow()

    def _subscriptions(self) -> int:
        return self._local.log_text().count("Received SUBSCRIBE from thingsboard")

    def hold(self) -> None:
        """Give it no further samples."""
        self._feeder.hold()

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._program.kill()

    def taken(self) -> set[int]:
        """Return what the local broker acknowledged, and has handed on since."""
        return set(self._feeder.accepted)

    def arrived(self, heard: Iterable[Heard]) -> set[int]:
        """Return its samples."""
        numbers: set[int] = set()
        for message in heard:
            if message.topic == CENTRE_TOPIC:
                for point in json.loads(message.payload).get(self._key, []):
                    numbers.add(int(point["values"]["n"]))
        return numbers

    def close(self) -> None:
        """Leave nothing running."""
        self._feeder.close()
        self._program.kill()
        self._local.kill()
