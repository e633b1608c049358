"""Reports of fits from partitions and of federated fits: what is not shown is told, and no single person is on them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from federated_pool import FEW_SITES, few_studies, make_pool
from federated_session import Session
from partitioned_pool import write_partitions
from report_pages import Page

import biocal as bc
from biocal.report.api import report_html

MODEL = {"covariates": "bmi + C(smoking)", "matching": "age", "method": ["naive", "full"]}


def frame_of_long_numbers() -> pd.DataFrame:
    """The federated pool with values of ten digits, which no statistic has by chance."""
    rng = np.random.default_rng(99)
    frame = few_studies(make_pool(60))
    for column in ("local", "reference", "bmi"):
        frame[column] = frame[column] + rng.uniform(1e-7, 9e-3, len(frame))
    return frame


FRAME = frame_of_long_numbers()


@pytest.fixture(scope="module")
def federated(tmp_path_factory: pytest.TempPathFactory) -> Page:
    session = Session(tmp_path_factory.mktemp("sites"), FRAME, {"method": ["naive", "full"]}, sites=FEW_SITES)
    return Page(report_html(session.play()))


@pytest.fixture(scope="module")
def partitioned(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = write_partitions(tmp_path_factory.mktemp("parts") / "pool", FRAME, 4)
    return Page(report_html(bc.fit_partitioned(folder, exposure=bc.rcs(3), **MODEL)))


def test_no_value_of_a_person_is_in_a_federated_report_or_its_downloads(federated):
    tables = "\n".join(table.to_csv() for table in federated.downloads().values())
    told = {f"{float(x):.6f}" for x in re.findall(r"-?\d+\.\d{6,}", federated.text + tables)}
    assert len(told) > 50
    for column in ("local", "reference", "bmi"):
        assert told.isdisjoint({f"{x:.6f}" for x in FRAME[column].dropna()}), column


def test_what_needs_single_persons_is_told_in_a_line(federated, partitioned):
    for page, who, where in (
        (federated, "a federated fit does not see", "at 3 sites"),
        (partitioned, "a fit from partitions never holds together", "in 4 partitions"),
    ):
        assert f"not shown: they are made of single pairs, which {who}" in page.text
        assert f"The studies, {where}, were analysed together." in page.text
        assert "the test of heterogeneity between studies are not shown" in page.text
        assert "Cochran" not in page.text  # of a test that was not made
        assert "Panels" not in [element.text for element in page.elements if element.name == "h3"]


def test_a_federated_report_says_that_rows_stayed_where_they_are(federated, partitioned):
    assert "stayed at 3 sites, which returned sums" in federated.text
    assert "stayed at" not in partitioned.text


def test_counts_that_a_site_withholds_are_not_shown_as_none(federated):
    text = federated.text
    assert "not every site tells how many it read and left out" in text
    flow = federated.downloads()["participants.csv"].set_index("Study")
    left_out = [name for name in flow.columns if name.startswith("Left out")]
    assert len(left_out) >= 2
    assert (flow.loc["All studies", [*left_out, "Rows read"]] == "withheld").all()
    assert (flow["Cases used"].astype(int) > 0).all()


def test_a_summary_tells_no_total_of_counts_that_are_withheld(tmp_path: Path):
    found = Session(tmp_path, FRAME, {"exposure": "linear", "knot_values": []}, sites=FEW_SITES).play()[
        "full"
    ]
    assert found.sample.sums.uncounted
    assert "not counted: some sites do not tell" in " ".join(found.summary().split())


def test_a_report_from_partitions_has_the_numbers_of_the_report_in_memory(partitioned):
    fits = bc.fit(bc.PooledStudies.from_frame(FRAME), exposure=bc.rcs(3), **MODEL)
    expected = Page(report_html(fits)).downloads()
    found = partitioned.downloads()
    assert list(found) == [name for name in expected if name != "calibration_quality.csv"]
    for name in ("coefficients.csv", "dose_response.csv", "participants.csv", "calibration.csv"):
        pd.testing.assert_frame_equal(found[name], expected[name], rtol=1e-8, atol=1e-12, check_dtype=False)


def test_the_commands_write_the_page(tmp_path: Path, capsys):
    from biocal.cli.main import main as run

    folder = write_partitions(tmp_path / "pool", FRAME, 2)
    command = ["fit", str(folder), "--partitioned", "--exposure", "linear", "--out", str(tmp_path / "out")]
    assert run([*command, "--suppress", "5"]) == 0
    page = Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert page.faults == []
    assert "Small counts are hidden" in page.text
    capsys.readouterr()
