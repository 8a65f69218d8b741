"""The command `sinyal`, also as `python -m agent`."""

import _signal  # type: ignore[import-not-found]  # typeshed knows only signal

# Before anything else is loaded: until a command can end well, Ctrl-C ends the process without a word.
# `signal` itself would first load enum; a Ctrl-C that the caller ignores stays ignored.
if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

import sys

from agent.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
