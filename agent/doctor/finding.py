"""What a layer was found to be."""

from typing import Literal, NamedTuple

Verdict = Literal["PASS", "WARN", "FAIL", "NOT TESTED"]


class Finding(NamedTuple):
    """A layer's verdict and the evidence for it, as one sentence in the language in use.

    code is a stable word for programs, "" when all is well; next_step is one thing to do, or "".
    """

    verdict: Verdict
    evidence: str
    code: str = ""
    next_step: str = ""


def passed(evidence: str) -> Finding:
    """Return that all is well."""
    return Finding("PASS", evidence)


def warned(code: str, evidence: str, next_step: str = "") -> Finding:
    """Return that it works, but not as it should."""
    return Finding("WARN", evidence, code, next_step)


def failed(code: str, evidence: str, next_step: str) -> Finding:
    """Return that it does not work."""
    return Finding("FAIL", evidence, code, next_step)


def untested(why: str, next_step: str = "") -> Finding:
    """Return that nobody could tell, and why."""
    return Finding("NOT TESTED", why, "", next_step)
