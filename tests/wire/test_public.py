from agent.contract.catalogue import Row
from agent.wire.public import public_columns, public_row


def test_rollups_follow_the_level_and_the_rule_of_their_field() -> None:
    row: Row = {
        "gateway": "gw-1", "epoch": "9f2c01ab", "seq": 7, "late": 0, "ts": 5, "clients_count": 4,
        "clients_count_min": 0, "clients_count_max": 9, "clients_count_count": 3, "cell_id_count": 3,
        "rsrp_dbm_min": -110, "tac": 1, "from_the_future": 1, "battery_pct": None,
    }  # fmt: skip

    assert public_row(row) == {
        "gateway": "gw-1", "ts": 5, "clients_count": "<5", "clients_count_min": "<5", "clients_count_max": 9,
        "clients_count_count": 3, "rsrp_dbm_min": -110, "battery_pct": None,
    }  # fmt: skip
    assert public_columns(row) == list(public_row(row))
