"""The authority: what it signs, what it never signs, and that its index cannot be changed unseen."""

import datetime as dt
import json
import os
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.errors import NoPermission
from provisioning.authority.folder import Authority, NotSigned, create, open_authority, read_certificate
from provisioning.authority.index import Index, IndexDamaged
from provisioning.authority.passphrase import PassphraseWrong, passphrase
from provisioning.authority.requests import RequestRefused, read_request
from provisioning.whole_files import append_line, whole_lines, write_whole
from tests.provisioning.conftest import PASSPHRASE, Run
from tests.support.requests import new_key, request_pem

DAY_S = 86400


def signed(authority: Authority, name: str = "gw-a") -> x509.Certificate:
    return x509.load_pem_x509_certificate(authority.sign(read_request(request_pem(name)), kind="gateway").pem)


def test_a_gateway_certificate_holds_its_name_and_may_only_be_a_client(authority: Authority) -> None:
    made = signed(authority)

    assert made.subject.rfc4514_string() == "CN=gw-a"
    assert made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    usage = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    with pytest.raises(x509.ExtensionNotFound):
        made.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    made.verify_directly_issued_by(authority.certificate)


def test_every_certificate_is_good_for_a_clock_that_stopped_a_year_ago(authority: Authority) -> None:
    server, _key = authority.sign_own("broker.example", kind="server", hosts=["broker.example", "10.0.0.1"])
    year_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=364)
    for made in (signed(authority), x509.load_pem_x509_certificate(server), authority.certificate):
        assert made.not_valid_before_utc < year_ago
    names = x509.load_pem_x509_certificate(server).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["broker.example"]


@pytest.mark.parametrize(
    ("pem", "words"),
    [
        (b"", "no certificate request"),
        (
            b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
            "no certificate request",
        ),
        (b"x" * 20_000, "more than"),
        (request_pem("gw-a", rsa.generate_private_key(65537, 2048)), "not EC P-256"),
        (request_pem("gw-a", ec.generate_private_key(ec.SECP384R1())), "not EC P-256"),
        (request_pem("gw-a", more=((NameOID.ORGANIZATION_NAME, "x"),)), "one name"),
        (request_pem("gw-a", more=((NameOID.COMMON_NAME, "gw-b"),)), "one name"),
    ],
)
def test_a_request_that_is_none_is_refused(pem: bytes, words: str) -> None:
    with pytest.raises(RequestRefused, match=words):
        read_request(pem)


def test_a_request_changed_on_its_way_is_refused() -> None:
    der = bytearray(x509.load_pem_x509_csr(request_pem("gw-a")).public_bytes(serialization.Encoding.DER))
    der[der.index(b"gw-a") + 3 : der.index(b"gw-a") + 4] = b"b"
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(RequestRefused, match="changed on its way"):
        read_request(forged)


def test_the_same_request_gets_the_same_certificate_and_a_second_key_none(authority: Authority) -> None:
    request = read_request(request_pem("gw-a"))
    first = authority.sign(request, kind="gateway")
    again = authority.sign(request, kind="gateway")
    assert (again.is_new, again.pem) == (False, first.pem)

    second = read_request(request_pem("gw-a"))
    with pytest.raises(NotSigned, match="for another key already"):
        authority.sign(second, kind="gateway")
    taken = authority.sign(second, kind="gateway", replace=True)
    assert taken.is_new
    assert [each.reason for each in authority.index.of("gw-a")] == ["superseded", ""]
    with pytest.raises(NotSigned, match="never signed again"):
        authority.sign(request, kind="gateway", replace=True)


@pytest.mark.parametrize("name", ["desa/+", "#", "-x", "sinyal-check-a", "gw a", "gw-ä"])
def test_a_name_that_could_stand_for_other_topics_is_never_signed(authority: Authority, name: str) -> None:
    with pytest.raises(NotSigned):
        authority.sign(read_request(request_pem(name)), kind="gateway")


def test_a_name_of_one_kind_is_not_given_to_another(authority: Authority) -> None:
    authority.sign(read_request(request_pem("pusat")), kind="centre")
    with pytest.raises(NotSigned, match="another kind"):
        authority.sign(read_request(request_pem("pusat")), kind="gateway", replace=True)


def test_a_withdrawn_certificate_is_in_the_crl_for_good(authority: Authority, province: Path) -> None:
    made = signed(authority)
    authority.revoke("gw-a", "stolen")

    crl = x509.load_pem_x509_crl((province / "ca/crl.pem").read_bytes())
    assert crl.get_revoked_certificate_by_serial_number(made.serial_number) is not None
    assert crl.is_signature_valid(authority.certificate.public_key())  # type: ignore[arg-type]
    # A list that ran out would shut out the whole fleet.
    assert crl.next_update_utc == authority.certificate.not_valid_after_utc
    assert open_authority(province / "ca", PASSPHRASE.encode()).index.newest_good("gw-a", 0) is None


