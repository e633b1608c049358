"""Every kind of report is sound HTML, stands alone, and says in words what it shows."""

from __future__ import annotations

import functools

import pytest
from cli_pool import small_pool
from report_pages import SMALL_DESIGN, Page, small_fit, structure_faults

import biocal as bc
from biocal.report.api import report_html


def reference_only():
    frame = small_pool()
    return frame[frame["study"] == "West"]


KINDS = {
    "splines": {},
    "linear": {"exposure": bc.linear()},
    "categories": {"exposure": bc.categories([45, 60, 75]), "reference": None},
    "one method": {"method": "full"},
    "all methods": {"method": "all"},
    "modifier": {"modifier": "sex", "method": ["full"]},
    "bootstrap": {"bootstrap": 8, "seed": 1, "method": ["full"], "exposure": bc.linear()},
    "reference study": {"frame": reference_only, "method": ["full"]},
    "given exposures": {"at": [40.0, 50.0, 70.0]},
    "covariates left out": {"calibration_covariates": "none"},
}


@functools.cache
def page_of(kind: str, suppress: int = 0) -> Page:
    if kind == "simulation":
        return Page(report_html(bc.simulate(SMALL_DESIGN), options=SMALL_DESIGN))
    options = dict(KINDS[kind])
    frame = options.pop("frame", small_pool)()
    return Page(report_html(small_fit(frame, **options), suppress=suppress))


@pytest.mark.parametrize("kind", [*KINDS, "simulation"])
def test_a_report_is_sound_html_that_needs_nothing_but_itself(kind):
    page = page_of(kind)
    assert structure_faults(page) == []
    assert "http://" not in page.source
    assert "https://" not in page.source
    assert page.comments == []


@pytest.mark.parametrize("kind", [*KINDS, "simulation"])
def test_every_section_of_the_contents_is_there_and_every_section_is_in_the_contents(kind):
    page = page_of(kind)
    listed = [e.attributes["href"] for e in page.all("a") if e.inside("nav")]
    sections = [f"#{e.attributes['aria-labelledby']}" for e in page.all("section")]
    assert listed == sections


def test_the_same_fit_gives_the_same_page_byte_for_byte():
    fits = small_fit()
    assert report_html(fits) == report_html(fits)


def test_a_browser_is_told_to_fetch_nothing_and_run_nothing():
    policy = next(e for e in page_of("splines").all("meta") if "http-equiv" in e.attributes)
    assert policy.attributes["content"].startswith("default-src 'none'")
    assert "script" not in policy.attributes["content"]


@pytest.mark.parametrize(
    "broken",
    [
        "<h1>a</h1><h3>b</h3>",
        "<h1>a</h1><a href='#nowhere'>b</a>",
        "<h1>a</h1><p id='x'></p><p id='x'></p>",
        "<h1>a</h1><table><tr></tr></table>",
        "<h1>a</h1><img src='https://example.org/x.png' alt='x'>",
        "<h1>a</h1><svg><path clip-path='url(#gone)'/></svg>",
        "<h1>a</h1><div><p></div>",
        "<h1>a</h1><script></script>",
    ],
)
def test_these_tests_see_a_fault_when_there_is_one(broken):
    assert structure_faults(Page(broken))
