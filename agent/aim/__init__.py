"""Antenna aiming without screen and modem: means, peak hold, trend, marks; the sessions that are kept."""
