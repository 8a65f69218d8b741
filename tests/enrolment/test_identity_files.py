"""The gateway's own key and certificate: the key stays, and only the right certificate is put in use."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.enrolment.identity_files import (
    CertificateRefused,
    IdentityFiles,
    accept_certificate,
    certificate_in_use,
    make_request,
    put_in_use,
)
from agent.enrolment.openssl import OpensslMissing
from agent.errors import NoPermission
from agent.language import use_language
from provisioning.authority.folder import Authority, create
from provisioning.authority.requests import read_request

HERE = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _english() -> None:
    use_language("en")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return create(tmp_path_factory.mktemp("authority") / "ca", "CA", b"a long passphrase")


@pytest.fixture
def files(tmp_path: Path, authority: Authority) -> IdentityFiles:
    tls = tmp_path / "etc/tls"
    tls.mkdir(parents=True)
    (tls / "ca.pem").write_bytes((authority.folder / "ca.pem").read_bytes())
    return IdentityFiles("gw-a", tls / "gateway.key", tls / "gateway.pem", tls / "ca.pem")


def sign(authority: Authority, request: bytes) -> bytes:
    return authority.sign(read_request(request), kind="gateway", replace=True).pem


def install_certificate(files: IdentityFiles, pem: bytes) -> None:
    put_in_use(files, accept_certificate(files, pem))


def test_the_request_is_for_a_new_private_key_that_stays(files: IdentityFiles) -> None:
    request = read_request(make_request(files))

    assert request.common_name == "gw-a"
    assert files.waiting_key.stat().st_mode & 0o777 == 0o600
    assert read_request(make_request(files)).key_sha256 == request.key_sha256


def test_a_certificate_is_installed_with_the_key_that_waited_for_it(
    files: IdentityFiles, authority: Authority
) -> None:
    install_certificate(files, sign(authority, make_request(files)))

    assert files.key_file.stat().st_mode & 0o777 == 0o600
    assert not files.waiting_key.exists()
    certificate = certificate_in_use(files)
    assert certificate is not None
    assert certificate.name == "gw-a"
    assert 728 < certificate.days_left(time.time()) < 731


def test_the_old_key_works_until_the_certificate_of_the_new_one_has_come(
    files: IdentityFiles, authority: Authority
) -> None:
    install_certificate(files, sign(authority, make_request(files)))
    old_key, old_cert = files.key_file.read_bytes(), files.cert_file.read_bytes()

    request = make_request(files, new_key=True)
    assert (files.key_file.read_bytes(), files.cert_file.read_bytes()) == (old_key, old_cert)

    install_certificate(files, sign(authority, request))
    assert files.key_file.read_bytes() != old_key
    assert files.cert_file.read_bytes() != old_cert


def test_a_power_cut_between_key_and_certificate_is_mended_by_installing_again(
    files: IdentityFiles, authority: Authority
) -> None:
    pem = sign(authority, make_request(files))
    files.waiting_key.rename(files.key_file)
    install_certificate(files, pem)
    assert files.cert_file.read_bytes() == pem


def test_only_the_right_certificate_is_put_in_use(
    files: IdentityFiles, authority: Authority, tmp_path: Path
) -> None:
    good = sign(authority, make_request(files))
    other_key = files._replace(
        key_file=tmp_path / "o/gateway.key", cert_file=tmp_path / "o/gateway.pem", gateway_id="gw-a"
    )
    other_authority = create(tmp_path / "other", "Other CA", b"a long passphrase")
    renamed = files._replace(gateway_id="gw-b", key_file=tmp_path / "b.key", cert_file=tmp_path / "b.pem")
    for pem, words in (
        (b"", "no certificate in PEM form"),
        (b"\x00\xff" * 100, "no certificate in PEM form"),
        (b"x" * 100_000, "no certificate in PEM form"),
        (sign(authority, make_request(renamed)), "is for 'gw-b', this gateway is gw-a"),
        (sign(other_authority, make_request(files)), "not from the authority in"),
    ):
        with pytest.raises(CertificateRefused, match=words):
            install_certificate(files, pem)
        assert not files.cert_file.exists()
        assert files.waiting_key.exists()
    make_request(other_key)
    with pytest.raises(CertificateRefused, match="not for the key of this gateway"):
        install_certificate(other_key, good)
    server, _key = authority.sign_own("gw-srv", kind="server", hosts=["gw-srv"])
    with pytest.raises(CertificateRefused):
        install_certificate(files._replace(gateway_id="gw-srv"), server)


def test_a_missing_authority_is_named(files: IdentityFiles, authority: Authority) -> None:
    pem = sign(authority, make_request(files))
    files.ca_file.unlink()
    with pytest.raises(CertificateRefused, match=r"ca\.pem is not there"):
        install_certificate(files, pem)


def test_without_openssl_the_package_is_named(files: IdentityFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(OpensslMissing) as failure:
        make_request(files)
    assert "openssl-util" in failure.value.next_step


def test_a_key_that_others_can_read_is_not_used(files: IdentityFiles) -> None:
    make_request(files)
    files.waiting_key.chmod(0o644)
    with pytest.raises(NoPermission, match="can be read by other users"):
        make_request(files)


def test_openssls_own_configuration_file_is_not_needed(
    files: IdentityFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENSSL_CONF", "/nonexistent/openssl.cnf")
    assert read_request(make_request(files)).common_name == "gw-a"


def gateway(folder: Path, *arguments: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SINYAL_")}
    return subprocess.run(
        [sys.executable, "-m", "agent", "--config", str(folder / "sinyal.toml"), *arguments],
        cwd=folder,
        env={**clean, "PYTHONPATH": str(HERE), "SINYAL_LANG": "en"},
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_enrols_and_writes_down_the_board(tmp_path: Path, authority: Authority) -> None:
    (tmp_path / "sinyal.toml").write_text(
        '[gateway]\nid = "gw-c"\n[paths]\nstate = "state"\nruntime = "run"\n[broker]\nhost = "localhost"\n'
        'tls = true\nca_file = "ca.pem"\ncert_file = "gateway.pem"\nkey_file = "gateway.key"\n'
    )
    (tmp_path / "ca.pem").write_bytes((authority.folder / "ca.pem").read_bytes())
    before = gateway(tmp_path, "enrol", "show")
    assert before.returncode == 1
    assert "none yet" in before.stdout

    assert gateway(tmp_path, "enrol", "request").returncode == 0
    pem = sign(authority, (tmp_path / "gw-c.csr").read_bytes())
    too_early = gateway(tmp_path, "enrol", "install", "-", given=pem.decode())
    assert "state is not there" in too_early.stderr
    assert not (tmp_path / "gateway.pem").exists(), "a certificate whose board is not written down"
    (tmp_path / "state").mkdir()
    done = gateway(tmp_path, "enrol", "install", "-", given=pem.decode())

    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "state/enrolled.json").read_text())["gateway_id"] == "gw-c"
    shown = json.loads(gateway(tmp_path, "enrol", "show", "--json").stdout)
    assert shown["certificate_for"] == "gw-c"
    assert shown["due"] is False
    assert gateway(tmp_path, "config", "check").returncode == 0


@pytest.mark.parametrize(
    ("configuration", "arguments", "words"),
    [
        ("", ("enrol", "request"), "gateway.id is empty"),
        ('[gateway]\nid = "g"\n', ("enrol", "request"), "broker.ca_file is not set"),
        ('[gateway]\nid = "g"\n', ("enrol",), "required"),
    ],
)
def test_what_is_missing_is_named_with_the_command_that_sets_it(
    tmp_path: Path, configuration: str, arguments: tuple[str, ...], words: str
) -> None:
    (tmp_path / "sinyal.toml").write_text(configuration)
    shown = gateway(tmp_path, *arguments)
    assert shown.returncode == 2
    assert words in shown.stderr
    assert len(shown.stderr.splitlines()) == 1
