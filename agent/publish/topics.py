"""The topics of one gateway (contract, section 4)."""

from dataclasses import dataclass

ROOT = "desa/v1"


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics a gateway publishes to; gateway_id is also its client id and certificate name."""

    gateway_id: str

    @property
    def readings(self) -> str:
        """Batches in columns."""
        return f"{ROOT}/{self.gateway_id}/readings"

    @property
    def readings_json(self) -> str:
        """Batches as an array of objects."""
        return f"{ROOT}/{self.gateway_id}/readings/json"

    @property
    def status(self) -> str:
        """Whether the gateway is online; retained, and its will."""
        return f"{ROOT}/{self.gateway_id}/status"

    @property
    def inventory(self) -> str:
        """What the gateway is; retained, sent when it changes."""
        return f"{ROOT}/{self.gateway_id}/inventory"

    def event(self, type_: str) -> str:
        """Return the topic of what cannot wait; type_ is one of EVENT_TYPES."""
        return f"{ROOT}/{self.gateway_id}/event/{type_}"

    @property
    def stored(self) -> str:
        """What the centre has for good; from the centre, retained."""
        return f"{ROOT}/{self.gateway_id}/stored"
