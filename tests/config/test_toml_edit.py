import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.toml_edit import with_value

EDITS = [
    # the file before, section, key, value, the file after
    ("", "modem", "port", '"auto"', '[modem]\nport = "auto"\n'),
    ("[modem]", "modem", "port", "1", "[modem]\nport = 1\n"),
    ("[modem]\n", "gateway", "id", "1", "[modem]\n\n[gateway]\nid = 1\n"),
    ("# only words", "modem", "port", "1", "# only words\n\n[modem]\nport = 1\n"),
    ("[modem]\nport = 1", "modem", "port", "2", "[modem]\nport = 2"),
    ("[modem]\r\nport = 1\r\n", "modem", "port", "2", "[modem]\r\nport = 2\r\n"),
    ("[modem]\r\nport = 1\r\n", "modem", "sim_pin", "2", "[modem]\r\nport = 1\r\nsim_pin = 2\r\n"),
    ("[modem]\n  port=1# c\n", "modem", "port", "2", "[modem]\n  port=2# c\n"),
    ("[modem]\nport = 1\t # c = 1\n", "modem", "port", "2", "[modem]\nport = 2\t # c = 1\n"),
    ('[modem]\nport = "a # b" # c\n', "modem", "port", "2", "[modem]\nport = 2 # c\n"),
    ("[modem]\nport = 'a \" # b' # \"c\"\n", "modem", "port", "2", '[modem]\nport = 2 # "c"\n'),
    ('[ modem ] # m\n"port" = 1\n', "modem", "port", "2", '[ modem ] # m\n"port" = 2\n'),
    ("modem.port = 1\n", "modem", "port", "2", "modem.port = 2\n"),
    ("modem . 'port' = 1 # c\n", "modem", "port", "2", "modem . 'port' = 2 # c\n"),
    ("[a]\nport = 1\n[modem]\nport = 1\n", "modem", "port", "2", "[a]\nport = 1\n[modem]\nport = 2\n"),
    ("[a]\nport = 1\n[b]\n", "a", "id", "2", "[a]\nport = 1\nid = 2\n[b]\n"),
    ("[a]\nport = 1\n\n# about b\n[b]\n", "a", "id", "2", "[a]\nport = 1\nid = 2\n\n# about b\n[b]\n"),
    # Under its commented default, which stays.
    ("[a]\n# id = 0\n\n# port = 1\n", "a", "id", "2", "[a]\n# id = 0\nid = 2\n\n# port = 1\n"),
    ("[b]\n# id = 0\n[a]\n#id=0", "a", "id", "2", "[b]\n# id = 0\n[a]\n#id=0\nid = 2\n"),
    ("[a]\n# id_x = 0\nb = 1\n", "a", "id", "2", "[a]\n# id_x = 0\nb = 1\nid = 2\n"),
    # Lines within a text or a list are no statements.
    ('[a]\nb = """\nid = 1\n[c]\n"""\nid = 5\n', "a", "id", "2", '[a]\nb = """\nid = 1\n[c]\n"""\nid = 2\n'),
    ('[a]\nb = """\n# id = 1\n"""\n', "a", "id", "2", '[a]\nb = """\n# id = 1\n"""\nid = 2\n'),
    ('[a]\nb = [\n "x", # id = 1\n]\n', "a", "id", "2", '[a]\nb = [\n "x", # id = 1\n]\nid = 2\n'),
    ('[a]\nb = [\n "x",\n "y",\n] # c\nid = 1\n', "a", "b", '["z"]', '[a]\nb = ["z"] # c\nid = 1\n'),
    ('[a]\nb = """x\ny""" # c\n', "a", "b", '"z"', '[a]\nb = "z" # c\n'),
    ('[a]\nb = "\u2028\u0085"\nid = 1\n', "a", "id", "2", '[a]\nb = "\u2028\u0085"\nid = 2\n'),
]  # fmt: skip


@pytest.mark.parametrize(("before", "section", "key", "value", "after"), EDITS)
def test_only_the_value_of_the_key_changes(
    before: str, section: str, key: str, value: str, after: str
) -> None:
    assert with_value(before, section, key, value) == after


@pytest.mark.parametrize(
    "text",
    [
        "a = {id = 1}\n",
        "a = {id = 1, b = 2}\n",
        "a = {}\n",
        "a = {b = {id = 1}}\n",
        "a.b = 1\n",  # A section that is written with dots cannot be opened again with [a].
        "[a]\nid = [\n 1, # one\n]\n",
        "[a]\nid = {b = 1}\n",
        "[[a]]\nid = 1\n",
        "[a.id]\nb = 1\n",
        "a = 1\n",
    ],
)
def test_a_value_that_cannot_be_exchanged_without_harm_is_refused(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        with_value(text, "a", "id", "2")


NAMES = st.sampled_from(["id", "port", "sim_pin", "interval_s", "interval"])
SECTION_NAMES = st.sampled_from(["a", "modem", "readings"])
COMMENTS = st.sampled_from(["# x", "#id = 1", "  # [a]", "# port = 'a # b'", "#" * 50, "# ü"])
VALUES = st.sampled_from(
    ["1", "'a # b'", '"x" # c', "[1,\n 2]", "[\n 1, # one\n]", '"""\nid = 1\n[a]\n# y\n"""', "{x = 1}"]
)


@st.composite
def toml_files(draw: st.DrawFn) -> str:
    parts = []
    for section in draw(st.permutations(["a", "modem", "readings"])):
        if draw(st.booleans()):
            parts.append(f"[{section}]")
            for name in draw(st.lists(NAMES, unique=True)):
                parts += [draw(COMMENTS)] * draw(st.integers(0, 2))
                parts.append(f"{name} = {draw(VALUES)}")
        parts += [draw(COMMENTS), ""] * draw(st.integers(0, 1))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return end.join("\n".join(parts).split("\n")) + draw(st.sampled_from(["", end]))


@given(toml_files(), SECTION_NAMES, NAMES, st.sampled_from(["7", '"a # b"', '["a", "b"]', "true"]))
def test_any_file_keeps_every_line_that_is_not_the_value(
    text: str, section: str, key: str, value: str
) -> None:
    before = tomllib.loads(text)
    present = key in before.get(section, {})
    try:
        after = with_value(text, section, key, value)
    except ValueError:
        assert present
        return
    before.setdefault(section, {})[key] = tomllib.loads(f"v = {value}")["v"]
    assert tomllib.loads(after) == before
    if not present:
        kept = iter(after.splitlines())
        assert all(line in kept for line in text.splitlines()), "the lines from before, in their order"
    assert with_value(after, section, key, value) == after
