"""Local values keep the line and R^2 of the design among controls, whatever the model and the error."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_scenarios import FLAT, SPLINE, assert_mean, local_study, reference_study, scenario_of

from biocal.simulation.design.scenario import Covariate, ExposureLaw, Matching, Measurement
from biocal.simulation.drawing.draw import draw

ERRORS = ("normal", "t", "skewed", "heteroscedastic", "proportional")
STUDIES = (local_study(controls=5), local_study(name="C", controls=5, intercept=-8, slope=1.3, r_squared=0.9))


def controls_of(drawn, study):
    rows = (drawn.study == study) & ~drawn.is_case
    return drawn.local_assay[:, rows], drawn.reference_assay[:, rows]


def assert_line(drawn, study, design):
    """E(r), E(r W) and the variances that the line and its R^2 imply; unbiased, unlike a fitted R^2."""
    local, reference = controls_of(drawn, study)
    residual = reference - design.intercept - design.slope * local
    centred = local - (60 - design.intercept) / design.slope
    assert_mean(residual.mean(axis=1), 0)
    assert_mean((residual * centred).mean(axis=1), 0)
    total = ((reference - 60) ** 2).mean(axis=1)
    assert_mean((residual**2).mean(axis=1) - (1 - design.r_squared) * total, 0)
    assert_mean(design.slope**2 * (centred**2).mean(axis=1) - design.r_squared * total, 0)


@pytest.mark.parametrize("model", ["berkson", "classical"])
@pytest.mark.parametrize("error", ERRORS)
def test_the_line_and_its_r_squared_hold_among_controls(model, error):
    measurement = Measurement(model=model, error=error, df=9, skewness=1.5, sd_trend=0.25)
    drawn = draw(scenario_of(studies=STUDIES, measurement=measurement), 1, 0, range(50))
    for index, study in enumerate(STUDIES):
        assert_line(drawn, index, study)


@pytest.mark.parametrize("model", ["berkson", "classical"])
@pytest.mark.parametrize("law", ["lognormal", "mixture"])
def test_the_line_holds_for_other_exposure_laws(model, law):
    shape = {"weights": (0.7, 0.3), "means": (50, 85), "sds": (10, 14)} if law == "mixture" else {}
    scenario = scenario_of(
        exposure=ExposureLaw(60, 20, law, **shape), studies=STUDIES, measurement=Measurement(model=model)
    )
    drawn = draw(scenario, 1, 0, range(50))
    for index, study in enumerate(STUDIES):
        assert_line(drawn, index, study)


@pytest.mark.parametrize("model", ["berkson", "classical"])
def test_the_line_holds_with_season_and_covariates(model):
    scenario = scenario_of(
        studies=STUDIES,
        measurement=Measurement(model=model),
        matching=Matching(season_share=0.3),
        covariates=(Covariate("bmi", correlation=0.6, log_or=0.3),),
    )
    drawn = draw(scenario, 1, 0, range(50))
    for index, study in enumerate(STUDIES):
        assert_line(drawn, index, study)


@pytest.mark.parametrize("model", ["berkson", "classical"])
def test_the_line_is_that_of_the_reading_when_the_reference_errs_too(model):
    measurement = Measurement(model=model, reference_error_sd=6.0)
    drawn = draw(scenario_of(truth=FLAT, studies=STUDIES, measurement=measurement), 1, 0, range(50))
    for index, study in enumerate(STUDIES):
        assert_line(drawn, index, study)
    error = drawn.reference_assay - drawn.true_exposure
    assert_mean((error**2).mean(axis=1), 36)
    assert_mean((error * (drawn.true_exposure - 60)).mean(axis=1), 0)
    assert_mean(((drawn.true_exposure - 60) ** 2).mean(axis=1), 400)


def test_without_its_own_error_the_reference_reads_the_exposure():
    drawn = draw(scenario_of(), 1, 0, [0])
    np.testing.assert_array_equal(drawn.reference_assay, drawn.true_exposure)


def test_for_a_normal_exposure_both_models_are_one_joint_law():
    studies = (local_study(controls=2),)
    moments = {}
    for model in ("berkson", "classical"):
        drawn = draw(scenario_of(studies=studies, measurement=Measurement(model=model)), 5, 0, range(80))
        x, w = drawn.reference_assay / 20, drawn.local_assay / 25
        rows = {}
        for who, chosen in (("cases", drawn.is_case), ("controls", ~drawn.is_case)):
            u, v = x[:, chosen] - 3, w[:, chosen] - 2.5
            terms = [u, v, u * u, u * v, v * v, u * u * v, u * v * v, u**3, v**3, (u > 0.5) * (v < 0)]
            rows[who] = np.stack([term.mean(axis=1) for term in terms], axis=1)
        moments[model] = np.concatenate([rows["cases"], rows["controls"]], axis=1)
    assert_mean(
        moments["berkson"] - moments["classical"], 0
    )  # independent streams would do; equal seeds help


def test_berkson_error_is_independent_of_local_value_season_and_covariates_but_classical_is_not():
    """The condition of the published calibration, E(e | W, Z, matching factors) = 0, and its breach."""
    products = {}
    for model in ("berkson", "classical"):
        scenario = scenario_of(
            truth=SPLINE,
            studies=(local_study(controls=4),),
            measurement=Measurement(model=model),
            matching=Matching(season_share=0.3),
            covariates=(Covariate("bmi", correlation=0.5),),
        )
        drawn = draw(scenario, 1, 0, range(40))
        rows = ~drawn.is_case
        residual = (drawn.reference_assay - 12 - 0.75 * drawn.local_assay)[:, None, rows]
        others = np.concatenate([drawn.covariates, drawn.matching], axis=1)[:, :, rows]
        products[model] = (residual * others).mean(axis=2)
        residual = residual[:, 0]
        local = drawn.local_assay[:, rows] / 25
        if model == "berkson":
            assert_mean(products[model], 0)
            assert_mean((residual**2 * (local - local.mean(axis=1, keepdims=True))).mean(axis=1), 0)
    # classical: cov(X - a - b W, Z) = (1 - R^2) cov(X, Z)
    assert_mean(products["classical"][:, 0], 0.3 * 0.5 * 20)
    amplitude = np.sqrt(2 * 0.3) * 20
    peak = 2 * np.pi * 7.5 / 12
    assert_mean(products["classical"][:, 1:], 0.3 * amplitude * 0.5 * np.array([np.sin(peak), np.cos(peak)]))


def residuals(drawn, model):
    """Error and what it depends on, both on the scale of the exposure, standardised, among controls."""
    rows = ~drawn.is_case
    exposure, local = drawn.true_exposure[:, rows], 12 + 0.75 * drawn.local_assay[:, rows]
    if model == "berkson":
        return (exposure - local) / np.sqrt(0.3 * 400), local
    return (local - 60 - 0.7 * (exposure - 60)) / np.sqrt(0.7 * 0.3 * 400), exposure


@pytest.mark.parametrize("model", ["berkson", "classical"])
def test_error_laws_have_their_shape(model):
    def drawn_errors(**options):
        scenario = scenario_of(
            studies=(local_study(controls=4),), measurement=Measurement(model=model, **options)
        )
        return residuals(draw(scenario, 1, 0, range(60)), model)

    error, _ = drawn_errors(error="skewed", skewness=-1.5)
    assert_mean((error**3).mean(axis=1), -1.5)
    error, _ = drawn_errors(error="t", df=12)
    assert_mean((error**4).mean(axis=1), 3 + 6 / (12 - 4))
    error, value = drawn_errors(error="proportional")
    high, low = value > 80, (value < 40) & (value > 0)
    ratio = (error**2 * high).sum(axis=1) / (value**2 * high).sum(axis=1)
    assert_mean(ratio - (error**2 * low).sum(axis=1) / (value**2 * low).sum(axis=1), 0)
    error, value = drawn_errors(error="heteroscedastic", sd_trend=0.4)
    stable = error / np.exp(0.4 * (value - 60) / 20)
    assert_mean((stable**2 * (value - 60)).mean(axis=1), 0)
    error, value = drawn_errors(error="normal")
    assert_mean((error**4).mean(axis=1), 3)
    assert_mean((error**2 * (value - 60)).mean(axis=1), 0)


@pytest.mark.parametrize("model", ["berkson", "classical"])
def test_differential_error_moves_and_widens_the_cases_alone(model):
    measurement = Measurement(model=model, case_shift=4.0, case_extra_sd=5.0)
    scenario = scenario_of(truth=FLAT, studies=(reference_study(), local_study()), measurement=measurement)
    drawn = draw(scenario, 1, 0, range(60))
    local = drawn.study == 1
    for who, shift, extra in ((drawn.is_case, 4.0, 25.0), (~drawn.is_case, 0.0, 0.0)):
        calibrated = 12 + 0.75 * drawn.local_assay[:, local & who]
        assert_mean(calibrated.mean(axis=1), 60 + shift)
        assert_mean(((calibrated - 60 - shift) ** 2).mean(axis=1), 280 + extra)


def test_an_assay_without_error_repeats_the_exposure_on_its_own_scale():
    for model in ("berkson", "classical"):
        scenario = scenario_of(studies=(local_study(r_squared=1.0),), measurement=Measurement(model=model))
        drawn = draw(scenario, 1, 0, [0])
        # arithmetic on numbers near 100: a few units in the last place
        np.testing.assert_allclose(
            12 + 0.75 * drawn.local_assay, drawn.reference_assay, rtol=1e-12, atol=1e-12
        )
