"""What every draw has: rows, random numbers by identity, exposure laws, the calibration subset."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_scenarios import FLAT, assert_mean, local_study, reference_study, scenario_of

from biocal.simulation.design.scenario import ExposureLaw, Matching, Measurement
from biocal.simulation.drawing.draw import draw
from biocal.simulation.drawing.laws import exposure_density, law_of_study

ARRAYS = ("reference_assay", "local_assay", "in_calibration", "covariates", "matching", "true_exposure")
MIXTURE = {"law": "mixture", "weights": (0.7, 0.3), "means": (50.0, 85.0), "sds": (10.0, 14.0)}
LAWS = [{"law": "normal"}, {"law": "lognormal"}, MIXTURE]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"measurement": Measurement(model="classical", error="t", sampling="deciles")},
        {"matching": Matching(season_share=0.3, strata=4, strata_share=0.1)},
        {"exposure": ExposureLaw(60, 20, law="lognormal")},
    ],
)
def test_a_replicate_is_the_same_in_whatever_batch_it_is_drawn(changes):
    scenario = scenario_of(**changes)
    together = draw(scenario, 3, 1, [0, 1, 2, 7])
    for position, replicate in [(3, 7), (0, 0), (2, 2)]:
        alone = draw(scenario, 3, 1, [replicate])
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(alone, name)[0], getattr(together, name)[position])


def test_seed_scenario_and_replicate_each_change_the_numbers():
    scenario = scenario_of()
    values = [draw(scenario, *identity, [2]).reference_assay for identity in [(1, 0), (2, 0), (1, 1)]]
    values.append(draw(scenario, 1, 0, [3]).reference_assay)
    for i in range(4):
        for j in range(i):
            assert not (values[i] == values[j]).any()


def test_sets_are_in_order_with_cases_first_and_the_same_in_all_replicates():
    studies = (reference_study(sets=3, cases=2, controls=2), local_study(sets=40, controls=3))
    drawn = draw(scenario_of(studies=studies), 1, 0, range(2))
    np.testing.assert_array_equal(drawn.set_code[:18], np.repeat([0, 1, 2], 6))
    np.testing.assert_array_equal(drawn.is_case[:6], [True, True, False, False, False, False])
    np.testing.assert_array_equal(drawn.is_case[18:22], [True, False, False, False])
    np.testing.assert_array_equal(drawn.study, np.repeat([0, 1], [18, 160]))
    assert (np.diff(drawn.set_code) >= 0).all()
    assert drawn.set_code[-1] == 42
    assert drawn.study_names == ("A", "B")
    np.testing.assert_array_equal(drawn.is_reference, drawn.study == 0)


def test_only_reference_studies_lack_local_values_and_everybody_has_a_reference_value():
    drawn = draw(scenario_of(), 1, 0, range(2))
    np.testing.assert_array_equal(np.isnan(drawn.local_assay), np.tile(drawn.is_reference, (2, 1)))
    assert np.isfinite(drawn.reference_assay).all()


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law["law"])
def test_controls_have_the_mean_and_sd_asked_for_whatever_the_law(law):
    studies = (reference_study(controls=5), reference_study(name="C", mean=80.0, sd=15.0, controls=5))
    drawn = draw(scenario_of(exposure=ExposureLaw(60, 20, **law), studies=studies), 1, 0, range(60))
    for index, (mean, sd) in enumerate([(60, 20), (80, 15)]):
        controls = drawn.true_exposure[:, (drawn.study == index) & ~drawn.is_case]
        assert_mean(controls.mean(axis=1), mean)
        assert_mean(((controls - mean) ** 2).mean(axis=1), sd**2)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law["law"])
@pytest.mark.parametrize("matching", [Matching(), Matching(season_share=0.3)], ids=["alone", "season"])
def test_the_density_used_for_weights_is_that_of_the_controls_drawn(law, matching):
    study = reference_study(controls=5)
    scenario = scenario_of(exposure=ExposureLaw(60, 20, **law), studies=(study,), matching=matching)
    grid = np.linspace(-65, 185, 25001)
    cumulative = np.cumsum(exposure_density(scenario, study, grid)) * (grid[1] - grid[0])
    np.testing.assert_allclose(cumulative[-1], 1, atol=1e-6)  # a sum over a fine grid
    drawn = draw(scenario, 1, 0, range(40))
    controls = drawn.true_exposure[:, ~drawn.is_case]
    for probability in (0.02, 0.1, 0.5, 0.9, 0.98):
        cut = np.interp(probability, cumulative, grid)
        assert_mean((controls <= cut).mean(axis=1), probability)


def test_a_lognormal_has_its_own_skewness_and_ends_six_sd_above_the_mean():
    study = reference_study(controls=5)
    scenario = scenario_of(exposure=ExposureLaw(60, 30, law="lognormal"), studies=(study,))
    drawn = draw(scenario, 1, 0, range(60))
    controls = drawn.true_exposure[:, ~drawn.is_case]
    z = (controls - 60) / 30
    grid = np.linspace(-3, 6, 200001)
    density = law_of_study(scenario.exposure, study).density(grid)
    skewness = (grid**3 * density).sum() / density.sum()
    assert 1.2 < skewness < 3 * 0.5 + 0.5**3  # the untruncated law's is 3 cv + cv^3
    assert_mean((z**3).mean(axis=1), skewness)
    assert z.max() <= 6
    assert (z > 5).any()


def test_calibrators_are_controls_of_local_studies_drawn_at_random():
    studies = (reference_study(sets=50), local_study(sets=20, controls=2, calibrators=10))
    drawn = draw(scenario_of(studies=studies), 1, 0, range(800))
    eligible = (drawn.study == 1) & ~drawn.is_case
    assert (drawn.in_calibration.sum(axis=1) == 10).all()
    assert not drawn.in_calibration[:, ~eligible].any()
    # every control is as likely: 10 of 40; the largest of 40 binomial shares, hence no assert_mean
    share = drawn.in_calibration[:, eligible].mean(axis=0)
    assert np.abs(share - 0.25).max() < 4.5 * np.sqrt(0.25 * 0.75 / 800)


def test_cases_are_calibrated_in_proportion_when_allowed():
    scenario = scenario_of(
        studies=(local_study(sets=100, controls=3, calibrators=80),), measurement=Measurement(cases=True)
    )
    drawn = draw(scenario, 1, 0, range(300))
    assert (drawn.in_calibration.sum(axis=1) == 80).all()
    assert_mean(drawn.in_calibration[:, drawn.is_case].sum(axis=1), 20)


@pytest.mark.parametrize(("controls", "wanted"), [(200, 50), (200, 29), (37, 30), (37, 37), (13, 3), (9, 8)])
def test_deciles_spread_the_subset_over_the_local_values(controls, wanted):
    scenario = scenario_of(
        studies=(local_study(sets=controls, calibrators=wanted),), measurement=Measurement(sampling="deciles")
    )
    drawn = draw(scenario, 1, 0, range(100))
    control = ~drawn.is_case
    for local, chosen in zip(drawn.local_assay[:, control], drawn.in_calibration[:, control], strict=True):
        assert chosen.sum() == wanted
        tenth = np.argsort(np.argsort(local)) * 10 // controls
        sizes = np.bincount(tenth, minlength=10)
        counts = np.bincount(tenth[chosen], minlength=10)
        spread = counts[sizes > wanted / 10 + 1]
        assert spread.size == 0 or spread.max() - spread.min() <= 1
        assert (counts <= sizes).all()


def test_within_deciles_everybody_is_as_likely_to_be_calibrated():
    scenario = scenario_of(
        studies=(local_study(sets=50, calibrators=29),), measurement=Measurement(sampling="deciles")
    )
    drawn = draw(scenario, 1, 0, range(1000))
    share = drawn.in_calibration[:, ~drawn.is_case].mean(axis=0)
    assert np.abs(share - 29 / 50).max() < 4.5 * np.sqrt(0.58 * 0.42 / 1000)


@pytest.mark.parametrize("model", ["berkson", "classical"])
def test_sets_share_the_matching_factors_which_explain_their_share_of_the_exposure(model):
    scenario = scenario_of(
        truth=FLAT,
        studies=(reference_study(controls=4), local_study(controls=4, r_squared=0.8)),
        matching=Matching(season_share=0.3, strata=5, strata_share=0.1),
        measurement=Measurement(model=model),
    )
    drawn = draw(scenario, 1, 0, range(40))
    assert drawn.matching_names == ("season_sin", "season_cos", "stratum")
    first = drawn.matching[:, :, np.searchsorted(drawn.set_code, drawn.set_code)]
    np.testing.assert_array_equal(drawn.matching, first)
    assert_mean(drawn.matching.mean(axis=2), 0.0)
    assert_mean((drawn.matching**2).mean(axis=2), [0.5, 0.5, 1.0])
    # The exposure's regression on the factors explains 30 and 10 % of a variance of 400.
    between = drawn.matching - drawn.matching.mean(axis=2, keepdims=True)
    slopes = np.einsum("bkn,bn->bk", between, drawn.true_exposure - 60) / (between**2).sum(axis=2)
    explained = slopes**2 * (between**2).mean(axis=2)
    np.testing.assert_allclose(explained[:, :2].sum(axis=1).mean(), 0.3 * 400, rtol=0.03)  # 5 Monte Carlo SE
    np.testing.assert_allclose(explained[:, 2].mean(), 0.1 * 400, rtol=0.05)
    assert_mean(((drawn.true_exposure - 60) ** 2).mean(axis=1), 400)


def test_the_seasonal_exposure_peaks_in_august():
    scenario = scenario_of(truth=FLAT, studies=(reference_study(),), matching=Matching(season_share=0.9))
    drawn = draw(scenario, 1, 0, [0])
    month = np.round(np.arctan2(drawn.matching[0, 0], drawn.matching[0, 1]) / (2 * np.pi) * 12 - 0.5) % 12
    means = [drawn.true_exposure[0, month == m].mean() for m in range(12)]
    assert np.argmax(means) == 7
    assert np.argmin(means) == 1
