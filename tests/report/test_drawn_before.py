"""Figures that were drawn for files stand in the report as if drawn for it, unless counts are hidden there."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from cli_pool import small_pool
from report_pages import SMALL_DESIGN, small_fit

import biocal as bc
from biocal.cli.files.figures import fit_figures
from biocal.report.api import report_html

NAMES = ("dose_response.svg", "forest.svg", "subgroups.svg", "leave_one_out.svg", "season.svg")


@pytest.fixture(scope="module")
def fits() -> bc.Comparison:
    frame = small_pool(n_sets=80)
    sets = frame.groupby(["study", "set"]).ngroup().to_numpy()
    frame["month"] = np.array([1, 4, 7, 10])[sets % 4]  # twenty controls of a study in each
    return small_fit(
        frame,
        method=["full", "two-stage"],
        exposure=bc.linear(),
        season="month",
        by="sex",
        leave_one_out=True,
    )


@pytest.fixture(scope="module")
def files(fits) -> dict[str, bytes]:
    return fit_figures(fits)


def test_the_page_is_the_same_whether_figures_were_drawn_before_or_not(fits, files):
    assert set(NAMES) <= set(files)
    assert report_html(fits, drawn=files) == report_html(fits)


def test_each_file_is_taken_where_there_is_one(fits, files):
    small = {name: content.replace(b'viewBox="0 0 ', b'viewBox="0 0 7') for name, content in files.items()}
    assert report_html(fits, drawn=small).count('viewBox="0 0 7') == len(NAMES)


def test_figures_of_files_are_not_shown_where_counts_are_hidden(fits, files):
    assert report_html(fits, drawn=files, suppress=10) == report_html(fits, suppress=10)


def test_months_of_few_controls_have_no_point_in_the_page_though_they_have_one_in_the_file():
    frame = small_pool()
    sets = frame.groupby(["study", "set"]).ngroup().to_numpy()
    frame["month"] = np.where(
        sets % 60 == 0, 12, np.array([1, 4, 7, 10])[sets % 4]
    )  # one control in December
    fits = small_fit(frame, method="naive", exposure=bc.linear(), season="month")
    assert report_html(fits, drawn=fit_figures(bc.Comparison({"naive": fits}, {}))) == report_html(fits)


def test_the_page_of_a_simulation_takes_the_figures_of_its_folder(tmp_path):
    results = bc.simulate(SMALL_DESIGN, out=tmp_path / "results")
    files = {file.name: file.read_bytes() for file in (tmp_path / "results" / "figures").iterdir()}
    assert report_html(results, options=SMALL_DESIGN, drawn=files) == report_html(
        results, options=SMALL_DESIGN
    )
    small = {name: content.replace(b'viewBox="0 0 ', b'viewBox="0 0 7') for name, content in files.items()}
    small["zip_0.png"] += b"its own"
    page = report_html(results, drawn=small)
    assert page.count('viewBox="0 0 7') == 4  # bias, coverage, curves, bias by calibrators
    assert base64.b64encode(small["zip_0.png"]).decode() in page
