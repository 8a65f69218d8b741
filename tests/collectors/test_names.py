from dataclasses import fields

import pytest

from agent.collectors.clock import ClockReading
from agent.collectors.host import HostReading
from agent.collectors.uplink import UplinkReading
from agent.contract.catalogue import catalogue
from agent.pipeline.agent_reading import AgentReading


@pytest.mark.parametrize("reading", [ClockReading, HostReading, UplinkReading, AgentReading])
def test_every_field_of_a_collector_is_a_metric_of_the_catalogue(reading: type) -> None:
    known = set(catalogue().names("reading"))

    assert {field.name for field in fields(reading)} <= known