def test_renewal_begins_with_a_third_of_the_time_left(province: Path) -> None:
    now = [1_800_000_000.0]
    authority = create(province / "own", "CA", PASSPHRASE.encode(), now=lambda: now[0])
    key = new_key()
    authority.sign(read_request(request_pem("gw-a", key)), kind="gateway")
    begin = now[0]
    now[0] = begin + 486 * DAY_S
    assert authority.index.due(now[0]) == []
    now[0] = begin + 487 * DAY_S
    assert [each.name for each in authority.index.due(now[0])] == ["gw-a"]

    renewed = authority.renew("gw-a")

    assert renewed.is_new
    public = x509.load_pem_x509_certificate(renewed.pem).public_key()
    assert public == key.public_key()
    assert authority.index.due(now[0]) == []
    authority.revoke("gw-a", "retired")
    with pytest.raises(NotSigned, match="withdrawn"):
        authority.renew("gw-a")
    with pytest.raises(NotSigned, match="no request"):
        authority.renew("gw-b")


def test_an_authority_near_its_end_signs_no_more(province: Path) -> None:
    now = [1_800_000_000.0]
    authority = create(province / "own", "CA", PASSPHRASE.encode(), now=lambda: now[0])
    now[0] += (20 * 365 - 29) * DAY_S
    with pytest.raises(NotSigned, match="authority itself ends"):
        signed(authority)


def test_the_key_is_encrypted_private_and_opens_with_its_passphrase_only(province: Path) -> None:
    key = province / "ca/ca.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert b"ENCRYPTED PRIVATE KEY" in key.read_bytes()
    with pytest.raises(PassphraseWrong):
        open_authority(province / "ca", b"another one")


@pytest.mark.parametrize("harm", ["a line out", "a word changed", "a line more"])
def test_an_index_that_was_changed_is_not_used(authority: Authority, province: Path, harm: str) -> None:
    signed(authority)
    signed(authority, "gw-b")
    file = province / "ca/index.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    if harm == "a line out":
        del lines[1]
    elif harm == "a word changed":
        lines[-2] = lines[-2].replace(b"gw-a", b"gw-c")
    else:
        lines.insert(1, lines[1])
    file.write_bytes(b"".join(lines))
    with pytest.raises(IndexDamaged, match="line"):
        Index(province / "ca")


def test_two_at_one_index_cannot_break_its_chain(authority: Authority, province: Path) -> None:
    other = authority.afresh()
    signed(other, "gw-b")
    with pytest.raises(IndexDamaged, match="has grown since it was read"):
        signed(authority)
    assert signed(authority.afresh())
    Index(province / "ca")


def test_half_a_line_of_a_power_cut_costs_nothing(authority: Authority, province: Path) -> None:
    signed(authority)
    with (province / "ca/index.jsonl").open("ab") as file:
        file.write(b'{"v":1,"what":"issu')
    again = open_authority(province / "ca", PASSPHRASE.encode())
    signed(again, "gw-b")
    assert {"gw-a", "gw-b"} <= {each.name for each in Index(province / "ca").all()}


