import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import read_mo, write_mo

from agent import language
from agent.language import _, in_language, ngettext, system_reason, use_language

TEXTS = ("it was stopped", "not known", "no such text at all")

CATALOGUE = Path(language.__file__).parent / "locale" / "id" / "LC_MESSAGES" / "sinyal.mo"


@pytest.fixture(autouse=True)
def _language_as_before() -> Iterator[None]:
    before = language.current_language()
    yield
    language._catalogue = None
    use_language(before)


def test_every_text_of_the_catalogue_is_found() -> None:
    use_language("id")
    with CATALOGUE.open("rb") as opened:
        messages = [message for message in read_mo(opened) if message.id]

    assert len(messages) > 300
    for message in messages:
        if isinstance(message.id, str):
            assert _(message.id) == message.string
        else:
            singular, plural = message.id
            assert {ngettext(singular, plural, count) for count in (0, 1, 2)} == set(message.string or ())


@pytest.mark.parametrize("text", ["no such text", "\uffff", "!", "{n} day"])
def test_a_text_that_the_catalogue_does_not_hold_stays_english(text: str) -> None:
    use_language("id")

    assert _(text) == text


def test_english_is_the_source_text() -> None:
    use_language("en")

    assert _("ready") == "ready"
    assert [ngettext("{n} day", "{n} days", count) for count in (0, 1, 2)] == [
        "{n} days",
        "{n} day",
        "{n} days",
    ]


@pytest.mark.parametrize(
    "content", [b"", CATALOGUE.read_bytes()[:1000], b"\xff" * 64], ids=["none", "cut", "wild"]
)
def test_a_catalogue_that_is_missing_or_damaged_shows_english(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language, "_catalogue", language._Catalogue(content))

    assert _("ready") == "ready"
    assert ngettext("{n} day", "{n} days", 2) == "{n} days"


def test_a_missing_catalogue_file_shows_english(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "__file__", str(tmp_path / "language.py"))
    monkeypatch.setattr(language, "_catalogue", None)

    assert _("ready") == "ready"


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ValueError, match="fr"):
        use_language("fr")


@pytest.mark.parametrize("own", language.LANGUAGES)
def test_a_text_can_be_said_in_another_language(own: str) -> None:
    use_language(own)
    text = _("the cells are missing: {what}").format(what=_("the modem does not answer"))

    assert in_language(text, "en") == "the cells are missing: the modem does not answer"
    assert in_language(text, "id") == "sel tidak terbaca: modem tidak menjawab"
    assert in_language(ngettext("{n} day", "{n} days", 2).format(n=2), "en") == "2 days"
    assert in_language("as {it} is", "id") == "as {it} is"
    assert text == in_language(text, own)


def test_another_catalogue_is_asked_first_and_then_the_agents_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = Catalog(locale="id")
    more.add("ready", "siap benar")
    folder = tmp_path / "id" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    with (folder / "more.mo").open("wb") as opened:
        write_mo(opened, more)
    monkeypatch.setattr(language, "_more_catalogues", [])
    use_language("id")
    language.use_catalogue(tmp_path, "more")

    assert _("ready") == "siap benar"
    assert _("not inserted") not in ("", "not inserted")


def test_left_on_the_disk_the_texts_are_the_same_and_no_file_stays_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(language, "_is_left_on_disk", False)
    use_language("id")
    in_memory = [_(text) for text in TEXTS]
    language.leave_catalogues_on_disk()
    assert [_(text) for text in TEXTS] == in_memory
    assert in_memory[0] != TEXTS[0]
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _each in range(50):
        in_language(_(TEXTS[0]), "en")
        in_language(_(TEXTS[0]), "id")
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
    use_language("en")
    assert [_(text) for text in TEXTS] == list(TEXTS)


def test_the_words_of_the_operating_system_are_translated_where_they_are_known() -> None:
    use_language("id")
    assert system_reason(os.strerror(errno.ENOSPC)) == "disk penuh"
    assert system_reason("something new") == "something new"


@pytest.mark.parametrize("wrong", ["{minutes} menit", "{0}", "{", "{key.none}"])
def test_a_damaged_text_costs_its_words_and_nothing_else(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "_in_catalogue", lambda *_: wrong)
    assert _("{key}: lost").format(key="port") == "port: lost"
    assert in_language(_("{key}: lost").format(key="port"), "id") == "port: lost"
