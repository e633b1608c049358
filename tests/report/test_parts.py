"""Sections of subgroups and of leaving out one study; small counts stay hidden there and in the downloads."""

from __future__ import annotations

import base64
import re

import numpy as np
import pytest
from pools import LOCAL_A, REFERENCE, draw_pool

import biocal as bc
from biocal.report.api import report_html


@pytest.fixture(scope="module")
def fitted() -> bc.Fit:
    rng = np.random.default_rng(20261124)
    frame = draw_pool(rng, (REFERENCE, LOCAL_A))
    sets = frame.groupby(["study", "set"], sort=True).ngroup().to_numpy()
    frame["sex"] = np.where(np.isin(sets, np.unique(sets)[:7]), "rare", "usual")
    pool = bc.PooledStudies.from_frame(frame)
    return bc.fit(pool, exposure=bc.linear(), by="sex", leave_one_out=True, at=[3, 7], reference=5)


def downloads(page: str) -> dict[str, str]:
    found = re.findall(r'download="([^"]+)" href="data:text/csv;charset=utf-8;base64,([^"]+)"', page)
    return {name: base64.b64decode(content).decode() for name, content in found}


def test_the_sections_show_levels_studies_sets_and_cases(fitted):
    page = report_html(fitted)
    assert 'id="subgroups"' in page
    assert 'id="left-out"' in page
    assert "Odds ratio by sex, method full" in page
    assert "moves the odds ratio most" in page
    assert ",rare," in downloads(page)["subgroups.csv"]
    assert "sets" in downloads(page)["leave_one_out.csv"].splitlines()[0].split(",")


def test_small_levels_take_the_counts_of_all_levels_with_them(fitted):
    page = report_html(fitted, suppress=10)
    section = page[page.index('<h2 id="subgroups"') :].split("</section>")[0]
    n = fitted.subgroups[0]["usual"].counts.sets
    assert f">{n}<" not in section
    assert "withheld" in section
    for name in ("subgroups.csv", "subgroup_tests.csv", "leave_one_out.csv"):
        head = downloads(page)[name].splitlines()[0].split(",")
        assert not {"sets", "cases", "controls", "calibrators", "note"} & set(head)


def test_a_fit_without_parts_has_no_such_sections(fitted):
    import dataclasses

    page = report_html(dataclasses.replace(fitted, subgroups=(), left_out=None))
    assert 'id="subgroups"' not in page
    assert 'id="left-out"' not in page
