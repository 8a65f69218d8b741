"""A village and its internet: two network namespaces joined by a cable, with nftables between them.

village (a gateway runs here) ── wwan0 10.99.0.2 ══ 10.99.0.1 ── internet: 10.99.1.1, 10.99.2.1
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

TARGETS = ("10.99.1.1", "10.99.2.1")

PAGES = """
import http.server, sys
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status = int(sys.argv[1])
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "http://paket.example/habis")
        self.end_headers()
    def log_message(self, *args):
        pass
http.server.HTTPServer(("0.0.0.0", int(sys.argv[2])), Page).serve_forever()
"""


RULES = """
flush ruleset
table ip way {{
  chain arrive {{
    type filter hook input priority 0
    {rule}
  }}
  chain turn {{
    type nat hook prerouting priority -100
    {turn}
  }}
}}
"""


def run(*command: str, stdin: str | None = None) -> None:
    subprocess.run(command, input=stdin, text=True, check=True, capture_output=True)


class Village:
    """The namespaces of one test; `prefix` goes before a command that shall run in the village."""

    def __init__(self, number: int) -> None:
        self.village, self.internet = f"snyl-v{number}", f"snyl-i{number}"
        self.prefix = ("ip", "netns", "exec", self.village)

    def inside(self, *command: str) -> None:
        run(*self.prefix, *command)

    def outside(self, *command: str, stdin: str | None = None) -> None:
        run("ip", "netns", "exec", self.internet, *command, stdin=stdin)

    def rules(self, rule: str, turn: str = "") -> None:
        """Put nftables rules before everything that arrives in the internet, and one that turns it away."""
        self.outside("nft", "-f", "-", stdin=RULES.format(rule=rule, turn=turn))

    def used_up(self) -> None:
        """Do what operators do with a used-up package: drop everything, lead the web to a page of theirs."""
        self.rules("tcp dport != 8081 drop\n    meta l4proto != tcp drop", "tcp dport 8080 redirect to :8081")


@contextmanager
def village() -> Iterator[Village]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    if not shutil.which("ip") or not shutil.which("nft"):
        pytest.skip("needs iproute2 and nftables")
    made = Village(os.getpid() % 100_000)
    servers: list[subprocess.Popen[bytes]] = []
    for name in (made.village, made.internet):
        try:
            run("ip", "netns", "add", name)
        except subprocess.CalledProcessError as failure:
            pytest.skip(f"no network namespaces here: {failure.stderr.strip()}")
    try:
        ends = ("wwan0", "netns", made.village, "type", "veth", "peer", "cable", "netns", made.internet)
        run("ip", "link", "add", *ends)
        for namespace in (made.inside, made.outside):
            namespace("ip", "link", "set", "lo", "up")
        connect(made)
        made.outside("ip", "address", "add", "10.99.0.1/24", "dev", "cable")
        for target in TARGETS:
            made.outside("ip", "address", "add", f"{target}/32", "dev", "lo")
        made.outside("ip", "link", "set", "cable", "up")
        for status, port in ((204, 8080), (302, 8081)):
            page = (sys.executable, "-c", PAGES, str(status), str(port))
            servers.append(subprocess.Popen(["ip", "netns", "exec", made.internet, *page]))
        yield made
    finally:
        for server in servers:
            server.kill()
            server.wait()
        for name in (made.village, made.internet):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def connect(made: Village) -> None:
    """Give the village its address and its way out."""
    made.inside("ip", "link", "set", "wwan0", "up")
    made.inside("ip", "address", "replace", "10.99.0.2/24", "dev", "wwan0")
    made.inside("ip", "route", "replace", "default", "via", "10.99.0.1")


def link_section(*, page: bool) -> str:
    """Return the configuration of the link for this world, far faster than in a village."""
    hosts = ", ".join(f'"{target}"' for target in TARGETS)
    url = f"http://{TARGETS[0]}:8080/" if page else ""
    return (
        f'[link]\ntargets = [{hosts}]\nprobe_interval_s = 1\nsuspect_interval_s = 0.2\npage_url = "{url}"\n'
    )