def test_a_power_cut_at_each_write_leaves_no_certificate_that_the_index_does_not_know(
    province: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fail every fsync in turn while a certificate is signed, then open the folder again."""
    for cut in range(12):
        authority = open_authority(province / "ca", PASSPHRASE.encode())
        calls = [0]

        def failing(descriptor: int, calls: list[int] = calls, cut: int = cut) -> None:
            calls[0] += 1
            if calls[0] > cut:
                raise OSError(5, "cut")
            os.fdatasync(descriptor)

        request = read_request(request_pem(f"gw-{cut}"))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing)
            try:
                given = authority.sign(request, kind="gateway").issued.serial
            except OSError:
                given = ""
        index = Index(province / "ca")
        known = {each.serial for each in index.all()}
        assert not given or given in known
        again = open_authority(province / "ca", PASSPHRASE.encode()).sign(request, kind="gateway")
        assert again.pem
        if given:
            assert calls[0] <= cut
            return
    pytest.fail("signing never finished")


def test_records_and_files_are_whole_or_not_there(tmp_path: Path) -> None:
    record = tmp_path / "record"
    for number in range(3):
        append_line(record, b"line %d" % number)
    with record.open("ab") as file:
        file.write(b"half " * 20_000)
    append_line(record, b"line 3")
    assert whole_lines(record) == [b"line 0", b"line 1", b"line 2", b"line 3"]
    file_ = tmp_path / "file"
    write_whole(file_, b"one", 0o600)
    first = file_.stat()
    write_whole(file_, b"one", 0o600)
    assert file_.stat().st_ino == first.st_ino
    write_whole(file_, b"two", 0o600)
    assert (file_.read_bytes(), file_.stat().st_mode & 0o777) == (b"two", 0o600)


def test_a_passphrase_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "pw"
    file.write_text("a long passphrase here\r\nsecond line")
    file.chmod(0o644)
    with pytest.raises(Exception, match="can be read by other users"):
        passphrase(file)
    file.chmod(0o600)
    assert passphrase(file) == b"a long passphrase here"
    file.write_text("short")
    with pytest.raises(Exception, match="shorter than 12"):
        passphrase(file, twice=True)


def test_the_command_signs_only_what_the_list_holds(province: Path, provision: Run) -> None:
    for name in ("gw-a", "gw-old", "gw-x"):
        (province / f"{name}.csr").write_bytes(request_pem(name))

    good = provision("ca", "sign", "gw-a.csr", "--passphrase-file", "pw")
    assert good.returncode == 0, good.stderr
    assert (province / "gw-a.pem").exists()
    for name, words in (("gw-old", "is retired"), ("gw-x", "in no row of the list")):
        refused = provision("ca", "sign", f"{name}.csr", "--passphrase-file", "pw")
        assert refused.returncode == 1
        assert words in refused.stderr
        assert "Next step:" in refused.stderr
        assert not (province / f"{name}.pem").exists()
    assert "signed before" in provision("ca", "sign", "gw-a.csr", "--passphrase-file", "pw").stdout
    due = json.loads(provision("ca", "list", "--json").stdout)
    assert [(each["name"], each["standing"]) for each in due["certificates"]][-1] == ("gw-a", "good")
    assert provision("ca", "revoke", "gw-a", "--reason", "lost", "--passphrase-file", "pw").returncode == 0
    listed = json.loads(provision("ca", "list", "--json").stdout)["certificates"]
    assert [each["standing"] for each in listed if each["name"] == "gw-a"] == ["revoked"]


def test_one_wrong_request_does_not_keep_the_others_waiting(province: Path, provision: Run) -> None:
    for name in ("gw-a", "gw-x", "gw-b"):
        (province / f"{name}.csr").write_bytes(request_pem(name))
    done = provision("ca", "sign", "gw-a.csr", "gw-x.csr", "gw-b.csr", "--passphrase-file", "pw")
    assert done.returncode == 1
    assert "'gw-x' is in no row" in done.stderr
    assert [(province / f"{name}.pem").exists() for name in ("gw-a", "gw-x", "gw-b")] == [True, False, True]


def test_openssl_agrees_with_what_was_made(authority: Authority, province: Path) -> None:
    (province / "gw-a.pem").write_bytes(authority.sign(read_request(request_pem("gw-a")), kind="gateway").pem)
    check = [
        "openssl",
        "verify",
        "-x509_strict",
        "-crl_check",
        "-CAfile",
        "ca/ca.pem",
        "-CRLfile",
        "ca/crl.pem",
    ]
    done = subprocess.run(
        [*check, "-purpose", "sslclient", "gw-a.pem"], cwd=province, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    authority.revoke("gw-a", "stolen")
    done = subprocess.run([*check, "gw-a.pem"], cwd=province, capture_output=True, text=True)
    assert "certificate revoked" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("ca", "init", "--ca", "ca", "--passphrase-file", "pw"), "is not empty"),
        (("ca", "list", "--ca", "none"), "holds no authority"),
        (("ca", "sign", "gw-a.csr", "--ca", "none", "--passphrase-file", "pw"), "gw-a.csr: No such file"),
        (("ca", "revoke", "gw-zz", "--reason", "lost", "--passphrase-file", "pw"), "never had a certificate"),
        (("ca", "renew", "--out", "o", "--passphrase-file", "pw"), "takes names, or --due"),
        (("ca", "crl"), "there is no terminal to type it"),
        (("ca", "sign", "x.csr", "--kind", "server", "--passphrase-file", "pw"), "needs the names"),
        (("ca", "crl", "--passphrase-file", "."), "Is a directory"),
        (("broker", "render", "o", "--host", "a b", "--passphrase-file", "pw"), "argument --host"),
        (
            ("broker", "render", "o", "--host", "d\u00e9sa.example", "--passphrase-file", "pw"),
            "argument --host",
        ),
        (("broker", "check", "localhost", "--wait", "nan"), "argument --wait"),
        (("nothing",), "invalid choice"),
    ],
)
def test_each_mistake_of_the_command_is_one_line(
    provision: Run, arguments: tuple[str, ...], words: str
) -> None:
    shown = provision(*arguments)
    assert shown.returncode == 2
    assert words in shown.stderr
    assert len(shown.stderr.splitlines()) == 1
    assert "Traceback" not in shown.stderr


def test_an_authority_that_may_not_be_read_is_not_called_missing(province: Path) -> None:
    """Else the next step would be to make a second one."""
    (province / "ca").chmod(0)
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(NoPermission, match="no permission for"):
            read_certificate(province / "ca")
    finally:
        os.seteuid(me)
        (province / "ca").chmod(0o700)
