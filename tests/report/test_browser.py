"""Reports in headless Chromium: nothing overflows, nothing is fetched, every link leads somewhere, A4 in print."""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path

import pytest
from chromium import Browser, find_chromium
from report_pages import SMALL_DESIGN, hostile_frame, small_fit

import biocal as bc
from biocal.report.api import report_html

pytestmark = pytest.mark.browser

DESKTOP, PHONE, SMALL_PHONE = 1280, 390, 320
#: Pixels; smaller letters are hard to read on a phone (our choice).
SMALLEST_LETTER = 11.5
#: A4 in points, and what Chromium's rounding to whole device units may take from it.
A4, ROUNDING = (595.28, 841.89), 1.5
#: Folder to keep the pictures in, for people to look at.
KEEP = "BIOCAL_SCREENSHOTS"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    program = find_chromium()
    if program is None:
        message = "there is no Chromium on this machine; `make test-browser` installs it (apt, as root)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(f"NOT RUN: {message}")
    folder = tmp_path_factory.mktemp("pages")
    fits = small_fit(hostile_frame(), method="all", modifier=None)
    (folder / "fit.html").write_text(report_html(fits), encoding="utf-8")
    (folder / "suppressed.html").write_text(report_html(fits, suppress=5), encoding="utf-8")
    study = bc.simulate(SMALL_DESIGN)
    (folder / "simulation.html").write_text(report_html(study, options=SMALL_DESIGN), encoding="utf-8")
    return Browser(program, folder)


@pytest.mark.parametrize("width", [DESKTOP, PHONE, SMALL_PHONE])
@pytest.mark.parametrize("page", ["fit.html", "suppressed.html", "simulation.html"])
def test_a_report_fits_its_window_and_can_be_read(browser, page, width):
    visit = browser.visit(page, width)
    found = visit.measures
    assert found["width"] == width
    assert max(found["scrollWidth"], found["bodyWidth"]) <= width
    assert found["outside"] == []
    assert found["faint"] == []
    assert found["dead"] == []
    assert found["unreachable"] == []
    assert found["smallest"] >= SMALLEST_LETTER
    assert found["links"] > 5
    assert found["pictures"] > 3
    assert found["emptyPictures"] == 0
    assert visit.console == []
    assert set(visit.asked) == {"/frame.html", f"/{page}"}


def test_the_browser_tells_overflow_faint_text_dead_links_and_errors(browser):
    bad = (
        '<!DOCTYPE html><html><head><link rel="icon" href="data:,"></head><body style="margin:0">'
        '<div style="width:3000px;color:#ccc">wide and faint</div><a href="#gone">dead</a>'
        '<svg viewBox="0 0 9 9" width="9" height="9"></svg><img src="missing.png" alt="x">'
        '<script>console.error("an error")</script></body></html>'
    )
    (browser.folder / "bad.html").write_text(bad, encoding="utf-8")
    visit = browser.visit("bad.html", DESKTOP)
    assert visit.measures["scrollWidth"] == 3000
    assert visit.measures["outside"]
    assert visit.measures["faint"]
    assert visit.measures["dead"] == ['a "dead"']
    assert visit.measures["emptyPictures"] == 2
    assert any("an error" in line for line in visit.console)
    assert "/missing.png" in visit.asked


@pytest.mark.parametrize("page", ["fit.html", "simulation.html"])
def test_a_report_prints_on_a4(browser, page, tmp_path):
    printed = browser.printed(page, tmp_path / "report.pdf")
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", printed)
    assert 3 <= len(boxes) <= 40
    for box in boxes:
        assert [float(side) for side in box] == pytest.approx(A4, abs=ROUNDING)


@pytest.mark.parametrize(("width", "height"), [(DESKTOP, 2400), (PHONE, 2400)])
@pytest.mark.parametrize("page", ["fit.html", "simulation.html"])
def test_pictures_of_a_report_are_not_blank(browser, page, width, height, tmp_path):
    place = Path(os.environ.get(KEEP) or tmp_path)
    place.mkdir(parents=True, exist_ok=True)
    content = browser.picture(page, width, height, place / f"{page.removesuffix('.html')}-{width}.png")
    assert content.startswith(b"\x89PNG")
    assert struct.unpack(">II", content[16:24]) == (max(width, 500), height)
    # an empty page of this size takes less than a tenth of this
    assert len(content) > 60_000
