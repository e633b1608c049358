"""Sets by information: against an independent program, every subset written out, and what is told of few of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from enumeration import enumerate_set
from pools import StudyPlan, draw_pool
from scipy import stats

import biocal as bc
from biocal.cli.files.contents import fit_record, json_bytes
from biocal.report.api import report_html
from biocal.results.fit.comparison import Comparison

FIXTURE = Path(__file__).parents[1] / "data/cases/few_sets"
ANSWERS = json.loads((FIXTURE / "few_sets.json").read_text(encoding="utf-8"))
CURVES = {"spline": bc.rcs(knots=[35, 60, 85]), "linear": bc.linear()}
METHODS = ("naive", "full", "induced")
#: Relative.  The information is that of the last Newton evaluation, a closing step of about 1e-5 standard errors
#: before the maximum.
ONE_STEP = 1e-5
PRINTED = 2e-3  # relative: three digits are told


@pytest.fixture(scope="module")
def few():
    return bc.PooledStudies.from_frame(pd.read_csv(FIXTURE / "few_sets.csv"))


@pytest.fixture(scope="module")
def fits(few):
    options = {"covariates": "z", "unit": "nmol/L"}
    return {kind: bc.fit(few, method=METHODS, exposure=curve, **options) for kind, curve in CURVES.items()}


def by_enumeration(fit, frame, unit):
    """Information of each unit (n, p, p) at a fit's estimates, of reference studies, every subset written out."""
    exposure = fit.basis.columns(frame["reference"].to_numpy())
    columns = np.vstack([exposure, frame[[t for t in fit.terms if t in frame.columns]].to_numpy().T])
    found = {}
    for _, rows in frame.groupby(["study", "set"]).indices.items():
        q, case = columns[:, rows], frame["case"].to_numpy()[rows] == 1
        one = enumerate_set(fit.estimates @ q, q, case).information
        key = unit[rows[0]]
        found[key] = found.get(key, 0.0) + one
    return np.array(list(found.values()))


def effective(information, contrasts):
    """(sum v)^2 / sum v^2 by its formula, of contrasts (p, c)."""
    along = np.linalg.solve(information.sum(axis=0), contrasts)
    v = np.einsum("pc,upq,qc->uc", along, information, along)
    return v.sum(axis=0) ** 2 / (v**2).sum(axis=0)


# the number


@pytest.mark.parametrize("kind", CURVES)
@pytest.mark.parametrize("method", METHODS)
def test_sets_by_information_are_those_of_an_independent_program(fits, kind, method):
    wanted = ANSWERS[f"{kind}_robust"][method]["effective_sets_first_exposure_column"]
    assert fits[kind][method].effective_sets.first == pytest.approx(wanted, rel=ONE_STEP)


@pytest.mark.parametrize("shared", [False, True])
def test_every_tabulated_point_is_that_of_all_subsets_written_out(shared):
    plans = [
        StudyPlan("A", 12, (1, 1)),
        StudyPlan("B", 9, (2, 3)),
        StudyPlan("C", 8, (3, 1)),
        StudyPlan("D", 5, (4, 5)),
    ]
    frame = draw_pool(np.random.default_rng(5), plans, covariate_log_odds=(0.3,))
    frame = frame.drop(
        frame.index[(frame["study"] == "B") & (frame["case"] == 0)][:4]
    )  # sets of several sizes
    unit = frame["study"] + frame["set"].astype(str)
    if shared:  # a control of B serves in three sets, which are one unit
        frame["person"] = [f"p{k}" for k in range(len(frame))]
        for number in (2, 3, 4):
            row = frame.index[(frame["study"] == "B") & (frame["set"] == number) & (frame["case"] == 0)][0]
            frame.loc[row, "person"] = "shared"
        unit = unit.replace({"B3": "B2", "B4": "B2"})
    fit = bc.fit(
        bc.PooledStudies.from_frame(frame),
        exposure=bc.rcs(knots=[3.5, 5.0, 6.5]),
        covariates="z1",
        reference=5.0,
        at=[3.0, 4.0, 5.0, 7.0],
    )
    information = by_enumeration(fit, frame.reset_index(drop=True), unit.to_numpy())
    np.testing.assert_allclose(
        np.sqrt(np.diagonal(np.linalg.inv(information.sum(axis=0)))),
        np.sqrt(np.diagonal(fit.vcov_uncorrected)),
        rtol=1e-9,
    )
    basis = fit.basis.columns(np.array([3.0, 4.0, 7.0])) - fit.basis.columns(np.array([5.0]))
    contrasts = np.zeros((3, 4))
    contrasts[:2, :3], contrasts[0, 3] = basis, 1.0
    wanted = effective(information, contrasts)
    found = fit.effective_sets
    np.testing.assert_allclose(found.tabulated[0][[0, 1, 3]], wanted[:3], rtol=ONE_STEP)
    assert np.isnan(found.tabulated[0][2])  # the reference exposure itself
    assert found.first == pytest.approx(wanted[3], rel=ONE_STEP)
    assert found.smallest == pytest.approx(wanted[:3].min(), rel=ONE_STEP)
    at = ("3", "4", "7")[int(wanted[:3].argmin())]
    assert found.at.startswith(f"odds ratio of {at}.00")
    along = np.linalg.solve(information.sum(axis=0), contrasts[:, int(wanted[:3].argmin())])
    v = np.einsum("p,upq,q->u", along, information, along)
    shares = [one.share for one in found.largest]
    np.testing.assert_allclose(shares, np.sort(v / v.sum())[::-1][:3], rtol=ONE_STEP)


