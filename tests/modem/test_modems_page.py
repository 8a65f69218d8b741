"""docs/modems.md names what is asked of each family."""

from pathlib import Path

import pytest

from agent.modem.dialects import FAMILIES, Family, load_dialect

PAGE = (Path(__file__).parents[2] / "docs" / "modems.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.dialect)
def test_the_page_names_every_command(family: Family) -> None:
    dialect = load_dialect(family)
    asked = {query.command for query in (*dialect.queries, *dialect.cell_queries)}
    asked |= {query.command for query in dialect.identity}
    assert [command for command in {*asked, *dialect.set_up} if f"`{command}`" not in PAGE] == []
