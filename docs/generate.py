"""Write what follows from the metric catalogue: JSON Schemas, docs/asyncapi.yaml and docs/fields.md.

What follows from the parser of the command line, manual pages and completions, is in command_pages.
`python -m docs.generate` writes them; with `--check` it names those that are stale and returns 1.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from agent.contract.catalogue import CATALOGUE_FILE, Catalogue
from docs.asyncapi import asyncapi
from docs.catalogue_fields import read_fields
from docs.command_pages import command_pages
from docs.fields_page import fields_page
from docs.json_schemas import SCHEMAS, Document, schemas

DOCS = Path(__file__).parent
PROJECT = DOCS.parent


def documents() -> dict[Path, str]:
    """Return what every generated file should hold."""
    text = CATALOGUE_FILE.read_bytes()
    fields = read_fields(text)
    files = {SCHEMAS / name: _json(schema) for name, schema in schemas(fields).items()}
    files[DOCS / "asyncapi.yaml"] = "# Written by docs/generate.py.\n" + yaml.safe_dump(
        asyncapi(), sort_keys=False, allow_unicode=True, width=110
    )
    files[DOCS / "fields.md"] = fields_page(fields, Catalogue(text).id)
    return {**files, **command_pages()}


def _json(schema: Document) -> str:
    return json.dumps(schema, ensure_ascii=False, indent=1) + "\n"


def stale_files(files: Mapping[Path, str]) -> Iterator[Path]:
    """Yield the files that are missing or differ, and schemas that nothing makes any more."""
    for path, text in files.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            yield path
    yield from (path for path in sorted(SCHEMAS.glob("*.json")) if path not in files)


def main(arguments: Sequence[str]) -> int:
    """Write the files, or with --check name the stale ones and return 1 when there are any."""
    parser = argparse.ArgumentParser(description="Write what follows from catalogue and parser.")
    parser.add_argument("--check", action="store_true", help="change nothing, only name the stale files")
    options = parser.parse_args(arguments)
    files = documents()
    stale = list(stale_files(files))
    if options.check:
        for path in stale:
            print(f"stale: {path.relative_to(PROJECT)}")
        if stale:
            print("Next step: make docs")
        return 1 if stale else 0
    SCHEMAS.mkdir(exist_ok=True)
    for path in stale:
        if path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
            print(f"written: {path.relative_to(PROJECT)}")
        else:
            path.unlink()
            print(f"removed: {path.relative_to(PROJECT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
