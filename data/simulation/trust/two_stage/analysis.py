"""Two-stage pooling beside one-stage full calibration: every estimator and every kind of interval it offers.

Curves are those of the pooled vectors (normal intervals); `contrast` pools one log odds ratio a study, with normal and
Hartung-Knapp intervals, and gives a prediction interval, whose truth is that of one more study, drawn here.
"""

from __future__ import annotations

import numpy as np
from run import Case, curve, interval, p_row

from biocal.fitting.methods.estimate import calibrate_problem, estimate_method
from biocal.kernels.contrasts import contrast_errors, wald_test
from biocal.model.exposure import LinearBasis, SplineBasis
from biocal.simulation.drawing.estimand import true_log_or
from biocal.simulation.fitting.replicate import problem_of

#: Exposures of the contrasts; curves have those of the design.
CONTRASTS = (37.5, 90.0)
KINDS = (
    ("fixed", "normal"),
    ("dersimonian-laird", "normal"),
    ("dersimonian-laird", "hartung-knapp"),
    ("reml", "normal"),
    ("reml", "hartung-knapp"),
    ("reml", "hartung-knapp-at-least-normal"),
)


def analyse(case: Case) -> list[dict]:
    problem = problem_of(case.drawn, case.scenario, case.row)
    calibration = calibrate_problem(problem)
    at = np.array(case.scenario.estimand.at)
    truth = dict(zip(at.tolist(), true_log_or(case.scenario), strict=True))
    reference = case.scenario.estimand.reference
    new_slope = case.scenario.truth.heterogeneity * case.rng.standard_normal()
    rows = []
    for form, basis in (("linear", LinearBasis()), ("spline", SplineBasis(case.scenario.fit.knots))):
        one = estimate_method(problem, "full", basis, calibration)
        two = estimate_method(problem, "two-stage", basis, calibration)
        weights = basis.columns(at) - basis.columns(np.array([reference]))
        studies = two.studies
        for name, beta, vcov in (
            ("one-stage", one.outcome.beta, one.covariance.vcov),
            ("reml vector", two.outcome.beta, two.covariance.vcov),
            ("fixed vector", studies.fixed.estimate, studies.vcov_fixed),
        ):
            found = weights.T @ beta, contrast_errors(weights, vcov)
            rows += curve(f"{form}: {name}", at, truth.values(), *found)
            test = wald_test("overall", beta, vcov, np.arange(beta.size))
            rows.append(p_row(f"{form}: {name}", "overall", test.p_value))
        rows.append(p_row(f"{form}: two-stage", "heterogeneity", two.tests[0].p_value))
        for x in CONTRASTS:
            contrast = studies.contrast(x, reference)
            for method, kind in KINDS:
                got = contrast.pool(method, kind)
                values = got.estimate, got.std_error, got.conf_low, got.conf_high
                rows.append(interval(f"{form}: {method}", x, truth[x], *values, kind=kind))
            if np.isfinite(contrast.pooled.prediction_low):
                new = truth[x] + new_slope * (x - reference)
                limits = contrast.pooled.prediction_low, contrast.pooled.prediction_high
                got = contrast.pooled
                rows.append(
                    interval(f"{form}: reml", x, new, got.estimate, got.std_error, *limits, kind="prediction")
                )
    return rows
