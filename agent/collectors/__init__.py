"""What is measured beside the modem: one file per collector, each with its reading and collect()."""
