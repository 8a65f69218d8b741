"""Requests that are sent instead of carried: one-time tokens, and the HTTPS endpoint that takes them."""
