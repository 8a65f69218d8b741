"""The synthetic week of readings that lies beside the project, for figures; absent elsewhere."""

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2].parent / "shared" / "reference" / "telemetry_week.jsonl.gz"


@cache
def rows() -> tuple[dict[str, Any], ...]:
    """Return the 10,080 rows, each with its epoch, None where not known."""
    with gzip.open(FILE, "rt", encoding="utf-8") as lines:
        return tuple(json.loads(line) for line in lines)
