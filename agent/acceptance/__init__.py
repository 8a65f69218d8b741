"""The acceptance test of a gateway at its village: what was measured, kept over reboots, on one page."""
