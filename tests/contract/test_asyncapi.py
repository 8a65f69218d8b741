"""docs/asyncapi.yaml says of every topic what the contract says (section 4), and leads nowhere wrong."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from agent.contract.events import EVENT_TYPES
from agent.publish.stored import read_notice
from agent.publish.topics import Topics
from agent.wire.columns import decode_batch
from tests.contract.schema_files import FOLDER, as_json, document_faults

FILE = Path(__file__).parents[2] / "docs" / "asyncapi.yaml"
DOCUMENT = yaml.safe_load(FILE.read_text())

RETAINED = {"status", "inventory", "stored"}
FROM_THE_CENTRE = {"command", "stored"}
PLANNED = {"command", "reply"}
TOPICS = {"readings", "readings/json", "status", "inventory", "event/{event_type}", "stored"} | PLANNED

MESSAGES = DOCUMENT["components"]["messages"]


def references(part: Any) -> Iterator[str]:
    """Yield every $ref in a part of the document."""
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for inner in part.values():
            yield from references(inner)
    if isinstance(part, list):
        for inner in part:
            yield from references(inner)


def found(reference: str) -> Any:
    """Return what a reference within the document leads to; raises KeyError when it leads nowhere."""
    part = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        part = part[step]
    return part


def payload_schema(message: Any) -> Any:
    reference = message["payload"].get("$ref")
    return yaml.safe_load((FILE.parent / reference).read_text()) if reference else message["payload"]


def operations() -> dict[str, Any]:
    """Return each operation by the topic it is done on, below the gateway's own level."""
    return {
        found(operation["channel"]["$ref"])["address"].removeprefix("desa/v1/{gateway_id}/"): operation
        for operation in DOCUMENT["operations"].values()
    }


@pytest.mark.parametrize("reference", sorted(set(references(DOCUMENT))))
def test_every_reference_leads_somewhere(reference: str) -> None:
    if reference.startswith("#/"):
        assert found(reference)
    else:
        assert (FILE.parent / reference).resolve().parent == FOLDER.resolve()
        assert (FILE.parent / reference).is_file()


def test_it_is_asyncapi_3() -> None:
    assert DOCUMENT["asyncapi"].startswith("3.")
    assert {"title", "version"} <= DOCUMENT["info"].keys()


def test_the_broker_speaks_mqtt_5_over_tls_with_certificates() -> None:
    (server,) = DOCUMENT["servers"].values()
    assert (server["protocol"], server["protocolVersion"]) == ("secure-mqtt", "5")
    assert server["variables"]["port"]["default"] == "8883"
    assert [found(each["$ref"])["type"] for each in server["security"]] == ["X509"]


def test_every_topic_of_the_contract_is_there_once() -> None:
    addresses = [channel["address"] for channel in DOCUMENT["channels"].values()]
    assert sorted(addresses) == sorted(f"desa/v1/{{gateway_id}}/{levels}" for levels in TOPICS)
    assert operations().keys() == TOPICS


class Named(dict[str, str]):
    """Stands in for the parameters of an address."""

    def __missing__(self, name: str) -> str:
        return "gw-1502"


@pytest.mark.parametrize("topic", ["readings", "readings_json", "status", "inventory"])
def test_the_agent_publishes_where_the_document_says(topic: str) -> None:
    addresses = {channel["address"].format_map(Named()) for channel in DOCUMENT["channels"].values()}
    assert getattr(Topics("gw-1502"), topic) in addresses


def test_events_and_what_is_stored_travel_where_the_document_says() -> None:
    addresses = {channel["address"]: channel for channel in DOCUMENT["channels"].values()}
    events = addresses["desa/v1/{gateway_id}/event/{event_type}"]
    assert events["parameters"]["event_type"]["enum"] == list(EVENT_TYPES)
    assert Topics("gw-1502").event("power") == "desa/v1/gw-1502/event/power"
    assert Topics("gw-1502").stored == "desa/v1/gw-1502/stored"


def test_the_example_of_what_is_stored_is_understood() -> None:
    (example,) = MESSAGES["stored"]["examples"]
    notice = read_notice(as_json(example["payload"]))
    assert (notice.epoch, notice.seq, notice.missing) == ("9f2c01ab", 4700, ((4601, 4620), (4633, 4633)))


@pytest.mark.parametrize("levels", sorted(TOPICS))
def test_who_says_it_and_how_follow_the_contract(levels: str) -> None:
    operation = operations()[levels]
    channel = found(operation["channel"]["$ref"])
    assert operation["action"] == ("receive" if levels in FROM_THE_CENTRE else "send")
    assert operation["bindings"]["mqtt"]["qos"] == 1
    assert operation["bindings"]["mqtt"]["retain"] == (levels in RETAINED)
    for part in (operation, channel, *(found(each["$ref"]) for each in channel["messages"].values())):
        assert part.get("x-since") == ("planned" if levels in PLANNED else None)


@pytest.mark.parametrize("channel", DOCUMENT["channels"].values(), ids=DOCUMENT["channels"])
def test_every_parameter_of_an_address_is_described(channel: Any) -> None:
    named = {part[1:-1] for part in channel["address"].split("/") if part.startswith("{")}
    assert channel["parameters"].keys() == named


def test_the_will_is_a_retained_status() -> None:
    (server,) = DOCUMENT["servers"].values()
    will = server["bindings"]["mqtt"]["lastWill"]
    assert (will["topic"], will["qos"], will["retain"]) == ("desa/v1/{gateway_id}/status", 1, True)


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_every_payload_has_a_valid_schema_that_its_examples_follow(message: Any) -> None:
    schema = payload_schema(message)
    Draft202012Validator.check_schema(schema)
    for example in message.get("examples", ()):
        assert document_faults(schema, example["payload"]) == []


def test_the_example_of_a_batch_decodes() -> None:
    (example,) = MESSAGES["readings"]["examples"]
    rows = decode_batch(as_json(example["payload"])).rows
    assert [row["rsrq_db"] for row in rows if "rsrq_db" in row] == [-10.5, -10.0]
    assert [row["rsrp_dbm"] for row in rows] == [-103, -102, -102]
    assert [row["seq"] for row in rows] == [4711, 4712, 4713]
    assert [row["band"] for row in rows] == ["B3", "B3", "B40"]
