"""The pages that tests look at: each state and each cause, in both languages."""

from typing import Any

from agent.config.keys import DEFAULTS
from agent.language import use_language
from agent.link.causes import CAUSES
from agent.page.content import PageContent
from agent.page.render import page_of
from agent.pipeline.village_page import content_of
from tests.cli.gateway_seen import NOW_TS, snapshot

VALUES: dict[str, Any] = {
    **DEFAULTS,
    "gateway.site_name": "Renah Kemumu",
    "gateway.kode_desa": "15.02.01.2001",
    "page.contact_name": "Pak Sulaiman (teknisi desa)",
    "page.contact_phone": "0812-3456-7890",
}

TODAY_TS = NOW_TS - (NOW_TS + 7 * 3600) % 86400
DAY_S = 86400

FACTS: dict[str, Any] = {
    "spans": [
        [TODAY_TS - 5 * DAY_S, TODAY_TS - 3 * DAY_S + 40_000, True],
        [TODAY_TS - 3 * DAY_S + 50_000, NOW_TS, True],
    ],
    "outages": [
        [TODAY_TS - 4 * DAY_S + 20_000, TODAY_TS - 4 * DAY_S + 41_600, "link", "backhaul", False, True, True],
        [TODAY_TS - 3 * DAY_S + 40_000, TODAY_TS - 3 * DAY_S + 50_800, "gateway", "power", True, True, False],
        [TODAY_TS - DAY_S + 10_000, TODAY_TS - DAY_S + 13_600, "link", "weak_signal", False, True, True],
    ],
    "speed": [NOW_TS - 40_000, 4213.0, 1100.0],
    "quota": [NOW_TS - 40_000, 3_200_000_000],
}


def content(
    changes: dict[str, Any] | None = None, *, runs: bool = True, facts: dict[str, Any] = FACTS, **values: Any
) -> PageContent:
    """Return the content for a snapshot with these changes."""
    keys = {name.replace("__", "."): value for name, value in values.items()}
    return content_of({**VALUES, **keys}, snapshot(**(changes or {})), facts, runs=runs, now_ts=NOW_TS)


def outage(kind: str, cause: str, *, inferred: bool = False) -> dict[str, Any]:
    """Return changes of a snapshot: this outage lasts since 06:42 WIB."""
    lasting = {"kind": kind, "cause": cause, "inferred": inferred, "start_ts": NOW_TS - 9000}
    return {
        "internet": {"outage": lasting, "meeting": {"enough": False}},
        "reading": {"link_up": int(kind == "report")},
    }


def every_page(language: str) -> dict[str, str]:
    """Return every kind of page as HTML, by what it shows."""
    contents = {
        "works": content({"internet": {"outage": None, "meeting": {"enough": True}}}),
        "on_battery": content({"reading": {"mains_present": 0}}),
        "being_checked": content({"reading": {"link_up": 0}}),
        "silent": content(runs=False),
        "starting": content({"reading": {"link_up": None, "ts_quality": "unset"}}),
        "empty": content({"reading": {"ts": None}}, facts={"spans": [], "outages": [], "speed": None}),
        "bare": content(
            gateway__site_name="", gateway__kode_desa="", page__contact_name="", page__contact_phone=""
        ),
        **{f"off_{cause}": content(outage("link", cause, inferred=True)) for cause in CAUSES},
        **{f"late_{cause}": content(outage("report", cause)) for cause in CAUSES},
    }  # fmt: skip
    use_language(language)
    try:
        return {name: page_of(each) for name, each in contents.items()}
    finally:
        use_language("id")
