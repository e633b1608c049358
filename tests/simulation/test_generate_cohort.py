"""Finite cohorts of a common disease, sampled by risk set."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from drawn_scenarios import FLAT, assert_mean, local_study, reference_study, scenario_of
from outcome_fits import fit_conditional_logistic
from scipy.stats import chisquare

from biocal.errors import SimulationError
from biocal.kernels.sets.layout import lay_out_sets
from biocal.simulation.design.scenario import Covariate, Disease, Matching, Measurement
from biocal.simulation.design.truth import Truth
from biocal.simulation.drawing.cohort import _distinct_integers
from biocal.simulation.drawing.draw import draw

COHORT = Disease("cohort", size=6000, prevalence=0.4)


def test_the_log_hazard_ratio_is_recovered_though_the_disease_is_common():
    scenario = scenario_of(
        truth=Truth("linear", beta=(0.03,)),
        disease=COHORT,
        covariates=(Covariate("bmi", correlation=0.4, log_or=0.3),),
        matching=Matching(season_share=0.2),
        studies=(reference_study(controls=2), local_study(controls=2)),
        measurement=Measurement(model="classical"),
    )
    drawn = draw(scenario, 1, 0, range(16))
    layout = lay_out_sets(drawn.set_code, drawn.is_case, n_columns=2)
    estimates = [
        fit_conditional_logistic(
            layout, np.array([drawn.true_exposure[b], drawn.covariates[b, 0]]), ["x", "z"]
        ).beta
        for b in range(16)
    ]
    assert_mean(estimates, [0.03, 0.3])


def test_sets_hold_different_persons_of_one_matching_cell_and_persons_may_come_again():
    scenario = scenario_of(
        disease=Disease("cohort", size=1500, prevalence=0.6),
        matching=Matching(strata=3, strata_share=0.2),
        studies=(local_study(sets=500, controls=3),),
    )
    drawn = draw(scenario, 1, 0, range(3))
    person = drawn.person.reshape(3, 500, 4)
    assert (np.diff(np.sort(person, axis=2), axis=2) > 0).all()
    stratum = drawn.matching[:, 0].reshape(3, 500, 4)
    assert (stratum == stratum[:, :, :1]).all()
    for b in range(3):
        cases, controls = set(person[b, :, 0]), set(person[b, :, 1:].ravel())
        assert len(cases) == 500
        assert cases & controls  # a later case is at risk before
        assert len(controls) < 1500
        first, again = np.unique(drawn.person[b], return_index=True)[1], drawn.person[b]
        values = dict(zip(again[first], drawn.local_assay[b][first], strict=True))
        np.testing.assert_array_equal(drawn.local_assay[b], [values[p] for p in again])


def test_a_person_of_several_sets_was_read_once_and_belongs_to_one_study():
    scenario = scenario_of(
        disease=Disease("cohort", size=900, prevalence=0.6),
        studies=(local_study(sets=300, controls=3), local_study(name="C", sets=300, controls=3)),
        measurement=Measurement("classical", error="t", reference_error_sd=4, case_shift=7),
    )
    drawn = draw(scenario, 1, 0, range(2))
    for b in range(2):
        rows = pd.DataFrame(
            {
                "person": drawn.person[b],
                "study": drawn.study,
                "case": drawn.is_case,
                "local": drawn.local_assay[b],
                "reference": drawn.reference_assay[b],
            }
        )
        again = rows[rows["person"].duplicated(keep=False)].groupby("person")
        assert len(again) > 100
        assert (again["study"].nunique() == 1).all()
        assert (again["reference"].nunique() == 1).all()
        assert (rows.groupby(["person", "case"])["local"].nunique() == 1).all()
        both = again.filter(lambda of_one: of_one["case"].nunique() == 2).groupby(["person", "case"])["local"]
        shift = both.first().unstack()
        np.testing.assert_allclose(shift[True] - shift[False], 7 / 0.75)  # in the unit of the local value


def test_calibrators_of_a_cohort_are_different_persons():
    scenario = scenario_of(
        disease=Disease("cohort", size=800, prevalence=0.6),
        studies=(local_study(sets=400, controls=3, calibrators=300),),
    )
    drawn = draw(scenario, 1, 0, range(3))
    for person, chosen in zip(drawn.person, drawn.in_calibration, strict=True):
        assert np.unique(person[chosen]).size == chosen.sum() == 300
    crowded = scenario_of(
        disease=Disease("cohort", size=800, prevalence=0.6),
        studies=(local_study(sets=400, controls=3, calibrators=1100),),
    )
    with pytest.raises(SimulationError, match="to choose 1100 calibrators from"):
        draw(crowded, 1, 0, [0])


def test_the_share_that_falls_ill_is_the_prevalence():
    # as many sets as there are cases cannot be asked for; count them where they are sampled
    from biocal.simulation.drawing.cohort import _baseline_hazard

    hazard = np.exp(np.random.default_rng(1).normal(0, 1.5, 5000))
    for prevalence in (0.01, 0.5, 0.95):
        rate = _baseline_hazard(hazard, prevalence)
        # bisection to the last digit
        np.testing.assert_allclose(1 - np.exp(-rate * hazard).mean(), prevalence, rtol=1e-10)


def test_controls_of_a_common_disease_are_no_random_sample_of_the_cohort():
    """With a strong effect the exposed fall ill early, so that later risk sets lack them."""
    strong = scenario_of(
        truth=Truth("linear", beta=(0.05,)),
        disease=Disease("cohort", size=6000, prevalence=0.7),
        studies=(reference_study(sets=2000),),
    )
    drawn = draw(strong, 1, 0, range(4))
    assert drawn.true_exposure[:, ~drawn.is_case].mean() < 57
    rare = scenario_of(
        truth=Truth("linear", beta=(0.05,)),
        disease=Disease("cohort", size=60000, prevalence=0.01),
        studies=(reference_study(sets=400),),
    )
    drawn = draw(rare, 1, 0, range(20))
    assert_mean(
        drawn.true_exposure[:, drawn.is_case].mean(axis=1), 80 - 0.1
    )  # depletion moves it by about .1


def test_floyds_subsets_are_all_as_likely():
    chosen = _distinct_integers(np.random.default_rng(1), np.full(40000, 5), 3)
    codes = (1 << np.sort(chosen, axis=1)).sum(axis=1)
    counts = np.unique(codes, return_counts=True)[1]
    assert counts.size == 10
    assert chisquare(counts).pvalue > 1e-4


def test_a_cohort_that_runs_out_is_an_error_that_names_the_study():
    scenario = scenario_of(disease=COHORT, studies=(local_study(sets=100),), truth=FLAT)
    object.__setattr__(scenario.disease, "prevalence", 0.005)  # past the checks, which refuse it
    with pytest.raises(SimulationError, match="'B' had") as raised:
        draw(scenario, 1, 0, [0])
    object.__setattr__(scenario.disease, "prevalence", 0.4)
    assert raised.value.study == "B"
