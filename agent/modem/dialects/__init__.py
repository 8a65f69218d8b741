"""The families of modems the agent knows, as an explicit list. CONTRIBUTING.md shows how to add one."""

from agent.modem.dialect import Dialect
from agent.modem.dialects import quectel
from agent.modem.dialects.generic_3gpp import GENERIC_3GPP

DIALECTS: tuple[Dialect, ...] = (*quectel.DIALECTS,)


def choose_dialect(manufacturer: str | None, model: str | None) -> Dialect:
    """Return the first dialect whose maker and model fit; any other modem speaks plain 3GPP."""
    maker = (manufacturer or "").upper()
    # "Quectel_BC26", "SIMCOM_SIM7600E": the maker's name before the model's is no part of it.
    name = (model or "").upper().rpartition("_")[2]
    for dialect in DIALECTS:
        if maker.startswith(dialect.makers) and (not dialect.models or name.startswith(dialect.models)):
            return dialect
    return GENERIC_3GPP
