"""The bundle of one gateway: what is its own, sealed, and nothing that is secret."""
