import subprocess
import sys
from pathlib import Path

TOO_HEAVY = (
    "http.client",
    "speedtest",
    "subprocess",
    "email",
    "urllib.parse",
    "encodings.idna",
    "agent.budget.desk",
    "agent.budget.speed_tester",
)

DAEMON = f"""
import agent.pipeline.a_lean_start, agent.pipeline.start, sys
from agent.uplink_socket import look_up
look_up("localhost", 8883)
print([name for name in {TOO_HEAVY} if type(sys.modules.get(name)).__name__ == "module"])
"""

ADDRESS_OF_A_FILE = """
import agent.pipeline.a_lean_start, pathlib
print(pathlib.Path("/tmp/a b").as_uri())
"""


def _printed(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_agent_loads_no_engine_and_no_planner_until_they_are_wanted() -> None:
    assert _printed(DAEMON) == "[]"


def test_what_was_left_out_of_the_standard_library_comes_when_it_is_asked_for() -> None:
    assert _printed(ADDRESS_OF_A_FILE) == Path("/tmp/a b").as_uri()
