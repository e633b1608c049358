"""Cases of a rare disease have the controls' law tilted by the odds ratio."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_scenarios import SPLINE, assert_mean, local_study, reference_study, scenario_of
from outcome_fits import fit_conditional_logistic

from biocal.errors import SimulationError
from biocal.kernels.sets.layout import lay_out_sets
from biocal.kernels.splines import spline_columns
from biocal.simulation.design.scenario import Covariate, ExposureLaw, Matching, Measurement
from biocal.simulation.design.truth import Truth
from biocal.simulation.drawing.draw import Drawn, draw
from biocal.simulation.drawing.laws import exposure_density
from biocal.simulation.drawing.plan import plan_of

LINE = Truth("linear", beta=(0.02,))
MIXTURE = ExposureLaw(60, 20, "mixture", (0.7, 0.3), (50.0, 85.0), (10.0, 14.0))


def fitted(drawn: Drawn, replicate: int, columns: list[np.ndarray]) -> np.ndarray:
    """Coefficients of the conditional logistic model in these columns."""
    layout = lay_out_sets(drawn.set_code, drawn.is_case, n_columns=len(columns))
    names = [str(k) for k in range(len(columns))]
    return fit_conditional_logistic(layout, np.array(columns), names).beta


def tilted_moments(scenario, study):
    """Mean and variance of a study's cases by numerical integration over the controls' density."""
    grid = np.linspace(-200, 320, 200001)
    density = exposure_density(scenario, study, grid)
    weight = density * np.exp(np.where(density > 0, scenario.truth.log_risk(grid), 0.0))
    weight /= weight.sum()
    mean = weight @ grid
    return mean, weight @ (grid - mean) ** 2


@pytest.mark.parametrize("beta", [0.02, -0.05, 0.0])
@pytest.mark.parametrize("model", ["berkson", "classical"])
def test_a_line_moves_normal_cases_by_beta_times_the_variance(beta, model):
    truth = Truth("linear", beta=(beta,))
    drawn = draw(scenario_of(truth=truth, measurement=Measurement(model=model)), 1, 0, range(60))
    cases = drawn.true_exposure[:, drawn.is_case]
    mean = 60 + beta * 400
    assert_mean(cases.mean(axis=1), mean)
    assert_mean(((cases - mean) ** 2).mean(axis=1), 400)
    assert_mean(((cases - mean) ** 3).mean(axis=1), 0)
    # the error is non-differential: given the exposure, cases' local values are as controls'
    local = drawn.study == 1
    calibrated = 12 + 0.75 * drawn.local_assay[:, local & drawn.is_case]
    assert_mean(calibrated.mean(axis=1), 60 + 0.7 * beta * 400)
    residual = calibrated - 60 - 0.7 * (drawn.true_exposure[:, local & drawn.is_case] - 60)
    assert_mean((residual**2).mean(axis=1), 400 * 0.7 * 0.3)


@pytest.mark.parametrize(
    "truth",
    [
        SPLINE,
        Truth("expression", formula="-0.01*x + 0.8*(x < 30)"),
        Truth("expression", formula="0.0002*(x-60)**2 - 0.01*x"),
        Truth("expression", formula="-0.002*(x-70)**2"),
    ],
    ids=["spline", "jump", "bowl", "hill"],
)
@pytest.mark.parametrize("exposure", [ExposureLaw(60, 20), ExposureLaw(60, 20, "lognormal"), MIXTURE])
@pytest.mark.parametrize("model", ["berkson", "classical"])
def test_cases_have_the_tilted_law_for_any_curve_and_law(truth, exposure, model):
    studies = (reference_study(), reference_study(name="C", mean=65.0, sd=17.0))
    if model == "classical" or exposure.law == "normal":
        studies += (local_study(),)
    measurement = Measurement(model=model)
    scenario = scenario_of(truth=truth, exposure=exposure, studies=studies, measurement=measurement)
    drawn = draw(scenario, 1, 0, range(40))
    for index, study in enumerate(studies):
        cases = drawn.true_exposure[:, (drawn.study == index) & drawn.is_case]
        mean, variance = tilted_moments(scenario, study)
        assert_mean(cases.mean(axis=1), mean)
        assert_mean(((cases - mean) ** 2).mean(axis=1), variance)


def test_under_season_cases_are_tilted_within_the_months():
    scenario = scenario_of(truth=LINE, matching=Matching(season_share=0.3), studies=(reference_study(),))
    drawn = draw(scenario, 1, 0, range(40))
    # one case, one control a set: their difference is beta times the variance within months
    difference = drawn.true_exposure[:, 0::2] - drawn.true_exposure[:, 1::2]
    assert_mean(difference.mean(axis=1), 0.02 * 400 * 0.7)
    assert_mean((drawn.matching**2).mean(axis=2), [0.5, 0.5])


NORMAL = Covariate("bmi", correlation=-0.5, log_or=0.4)
BINARY = Covariate("smoker", correlation=0.3, log_or=-0.7, type="binary", prevalence=0.3)


@pytest.mark.parametrize("model", ["berkson", "classical"])
@pytest.mark.parametrize(
    "covariates", [(NORMAL,), (BINARY,), (NORMAL, BINARY)], ids=["normal", "binary", "both"]
)
@pytest.mark.parametrize("law", ["normal", "lognormal"])
def test_confounders_have_their_correlation_and_their_effect(model, covariates, law):
    scenario = scenario_of(
        exposure=ExposureLaw(60, 20, law),
        truth=LINE,
        covariates=covariates,
        measurement=Measurement(model=model),
        matching=Matching(strata=3, strata_share=0.1),
        studies=(reference_study(sets=1500, controls=2), local_study(sets=1500, controls=2)),
    )
    drawn = draw(scenario, 1, 0, range(24))
    controls = ~drawn.is_case
    for k, covariate in enumerate(covariates):
        for study in (0, 1):
            rows = controls & (drawn.study == study)
            z, x = drawn.covariates[:, k, rows], drawn.true_exposure[:, rows]
            centre = covariate.prevalence if covariate.type == "binary" else 0.0
            spread = np.sqrt(centre * (1 - centre)) if covariate.type == "binary" else 1.0
            assert_mean(z.mean(axis=1), centre)
            assert_mean(((z - centre) * (x - 60)).mean(axis=1) / (spread * 20), covariate.correlation)
    # each replicate's maximum likelihood estimate has a bias of order 1/sets, far below its error here
    estimates = [
        fitted(drawn, b, [drawn.true_exposure[b], *drawn.covariates[b]])
        for b in range(drawn.true_exposure.shape[0])
    ]
    assert_mean(estimates, [0.02, *(covariate.log_or for covariate in covariates)])


def test_confounding_is_what_the_joint_normal_law_says():
    for model in ("berkson", "classical"):
        scenario = scenario_of(truth=LINE, covariates=(NORMAL,), measurement=Measurement(model=model))
        drawn = draw(scenario, 1, 0, range(60))
        # tilting N(m, S) by exp(b'x) gives N(m + S b, S)
        covariance = np.array([[400, -0.5 * 20], [-0.5 * 20, 1.0]])
        shift = covariance @ [0.02, 0.4]
        cases = drawn.is_case
        assert_mean(drawn.true_exposure[:, cases].mean(axis=1), 60 + shift[0])
        assert_mean(drawn.covariates[:, 0, cases].mean(axis=1), shift[1])


def test_sets_with_several_cases_give_back_the_curve():
    studies = (reference_study(sets=600, cases=2, controls=2),)
    drawn = draw(scenario_of(studies=studies), 1, 0, range(16))
    spline = [spline_columns(drawn.true_exposure[b], SPLINE.knots) for b in range(16)]
    assert_mean([fitted(drawn, b, list(columns)) for b, columns in enumerate(spline)], SPLINE.beta)


def test_heterogeneity_of_slope_spreads_the_studies_cases():
    studies = tuple(reference_study(name=f"S{k}", sets=1500) for k in range(6))
    truth = Truth("linear", beta=(0.02,), heterogeneity=0.01, heterogeneity_of="slope")
    drawn = draw(scenario_of(truth=truth, studies=studies), 1, 0, range(120))
    means = np.stack(
        [drawn.true_exposure[:, (drawn.study == k) & drawn.is_case].mean(axis=1) for k in range(6)], 1
    )
    assert_mean(means.mean(axis=1), 60 + 0.02 * 400)
    # variance of a mean: that of 400 times the slope, plus sampling
    assert_mean(means.var(axis=1, ddof=1), (0.01 * 400) ** 2 + 400 / 1500)


def test_heterogeneity_of_the_multiplier_stretches_the_curve():
    studies = tuple(reference_study(name=f"S{k}", sets=1500) for k in range(6))
    truth = Truth("linear", beta=(0.02,), heterogeneity=0.5)
    drawn = draw(scenario_of(truth=truth, studies=studies), 1, 0, range(120))
    means = np.stack(
        [drawn.true_exposure[:, (drawn.study == k) & drawn.is_case].mean(axis=1) for k in range(6)], 1
    )
    assert_mean(means.mean(axis=1), 60 + 0.02 * 400)
    assert_mean(means.var(axis=1, ddof=1), (0.5 * 0.02 * 400) ** 2 + 400 / 1500)


def test_multipliers_far_from_one_are_drawn_from_curves_that_bend():
    """Large and negative multiples of a bowl, whose proposals cannot just be scaled."""
    truth = Truth("expression", formula="0.0005*(x-60)**2", heterogeneity=0.8)
    drawn = draw(scenario_of(truth=truth, studies=(reference_study(sets=400),)), 1, 0, range(150))
    deviation = drawn.true_exposure[:, drawn.is_case] - 60
    # exp(m q d^2) on N(0, 400): variance 400 / (1 - 2 m q 400), linear in 1/variance; m has mean 1
    assert_mean(1 / (deviation**2).mean(axis=1), (1 - 2 * 0.0005 * 400) / 400)


def test_proposals_are_nearly_all_accepted_for_the_curves_of_the_protocol():
    for truth in (
        SPLINE,
        LINE,
        Truth("linear", beta=(0.0,)),
        Truth("expression", formula="0.0008*(x-60)**2"),
    ):
        assert min(tilt.acceptance for tilt in plan_of(scenario_of(truth=truth)).tilts) > 0.8


def test_a_spike_between_the_points_searched_is_an_error_not_a_bias():
    # as high as e^9 within a ten-thousandth of an SD around a point off the grid
    truth = Truth("expression", formula="9*(abs(x - 60.0047) < 0.002)")
    scenario = scenario_of(truth=truth, studies=(reference_study(sets=20000),))
    with pytest.raises(SimulationError, match="spikes"):
        draw(scenario, 1, 0, range(40))