def test_each_category_and_level_of_a_modifier_is_looked_at(few):
    frame = few.frame.assign(old=np.arange(few.n_rows) % 2)
    pool = bc.PooledStudies.from_frame(frame)
    fit = bc.fit(pool, method="full", exposure=bc.categories([45, 65], reference="[45, 65)"), modifier="old")
    numbers = fit.effective_sets.tabulated
    assert [one.shape for one in numbers] == [(3,), (3,)]
    assert all(np.isnan(one[1]) and np.isfinite(one[[0, 2]]).all() for one in numbers)
    assert fit.effective_sets.smallest == np.nanmin(np.concatenate(numbers))
    assert "against [45, 65)" in fit.effective_sets.at
    assert ", old = " in fit.effective_sets.at


def test_pairs_without_effect_count_as_a_third_and_of_many_nothing_is_told():
    frame = draw_pool(np.random.default_rng(2), [StudyPlan("A", 400)], log_odds=0.0)
    fit = bc.fit(bc.PooledStudies.from_frame(frame), exposure=bc.linear())
    # v_j is about d^2 / 4 of a pair without effect: of normal d a third of the sets, E(d^2)^2 / E(d^4)
    assert fit.effective_sets.first == pytest.approx(400 / 3, rel=0.15)
    assert fit.warnings == ()
    assert "Warning" not in fit.summary()
    assert "Sets by information: " in fit.summary()


@pytest.mark.parametrize("rows", [60, 130])
def test_fits_from_partitions_count_as_fits_in_memory(fits, few, tmp_path, rows):
    few.frame.to_csv(tmp_path / "few.csv", index=False)
    bc.partition_studies(tmp_path / "few.csv", tmp_path / "parts", rows=rows)
    found = bc.fit_partitioned(
        tmp_path / "parts", method=list(METHODS), exposure=CURVES["spline"], covariates="z", unit="nmol/L"
    )
    for method in METHODS:
        one, other = found[method].effective_sets, fits["spline"][method].effective_sets
        assert one.first == pytest.approx(other.first, rel=ONE_STEP)
        np.testing.assert_allclose(one.tabulated[0], other.tabulated[0], rtol=ONE_STEP)
        assert [(large.study, large.name) for large in one.largest] == [
            (large.study, "") for large in other.largest
        ]
        by_study = [warning for warning in fits["spline"][method].warnings if "calibrators" in warning]
        assert [warning for warning in found[method].warnings if "calibrators" in warning] == by_study


# what is told


def test_the_summary_warns_first_and_names_the_largest_sets(fits):
    text = fits["spline"]["full"].summary()
    first = " ".join(text.split("Studies ")[0].split())
    assert "Warning" in first
    wanted = ANSWERS["spline_robust"]["full"]["effective_sets_first_exposure_column"]
    assert f"counted by information they are {wanted:.2g} for the coefficient exposure" in first
    assert "Below about 40 the sandwich interval tends to be too short" in first
    assert "Largest shares there: S (set 1) " in first


