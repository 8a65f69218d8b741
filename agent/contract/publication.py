"""What may be told to the public only in a coarser form."""

FEWEST_CLIENTS = 5
"""Fewer devices than these could point at a household."""


def published_clients_count(count: float | None) -> float | str | None:
    """Return `clients_count` as a public export shows it: "<5" below five, None where not known."""
    if count is None:
        return None
    return count if count >= FEWEST_CLIENTS else f"<{FEWEST_CLIENTS}"
