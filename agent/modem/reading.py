"""One reading of the modem: what each source said, merged by rank, with the command behind each value."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.contract.catalogue import Row, Value, catalogue
from agent.modem.dialect import refine
from agent.modem.identity import without_identifiers
from agent.modem.network_operator import NetworkOperator
from agent.modem.ranges import is_possible
from agent.modem.registration import (
    Registration,
    RegistrationQuery,
    decide_registration,
    technology_word,
)
from agent.modem.signal_class import signal_class

_NO_SERVICE = frozenset(("searching", "denied", "not_registered"))
_SIGNS_OF_A_CELL = ("rssi_dbm", "rsrp_dbm", "rscp_dbm", "cell_id")


@dataclass(frozen=True, slots=True)
class Reading:
    """fields: metrics of the catalogue, unknown ones absent. sources: the AT command of each field."""

    fields: Row
    sources: Mapping[str, str]


class Findings:
    """Collects values, best source first: the first to name a field keeps it."""

    def __init__(self) -> None:
        self.fields: dict[str, Value] = {}
        self.sources: dict[str, str] = {}
        self._registrations: dict[str, Registration] = {}
        self._operator: tuple[str, NetworkOperator] | None = None

    @property
    def access_technology(self) -> str | None:
        """Return what is known of the serving cell so far."""
        known = self.fields.get("access_technology")
        return known if isinstance(known, str) else None

    def add(self, command: str, values: Mapping[str, Value]) -> None:
        """Add what a command gave; a more exact technology of the same kind replaces the known one."""
        for name, value in values.items():
            if name == "access_technology":
                self._add_technology(command, value if isinstance(value, str) else None)
            elif name not in self.fields and value is not None:
                self.fields[name] = without_identifiers(str(value)) if name == "operator_name" else value
                self.sources[name] = command

    def add_registration(
        self, query: RegistrationQuery, registration: Registration, codes: Mapping[int, str]
    ) -> None:
        """Add an answer of the +CREG family; they come most trusted first.

        codes: <AcT> numbers to which the modem's family gives a meaning of its own.
        """
        self._registrations[query.command] = registration
        if not registration.is_on_a_cell:
            return
        self._add_technology(query.command, technology_word(registration.act, codes))
        place = {"cell_id": registration.cell_id, query.area_field: registration.area}
        self.add(
            query.command,
            {
                name: value
                for name, value in place.items()
                if is_possible(self.access_technology, name, value)
            },
        )

    def add_operator(self, command: str, operator: NetworkOperator, codes: Mapping[int, str]) -> None:
        """Add the answer to +COPS?."""
        self._operator = command, operator
        self._add_technology(command, technology_word(operator.act, codes))
        self.add(command, {"operator_name": operator.name, "operator_mccmnc": operator.mccmnc})

    @property
    def is_registered(self) -> bool:
        """Return True when an answer of the +CREG family told of a cell that serves."""
        return any(registration.is_on_a_cell for registration in self._registrations.values())

    @property
    def has_cell(self) -> bool:
        """Return True when something says which cell serves."""
        return "cell_id" in self.fields or "pci" in self.fields

    @property
    def has_place(self) -> bool:
        """Return True when the serving cell is known, so that less trusted answers need not be asked."""
        return self.is_registered and "cell_id" in self.fields

    def settle(self) -> Reading:
        """Return the reading: registration decided, and nothing in it the technology cannot have."""
        is_served = self._operator is not None and self._operator[1].act is not None
        decided = decide_registration(self._registrations, is_served=is_served)
        if decided is not None:
            word, command = decided
            self.add(command, {"registration": word})
            hears_a_cell = any(name in self.fields for name in _SIGNS_OF_A_CELL)
            if word in _NO_SERVICE and not hears_a_cell:
                # What some modems name then is the technology they search with.
                self.fields["access_technology"] = "none"
                self.sources["access_technology"] = command
        technology = self.access_technology
        if technology == "none":
            self.fields = {
                name: value for name, value in self.fields.items() if not name.startswith("operator")
            }
        possible = {
            name: value for name, value in self.fields.items() if is_possible(technology, name, value)
        }
        fields = catalogue().clean(possible)
        word_for_signal = signal_class(fields)
        if word_for_signal is not None:
            fields["signal_class"] = word_for_signal
        return Reading(fields, {name: self.sources[name] for name in fields if name in self.sources})

    def _add_technology(self, command: str, heard: str | None) -> None:
        known = self.access_technology
        refined = refine(known, heard)
        if refined is not None and refined != known:
            self.fields["access_technology"] = refined
            self.sources["access_technology"] = command
