"""What `sinyal status` says of an upgrade: one that is on trial, or that ended on the release before.

`sinyal-release` (provisioning/upgrade) writes two small files beside the releases, of `name=value` lines.
"""

import os
from collections.abc import Mapping

from agent import screen
from agent.language import N_, _

REASONS = {
    "not_running": N_("the agent did not run"),
    "just_started": N_("the agent did not run for long"),
    "keeps_ending": N_("the agent ended again and again"),
    "no_reading": N_("no reading was taken"),
    "database_not_written": N_("the database was not written"),
    "modem_silent": N_("the modem no longer answered"),
    "not_steady": N_("it was not well for long enough"),
    "power_cuts": N_("the power was cut during each trial"),
    "power": N_("the power was cut before the change"),
    "python": N_("this Python is too old"),
    "self_test": N_("its self-test failed"),
    "configuration": N_("it does not understand the configuration"),
    "by_hand": N_("by hand"),
}


def release_trial(folder: str) -> tuple[str, str | None] | None:
    """Return (text, problem) of the last upgrade, None when there is nothing to tell.

    folder is the one that `sinyal-release` writes in.
    """
    trial = _read(f"{folder}/trial")
    if trial:
        return _("{new} is on trial since the upgrade from {old}").format(**_named(trial)), None
    result = _read(f"{folder}/result")
    told = {
        "rolled_back": N_("{new} was not healthy ({reason}); back to {old} since {when}"),
        "refused": N_("{new} was refused ({reason}) {when}"),
        "interrupted": N_("the upgrade to {new} was interrupted ({reason}) {when}"),
    }.get(result.get("state", ""))
    if told is None:
        return None
    if result.get("reason") == "by_hand":
        return _("back from {new} to {old} by hand since {when}").format(**_named(result)), None
    return _(told).format(**_named(result)), "upgrade_" + result["state"]


def upgrade_folder() -> str | None:
    """Return where `sinyal-release` writes, for an agent that runs from releases/VERSION/site; else None."""
    parts = os.path.realpath(__file__).rsplit("/", 6)
    if len(parts) == 7 and parts[1] == "releases" and parts[3] == "site":
        return f"{parts[0]}/upgrade"
    return None


def _named(told: Mapping[str, str]) -> dict[str, str]:
    reason = told.get("reason", "")
    ts = told.get("ts", "")
    return {
        "new": told.get("new", "?"),
        "old": told.get("old", "?"),
        "reason": _(REASONS[reason]) if reason in REASONS else reason,
        "when": screen.wib(int(ts)) if ts.isdigit() else "-",
    }


def _read(path: str) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as opened:  # noqa: PTH123 -- pathlib costs `status` time
            lines = opened.read(4096).splitlines()
    except OSError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line)
