"""What a person types: one file per command, `main.py` holds the table of them."""

from agent.late_modules import load_late

# Imported by the libraries of the daemon (psutil, paho, pathlib, logging, dataclasses) and used by none of
# them in its daily work: 2 MB of its 28, and milliseconds of `sinyal status`.
load_late(
    (
        "base64",
        "glob",
        "inspect",
        "ipaddress",
        "locale",
        "subprocess",
        "textwrap",
        "tokenize",
        "traceback",
        "uuid",
    )
)
