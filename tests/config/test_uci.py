import tomllib
from pathlib import Path

import pytest
from hypothesis import given, strategies

from agent.config.load import ConfigMistakes
from agent.config.uci import MAX_BYTES, import_options, toml_of
from agent.errors import ConfigMistake, SinyalError


def options(*pairs: tuple[str, str]) -> bytes:
    return b"".join(f"{name}\0{value}\0".encode() for name, value in pairs)


@pytest.mark.parametrize(
    ("pairs", "wanted"),
    [
        ([("gateway.id", "jbi-1")], {"gateway": {"id": "jbi-1"}}),
        ([("readings.interval_s", "30")], {"readings": {"interval_s": 30}}),
        ([("modem.sim_pin", "0123")], {"modem": {"sim_pin": "0123"}}),
        ([("broker.port", "")], {"broker": {"port": ""}}),
        ([("broker.tls", "1"), ("broker.ca_file", "/a b")], {"broker": {"tls": True, "ca_file": "/a b"}}),
        ([("broker.tls", "off")], {"broker": {"tls": False}}),
        ([("broker.fallbacks", "a:1,b:2")], {"broker": {"fallbacks": ["a:1", "b:2"]}}),
        (
            [("broker.fallbacks", "a:1"), ("broker.fallbacks", "b:2")],
            {"broker": {"fallbacks": ["a:1", "b:2"]}},
        ),
        (
            [("link.operator_codes", "51010 *888# kuota, habis"), ("link.operator_codes", "51001 *1# x")],
            {"link": {"operator_codes": ["51010 *888# kuota, habis", "51001 *1# x"]}},
        ),
        ([("gateway.site_name", "a"), ("gateway.site_name", "b")], {"gateway": {"site_name": "b"}}),
        ([("gateway.site_name", '"AT+QENG=\\"x\\"" $(reboot) `id` \' # ;')], None),
    ],
)
def test_options_become_values_of_the_right_kind(pairs: list[tuple[str, str]], wanted: object) -> None:
    document = tomllib.loads(toml_of(options(*pairs)))
    assert document == wanted if wanted else document["gateway"]["site_name"] == pairs[0][1]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (options(("gateway.id", "a\nb")), r'gateway.id = "a\u000Ab" is not allowed'),
        (options(("readings.interval_s", "sixty")), 'readings.interval_s = "sixty" is not allowed'),
        (options(("readings.intervall_s", "60")), "readings.interval_s"),
        (options(("broker.tls", "maybe")), 'broker.tls = "maybe"'),
        (options(("modem.sim_pin", "1\n2")), "********"),
        (options(('x"]\n[broker]\nhost', "evil")), "is not a known key"),
        (b"gateway.id\0a", "ends in the middle"),
        (b"gateway.id\0", "ends in the middle"),
        (b"gateway.id\0\xff\0", "no UTF-8"),
        (b"x" * (MAX_BYTES + 1), "larger than"),
    ],
)
def test_what_cannot_be_is_named_and_no_secret_shown(content: bytes, says: str) -> None:
    with pytest.raises(ConfigMistake) as refused:
        toml_of(content)
    assert says in refused.value.what
    assert "1\\u000A2" not in refused.value.what


def test_the_file_is_written_once_kept_when_refused_and_the_last_good_one_stays(tmp_path: Path) -> None:
    file = tmp_path / "sinyal.toml"
    assert import_options(options(("gateway.id", "a")), file, {}, check_only=True)
    assert not file.exists()
    assert import_options(options(("gateway.id", "a")), file, {}, check_only=False)
    assert file.stat().st_mode & 0o777 == 0o640
    written = file.stat().st_mtime_ns
    assert not import_options(options(("gateway.id", "a")), file, {}, check_only=False)
    assert file.stat().st_mtime_ns == written
    with pytest.raises(ConfigMistakes):  # each key is fine, the whole is not
        import_options(options(("gateway.id", "b"), ("broker.tls", "1")), file, {}, check_only=False)
    assert tomllib.loads(file.read_text()) == {"gateway": {"id": "a"}}
    assert import_options(options(("gateway.id", "b")), file, {}, check_only=False)
    assert tomllib.loads((tmp_path / "sinyal.toml.last-good").read_text()) == {"gateway": {"id": "a"}}


def test_a_file_of_a_person_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "sinyal.toml"
    file.write_text('[gateway]\nid = "by-hand"\n')
    with pytest.raises(ConfigMistake):
        import_options(options(("gateway.id", "a")), file, {}, check_only=False)
    assert "by-hand" in file.read_text()


@given(strategies.binary(max_size=200), strategies.text(max_size=60))
def test_no_bytes_and_no_value_end_in_a_fault_or_in_another_key(content: bytes, text: str) -> None:
    for tried in (content, options(("gateway.site_name", text.replace("\0", "")))):
        try:
            document = tomllib.loads(toml_of(tried))
        except SinyalError:
            continue
        assert document == {} or document == {"gateway": {"site_name": text.replace("\0", "")}}
