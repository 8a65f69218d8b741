"""The buffer: every reading on flash until the broker has it, and a while longer as local history.

`keeper` is the door for other threads and `store` the database behind it: read these two first.
`opening` opens or makes the file, `schema` says what is in it, `retention` makes room and `rollup` folds old
unsent rows for it, `room_costs` tells what that cost, `ranges` is the arithmetic of "which seqs are sent",
`event_log` holds events, `faults` has the words for what can go wrong, `upgrade` adds the columns of a newer
catalogue, `peek` looks into a file that no daemon owns.
"""
