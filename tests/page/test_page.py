import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from agent.language import use_language
from agent.page.folder import put_page
from agent.page.render import MOST_BYTES, page_of
from tests.cli.gateway_seen import NOW_TS
from tests.page.pages import FACTS, content, every_page, outage

JARGON = [
    line
    for line in Path(__file__).with_name("jargon.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
PAGES = {(language, name): page for language in ("id", "en") for name, page in every_page(language).items()}


class Read(HTMLParser):
    """What a reader sees of a page, and its elements; an element that is not closed fails."""

    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_the_pages_are_small_and_need_nothing_else() -> None:
    for named, page in PAGES.items():
        assert len(page.encode()) < MOST_BYTES / 2, named
        assert not re.search(r"https?:|//|<script|src=|url\(|@import|@font-face|\bon\w+=", page), named
        allowed = {"meta", "a"}
        for tag, attributes in Read(page).elements:
            href = attributes.get("href")
            assert href is None or (tag in allowed and href.startswith("tel:")), named
            assert tag not in {"script", "img", "link", "iframe", "object", "form", "svg"}, named


def test_no_page_has_a_word_that_only_technicians_know() -> None:
    words = re.compile(rf"\b({'|'.join(map(re.escape, JARGON))})\b", re.IGNORECASE)
    for named, page in PAGES.items():
        found = words.findall(Read(page).text)
        assert not found, (named, found)


def test_the_list_of_words_finds_one() -> None:
    words = re.compile(rf"\b({'|'.join(map(re.escape, JARGON))})\b", re.IGNORECASE)
    assert words.findall("RSRP -97 dBm, broker tidak menjawab") == ["RSRP", "dBm", "broker"]


def test_every_page_tells_what_to_do_whom_to_call_and_how_old_it_is() -> None:
    for (language, name), page in PAGES.items():
        text = Read(page).text
        do, call, data = {
            "id": ("Yang perlu dilakukan:", "Hubungi:", "Data sampai jam 09.12 WIB"),
            "en": ("What to do:", "Whom to call:", "Data up to 09:12 WIB"),
        }[language]
        assert do in text and call in text
        assert (data in text) == (name != "empty")
        assert ("0812-3456-7890" in text) == (name != "bare")
        assert text.count("/11") == 7


@pytest.mark.parametrize(
    ("name", "state", "sentence"),
    [
        ("works", "MENYALA sejak Sabtu, 28 November 2026 pukul 03.46 WIB", "Tidak ada gangguan."),
        ("on_battery", "MENYALA", "Listrik padam; alat memakai baterai."),
        ("being_checked", "MENYALA", "Sambungan sedang diperiksa"),
        ("silent", "BELUM DIKETAHUI", "Alat internet desa tidak lagi memberi kabar."),
        ("starting", "BELUM DIKETAHUI", "Jam pada alat belum pasti."),
        ("empty", "BELUM DIKETAHUI", "Belum ada data."),
        ("off_power", "MATI sejak Minggu, 29 November 2026 pukul 06.42 WIB", "Dugaan: Listrik padam."),
        ("off_quota", "MATI", "Dugaan: paket data habis atau langganan berhenti."),
        ("off_broker", "MATI", "Penyebab belum diketahui."),
        ("late_quota", "MATI", "Paket data: diduga habis"),
        ("late_broker", "MENYALA", "Hanya laporan ke pusat yang tertunda."),
        ("late_clock", "MENYALA", "Untuk rapat video: tidak cukup"),
    ],
)
def test_the_state_and_its_cause_in_plain_indonesian(name: str, state: str, sentence: str) -> None:
    text = Read(PAGES["id", name]).text
    assert f"Internet {state}" in text
    assert sentence in text
    others = {"MENYALA", "MATI", "BELUM DIKETAHUI"} - {state.split(" sejak")[0]}
    assert not any(other in text for other in others)


def test_the_bars_are_the_hours_of_seven_days() -> None:
    days = content().days
    hours = [(day.on_h, day.off_h, day.no_power_h) for day in days]
    assert hours == [
        (None, 0, 0),
        (24, 0, 0),
        (18, 6, 0),
        (21, 0, 3),
        (24, 0, 0),
        (23, 1, 0),
        (pytest.approx(9.21), 0, 0),
    ]
    page = PAGES["id", "works"]
    assert "Sisa paket data: 3,2 GB (Sabtu, 28 November 2026)" in Read(page).text
    widths = [float(width) for width in re.findall(r'class="up" style="width:([0-9.]+)%', page)]
    assert widths == [100, 75, 87.5, 100, 95.8, 38.4]
    text = Read(page).text
    assert "Senin 23/11 tanpa data" in text
    assert "Rabu 25/11 18 jam" in text


def test_names_that_people_type_cannot_break_the_page() -> None:
    typed = '<b onload="x">&"\'</style>'
    page = page_of(content(gateway__site_name=typed, page__contact_name=typed))
    read = Read(page)
    assert typed in read.text
    assert "onload" not in {name for _tag, attributes in read.elements for name in attributes}


def test_a_telephone_can_be_dialled_from_the_page() -> None:
    page = page_of(content(page__contact_phone="+62 812 3456 7890"))
    assert '<a href="tel:+6281234567890">+62 812 3456 7890</a>' in page


def test_an_old_reading_says_nothing_of_now() -> None:
    old = content({"reading": {"ts": NOW_TS - 1000}})
    assert (old.state, old.cause, old.since_ts) == ("unknown", "silent", NOW_TS - 1000)
    assert content({"reading": {"ts": NOW_TS + 5000}}).state == "on"


def test_without_an_outage_it_is_on_since_it_is_watched() -> None:
    watched = {**FACTS, "outages": []}
    assert content(facts=watched).since_ts == FACTS["spans"][0][0]
    assert content(facts={**watched, "spans": []}).since_ts is None


def test_the_english_page_has_no_indonesian(tmp_path: Path) -> None:
    use_language("en")
    try:
        text = Read(page_of(content(outage("link", "backhaul")))).text
    finally:
        use_language("id")
    assert "The internet is OFF since Sunday, 29 November 2026, 06:42 WIB" in text
    assert "fault outside the village" in text
    assert "jam" not in text


def test_a_reader_meets_the_old_page_or_the_new_one(tmp_path: Path) -> None:
    written = put_page(tmp_path / "www" / "desa", "first")
    reader = written.open()
    put_page(written.parent, "second")

    assert reader.read() == "first"
    assert written.read_text() == "second"
    assert [each.name for each in written.parent.iterdir()] == ["index.html"]
    assert written.stat().st_mode & 0o777 == 0o644
    reader.close()


@pytest.mark.parametrize(
    ("site", "heading"),
    [
        ("Air Liki", "Internet Desa Air Liki"),
        ("Desa Air Liki", "Internet Desa Air Liki"),
        ("desa Air Liki", "Internet desa Air Liki"),
    ],
)
def test_a_village_is_called_village_once(site: str, heading: str) -> None:
    assert f"<h1>{heading}</h1>" in page_of(content(gateway__site_name=site))
