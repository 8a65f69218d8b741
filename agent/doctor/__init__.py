"""`sinyal doctor`: what is wrong, layer by layer from the power to the centre, and the one thing to do next.

    gather ──▶ evidence ──▶ layers (a table; one file of checks per group) ──▶ findings

Everything is looked at once and at the same time, each look in a thread of its own; a look that hangs is left
behind, and its layer says that it could not be tested. The checks themselves look at nothing: they judge.
"""
