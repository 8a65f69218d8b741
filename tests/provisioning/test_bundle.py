"""Bundles: sealed, the same each time, without a secret; a tampered one is refused on both sides."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.errors import ConfigMistake, UsageMistake
from provisioning.authority.folder import Authority, create
from provisioning.batch.report import Report
from provisioning.batch.run import require_own_codes, run_batch
from provisioning.batch.transport import DeliveryFailed, LeftInFolder, Ssh, Stick, Transport
from provisioning.bundle.folder import Fleet, bundle_files, write_bundle
from provisioning.bundle.label import label_code
from provisioning.bundle.seal import BundleTampered, check_bundle
from provisioning.bundle.settings import fleet_settings
from provisioning.inventory.importing import with_ids
from provisioning.inventory.register import SHIPPED, load_register
from provisioning.inventory.sites import Site, read_sites
from tests.provisioning.conftest import HERE, PASSPHRASE, Run

FLEET = Fleet("broker.example")
NEW = ("gateway", "new", "gw-a", "--broker", "broker.example", "--passphrase-file", "pw")


@pytest.fixture
def bundle(province: Path, authority: Authority) -> Path:
    site = read_sites(province / "sites.csv")[0][0]
    write_bundle(
        province / "bundles/gw-a", bundle_files(site, FLEET, load_register(()), authority), authority
    )
    return province / "bundles/gw-a"


def install(
    bundle: Path, etc: Path, *arguments: str, sinyal: bool = True
) -> "subprocess.CompletedProcess[str]":
    programs = bundle.parent / "bin"
    programs.mkdir(exist_ok=True)
    for name in (
        "sh",
        "grep",
        "sed",
        "cut",
        "head",
        "tr",
        "cmp",
        "cp",
        "mv",
        "chmod",
        "mkdir",
        "mktemp",
        "rm",
        "sync",
        "sha256sum",
        "openssl",
        "dirname",
    ):
        if not (programs / name).exists():
            (programs / name).symlink_to(shutil.which(name) or name)
    (programs / "sinyal").unlink(missing_ok=True)
    if sinyal:
        (programs / "sinyal").write_text(
            f'#!/bin/sh\nPYTHONPATH={HERE} exec {sys.executable} -m agent "$@"\n'
        )
        (programs / "sinyal").chmod(0o755)
    return subprocess.run(
        ["/bin/sh", str(bundle / "install.sh"), "--etc", str(etc), *arguments],
        env={"PATH": str(programs), "SINYAL_LANG": "en"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_one_command_makes_a_bundle_and_again_changes_nothing(province: Path, provision: Run) -> None:
    first = provision(*NEW)
    assert first.returncode == 0, first.stderr
    folder = province / "bundles/gw-a"
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()}
    assert {file.name for file in folder.iterdir()} == {
        "SHA256SUMS",
        "SHA256SUMS.sig",
        "ca.pem",
        "install.sh",
        "label.html",
        "sinyal.toml",
    }

    assert "was there already" in provision(*NEW).stdout

    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()} == before
    assert provision("gateway", "check", "bundles/gw-a").returncode == 0


def test_the_label_tells_place_and_code_and_prints_on_one_page(bundle: Path) -> None:
    page = (bundle / "label.html").read_text()
    for text in ("gw-a", "15.02.23.2008", "Air Liki", "Tabir Barat", label_code("gw-a"), "<svg", "size: A4"):
        assert text in page
    assert "+62" not in page
    assert "http-equiv" not in page
    assert "src=" not in page


@pytest.mark.parametrize(
    "harm",
    [
        "changed",
        "missing",
        "added",
        "link",
        "list changed",
        "no seal",
        "other authority",
        "other authority whole",
    ],
)
def test_a_tampered_bundle_is_refused_here_and_on_the_box(
    bundle: Path, province: Path, tmp_path: Path, harm: str
) -> None:
    etc = tmp_path / "etc"
    authority = province / "ca"
    other = create(tmp_path / "other", "Other", b"a long passphrase")
    if harm == "changed":
        with (bundle / "sinyal.toml").open("a") as file:
            file.write("# more\n")
    elif harm == "missing":
        (bundle / "label.html").unlink()
    elif harm == "added":
        (bundle / "evil.sh").write_text("#!/bin/sh\n")
    elif harm == "link":
        (bundle / "sinyal.toml").rename(tmp_path / "elsewhere")
        (bundle / "sinyal.toml").symlink_to(tmp_path / "elsewhere")
    elif harm == "list changed":
        listed = bundle / "SHA256SUMS"
        listed.write_text(listed.read_text().replace("label.html", "Label.html"))
    elif harm == "no seal":
        (bundle / "SHA256SUMS.sig").unlink()
    elif harm == "other authority":
        shutil.copy(other.folder / "ca.pem", bundle / "ca.pem")
    else:
        # Sealed again by somebody else: only whoever knows our authority can tell.
        site = read_sites(province / "sites.csv")[0][0]
        files = bundle_files(site, FLEET, load_register(()), other)
        write_bundle(bundle, files, other)
        (etc / "tls").mkdir(parents=True)
        shutil.copy(authority / "ca.pem", etc / "tls/ca.pem")
    from provisioning.authority.folder import read_certificate

    with pytest.raises(BundleTampered):
        check_bundle(bundle, read_certificate(authority))
    if harm == "link":
        return  # what the link leads to is the same, and is read only after it was compared
    done = install(bundle, etc)
    assert done.returncode == 1, done.stdout
    assert "sinyal:" in done.stderr
    assert not (etc / "sinyal.toml").exists()


def test_the_box_is_installed_once_and_puts_its_request_beside(
    bundle: Path, tmp_path: Path, authority: Authority
) -> None:
    from provisioning.authority.requests import read_request

    etc = tmp_path / "etc"
    assert install(bundle, etc, "--dry-run").returncode == 0
    assert not etc.exists()
    assert "not installed" in install(bundle, etc, sinyal=False).stderr

    first = install(bundle, etc)
    assert first.returncode == 0, first.stderr
    request = (bundle / "gw-a.csr").read_bytes()
    again = install(bundle, etc)
    assert "already" in again.stdout
    assert (bundle / "gw-a.csr").read_bytes() == request

    wrong = install(bundle, etc, "--ca-sha256", "00" * 32)
    assert "another one" in wrong.stderr
    # The second visit, with the certificate beside the bundle.
    (etc / "state").mkdir()
    (etc / "sinyal.toml").write_text((etc / "sinyal.toml").read_text())
    (bundle / "gw-a.pem").write_bytes(authority.sign(read_request(request), kind="gateway").pem)
    check_bundle(bundle, authority.certificate)
    environment_state = install_with_state(bundle, etc)
    assert environment_state.returncode == 0, environment_state.stderr
    assert (etc / "tls/gateway.pem").read_bytes() == (bundle / "gw-a.pem").read_bytes()
    assert json.loads((etc / "state/enrolled.json").read_text())["gateway_id"] == "gw-a"


def install_with_state(bundle: Path, etc: Path) -> "subprocess.CompletedProcess[str]":
    """Install with the state folder beside the configuration, as an ordinary user may."""
    program = bundle.parent / "bin/sinyal"
    program.write_text(
        f'#!/bin/sh\nSINYAL_PATHS_STATE={etc}/state PYTHONPATH={HERE} exec {sys.executable} -m agent "$@"\n'
    )
    return subprocess.run(
        ["/bin/sh", str(bundle / "install.sh"), "--etc", str(etc)],
        env={"PATH": str(bundle.parent / "bin"), "SINYAL_LANG": "en"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[modem]\nsim_pin = "1234"\n', "is a secret"),
        ('[gateway]\nid = "gw-z"\n', "belongs to one gateway"),
        ("[publish]\ninterval_s = -1\n", "interval_s"),
        ("[nonsense]\nx = 1\n", "nonsense"),
        ("not toml", "toml"),
    ],
)
def test_settings_of_the_fleet_hold_no_secret_and_no_mistake(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text(text)
    with pytest.raises(ConfigMistake, match=words):
        fleet_settings(file)


def test_settings_of_the_fleet_are_in_every_bundle(province: Path, provision: Run) -> None:
    (province / "fleet.toml").write_text('[publish]\ninterval_s = 900\n[gateway]\nlanguage = "en"\n')
    assert "the bundle is in" in provision(*NEW).stdout
    assert "no such file" in provision(*NEW, "--settings", "flet.toml").stderr
    assert "copies of the old one are out of date" in provision(*NEW, "--settings", "fleet.toml").stdout
    text = (province / "bundles/gw-a/sinyal.toml").read_text()
    assert "interval_s = 900" in text
    assert 'language = "en"' in text


def test_a_retired_gateway_is_withdrawn_and_gets_no_bundle(
    province: Path, provision: Run, bundle: Path
) -> None:
    from tests.support.requests import request_pem

    (province / "gw-a.csr").write_bytes(request_pem("gw-a"))
    assert provision("ca", "sign", "gw-a.csr", "--passphrase-file", "pw").returncode == 0
    done = provision("gateway", "retire", "15.02.23.2008", "--reason", "stolen", "--passphrase-file", "pw")
    assert done.returncode == 0, done.stderr
    assert "1 certificate withdrawn" in done.stdout
    assert "sinyal wipe" not in done.stdout, "who stole the box will not do it"
    assert ",retired," in (province / "sites.csv").read_text().splitlines()[1]
    again = provision("gateway", "retire", "gw-a", "--passphrase-file", "pw")
    assert "0 certificates withdrawn" in again.stdout
    refused = provision(*NEW)
    assert refused.returncode == 1
    assert "gw-a is retired" in refused.stderr
    assert provision("ca", "sign", "gw-a.csr", "--passphrase-file", "pw").returncode == 1


class FakeTransport(Transport):
    """Keeps what it was given; fails for some gateways as often as told."""

    def __init__(self, failures: dict[str, int] | None = None, way: str = "fake") -> None:
        self.way = way
        self.delivered: list[str] = []
        self._failures = failures or {}

    def deliver(self, gateway_id: str, bundle: Path) -> None:
        assert (bundle / "SHA256SUMS.sig").exists()
        if self._failures.get(gateway_id, 0) > 0:
            self._failures[gateway_id] -= 1
            raise DeliveryFailed("the box does not answer")
        self.delivered.append(gateway_id)


def many(count: int) -> list[Site]:
    villages = [line.split(",")[:2] for line in SHIPPED.read_text().splitlines()[1 : count + 1]]
    rows = [
        Site(n, "", code, "", name, "link", "2026", "planned", "")
        for n, (code, name) in enumerate(villages, 2)
    ]
    return with_ids(rows, load_register(()))


def test_160_sites_have_bundles_and_codes_of_their_own_and_again_changes_nothing(
    authority: Authority, tmp_path: Path
) -> None:
    sites, register, out = many(160), load_register(()), tmp_path / "out"
    transport = FakeTransport({sites[7].gateway_id: 1, sites[99].gateway_id: 1})
    began = time.monotonic()

    first = list(run_batch(sites, FLEET, register, authority, out=out, transport=transport))

    assert time.monotonic() - began < 60
    assert [each.result for each in first].count("failed") == 2
    assert len({label_code(site.gateway_id) for site in sites}) == 160
    before = {file: file.stat().st_mtime_ns for file in out.rglob("*") if file.is_file()}
    second = list(run_batch(sites, FLEET, register, authority, out=out, transport=transport))
    assert [each.site.gateway_id for each in second if each.result == "done"] == [
        sites[7].gateway_id,
        sites[99].gateway_id,
    ]
    assert sorted(transport.delivered) == sorted(site.gateway_id for site in sites)
    third = list(run_batch(sites, FLEET, register, authority, out=out, transport=transport))
    assert {each.result for each in third} == {"same"}
    assert len(transport.delivered) == 160
    after = {file: file.stat().st_mtime_ns for file in out.rglob("*") if file.is_file()}
    assert {file.name for file in before if after[file] != before[file]} == {"report.jsonl"}


def test_a_batch_goes_on_after_being_killed_at_any_site(authority: Authority, tmp_path: Path) -> None:
    sites, register, out = many(6), load_register(()), tmp_path / "out"
    transport = FakeTransport()
    for stop in range(1, 6):
        for progress in run_batch(sites, FLEET, register, authority, out=out, transport=transport):
            if progress.number == stop:
                break
        with (out / "report.jsonl").open("ab") as file:
            file.write(b'{"half a li')
    list(run_batch(sites, FLEET, register, authority, out=out, transport=transport))
    assert set(transport.delivered) == {site.gateway_id for site in sites}
    assert len(transport.delivered) <= 6 + 5
    assert all(Report(out)._last[site.gateway_id].result == "done" for site in sites)


def test_two_labels_of_one_code_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioning.batch.run.label_code", lambda _id: "0000-0000")
    with pytest.raises(UsageMistake, match="same label code"):
        require_own_codes(many(2))


def test_what_went_one_way_goes_another_way_too(authority: Authority, tmp_path: Path) -> None:
    """An empty stick that is called done is found out in the village."""
    sites, register, out = many(2), load_register(()), tmp_path / "out"
    ids = [site.gateway_id for site in sites]
    sticks = [tmp_path / "stick", tmp_path / "another"]
    for stick in sticks:
        stick.mkdir()
    ways: list[Transport] = [LeftInFolder(), FakeTransport(way="ssh"), *map(Stick, sticks)]
    for transport in ways:
        results = [
            [
                each.result
                for each in run_batch(sites, FLEET, register, authority, out=out, transport=transport)
            ]
            for _time in range(2)
        ]
        assert results == [["done", "done"], ["same", "same"]]
    assert [sorted(file.name for file in stick.iterdir()) for stick in sticks] == [sorted(ids)] * 2
    (sticks[1] / ids[0] / "ca.pem").write_bytes(b"damaged")
    again = run_batch(sites, FLEET, register, authority, out=out, transport=Stick(sticks[1]))
    assert [each.result for each in again] == ["done", "same"]


def test_a_stick_gets_each_bundle(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageMistake, match="no such folder"):
        Stick(tmp_path / "stick")
    (tmp_path / "stick").mkdir()
    stick = Stick(tmp_path / "stick")
    stick.deliver("gw-a", bundle)
    stick.deliver("gw-a", bundle)
    assert (tmp_path / "stick/gw-a/SHA256SUMS.sig").read_bytes() == (bundle / "SHA256SUMS.sig").read_bytes()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageMistake):
        Stick(tmp_path / "file")
    LeftInFolder().deliver("gw-a", bundle)


def test_ssh_installs_on_the_box_and_brings_its_request_back(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program ssh is a script that runs on this machine what it is given for the other."""
    programs = tmp_path / "ssh-bin"
    programs.mkdir()
    etc = tmp_path / "etc"
    (programs / "ssh").write_text(
        "#!/bin/sh\nfor last; do :; done\n"
        '[ "$4" = root@gw-a.lan ] || { echo "no route to $4" >&2; exit 255; }\n'
        f'exec sh -c "$(printf %s "$last" | sed \'s#install.sh" >#install.sh" --etc {etc} >#\')"\n'
    )
    (programs / "sinyal").write_text(f'#!/bin/sh\nPYTHONPATH={HERE} exec {sys.executable} -m agent "$@"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    Ssh("root@{gateway_id}.lan").deliver("gw-a", bundle)

    assert (etc / "sinyal.toml").exists()
    assert b"CERTIFICATE REQUEST" in (bundle / "gw-a.csr").read_bytes()
    with pytest.raises(DeliveryFailed, match="no route to root@gw-b"):
        Ssh("root@{gateway_id}").deliver("gw-b", bundle)


def test_batch_shows_progress_and_ends_with_1_when_a_box_failed(province: Path, provision: Run) -> None:
    batch = ("batch", "sites.csv", "--broker", "broker.example", "--passphrase-file", "pw")
    done = provision(*batch)
    assert done.returncode == 0, done.stderr
    assert "2/2" in done.stdout
    assert "2 done, 0 as they were, 0 failed" in done.stdout
    assert json.loads(provision(*batch, "--json").stdout)["same"] == 2
    (province / "stick/gw-a").mkdir(parents=True)
    (province / "stick/gw-a/ca.pem").mkdir()
    failed = provision(*batch, "--stick", "stick")
    assert failed.returncode == 1
    assert "1 done, 0 as they were, 1 failed" in failed.stdout


def test_nothing_secret_is_shown_stored_or_carried(
    province: Path, provision: Run, authority: Authority
) -> None:
    """Look for the passphrase, a token and every private key in all that leaves the authority's folder."""
    from tests.support.requests import request_pem

    said = ""
    (province / "gw-a.csr").write_bytes(request_pem("gw-a"))
    for arguments in (
        ("ca", "sign", "gw-a.csr", "--passphrase-file", "pw"),
        ("ca", "list", "--json"),
        ("ca", "crl", "--passphrase-file", "pw", "--debug"),
        NEW,
        ("batch", "sites.csv", "--broker", "b.example", "--passphrase-file", "pw"),
        ("broker", "render", "broker", "--host", "b.example", "--passphrase-file", "pw"),
        ("ca", "sign", "gw-a.csr", "--ca", "none", "--passphrase-file", "pw", "--debug"),
    ):
        shown = provision(*arguments)
        said += " ".join(arguments) + shown.stdout + shown.stderr
    token = provision("enrol", "token", "gw-a").stdout.strip().replace("-", "")
    secret = [PASSPHRASE, token, "PRIVATE KEY", "+62 812"]
    may_hold_keys = {
        province / "broker/server.key",
        province / "ca/ca.key",
        province / "ca/withdrawn/key.pem",
    }
    for file in province.rglob("*"):
        if not file.is_file() or file.name in ("pw", "sites.csv"):
            continue
        content = file.read_bytes().decode("utf-8", "replace")
        found = [each for each in secret if each in content]
        assert not found or (found == ["PRIVATE KEY"] and file in may_hold_keys), file
        if file in may_hold_keys:
            assert file.stat().st_mode & 0o077 == 0
    assert not [each for each in secret if each in said]
