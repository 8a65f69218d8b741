"""The list of sites: what is wrong in it is told with its row, and no name decides anything."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from provisioning.inventory.checks import check_sites, findings_of
from provisioning.inventory.csv_text import TableUnreadable, read_table
from provisioning.inventory.importing import merge, with_ids
from provisioning.inventory.register import SHIPPED, Register, load_register
from provisioning.inventory.sites import COLUMNS, ListUnusable, Site, read_sites
from tests.provisioning.conftest import EDITION, Run

HEADER = ",".join(COLUMNS)


@pytest.fixture(scope="module")
def register() -> Register:
    return load_register(())


def found(tmp_path: Path, register: Register, *rows: str) -> list[tuple[int, str, bool]]:
    file = tmp_path / "sites.csv"
    file.write_text("\n".join((HEADER, *rows)) + "\n", encoding="utf-8")
    _sites, findings = check_sites(file, register)
    return [(finding.row, finding.code, finding.is_mistake) for finding in findings]


def row(id_: str = "gw-1", code: str = "15.02.23.2008", name: str = "Balai Air Liki", **other: str) -> str:
    values = {
        "kode_edisi": EDITION,
        "role": "link",
        "batch_year": "2026",
        "state": "installed",
        "contact": "",
    }
    values |= {"gateway_id": id_, "kode_desa": code, "site_name": name, **other}
    return ",".join(values[column] for column in COLUMNS)


def test_a_good_list_has_nothing_to_correct(tmp_path: Path, register: Register) -> None:
    assert found(tmp_path, register, row(), row("gw-2", "15.03.01.2021", "Bukit Berantai")) == []


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (row(code="15.99.01.2001"), "unknown_code"),
        (row(code="99.01.01.2001"), "unknown_code"),
        (row(code="15.02.23.4008"), "unknown_code"),
        (row(code=""), "unknown_code"),
        (row(code="1502232008"), "unknown_code"),
        (row(code="15.03.01.2021", name="Lubuk Berantai"), "name_differs"),
        (row(kode_edisi="300.2.2-2138/2025"), "edition"),
        (row(id_="gw/1"), "value"),
        (row(id_="+"), "formula"),
        (row(id_=""), "empty"),
        (row(id_="Sinyal-check-a"), "reserved"),
        (row(id_="ca"), "reserved"),
        (row(role="repeater"), "value"),
        (row(state="broken"), "value"),
        (row(batch_year="26"), "value"),
        (row(contact="=1+2"), "formula"),
        (row(contact="@SUM(A1)"), "formula"),
        (row(contact="x" * 1001), "long"),
        (row(contact="a\x07b"), "signs"),
        (row() + ",extra", "cells"),
    ],
)
def test_each_mistake_has_its_row_and_code(tmp_path: Path, register: Register, line: str, code: str) -> None:
    told = found(tmp_path, register, row("gw-0", "15.01.01.2001", "Selam Paung"), "", line)

    assert (4, code, True) in told
    assert {number for number, _code, is_mistake in told if is_mistake} == {4}


def test_doubles_are_told_where_they_come_again(tmp_path: Path, register: Register) -> None:
    told = found(
        tmp_path,
        register,
        row("gw-1"),
        row("GW-1", "15.03.01.2021", "Bukit Berantai"),
        row("gw-3"),
        row("gw-4", name="Air Liki sekolah"),
        row("gw-5", state="retired"),
    )

    assert told == [
        (3, "double_id", True),
        (4, "double_site", True),
        (4, "second_link", False),
        (5, "second_link", False),
    ]


def test_neighbours_with_like_names_are_told_before_the_box_is_there(
    tmp_path: Path, register: Register
) -> None:
    planned = row(state="planned")
    assert found(tmp_path, register, planned) == [(2, "look_alike", False)]
    assert found(tmp_path, register, row()) == []
    file = tmp_path / "sites.csv"
    file.write_text(f"{HEADER}\n{planned}\n")
    assert (
        "Air Liki Baru (Tabir Barat, Kabupaten Merangin, 15.02.23.2014)"
        in check_sites(file, register)[1][0].what
    )


def test_kelurahan_and_desa_of_one_name_are_told(tmp_path: Path, register: Register) -> None:
    assert found(tmp_path, register, row(code="15.04.08.1008", name="Terusan", state="planned")) == [
        (2, "look_alike", False)
    ]


def test_a_name_of_the_news_is_only_ever_a_hint(register: Register) -> None:
    site = Site(2, "gw-1", "", EDITION, "Lubuk Berantai", "link", "2026", "planned", "")

    (finding,) = findings_of([site], register)

    assert finding.code == "unknown_code"
    assert "to be confirmed on the spot" in finding.what
    assert with_ids([site], register)[0].kode_desa == ""
    assert with_ids([replace(site, gateway_id="")], register)[0].gateway_id == ""


def test_an_apostrophe_and_capitals_do_not_make_another_name(tmp_path: Path, register: Register) -> None:
    village = next(line for line in SHIPPED.read_text().splitlines() if "Pekan Jum'at" in line).split(",")
    assert found(tmp_path, register, row(code=village[0], name="PEKAN JUMAT")) == []


def test_a_code_that_only_an_older_edition_holds_is_retired(tmp_path: Path) -> None:
    old = tmp_path / "old.csv"
    old.write_text(
        "kode_desa,nama,kecamatan,kabupaten,kode_edisi\n"
        "15.02.23.2999,Air Lama,Tabir Barat,Kabupaten Merangin,050-145/2022\n"
    )
    assert found(tmp_path, load_register([old]), row(code="15.02.23.2999", name="Air Lama")) == [
        (2, "retired_code", True)
    ]


def test_another_province_loads_its_own_register(tmp_path: Path) -> None:
    other = tmp_path / "aceh.csv"
    other.write_text(
        "kode_desa,nama,kecamatan,kabupaten,kode_edisi\n11.01.01.2001,Keude,Bakongan,Aceh Selatan,E/2025\n"
    )
    line = row(code="11.01.01.2001", name="Keude", kode_edisi="E/2025")
    assert found(tmp_path, load_register([other]), line) == []
    assert found(tmp_path, load_register([]), line) == [(2, "unknown_code", True)]


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffid gerbang;Kode Desa;Edisi;Nama Lokasi\r\ngw-1;15.02.23.2008;E;Désa Air Liki\r\n".encode(),
        "sep=;\r\nid gerbang;Kode Desa;Edisi;Nama Lokasi\r\ngw-1;15.02.23.2008;E;Désa Air Liki\r\n".encode(
            "cp1252"
        ),
        "id gerbang\tKode Desa\tEdisi\tNama Lokasi\ngw-1\t15.02.23.2008\tE\tDésa Air Liki\n".encode("utf-16"),
        'gateway_id,kode_desa,kode_edisi,site_name\n"gw-1"," 15.02.23.2008 ","E","Désa\nAir Liki"\n'.encode(),
    ],
    ids=["BOM and semicolons", "Latin-1 with sep=", "UTF-16 with tabs", "quoted line end"],
)
def test_a_spreadsheets_export_is_read_as_it_was_meant(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "export.csv"
    file.write_bytes(content)

    (site,), _findings = read_sites(file)

    assert (site.row, site.gateway_id, site.kode_desa) == (2, "gw-1", "15.02.23.2008")
    assert site.site_name == "Désa Air Liki"
    assert (site.role, site.state) == ("link", "planned")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"kode_desa,Kode_Desa,site_name\n", "is there twice"),
        (b"PK\x03\x04rest", "Excel workbook"),
        (b'a,b\n"open', "row 2: this is no CSV"),
        (b"gateway_id,contact\n", "has no column kode_desa"),
        (b"kode_desa,site_name\n" + b"a,b\n" * 100_001, "more than 100000 rows"),
        (b"kode_desa,site_name\n" + b"x" * 5000 + b",b\n", "row 2: this is no CSV: field larger"),
    ],
)
def test_what_is_no_list_is_refused_with_the_reason(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "sites.csv"
    file.write_bytes(content)
    with pytest.raises((TableUnreadable, ListUnusable), match=words):
        read_sites(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"there is no file .*none\.csv"):
        read_table(tmp_path / "none.csv")


def test_rows_without_an_id_get_the_same_one_each_time(register: Register) -> None:
    coming = [
        Site(2, "", "15.02.23.2008", "", "Air Liki", "link", "", "planned", ""),
        Site(3, "", "15.02.23.2008", "", "Air Liki bukit", "repeater-monitor", "", "planned", ""),
    ]

    first = with_ids(coming, register)
    again = with_ids(coming, register, first)

    assert [site.gateway_id for site in first] == ["gw-1502232008-1", "gw-1502232008-2"]
    assert [site.gateway_id for site in again] == ["gw-1502232008-1", "gw-1502232008-2"]
    assert first[0].kode_edisi == EDITION
    assert merge(first, again, replace_rows=False).changed == []


def test_check_ends_with_1_and_json_names_every_row(province: Path, provision: Run) -> None:
    assert provision("inventory", "check").returncode == 0
    with (province / "sites.csv").open("a") as file:
        file.write(row("gw-z", "15.03.01.9999", "Lubuk Berantai") + "\n")

    shown = provision("inventory", "check", "--json")
    document = json.loads(shown.stdout)

    assert shown.returncode == 1
    assert [each["row"] for each in document["findings"] if each["level"] == "mistake"] == [5]
    screen = provision("inventory", "check", lang="id").stdout
    assert "baris 5, perbaiki:" in screen


def test_import_takes_all_rows_or_none(province: Path, provision: Run) -> None:
    before = (province / "sites.csv").read_bytes()
    (province / "new.csv").write_text(
        "Kode Desa;Nama Lokasi\n15.01.01.2001;Selam Paung\n15.99.01.2001;Nowhere\n"
    )

    refused = provision("inventory", "import", "new.csv")

    assert refused.returncode == 1
    assert "row 3, correct:" in refused.stdout
    assert "nothing was taken over" in refused.stderr
    assert (province / "sites.csv").read_bytes() == before

    (province / "new.csv").write_text("Kode Desa;Nama Lokasi\n15.01.01.2001;Selam Paung\n")
    assert provision("inventory", "import", "new.csv").returncode == 0
    after = (province / "sites.csv").read_text()
    assert f"gw-1501012001-1,15.01.01.2001,{EDITION},Selam Paung,link,,planned," in after
    assert provision("inventory", "import", "new.csv").stdout.endswith("0 added, 0 changed, 1 as they were\n")
    assert (province / "sites.csv").read_text() == after

    (province / "new.csv").write_text(
        "id,Kode Desa,Nama Lokasi\ngw-1501012001-1,15.01.01.2001,Selam Paung baru\n"
    )
    differs = provision("inventory", "import", "new.csv")
    assert differs.returncode == 1
    assert "--replace" in differs.stdout
    assert provision("inventory", "import", "new.csv", "--replace").returncode == 0
    assert "Selam Paung baru" in (province / "sites.csv").read_text()


def test_what_the_operator_wrote_beside_is_never_lost(province: Path, provision: Run) -> None:
    """Columns of the operator's own, how far a gateway is, and contacts stay at each command."""
    sites = province / "sites.csv"
    lines = sites.read_text().splitlines()
    sites.write_text(
        "\n".join([lines[0] + ",Catatan", *(line + ',"kunci, di kepala desa"' for line in lines[1:])])
    )
    sites.chmod(0o640)
    assert provision("inventory", "mark", "gw-a", "installed").returncode == 0

    # The same spreadsheet again, which knows of no states, with one more village.
    (province / "new.csv").write_text(
        "id,Kode Desa,Nama Lokasi\ngw-a,15.02.23.2008,Air Liki\ngw-old,15.04.08.1008,Terusan\n"
        ",15.01.01.2001,Selam Paung\n"
    )
    assert "1 added, 0 changed, 2 as they were" in provision("inventory", "import", "new.csv").stdout
    text = sites.read_text()
    assert text.splitlines()[0].endswith(",contact,Catatan")
    assert text.count('"kunci, di kepala desa"') == 3
    assert "Air Liki,link,2026,installed,+62 812 0000 111," in text
    assert sites.stat().st_mode & 0o777 == 0o640

    (province / "new.csv").write_text("id,kode_desa,site_name,state\ngw-old,15.04.08.1008,Terusan,planned\n")
    revived = provision("inventory", "import", "new.csv", "--replace")
    assert revived.returncode == 1
    assert "gw-old is retired and stays so" in revived.stdout
    assert provision("inventory", "import", "new.csv", "--into", "own.csv").returncode == 0
    assert (province / "own.csv").stat().st_mode & 0o777 == 0o600, "it holds names and telephone numbers"


