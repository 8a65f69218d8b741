"""Sinyal: the agent on a village internet gateway.

One reading per slot travels this way; the folder names repeat the words::

    modem ─┐
    host   ├─▶ sampler ──▶ buffer (SQLite) ──▶ publish ──▶ broker ──▶ sinyal decode
    uplink ┘   one row        ▲                  │ wire: columns + zlib
                              └── marked sent ◀──┘ only after a good PUBACK

`pipeline` wires the stages, `cli` sits on top, `contract` and `config` lie below all of them.
ARCHITECTURE.md has the rules.
"""

__version__ = "0.1.0"
