"""The buffer: every reading on flash until the broker has it, and a while longer as local history.

`keeper` is the door for other threads and `store` the database behind it: read these two first.
`opening` opens or makes the file, `schema` says what is in it, `retention` makes room and `rollup` folds old
unsent rows for it, `room_costs` tells what that cost, `ranges` is the arithmetic of "which seqs are sent",
`true_time` corrects what a wrong clock stamped, `event_log` holds events, `faults` has the words for what can
go wrong, `upgrade` adds the columns of a newer catalogue. A file that was damaged is one of the
`damaged_files`, and `salvage` takes the unsent readings out of it. For people: `history` reads stored rows in
slices, `room` tells what they take of the disk, `untouched` opens a file that no daemon owns, `peek` looks
into it for the status.
"""

DATABASE_NAME = "sinyal.db"
"""Its name in the folder paths.state."""
