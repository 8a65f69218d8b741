"""The village page in a real browser (`make browser`): on small phones, and as one sheet of A4."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.page.pages import every_page
from tests.support.programs import give_up

pytestmark = pytest.mark.browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip

# Frames of the wanted widths; the frame's own page may run no script, ours measures it.
MEASURE = """<!doctype html><meta charset="utf-8"><body>{frames}<pre id="found"></pre><script>
onload = () => {{
  const found = [...document.querySelectorAll("iframe")].map(frame => {{
    const page = frame.contentDocument, box = page.querySelector(".state b").getBoundingClientRect();
    return {{name: frame.name, width: page.documentElement.scrollWidth, room: frame.clientWidth,
             bars: page.querySelectorAll(".bar").length, state: Math.round(box.bottom)}};
  }});
  document.getElementById("found").textContent = JSON.stringify(found);
}}
</script>"""


@pytest.fixture(scope="module")
def browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    return found or give_up("no browser is installed: apt-get install chromium")


def run(browser: str, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [browser, *FLAGS, f"--user-data-dir={folder}/profile", *arguments],
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("language", ["id", "en"])
@pytest.mark.parametrize("width", [320, 360, 600])
def test_nothing_is_wider_than_the_phone_and_the_state_is_seen_at_once(
    width: int, language: str, browser: str, tmp_path: Path
) -> None:
    frames = "".join(
        f'<iframe name="{name}" style="width:{width}px;height:900px;border:0"'
        f' srcdoc="{html.escape(page)}"></iframe>'
        for name, page in every_page(language).items()
    )
    measure = tmp_path / "measure.html"
    measure.write_text(MEASURE.format(frames=frames), encoding="utf-8")

    shown = run(browser, tmp_path, "--virtual-time-budget=20000", "--dump-dom", f"file://{measure}")

    found = re.search(r'<pre id="found">(.*?)</pre>', shown, re.DOTALL)
    assert found is not None
    measured = json.loads(html.unescape(found.group(1)))
    assert len(measured) == len(every_page(language))
    for page in measured:
        assert page["room"] == width and page["width"] <= width, page
        assert page["bars"] == 7
        assert page["state"] < 320, page


@pytest.mark.parametrize("name", ["works", "off_quota", "silent"])
def test_it_prints_on_one_sheet(name: str, browser: str, tmp_path: Path) -> None:
    page, sheet = tmp_path / "page.html", tmp_path / "page.pdf"
    page.write_text(every_page("id")[name], encoding="utf-8")

    run(browser, tmp_path, f"--print-to-pdf={sheet}", "--no-pdf-header-footer", f"file://{page}")

    printed = sheet.read_bytes()
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1
    width, height = (
        float(side) for side in re.findall(rb"/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)", printed)[0]
    )
    assert (round(width), round(height)) == (595, 842)  # A4 in points
