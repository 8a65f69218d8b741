# ruff: noqa: INP001 -- a script, in no package
"""Collect the texts of the code into the Indonesian catalogues and compile them; with --check only compare.

agent/ has one catalogue and provisioning/ another, so that a gateway does not carry the texts of both.

A run writes the same bytes whenever the texts are the same: no dates, no line numbers, sorted by text.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po

CATALOGUES = {
    Path("agent/locale/id/LC_MESSAGES/sinyal.po"): (Path("agent"), Path("firmware_hooks")),
    Path("provisioning/locale/id/LC_MESSAGES/provisioning.po"): (Path("provisioning"),),
}
"""The Indonesian catalogues, and the code whose texts each has."""

Text = str | tuple[str, str]
"""A text of the code: the English, or its singular and plural."""

FORMS = {"_": 1, "N_": 1, "ngettext": 2}
"""How many texts each marking function takes."""

PLACEHOLDER = re.compile(r"\{[^{}]*\}|%(?:\(\w+\))?[srd]")


class Indonesian(Catalog):
    """A catalogue whose header says only what stays true from run to run."""

    num_plurals = 1
    mime_headers = (
        ("Project-Id-Version", "Sinyal"),
        ("Language", "id"),
        ("Plural-Forms", "nplurals=1; plural=0;"),
        ("MIME-Version", "1.0"),
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Transfer-Encoding", "8bit\n"),
    )


def marked_texts(code: Iterable[Path]) -> Iterator[Text]:
    """Yield every text of some folders that stands in a marking function.

    Read from the syntax tree: a tokenizer misses calls within calls and within f-strings.
    """
    for file in sorted(file for folder in code for file in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_bytes(), file)):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORMS):
                continue
            given = [each.value for each in node.args if isinstance(each, ast.Constant)]
            texts = [each for each in given[: FORMS[node.func.id]] if isinstance(each, str) and each]
            if len(texts) == FORMS[node.func.id]:
                yield texts[0] if len(texts) == 1 else (texts[0], texts[1])


def key(text: str | Sequence[str]) -> str:
    """Return what gettext looks a text up by."""
    return text if isinstance(text, str) else text[0]


def forms(translation: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the forms of a translation, none when one of them is missing."""
    every = (translation or "",) if isinstance(translation, str | None) else tuple(translation)
    return every if all(every) else ()


def read_catalogue(po: Path) -> Catalog:
    """Return the catalogue as it is on disk, empty when there is none."""
    if not po.exists():
        return Indonesian(locale="id")
    with po.open("rb") as opened:
        return read_po(opened, locale="id", abort_invalid=True)


def merged(texts: dict[str, Text], present: Catalog) -> Indonesian:
    """Return a catalogue of exactly these texts, with the translations that are present."""
    catalogue = Indonesian(locale="id", header_comment="# The texts of Sinyal in Indonesian.", fuzzy=False)
    for msgid, text in sorted(texts.items()):
        known = present.get(msgid)
        plural = isinstance(text, tuple)
        translation = forms(known.string)[:1] if known else ()
        fuzzy = {"fuzzy"} if known and known.fuzzy else set()
        catalogue.add(text, (translation or ("",)) if plural else "".join(translation), flags=fuzzy)
    return catalogue


def write_catalogue(catalogue: Indonesian, po: Path) -> None:
    """Write the catalogue as text and compiled."""
    po.parent.mkdir(parents=True, exist_ok=True)
    text, compiled = BytesIO(), BytesIO()
    write_po(text, catalogue, width=0)
    write_mo(compiled, catalogue)
    po.write_bytes(text.getvalue())
    po.with_suffix(".mo").write_bytes(compiled.getvalue())


def faults(texts: dict[str, Text], po: Path) -> Iterator[str]:
    """Yield one line for each thing that a person would meet untranslated or wrong."""
    compiled = {}
    present, mo = read_catalogue(po), po.with_suffix(".mo")
    if mo.exists():
        with mo.open("rb") as opened:
            compiled = {key(m.id): forms(m.string) for m in read_mo(opened) if m.id}
    translated = {key(message.id): message for message in present if message.id}
    for msgid, text in sorted(texts.items()):
        message = translated.get(msgid)
        translation = forms(message.string) if message else ()
        english = text if isinstance(text, str) else text[1]
        if not message or not translation:
            yield f"not translated: {msgid!r}"
        elif message.fuzzy:
            yield f"unsure (fuzzy): {msgid!r}"
        elif isinstance(message.id, str) != isinstance(text, str) or len(translation) != 1:
            yield f"wrong number of forms: {msgid!r}"
        elif sorted(PLACEHOLDER.findall(translation[0])) != sorted(PLACEHOLDER.findall(english)):
            yield f"placeholders differ: {msgid!r}"
        elif compiled.get(msgid) != translation:
            yield f"not compiled: {msgid!r}"
    unused = (translated.keys() | present.obsolete.keys() | compiled.keys()) - texts.keys()
    yield from (f"no longer used: {msgid!r}" for msgid in sorted(unused))


def main() -> int:
    """Update the catalogues, or with --check print their faults; return 1 when there are any left."""
    found = 0
    for po, code in CATALOGUES.items():
        texts: dict[str, Text] = {}
        for text in marked_texts(code):
            # One entry serves a text alone and with its plural.
            if isinstance(text, tuple) or text not in texts:
                texts[key(text)] = text
        if "--check" not in sys.argv[1:]:
            write_catalogue(merged(texts, read_catalogue(po)), po)
        lines = list(faults(texts, po))
        for line in lines:
            print(line)
        if lines:
            print(f"Next step: fill in {po}, then: make translations")
        found += len(lines)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