def test_the_uncorrected_interval_stands_beside_the_sandwichs(fits):
    fit = fits["linear"]["full"]
    answer = ANSWERS["linear_robust"]["full"]
    z = stats.norm.isf(0.025)
    found = fit.effective_sets
    step = float(found.at.split()[3]) - fit.info.scale.reference
    middle = step * answer["beta"][0]
    wanted = [middle]
    for cov in ("cov", "cov_uncorrected"):
        half = z * abs(step) * answer[cov][0][0] ** 0.5
        wanted += [middle - half, middle + half]
    np.testing.assert_allclose(np.log(found.intervals), wanted, atol=1e-3)
    warning = fit.warnings[-1]
    told = warning.split("95 % interval ")[1].replace(";", " ").split()
    numbers = [float(told[0]), float(told[2]), float(told[-3]), float(told[-1])]
    np.testing.assert_allclose(numbers, np.exp(wanted[1:]), rtol=5e-3)


def test_the_record_has_the_numbers_and_the_sets(fits):
    fit = fits["spline"]["full"]
    record = json.loads(json_bytes(fit_record(Comparison({"full": fit}, {}), {}, {}, ())))["methods"]["full"]
    found = record["effective_sets"]
    wanted = ANSWERS["spline_robust"]["full"]["effective_sets_first_exposure_column"]
    assert found["first_exposure_column"] == pytest.approx(wanted, rel=ONE_STEP)
    assert found["smallest"] == np.nanmin(np.array(found["tabulated"], dtype=float))
    assert (found["largest_sets"][0]["study"], found["largest_sets"][0]["set"]) == ("S", "1")
    assert any("few matched sets carry the information" in warning for warning in record["warnings"])


@pytest.mark.parametrize("suppress", [0, 5])
def test_the_report_warns_first_and_names_studies_but_no_set(fits, suppress):
    page = report_html(fits["spline"]["full"], suppress=suppress)
    place = page.index("Few matched sets carry the information")
    assert place < page.index("<dt>Question</dt>")
    assert "Largest shares there: S 4" in page
    assert "(set 1)" not in page
    assert ("lie in 1 matched set" in page) == (suppress == 0)


def test_a_subgroup_with_few_sets_is_told(few):
    frame = draw_pool(np.random.default_rng(2), [StudyPlan("A", 400)])
    frame["few"] = np.where(frame["set"] <= 30, "yes", "no")
    fit = bc.fit(bc.PooledStudies.from_frame(frame), exposure=bc.linear(), by="few")
    assert fit.warnings == ()
    told = [note for note in fit.subgroups[0].notes if "few matched sets carry the information" in note]
    assert [note.split(":")[0] for note in told] == ["few yes"]


# calibrators in few sets


@pytest.mark.parametrize("method", ["full", "internalized", "induced"])
def test_calibrators_that_share_a_set_are_told_with_both_standard_errors(few, method):
    fit = bc.fit(few, method=method, exposure=CURVES["linear"], covariates="z")
    (warning,) = [one for one in fit.warnings if "calibrators" in one]
    assert warning.startswith("the 40 calibrators of study S lie in 1 matched set")
    by_set, by_person = (
        ANSWERS[f"linear_{how}"]["full"]["gamma_std_error"]["slope[S]"] for how in ("robust", "model_based")
    )
    told = warning.split("slope: ")[1].split()
    assert float(told[0]) == pytest.approx(by_set, rel=PRINTED)
    assert float(told[3]) == pytest.approx(by_person, rel=PRINTED)
    assert "too short" in warning


def test_naive_has_no_calibration_to_lose(few):
    fit = bc.fit(few, method="naive", exposure=CURVES["linear"], covariates="z")
    assert not any("calibrators" in one for one in fit.warnings)


@pytest.mark.parametrize(("per_set", "told"), [(1, False), (3, False), (4, True)])
def test_ten_like_sets_of_calibrators_are_enough(per_set, told):
    # 36 calibrators: a set each, in twelve sets of three, in nine sets of four
    n_sets = 60
    frame = draw_pool(np.random.default_rng(7), [StudyPlan("B", n_sets, (1, 4), (1.0, 0.7), n_calibrators=0)])
    frame = frame.sort_values(["set", "case"]).reset_index(drop=True)
    controls = frame.index[frame["case"] == 0].to_numpy().reshape(n_sets, 4)
    keep = controls[: 36 // per_set, :per_set].ravel()
    rng = np.random.default_rng(1)
    frame["reference"] = np.nan
    frame.loc[keep, "reference"] = 1.0 + 0.7 * frame.loc[keep, "local"] + rng.normal(0, 0.5, keep.size)
    fit = bc.fit(bc.PooledStudies.from_frame(frame), exposure=bc.linear())
    assert any("the 36 calibrators of study B lie in 9 matched sets" in one for one in fit.warnings) == told
    assert any("calibrators" in one for one in fit.warnings) == told
