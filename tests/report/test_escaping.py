"""Names from the data are text wherever they appear: in tables, captions, labels, figures, files."""

from __future__ import annotations

import pytest
from report_pages import HOSTILE, Page, hostile_frame, small_fit, structure_faults

from biocal.pool.checks.notices import Problem
from biocal.report.api import report_html


@pytest.fixture(scope="module")
def page() -> Page:
    name = '<img src=x onerror="alert(1)">'
    fits = small_fit(
        hostile_frame(),
        method=["full", "two-stage"],
        exposure_name=name,
        unit="</svg><b>",
        outcome_name="a & b <i>",
    )
    problem = Problem("warning", "negative-value", "<u>", study=HOSTILE["South"], count=3)
    options = {"covariates": "<script>", "scale_local": {HOSTILE["North"]: 2.0}}
    return Page(report_html(fits, problems=[problem], options=options))


def test_hostile_names_add_no_element_and_close_none(page):
    assert structure_faults(page) == []
    assert {e.name for e in page.elements}.isdisjoint({"script", "i", "u", "img"})
    assert len([e for e in page.all("style") if not e.inside("svg")]) == 1


def test_hostile_names_are_read_as_they_are(page):
    for name in HOSTILE.values():
        assert name in page.text
        assert name in page.table("Participants by study").index
    assert page.all("h1")[0].text == '<img src=x onerror="alert(1)"> and a & b <i>'


def test_templates_in_names_are_not_run(page):
    assert "{{ 7*7 }}" in page.text
    assert "49" not in page.table("Participants by study").index


def test_a_title_is_text_too():
    page = Page(report_html(small_fit(), title="</title><script>alert(1)</script>"))
    assert structure_faults(page) == []
    assert page.all("h1")[0].text == "</title><script>alert(1)</script>"
