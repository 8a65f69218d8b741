"""Reads a cellular modem over AT: port, conversation, dialects, one reading per poll."""
