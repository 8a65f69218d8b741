"""The retained messages say what the contract says, and nothing that names a subscriber."""

import json

from agent.contract.catalogue import catalogue
from agent.publish.messages import INVENTORY_FACTS, inventory_facts, inventory_message, status_message
from agent.publish.topics import Topics


def test_topics() -> None:
    topics = Topics("gw-1502")
    assert topics.readings == "desa/v1/gw-1502/readings"
    assert topics.readings_json == "desa/v1/gw-1502/readings/json"
    assert topics.status == "desa/v1/gw-1502/status"
    assert topics.inventory == "desa/v1/gw-1502/inventory"


def test_status_leaves_out_what_is_not_known() -> None:
    payload = status_message(
        "lost", ts=20, since_ts=10, epoch="9f2c01ab", last_seq=None, version="0.1.0", interval_s=0.5
    )
    assert json.loads(payload) == {
        "v": 1,
        "state": "lost",
        "ts": 20,
        "since": 10,
        "epoch": "9f2c01ab",
        "version": "0.1.0",
        "interval_s": 0.5,
    }
    assert b" " not in payload


def test_inventory_says_what_the_gateway_is() -> None:
    known: dict[str, object] = {name: f"value of {name}" for name in INVENTORY_FACTS}
    facts = inventory_facts(known, version="0.1.0", epoch="9f2c01ab")
    assert json.loads(inventory_message(facts, ts=7)) == {
        "v": 1,
        "ts": 7,
        **known,
        "agent_version": "0.1.0",
        "catalogue": catalogue().id,
        "epoch": "9f2c01ab",
    }


def test_nothing_outside_the_list_leaves_the_gateway() -> None:
    secrets = {"imei": "490154203237518", "imsi": "510100123456789", "iccid": "8962100000000000000"}
    known = {
        **secrets,
        "sim_pin": "1234",
        "modem": {"imei": secrets["imei"]},
        "role": ["link", secrets["imsi"]],
    }
    payload = inventory_message(inventory_facts(known, version="0.1.0", epoch="9f2c01ab"), ts=7)
    assert not any(secret.encode() in payload for secret in secrets.values())
    assert set(json.loads(payload)) == {"v", "ts", "agent_version", "catalogue", "epoch"}
    assert not {"imei", "imsi", "iccid"} & set(INVENTORY_FACTS)


def test_empty_and_unknown_facts_are_left_out_and_odd_text_does_not_fail() -> None:
    known = {"site_name": "", "modem_model": None, "operator_name": "Balai \udcff Désa"}
    facts = inventory_facts(known, version="0.1.0", epoch="9f2c01ab")
    assert json.loads(inventory_message(facts, ts=7))["operator_name"] == "Balai ? Désa"
    assert "site_name" not in facts and "modem_model" not in facts
