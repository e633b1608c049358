"""Laws of values of which some are below a limit, against a general maximiser, integration and recovery."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.stats import lognorm, norm

from biocal.kernels.normal_laws import CensoredLaw, fit_censored_law

# A maximiser without derivatives.
MAXIMISED = 1e-4


def draw(kind, n=400, seed=2):
    rng = np.random.default_rng(seed)
    values = rng.lognormal(3.0, 0.6, n) if kind == "lognormal" else rng.normal(50, 10, n)
    limits = np.where(rng.random(n) < 0.5, *((12.0, 15.0) if kind == "lognormal" else (38.0, 42.0)))
    below = values < limits
    return values[~below], limits[below]


@pytest.mark.parametrize("kind", ["normal", "lognormal"])
def test_the_law_maximises_the_censored_likelihood(kind):
    values, limits = draw(kind)
    law = fit_censored_law(values, limits)
    assert law.kind == kind

    def minus_loglik(theta):
        mean, sd = theta[0], np.exp(theta[1])
        if kind == "normal":
            return -norm.logpdf(values, mean, sd).sum() - norm.logcdf(limits, mean, sd).sum()
        scale = np.exp(mean)
        return -lognorm.logpdf(values, sd, scale=scale).sum() - lognorm.logcdf(limits, sd, scale=scale).sum()

    found = minimize(
        minus_loglik,
        [law.mean * 1.05, np.log(law.sd)],
        method="Nelder-Mead",
        options={"xatol": 1e-8, "fatol": 1e-10},
    )
    np.testing.assert_allclose((law.mean, law.sd), (found.x[0], np.exp(found.x[1])), rtol=MAXIMISED)
    np.testing.assert_allclose(law.loglik, -found.fun, rtol=1e-9)


@pytest.mark.parametrize(
    ("law", "density"),
    [
        (CensoredLaw("normal", 50.0, 10.0, 0.0), norm(50, 10)),
        (CensoredLaw("lognormal", 3.0, 0.6, 0.0), lognorm(0.6, scale=np.exp(3.0))),
    ],
)
def test_the_mean_below_a_limit_by_integration(law, density):
    for limit in (12.0, 20.0, 45.0, 80.0):
        low = 0.0 if law.kind == "lognormal" else -60.0
        total = quad(lambda w: w * density.pdf(w), low, limit, epsabs=1e-14)[0]
        expected = total / density.cdf(limit)
        np.testing.assert_allclose(law.mean_below(np.array([limit])), expected, rtol=1e-6)


def test_without_a_value_below_its_limit_the_normal_law_has_mean_and_sd():
    values = np.concatenate([-1.0 * np.arange(1, 6), np.arange(20.0)])
    law = fit_censored_law(values, np.empty(0))
    np.testing.assert_allclose((law.mean, law.sd), (values.mean(), values.std()), rtol=1e-10)
    assert law.kind == "normal"


def test_a_normal_law_that_would_be_negative_below_the_limit_is_passed_over():
    rng = np.random.default_rng(5)
    values = np.abs(rng.normal(10, 9, 500)) + 0.01
    below = values < 1.0
    law = fit_censored_law(values[~below], np.full(int(below.sum()), 1.0))
    assert law.kind == "lognormal"
    assert (law.mean_below(np.array([1.0])) > 0).all()


def test_the_mean_below_the_limit_is_recovered():
    rng = np.random.default_rng(9)
    values = rng.lognormal(3.0, 0.5, 20_000)
    law = fit_censored_law(values[values >= 12], np.full(int((values < 12).sum()), 12.0))
    truth = values[values < 12]
    # four standard errors of the sample's own mean, and as much again for the law's parameters
    allowed = 8 * truth.std() / np.sqrt(truth.size)
    np.testing.assert_allclose(law.mean_below(np.array([12.0])), truth.mean(), atol=allowed)
