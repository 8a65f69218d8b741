"""A folder that the OpenWrt SDK takes as a feed: for 25.12, whose .apk only the SDK can make and sign."""

import shutil
from pathlib import Path

from provisioning.packaging.reproducible import sha256_of
from provisioning.packaging.system_packages import DEPENDS_IPK, openwrt_files

HERE = Path(__file__).parent / "openwrt"


def write_feed(archive: Path, target: Path, version: str) -> Path:
    """Write `openwrt-feed/net/sinyal` beside the release archive that its Makefile names; return the feed."""
    feed = target / "openwrt-feed"
    shutil.rmtree(feed, ignore_errors=True)
    package = feed / "net" / "sinyal"
    package.mkdir(parents=True)
    makefile = (HERE / "Makefile.in").read_text(encoding="utf-8")
    for name, value in {
        "VERSION": version,
        "HASH": sha256_of(archive),
        "DEPENDS": " ".join(f"+{each}" for each in DEPENDS_IPK),
        "POSTINST": _recipe(HERE / "postinst", version),
        "PRERM": _recipe(HERE / "prerm", version),
    }.items():
        makefile = makefile.replace(f"@{name}@", value)
    (package / "Makefile").write_text(makefile, encoding="utf-8")
    for source, inside, mode in openwrt_files():
        placed = package / "files" / inside
        placed.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, placed)
        placed.chmod(mode)
    return feed


def _recipe(script: Path, version: str) -> str:
    # In a Makefile a dollar is written twice.
    return script.read_text(encoding="utf-8").rstrip().replace("@VERSION@", version).replace("$", "$$")
