import subprocess
import sys

LATE = """
import sys
from agent.late_modules import load_late
load_late(("inspect", "uuid", "sys"))
import dataclasses, uuid
{use}
print(type(sys.modules[{name!r}]).__name__)
"""


def kind_after(use: str, name: str) -> str:
    code = LATE.format(use=use, name=name)
    command = [sys.executable, "-c", code]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    return shown.stdout.strip()


def test_an_import_alone_does_not_load_the_module() -> None:
    assert kind_after("import uuid", "uuid") == "_LateModule"


def test_the_first_use_loads_the_real_module_for_everybody() -> None:
    use = "assert uuid.UUID(int=1).int == 1; import uuid as again; again.uuid4()"
    assert kind_after(use, "uuid") == "module"


def test_dataclasses_work_with_a_late_inspect() -> None:
    use = "Pair = dataclasses.make_dataclass('Pair', ['a', 'b'], frozen=True); assert 'a' in Pair.__doc__"
    assert kind_after(use, "inspect") == "module"


def test_a_module_that_is_loaded_already_stays() -> None:
    assert kind_after("", "sys") == "module"
