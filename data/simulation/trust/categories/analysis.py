"""Odds ratios of categories.

Where matching tells nothing of the exposure, the odds ratio of a category on the reference measurement is exact
whatever the curve: the mean of the risk over the controls of a category against that over those of another.  With
error it is exact only where the risk is the same throughout a category.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from run import Case, interval, p_row

from biocal.fitting.methods.estimate import calibrate_problem, estimate_method
from biocal.kernels.contrasts import wald_test
from biocal.model.exposure import CategoryBasis
from biocal.simulation.fitting.replicate import problem_of

BASIS = CategoryBasis((40.0, 55.0, 75.0), 1)


@cache
def true_log_or(scenario) -> np.ndarray:
    """Of the categories other than the reference, by the midpoint rule over the controls' normal law."""
    edges = scenario.exposure.mean + scenario.exposure.sd * np.linspace(-6, 6, 1_200_001)
    x = (edges[:-1] + edges[1:]) / 2
    density = np.exp(-(((x - scenario.exposure.mean) / scenario.exposure.sd) ** 2) / 2)
    code = BASIS.codes(x)
    risk = density * np.exp(scenario.truth.log_risk(x))
    log_mean = np.log([risk[code == k].sum() / density[code == k].sum() for k in range(len(BASIS.labels))])
    return np.delete(log_mean - log_mean[BASIS.reference], BASIS.reference)


def analyse(case: Case) -> list[dict]:
    truth, rows = true_log_or(case.scenario), []
    for method in case.scenario.methods:
        everybody = method == "reference"
        problem = problem_of(case.drawn, case.scenario, case.row, everybody_reference=everybody)
        found = estimate_method(problem, "naive" if everybody else method, BASIS, calibrate_problem(problem))
        errors = np.sqrt(np.diagonal(found.covariance.vcov))
        for name, true, estimate, error in zip(BASIS.names, truth, found.outcome.beta, errors, strict=True):
            rows.append(interval(method, name.removeprefix("exposure"), true, estimate, error))
        test = wald_test("overall", found.outcome.beta, found.covariance.vcov, np.arange(truth.size))
        rows.append(p_row(method, "overall", test.p_value))
    return rows
