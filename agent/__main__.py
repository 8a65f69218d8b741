"""The command `sinyal`, also as `python -m agent`."""

import _signal  # type: ignore[import-not-found]  # typeshed knows only signal

# Before anything else is loaded: until a command can end well, Ctrl-C ends the process without a word.
# `signal` itself would first load enum; a Ctrl-C that the caller ignores stays ignored.
if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

import gc
import sys

# What is loaded stays; to search it for cycles again and again is one part in thirty of `sinyal status`.
# main() takes it up again before the command works.
gc.disable()

from agent.cli.main import main  # noqa: E402 -- see above

if __name__ == "__main__":
    sys.exit(main())
