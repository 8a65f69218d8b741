"""The .deb of Raspberry Pi OS and Debian, and the .ipk of OpenWrt 24.10, both made by nfpm.

The .deb carries the release as an archive and lets `sinyal-release` put it to use, as every later upgrade
does: dpkg would take the old release away before the new one has proved itself.
"""

import compileall
import gzip
import json
import platform
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from provisioning.packaging.gateway_libraries import drop_libraries
from provisioning.packaging.release_tree import PROJECT

HERE = Path(__file__).parent

OPENWRT_PYTHON = "3.11"
"""Python of OpenWrt 24.10, whose packages hold bytecode only. Source: openwrt/packages, its branch."""

HOOKS = PROJECT / "firmware_hooks"

BOTH_PLACES = (("sinyal-event", "usr/lib/sinyal/sinyal-event"),)

DEBIAN_PLACES = (
    ("systemd/sysusers.d", "usr/lib/sysusers.d"),
    ("systemd/tmpfiles.d", "usr/lib/tmpfiles.d"),
    ("systemd/modules-load.d", "usr/lib/modules-load.d"),
    ("systemd", "usr/lib/systemd/system"),
    ("udev", "usr/lib/udev/rules.d"),
    ("networkmanager", "usr/lib/NetworkManager/dispatcher.d"),
    *BOTH_PLACES,
)

OPENWRT_PLACES = (("openwrt/keep.d", "lib/upgrade/keep.d"), ("openwrt", "etc"), *BOTH_PLACES)
"""What lies in `firmware_hooks/`, and where it goes; the first line that fits counts."""

DESCRIPTION = (
    "Agent on village internet gateways\n"
    "Reads the modem, keeps every reading, publishes when the uplink returns."
)

DEPENDS_DEB = ["python3 (>= 3.11)", "passwd", "openssl"]
DEPENDS_IPK = [
    "python3-light", "python3-logging", "python3-sqlite3", "python3-openssl", "python3-urllib",
    "python3-uuid", "python3-codecs", "python3-decimal", "python3-ctypes", "openssl-util",
]  # fmt: skip


NOT_ON_OPENWRT = (
    "gpiozero", "colorzero",  # for the Raspberry Pi alone
    "sqlite-utils", "sqlite-fts4", "click", "click-default-group", "pluggy", "python-dateutil", "tabulate",
)  # fmt: skip
"""Left out where flash is small: the agent does without them (see `agent/buffer/upgrade.py`)."""


class PackagingFailed(Exception):
    """A package could not be made; the text says why."""


def make_deb(archive: Path, work: Path, target: Path, version: str, date: int) -> Path:
    """Make the package for Debian 12 and 13 and Raspberry Pi OS; return its path."""
    tree = work / "deb"
    _put(archive, tree / "usr/share/sinyal" / archive.name)
    _put(PROJECT / "agent/config/sinyal.toml", tree / "usr/share/sinyal/sinyal.toml")
    _put(PROJECT / "provisioning/upgrade/sinyal-release.sh", tree / "usr/sbin/sinyal-release", 0o755)
    _put(PROJECT / "LICENSE", tree / "usr/share/doc/sinyal/copyright")
    for page, place in (("sinyal.1", "man1"), ("id/sinyal.1", "id/man1")):
        content = gzip.compress((PROJECT / "docs/man" / page).read_bytes(), compresslevel=9, mtime=0)
        _write(tree / "usr/share/man" / place / "sinyal.1.gz", content)
    _put(
        PROJECT / "provisioning/completion/sinyal.bash", tree / "usr/share/bash-completion/completions/sinyal"
    )
    for source, inside, mode in _hooks(DEBIAN_PLACES):
        _put(source, tree / inside, mode)
    for unit in sorted((PROJECT / "provisioning/upgrade").glob("*.service")):
        _put(unit, tree / "usr/lib/systemd/system" / unit.name)
    scripts = {
        "preremove": _script(HERE / "debian/prerm", work, version),
        "postinstall": _script(HERE / "debian/postinst", work, version),
        "postremove": _script(HERE / "debian/postrm", work, version),
    }
    links = {"/usr/bin/sinyal": "/opt/sinyal/current/bin/sinyal"}
    about = _about(version, date, DEPENDS_DEB, tree, links, scripts)
    about["deb"] = {"compression": "xz"}
    return _nfpm(about, "deb", work, target / f"sinyal_{version}_all.deb")


