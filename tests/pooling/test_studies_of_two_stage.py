"""Two-stage: every row of a table has the same studies, and a study that is lost is told first."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pools import StudyPlan, draw_pool

import biocal as bc
from biocal.cli.files.contents import fit_record, json_bytes
from biocal.report.api import report_html
from biocal.results.fit.comparison import Comparison
from biocal.results.studies.contrast import _in_short

CASES = Path(__file__).parents[1] / "data/cases/two_stage_trend"
#: Of the case: the linear fit of studies A and B alone.
TREND, TREND_P = 7.2239, 0.0072
SAME_SEARCH = 1e-8  # relative; the same restricted maximum found twice
PLANS = (
    StudyPlan("R", 90),
    StudyPlan("A", 80, (1, 2), (1.0, 0.7), n_calibrators=40),
    StudyPlan("B", 70, (2, 2), (-0.8, 1.4), n_calibrators=40),
)
CUTS = bc.categories([4.0, 6.0])


def read(name):
    return bc.read_studies(CASES / f"{name}.csv")


def test_of(fit, name):
    (found,) = [test for test in fit.tests() if test.test == name]
    return found


test_of.__test__ = False


def spline(pool, **options):
    return bc.fit(pool, method="two-stage", exposure=bc.rcs(knots=[35, 55, 75, 95]), reference=60, **options)


@pytest.fixture(scope="module")
def frame():
    return draw_pool(np.random.default_rng(4), PLANS)


@pytest.fixture(scope="module")
def lost(frame):
    """A pool whose study Thin has nobody in the middle category."""
    thin = frame[frame["study"] == "R"].assign(study="Thin")
    middle = thin["reference"].between(4.0, 6.0)
    return pd.concat([frame, thin.assign(reference=thin["reference"].where(~middle, 7.0))], ignore_index=True)


# the trend


def test_the_trend_is_of_the_studies_that_the_other_tests_use():
    fit = spline(read("all"))
    assert fit.studies.fitted_names == ("A", "B")
    trend = test_of(fit, "trend")
    assert trend.statistic == pytest.approx(TREND, abs=5e-5)
    assert trend.p_value == pytest.approx(TREND_P, abs=5e-5)


@pytest.mark.parametrize("part", ["per_unit", "linear"])
def test_odds_ratios_of_the_linear_fit_are_of_the_same_studies(part):
    fit, other = spline(read("all")), spline(read("without_C"))
    if part == "per_unit":
        rows = [one.per_unit(25).set_index("curve").loc["linear"] for one in (fit, other)]
        for column in ("or", "or_low", "or_high"):
            assert rows[0][column] == pytest.approx(rows[1][column], rel=SAME_SEARCH)
        return
    np.testing.assert_allclose(fit.linear.estimates, other.linear.estimates, rtol=SAME_SEARCH)
    np.testing.assert_allclose(fit.linear.vcov, other.linear.vcov, rtol=SAME_SEARCH)


def test_the_linear_fit_of_a_subgroup_is_of_the_same_studies_too():
    frame = pd.read_csv(CASES / "all.csv").assign(everybody="yes")
    frame.loc[frame["study"].eq("A") & (frame["set"] == frame["set"].iloc[0]), "everybody"] = "no"
    pool = bc.PooledStudies.from_frame(frame)
    fit = spline(pool, by="everybody")
    level = fit.subgroups[0]["yes"].fit
    assert level.studies.fitted_names == ("A", "B")
    kept = frame[(frame["study"] != "C") & (frame["everybody"] == "yes")]
    alone = bc.fit(
        bc.PooledStudies.from_frame(kept),
        method="two-stage",
        exposure=bc.linear(),
        calibration_covariates="none",
    )
    # The set left out is of a reference study, so that the lines are those of all persons.
    assert level.linear.estimates[0] == pytest.approx(alone.estimates[0], rel=1e-6)


def test_a_study_that_the_line_alone_loses_is_told(monkeypatch, frame):
    from biocal.errors import FitError
    from biocal.fitting.methods import two_stage_studies

    fit_study = two_stage_studies._fit_study

    def refuses_a_line(problem, study, method, basis, *rest):
        if basis.kind == "linear" and problem.study_names[study] == "B":
            raise FitError("no line for it")
        return fit_study(problem, study, method, basis, *rest)

    monkeypatch.setattr(two_stage_studies, "_fit_study", refuses_a_line)
    found = bc.fit(bc.PooledStudies.from_frame(frame), method="two-stage", exposure=bc.rcs(knots=[3, 5, 7]))
    assert found.studies.left_out == {}
    assert "the linear fit and the test of trend leave out study B: no line for it" in found.notes


def test_the_report_says_what_z_and_t_intervals_of_two_studies_mean():
    page = report_html(spline(read("all")))
    assert "With two studies tau2 is hardly known" in page
    assert "t on 1 df: 12.7 standard errors" in page


# studies that are lost


def test_a_study_lost_by_one_category_is_told_first_by_name_and_category(lost):
    found = bc.fit(bc.PooledStudies.from_frame(lost), method="two-stage", exposure=CUTS, unit="nmol/L")
    (warning,) = found.warnings
    for part in ("left out: study Thin", "exposure[4, 6)", "merge it or choose other cuts"):
        assert part in warning
    first = found.summary().split("Studies ")[0]
    assert "Warning" in first
    assert " ".join(warning.split()) in " ".join(first.split())
    page = report_html(found)
    told = "left out: study Thin: exposure[4, 6)"[1:]
    assert 0 < page.index(told) < page.index("<dt>Question</dt>")


def test_a_study_lost_by_a_separated_category_is_told_with_the_category(frame):
    apart = frame[frame["study"] == "R"].assign(study="Apart")
    # in the middle category there are cases alone
    middle = apart["reference"].between(4.0, 6.0)
    apart.loc[middle & (apart["case"] == 0), "reference"] = 3.0
    pool = bc.PooledStudies.from_frame(pd.concat([frame, apart], ignore_index=True))
    found = bc.fit(pool, method="two-stage", exposure=bc.categories([4.0, 6.0], reference="(-inf, 4)"))
    (warning,) = found.warnings
    for part in ("left out: study Apart: separation", "exposure[4, 6)", "choose other cuts"):
        assert part in warning


def test_the_forest_plot_names_the_whole_category():
    reason = "exposure[4, 6) is constant within every matched set, so the sets say nothing about it; merge it"
    assert _in_short(reason) == "exposure[4, 6) is constant within every matched set"


def test_several_methods_say_whose_warning_it_is(lost):
    found = bc.fit(bc.PooledStudies.from_frame(lost), method=["full", "two-stage"], exposure=CUTS)
    assert found["full"].warnings == ()
    first = " ".join(found.summary().split("Studies ")[0].split())
    assert "! two-stage: left out: study Thin" in first


def test_leaving_out_a_study_tells_of_studies_that_are_lost_then(monkeypatch, frame):
    from biocal.errors import FitError
    from biocal.fitting.methods import two_stage_studies

    fit_study = two_stage_studies._fit_study

    def needs_r(problem, study, *rest):
        if problem.study_names[study] == "B" and "R" not in problem.study_names:
            raise FitError("not without R")
        return fit_study(problem, study, *rest)

    monkeypatch.setattr(two_stage_studies, "_fit_study", needs_r)
    more = frame[frame["study"] == "A"].assign(study="A2")
    pool = bc.PooledStudies.from_frame(pd.concat([frame, more], ignore_index=True))
    found = bc.fit(pool, method="two-stage", exposure=bc.rcs(knots=[3, 5, 7]), leave_one_out=True)
    assert found.warnings == ()
    told = "ithout R: left out: study B: not without R"
    assert told in " ".join(found.summary().split())
    assert f"W{told}." in report_html(found)


def test_a_study_lost_in_a_subgroup_is_told_there(lost):
    halves = lost.assign(half=np.where(lost["set"] % 2 == 0, "even", "odd"))
    found = bc.fit(
        bc.PooledStudies.from_frame(halves[halves["study"] != "Thin"]),
        method="two-stage",
        exposure=bc.rcs(knots=[3, 5, 7]),
        by="half",
    )
    assert found.warnings == ()
    small = halves[(halves["study"] != "B") | (halves["half"] == "odd") | (halves["set"] < 12)]
    found = bc.fit(
        bc.PooledStudies.from_frame(small[small["study"] != "Thin"]),
        method="two-stage",
        exposure=bc.rcs(knots=[3, 5, 7]),
        by="half",
    )
    assert any(note.startswith("half even: left out: study B: too few") for note in found.subgroups[0].notes)


def test_pooled_rows_count_the_sets_of_their_own_studies(frame):
    other = frame.assign(z=np.random.default_rng(1).normal(size=len(frame)))
    other.loc[other["study"] == "B", "z"] = 0.0
    found = bc.fit(
        bc.PooledStudies.from_frame(other),
        method="two-stage",
        exposure=bc.linear(),
        covariates="z",
        calibration_covariates="none",
    )
    rows = found.studies.tidy()
    pooled = rows[rows["study"].str.startswith("pooled")]
    assert pooled.set_index(["study", "term"])["sets"].unstack()["z"].tolist() == [170, 170]
    assert pooled.set_index(["study", "term"])["sets"].unstack()["exposure"].tolist() == [240, 240]
    # B has two cases a set
    assert pooled.set_index(["study", "term"])["cases"].unstack()["exposure"].tolist() == [310, 310]


def test_the_record_has_the_warning_first(lost):
    found = bc.fit(bc.PooledStudies.from_frame(lost), method="two-stage", exposure=CUTS)
    record = fit_record(Comparison({"two-stage": found}, {}), {}, {}, ())
    told = json.loads(json_bytes(record))["methods"]["two-stage"]["warnings"]
    assert told[0].startswith("left out: study Thin: exposure[4, 6)")
    assert "merge it or choose other cuts" in told[0]
