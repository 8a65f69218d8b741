"""What travels: rows to MQTT payloads and back, and rows as the formats other programs read.

    rows ──▶ columns (JSON, differences) ──▶ zlib_stream ──▶ payload
    payload ──▶ zlib_stream ──▶ strict_json ──▶ columns ──▶ rows ──▶ formats

Both directions stand in `columns.py`, so that a round trip is a unit test.
"""
