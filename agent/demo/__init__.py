"""`sinyal demo`: a whole gateway at work in one temporary folder, for a visitor to look at.

    replayed modem (pty) ──▶ agent (`sinyal run`) ──▶ cable ──▶ MQTT 5 broker ──▶ view

Everything but the modem and the broker is the product itself; the cable is a relay that can be cut.
"""
