"""Redrawing units within strata: who is redrawn with whom, and how often."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from pools import LOCAL_A, LOCAL_B, REFERENCE, StudyPlan, draw_pool

from biocal.errors import OptionError
from biocal.fitting.problem.prepare import ModelFormulas, prepare
from biocal.fitting.problem.problem import PooledProblem
from biocal.fitting.repeated.resampling import (
    ResamplingDesign,
    design_resampling,
    draw_counts,
    members_by_group,
    redraw,
    urn_counts,
)
from biocal.pool.pooled import PooledStudies

#: Draws of a count whose moments are checked; they are off by about 1/sqrt(20000) = .7 % of a standard deviation.
N_DRAWS = 20_000
#: Five Monte Carlo SEs of a (co)variance of counts, sqrt(var(w^2) / 20000) < .014 with fourth moments below 5;
#: plain redrawing would be .125 off at n = 8.
MOMENT_TOLERANCE = 0.07


def problem_of(frame: pd.DataFrame, **columns: str) -> PooledProblem:
    return prepare(PooledStudies.from_frame(frame, **columns), ModelFormulas()).problem


def three_studies(seed: int = 7) -> pd.DataFrame:
    return draw_pool(np.random.default_rng(seed), (REFERENCE, LOCAL_A, LOCAL_B))


def strata_of(design: ResamplingDesign) -> list[set[int]]:
    units = design.units
    return [
        set(units.member[start : start + size].tolist())
        for start, size in zip(units.start, units.size, strict=True)
    ]


def test_members_are_listed_group_by_group_as_often_as_the_group_is_named():
    members = members_by_group(np.array([2, 0, 2, 1]), 4)
    found, place = members.of(np.array([2, 3, 0, 2]))
    assert found.tolist() == [0, 2, 1, 0, 2]
    assert place.tolist() == [0, 0, 2, 3, 3]


def test_strata_are_the_study_and_whether_a_set_holds_calibrators():
    problem = problem_of(three_studies())
    design = design_resampling(problem)
    study_of_unit = np.empty(problem.n_units, dtype=int)
    study_of_unit[problem.set_unit[problem.set_code]] = problem.study
    holds = np.isin(np.arange(problem.n_units), problem.calibrators.unit)
    expected = {(int(s), bool(h)) for s, h in zip(study_of_unit, holds, strict=True)}
    strata = strata_of(design)
    assert len(strata) == len(expected) == 5  # the reference study has no calibrators
    for stratum in strata:
        assert len({(study_of_unit[u], holds[u]) for u in stratum}) == 1
    assert set.union(*strata) == set(range(problem.n_units))


@pytest.mark.parametrize("strata", ["calibrators", "deciles"])
def test_every_resample_keeps_the_sets_and_calibrating_units_of_every_study(strata):
    problem = problem_of(three_studies())
    design = design_resampling(problem, strata)
    rows = problem.calibrators.rows
    units_with = [np.unique(problem.calibrators.unit[rows.study == s]).size for s in range(2)]
    for replicate in range(20):
        drawn = redraw(design, np.random.default_rng(replicate))
        sets = drawn.study[np.unique(drawn.set_code, return_index=True)[1]]
        assert np.bincount(sets).tolist() == [60, 40, 60]
        redrawn = drawn.calibrators
        found = [np.unique(redrawn.unit[redrawn.rows.study == s]).size for s in range(2)]
        assert found == units_with
        assert drawn.n_units == problem.n_units


def test_pairs_matched_one_to_one_keep_the_number_of_calibrators():
    frame = draw_pool(np.random.default_rng(3), (StudyPlan("A", 60, (1, 1), (1.0, 0.7)),))
    design = design_resampling(problem_of(frame))
    sizes = {redraw(design, np.random.default_rng(b)).calibrators.response.size for b in range(20)}
    assert sizes == {20}


def test_a_resample_holds_whole_sets_with_their_calibrators():
    problem = problem_of(three_studies())
    design = design_resampling(problem)
    counts = draw_counts(design, np.random.default_rng(5))
    drawn = redraw(design, np.random.default_rng(5))
    size = np.bincount(problem.set_code)
    assert sorted(np.bincount(drawn.set_code)) == sorted(np.repeat(size, counts[problem.set_unit]))
    per_unit = np.bincount(problem.calibrators.unit, minlength=problem.n_units)
    assert drawn.calibrators.response.size == per_unit @ counts
    # a calibrator's unit is that of its own set: its reference value is found among the set's persons
    for unit in np.unique(drawn.calibrators.unit)[:10]:
        persons = np.isin(drawn.set_code, np.flatnonzero(drawn.set_unit == unit))
        values = drawn.calibrators.response[drawn.calibrators.unit == unit]
        assert np.isin(values, drawn.reference_assay[persons]).all()


def test_calibrators_outside_any_used_set_are_redrawn_apart():
    frame = three_studies()
    outside = frame[(frame["study"] == "A") & frame["reference"].notna()].head(4).copy()
    outside["set"] = np.nan
    problem = problem_of(pd.concat([frame, outside], ignore_index=True))
    design = design_resampling(problem)
    alone = set(range(problem.n_units)) - set(problem.set_unit.tolist())
    assert len(alone) == 4
    assert alone in strata_of(design)


def test_a_single_calibrator_outside_any_set_joins_the_other_calibrators_of_its_study():
    frame = three_studies()
    outside = frame[(frame["study"] == "A") & frame["reference"].notna()].head(1).copy()
    outside["set"] = np.nan
    problem = problem_of(pd.concat([frame, outside], ignore_index=True))
    design = design_resampling(problem)
    (alone,) = set(range(problem.n_units)) - set(problem.set_unit.tolist())
    (stratum,) = [s for s in strata_of(design) if alone in s]
    assert len(stratum) > 1
    assert stratum <= set(problem.calibrators.unit.tolist())
    assert design.n_alone == 0


def test_a_study_of_one_set_is_always_drawn_and_counted():
    frame = draw_pool(np.random.default_rng(1), (REFERENCE, StudyPlan("S", 1)))
    design = design_resampling(problem_of(frame))
    assert design.n_alone == 1


def test_deciles_hold_neighbours_in_the_local_value():
    problem = problem_of(three_studies())
    design = design_resampling(problem, "deciles")
    calibrators = problem.calibrators
    value = {
        int(u): w for u, w in zip(calibrators.unit[::-1], calibrators.rows.columns[1, ::-1], strict=True)
    }
    study = dict(zip(calibrators.unit.tolist(), calibrators.rows.study.tolist(), strict=True))
    chosen = [stratum for stratum in strata_of(design) if stratum <= set(value)]
    assert len(chosen) > 6
    for s in (0, 1):
        ranges = sorted(
            (min(value[u] for u in c), max(value[u] for u in c)) for c in chosen if study[next(iter(c))] == s
        )
        assert all(high <= low for (_, high), (low, _) in itertools.pairwise(ranges))
    assert min(len(c) for c in chosen) >= 2


def test_persons_shared_by_sets_are_redrawn_together():
    frame = three_studies().sort_values(["study", "set"], ignore_index=True)
    frame["person"] = np.arange(len(frame))
    control = frame.index[(frame["study"] == "R") & (frame["case"] == 0)][0]
    case = frame.index[(frame["study"] == "R") & (frame["case"] == 1)][-1]
    frame.loc[control, "person"] = frame.loc[case, "person"]
    problem = problem_of(frame, person="person")
    joined = np.flatnonzero(np.bincount(problem.set_unit) == 2)
    assert joined.size == 1
    design = design_resampling(problem)
    for b in range(5):
        counts = draw_counts(design, np.random.default_rng(b))
        drawn = redraw(design, np.random.default_rng(b))
        assert (np.bincount(drawn.set_unit, minlength=drawn.n_units) == 2).sum() == counts[joined[0]]


@pytest.mark.parametrize("n", [2, 3, 4, 8])
def test_urn_counts_have_the_covariance_that_makes_small_strata_unbiased(n):
    rng = np.random.default_rng(n)
    draws = np.array([urn_counts(n, rng) for _ in range(N_DRAWS)])
    assert (draws.sum(axis=1) == n).all()
    assert draws.min() >= 0
    expected = n / (n - 1) * (np.eye(n) - 1 / n)
    np.testing.assert_allclose(np.cov(draws.T), expected, atol=MOMENT_TOLERANCE)
    np.testing.assert_allclose(draws.mean(axis=0), 1.0, atol=5 / np.sqrt(N_DRAWS))


def test_plain_counts_are_multinomial():
    design = design_resampling(problem_of(draw_pool(np.random.default_rng(2), (StudyPlan("R", 4),))))
    rng = np.random.default_rng(0)
    draws = np.array([draw_counts(design, rng) for _ in range(N_DRAWS)])
    np.testing.assert_allclose(np.cov(draws.T), np.eye(4) - 1 / 4, atol=MOMENT_TOLERANCE)


def test_unknown_strata_are_refused_with_those_that_exist():
    with pytest.raises(OptionError, match="calibrators, deciles") as error:
        design_resampling(problem_of(three_studies()), "month")
    assert error.value.allowed == ("calibrators", "deciles")