def test_mark_says_how_far_a_gateway_is(province: Path, provision: Run) -> None:
    assert provision("inventory", "mark", "15.02.23.2008", "installed").stdout == "gw-a: installed\n"
    assert ",installed," in (province / "sites.csv").read_text().splitlines()[1]
    assert "is retired" in provision("inventory", "mark", "gw-old", "planned").stderr
    assert provision("inventory", "mark", "gw-a", "retired").returncode == 2


def test_show_finds_and_filters(provision: Run) -> None:
    assert "2 sites" in provision("inventory", "show", "--state", "planned").stdout
    document = json.loads(provision("inventory", "show", "--json", "--find", "berantai").stdout)
    assert [site["gateway_id"] for site in document["sites"]] == ["gw-b"]


def test_a_list_of_many_provinces_is_checked(tmp_path: Path, register: Register) -> None:
    codes = [line.split(",")[:2] for line in SHIPPED.read_text().splitlines()[1:]]
    rows = (f"gw-{n},{codes[n % 1585][0]},{EDITION},{codes[n % 1585][1]} {n}" for n in range(20_000))
    file = tmp_path / "sites.csv"
    file.write_text("gateway_id,kode_desa,kode_edisi,site_name\n" + "\n".join(rows) + "\n")

    sites, findings = check_sites(file, register)

    assert len(sites) == 20_000
    assert not [finding for finding in findings if finding.is_mistake]
