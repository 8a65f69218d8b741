import subprocess
import sys

TOO_HEAVY = (
    "http.client",
    "speedtest",
    "subprocess",
    "email",
    "agent.budget.desk",
    "agent.budget.speed_tester",
)


def test_the_agent_loads_no_engine_and_no_planner_until_they_are_wanted() -> None:
    code = (
        "import agent.cli, agent.cli.run, agent.pipeline.daemon, sys\n"
        f"print([name for name in {TOO_HEAVY} if type(sys.modules.get(name)).__name__ == 'module'])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "[]"