def make_ipk(release: Path, work: Path, target: Path, version: str, date: int) -> Path | None:
    """Make the package for OpenWrt 24.10; None where this Python is not the one its bytecode is for."""
    if not platform.python_version().startswith(OPENWRT_PYTHON + "."):
        print(f"no .ipk: it holds bytecode of Python {OPENWRT_PYTHON}", file=sys.stderr)
        return None
    tree = work / "ipk"
    place = tree / "opt/sinyal/releases" / version
    shutil.copytree(release, place)
    drop_libraries(place / "site", NOT_ON_OPENWRT)
    _to_bytecode(place / "site")
    (place / "SHA256SUMS").unlink()
    for source, inside, mode in openwrt_files():
        _put(source, tree / inside, mode)
    scripts = {
        "postinstall": _script(HERE / "openwrt/postinst", work, version),
        "preremove": _script(HERE / "openwrt/prerm", work, version),
    }
    links = {
        "/usr/bin/sinyal": "/opt/sinyal/current/bin/sinyal",
        "/opt/sinyal/current": f"releases/{version}",
    }
    about = _about(version, date, DEPENDS_IPK, tree, links, scripts)
    return _nfpm(about, "ipk", work, target / f"sinyal_{version}-r1_all.ipk")


def openwrt_files() -> Iterator[tuple[Path, Path, int]]:
    """Yield what OpenWrt gets beside the release: the file, its place below the root, its mode."""
    yield PROJECT / "provisioning/upgrade/sinyal-release.sh", Path("usr/sbin/sinyal-release"), 0o755
    yield PROJECT / "provisioning/upgrade/openwrt/sinyal-release", Path("etc/init.d/sinyal-release"), 0o755
    yield PROJECT / "agent/config/sinyal.toml", Path("usr/share/sinyal/sinyal.toml"), 0o644
    yield from _hooks(OPENWRT_PLACES)


def _hooks(places: Iterable[tuple[str, str]]) -> Iterator[tuple[Path, Path, int]]:
    for file in sorted(path for path in HOOKS.rglob("*") if path.is_file()):
        for ours, theirs in places:
            part = HOOKS / ours
            if file == part or part in file.parents:
                is_program = file.read_bytes().startswith(b"#!")
                yield file, Path(theirs) / file.relative_to(part), 0o755 if is_program else 0o644
                break


def _to_bytecode(site: Path) -> None:
    """Replace sources by bytecode that is valid whatever time a file has."""
    compileall.compile_dir(
        site, quiet=2, legacy=True, stripdir=str(site), prependdir="/opt/sinyal",
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )  # fmt: skip
    for source in site.rglob("*.py"):
        if source.with_suffix(".pyc").exists():
            source.unlink()


def _about(
    version: str, date: int, depends: list[str], tree: Path, links: dict[str, str], scripts: dict[str, str]
) -> dict[str, Any]:
    when = datetime.fromtimestamp(date, UTC).isoformat().replace("+00:00", "Z")
    contents: list[dict[str, Any]] = [
        {
            "src": str(file),
            "dst": f"/{file.relative_to(tree)}",
            "type": "config" if file.relative_to(tree).parts[:2] == ("etc", "config") else "",
            "file_info": {
                "mode": file.stat().st_mode & 0o777,
                "mtime": when,
                "owner": "root",
                "group": "root",
            },
        }
        for file in sorted(path for path in tree.rglob("*") if path.is_file())
    ]
    contents += [
        {"src": to, "dst": name, "type": "symlink", "file_info": {"mtime": when}}
        for name, to in links.items()
    ]
    return {
        "name": "sinyal",
        "arch": "all",
        "version": version,
        "version_schema": "none",
        "section": "net",
        "priority": "optional",
        "maintainer": "Sinyal maintainers <sinyal@example.invalid>",
        "description": DESCRIPTION,
        "license": "Apache-2.0",
        "mtime": when,
        "disable_globbing": True,
        "depends": depends,
        "contents": contents,
        "scripts": scripts,
    }


def _nfpm(about: dict[str, Any], packager: str, work: Path, package: Path) -> Path:
    configuration = work / f"nfpm-{packager}.json"  # JSON is YAML
    configuration.write_text(json.dumps(about), encoding="utf-8")
    program = Path(sys.executable).with_name("nfpm")
    try:
        made = subprocess.run(
            [str(program), "package", "-f", str(configuration), "-p", packager, "-t", str(package)],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as failure:
        raise PackagingFailed(f"{program}: {failure.strerror}. Next step: make .venv/.dev") from None
    if made.returncode:
        raise PackagingFailed(f"nfpm: {(made.stdout + made.stderr).strip()}")
    return package


def _script(template: Path, work: Path, version: str) -> str:
    written = work / f"{template.parent.name}-{template.name}"
    written.write_text(template.read_text(encoding="utf-8").replace("@VERSION@", version), encoding="utf-8")
    return str(written)


def _put(source: Path, target: Path, mode: int = 0o644) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def _write(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    target.chmod(0o644)
