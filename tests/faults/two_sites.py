"""A village and a centre in network namespaces of their own, joined by a cable that nftables can spoil.

Everything that `work` starts, its threads and processes included, lives in the centre; what is started
with `in_the_village` before it lives in the village. The network of this machine is not touched.
"""

import ctypes
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from tests.support.programs import give_up, require

CENTRE = "10.99.0.1"
VILLAGE = "10.99.0.2"

_CLONE_NEWNET = 0x40000000
_PATH = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}

Result = TypeVar("Result")


def _run(words: str, *last: str, before: Sequence[str] = ()) -> None:
    command = [*before, *words.split(), *last]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=_PATH)
    if found.returncode:
        raise OSError(f"{' '.join(command)}: {found.stderr.strip()}")


@dataclass(frozen=True)
class Cable:
    """The cable between the two sites."""

    in_the_village: list[str]
    """What goes before a command that shall run in the village."""

    def spoil(self, verdict: str) -> None:
        """Do `verdict` (of nftables) to each packet that arrives at the centre or leaves it."""
        self.mend()
        rules = (f"add rule inet bad {chain} {match} {verdict}" for chain, match in _CHAINS)
        hooks = (
            f"add chain inet bad {chain} {{ type filter hook {chain} priority 0; }}" for chain, _m in _CHAINS
        )
        _run("nft", "; ".join(("add table inet bad", *hooks, *rules)))

    def crawl(self, rate: str) -> None:
        """Let no more than `rate` (of tc: 64kbit) out of the village."""
        self._in_the_village(f"tc qdisc replace dev cable root tbf rate {rate} burst 4kb latency 2s")

    def mend(self) -> None:
        """Let everything through again."""
        _run("nft", "add table inet bad; delete table inet bad")
        self._in_the_village("tc qdisc replace dev cable root pfifo")

    def pull(self) -> None:
        """Take the cable out of the village's box: no route is left there."""
        self._in_the_village("ip link set cable down")

    def plug(self) -> None:
        """Put it in again."""
        self._in_the_village("ip link set cable up")

    def _in_the_village(self, words: str) -> None:
        _run(words, before=self.in_the_village)


_CHAINS = (("input", f"ip saddr {VILLAGE}"), ("output", f"ip daddr {VILLAGE}"))


@contextmanager
def _joined() -> Iterator[Cable]:
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    _run("ip link set lo up")
    # Holds the village's namespace, and says when it is in it.
    hold = ["unshare", "-n", "sh", "-c", "echo; exec sleep 9999"]
    with subprocess.Popen(hold, stdout=subprocess.PIPE, env=_PATH) as holder:
        try:
            assert holder.stdout is not None
            holder.stdout.readline()
            village = ["nsenter", "-t", str(holder.pid), "-n"]
            _run(f"ip link add cable type veth peer name cable netns {holder.pid}")
            for site, address in ([], CENTRE), (village, VILLAGE):
                _run("ip link set lo up", before=site)
                _run(f"ip address add {address}/30 dev cable", before=site)
                _run("ip link set cable up", before=site)
            yield Cable(village)
        finally:
            holder.kill()


def at_two_sites(work: Callable[[Cable], Result]) -> Result:
    """Run `work` in the centre and return its result; skip with the reason where that is not possible."""
    require("ip", "nft", "tc", "nsenter", "unshare", root=True)
    # A namespace belongs to a thread: when this one ends, its network is gone.
    with ThreadPoolExecutor(1, "centre") as centre:
        outcome, refusal = centre.submit(_live, work).result()
    if refusal is not None:
        give_up(f"no network namespaces can be made here: {refusal}")
    assert outcome is not None
    return outcome[0]


def _live(work: Callable[[Cable], Result]) -> tuple[tuple[Result] | None, OSError | None]:
    with ExitStack() as stack:
        try:
            cable = stack.enter_context(_joined())
        except OSError as reason:
            return None, reason
        return (work(cable),), None
