"""Compare the texts of the code with the Indonesian catalogue: python .ci/translations_check.py POT FOLDER."""

import sys
from pathlib import Path
from string import Formatter

from babel.messages.catalog import Catalog
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po


def fields(text: str) -> set[str]:
    """Return the names in braces of a text, which a translation must keep."""
    return {name for _literal, name, _spec, _conversion in Formatter().parse(text) if name}


def words(message: object) -> list[str]:
    """Return the forms of a message identifier or translation."""
    return list(message) if isinstance(message, list | tuple) else [str(message or "")]


def faults(wanted: Catalog, translated: Catalog, compiled: Catalog) -> list[str]:
    """Return one line for each text that a person would meet untranslated or wrong."""
    found = []
    for message in wanted:
        if not message.id:
            continue
        first = words(message.id)[0]
        answer = translated.get(message.id)
        if answer is None or not all(words(answer.string)):
            found.append(f"not translated: {first!r}")
        elif answer.fuzzy:
            found.append(f"unsure (fuzzy): {first!r}")
        else:
            if any(fields(form) - fields(words(message.id)[-1]) for form in words(answer.string)):
                found.append(f"names in braces differ: {first!r}")
            entry = compiled.get(message.id)
            if entry is None or entry.string != answer.string:
                found.append(f"not compiled: {first!r}")
    known = {str(message.id) for message in wanted}
    found += [f"no longer used: {m.id!r}" for m in translated if m.id and str(m.id) not in known]
    return found


def main() -> int:
    """Print the faults; return 1 when there are any."""
    pot, folder = Path(sys.argv[1]), Path(sys.argv[2])
    with pot.open("rb") as wanted, (folder / "sinyal.po").open("rb") as po, (folder / "sinyal.mo").open("rb") as mo:
        lines = faults(read_po(wanted), read_po(po, locale="id"), read_mo(mo))
    for line in lines:
        print(line)
    if lines:
        print("Next step: make translations, then fill in agent/locale/id/LC_MESSAGES/sinyal.po")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
