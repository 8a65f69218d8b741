"""Reviving a sick modem: a ladder of steps, each slower to be taken and harder than the one before.

    rungs      the table: what there is, and how often it may be done
    ladder     which rung is due, from what is wrong and since when; no clock and no hands of its own
    attempts   what was done when, in the reading database: limits hold across restarts and power cuts

The hands are the pipeline's (`agent/pipeline/recovering.py`). Loaded when something is wrong.
"""
