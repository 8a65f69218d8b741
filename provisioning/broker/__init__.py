"""The centre's MQTT broker: its set-up for mosquitto, and probes that show what a broker really does."""
