"""A gateway without an agent, in one folder, and a doctor that looks at it."""

import contextlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.buffer.store import Store
from agent.cli.main import main
from agent.language import use_language
from agent.modem.transcript import Transcript, read_transcript
from tests.buffer.files import reading
from tests.cli.test_main import sinyal

TRANSCRIPTS = Path(__file__).parents[1] / "transcripts"

LINK = """
[uplink]
interface = "lo"
[link]
targets = ["127.0.0.1", "127.0.0.2"]
page_url = ""
"""

BEARER_UP = """
> AT+CGDCONT?
< +CGDCONT: 1,"IP","internet","0.0.0.0",0,0
< OK

> AT+CGACT?
< +CGACT: 1,1
< OK

> AT+CGPADDR
< +CGPADDR: 1,"10.64.3.2"
< OK
"""


def conversation(case: str, more: str = BEARER_UP, *, replace: Mapping[str, str] | None = None) -> Transcript:
    """Return a recorded case with some more answers, and parts of it replaced."""
    text = (TRANSCRIPTS / case / "conversation.txt").read_text()
    for old, new in (replace or {}).items():
        assert old in text
        text = text.replace(old, new)
    return written(text + more)


def written(text: str) -> Transcript:
    """Return a conversation that stands in a text."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "conversation.txt"
        file.write_text(text)
        return read_transcript(file)


class Box:
    """One gateway's folder; `state` can lie elsewhere."""

    def __init__(
        self, folder: Path, *, modem: object, broker: str = "", link: str = LINK, state: str = "state"
    ):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.state = folder / state
        self.config = folder / "sinyal.toml"
        self.config.write_text(
            f'[gateway]\nid = "gw-test"\nsite_name = "Renah Kemumu"\nkode_desa = "15.02.01.2001"\n'
            f'[paths]\nstate = "{state}"\nruntime = "run"\n'
            f'[modem]\nport = "{modem}"\n[broker]\n{broker}\n{link}'
        )

    def store_readings(self, count: int = 3) -> None:
        """Leave readings behind, as an agent that was stopped does."""
        self.state.mkdir(exist_ok=True)
        store = Store(
            self.state / "sinyal.db",
            max_bytes=4 << 20,
            commit_interval_s=0,
            commit_readings=1,
            keep_days=36500,
        )
        store.open()
        for number in range(count):
            store.append(reading(number))
        store.close()

    def doctor(self, **environment: str) -> "Diagnosis":
        """Run `sinyal doctor --json`, in a process of its own when that needs another environment."""
        command = ["doctor", "--json", "--lang", "en", "--config", str(self.config)]
        if environment:
            done = sinyal(*command, **environment)
            assert done.stderr == ""
            return Diagnosis(json.loads(done.stdout), done.returncode)
        said, noted = io.StringIO(), io.StringIO()
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(noted):
                code = main(command)
        finally:
            use_language("id")
        assert noted.getvalue() == ""
        return Diagnosis(json.loads(said.getvalue()), code)


class Diagnosis:
    """What the doctor said."""

    def __init__(self, document: dict[str, Any], code: int) -> None:
        self.document = document
        self.exit_code = code
        self._layers = {layer["layer"]: layer for layer in document["layers"]}

    def __getitem__(self, layer: str) -> dict[str, str]:
        found: dict[str, str] = self._layers[layer]
        return found

    def __repr__(self) -> str:
        return json.dumps(self.document, indent=1)

    def expect_fault(self, layer: str, code: str, *, evidence: str = "", step: str = "") -> None:
        """Fail unless this layer is the first that fails, with this code, evidence and next step."""
        assert self.document["first_trouble"] == layer, self
        found = self[layer]
        assert (found["verdict"], found["code"]) == ("FAIL", code), self
        assert evidence in found["evidence"], found
        assert found["next_step"], found
        assert step in found["next_step"], found
        assert self.document["next_step"] == found["next_step"]
        assert self.exit_code == 1
