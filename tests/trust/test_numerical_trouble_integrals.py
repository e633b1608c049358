"""Induced's integrals over the calibration's error, from none to enormous, against mpmath's quadrature."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from precise_arithmetic import precise, spline_columns
from troubled_pools import fit, pool_frame, told

import biocal as bc
from biocal.model.exposure import CategoryBasis, LinearBasis, SplineBasis
from biocal.model.outcome.induced_law import ExposureLaw
from biocal.model.outcome.induced_risk import induced_risk

KNOTS = (4.0, 5.0, 6.5)
BETA = (-0.4, 0.5)
MEANS = (2.0, 4.3, 5.0, 7.0)


def log_mean_risk(log_risk, mean, sd, breaks, tilts):
    """log E exp(log_risk(X)), X normal, by quadrature broken at kinks and where the integrand has its weight."""
    with mp.workdps(20):
        mean, sd = mp.mpf(mean), mp.mpf(sd)
        centres = [mean, *(mean + slope * sd**2 for slope in tilts)]
        points = sorted(
            {*map(mp.mpf, breaks), *(c + j * sd for c in centres for j in (-20, -10, -4, 0, 4, 10, 20))}
        )
        at_mean = log_risk(mean)
        total = mp.quad(lambda x: mp.exp(log_risk(x) - at_mean - ((x - mean) / sd) ** 2 / 2), points)
        return float(at_mean + mp.log(total / (sd * mp.sqrt(2 * mp.pi))))


def spline_log_risk(x):
    return mp.fdot(precise(BETA), spline_columns(x, precise(KNOTS)))


def found(basis, beta, sd):
    law = ExposureLaw(np.array(MEANS), np.zeros(len(MEANS), dtype=int), np.array([sd**2]))
    return induced_risk(law, basis).terms(np.array(beta)[:, None])


#: Of log M: 20 nodes are exact but for the spline's kinks, which weigh as the cube of the error over the knots.
TOLERANCES = {1e-12: 1e-14, 1e-6: 1e-14, 1e-3: 1e-12, 0.1: 2e-7, 0.3: 5e-6, 1.0: 2e-4, 3.0: 3e-3, 10.0: 1e-4}


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "sd", [1e-12, 0.3, *(pytest.param(one, marks=SLOW) for one in (1e-6, 1e-3, 0.1, 1.0, 3.0, 10.0))]
)
def test_a_splines_integral_is_that_of_quadrature(sd):
    terms = found(SplineBasis(KNOTS), BETA, sd)
    with mp.workdps(20):
        tail = spline_log_risk(mp.mpf(9)) - spline_log_risk(mp.mpf(8))
    exact = [log_mean_risk(spline_log_risk, mean, sd, KNOTS, (BETA[0], tail)) for mean in MEANS]
    np.testing.assert_allclose(terms.log_risk, exact, rtol=0, atol=TOLERANCES[sd])


@pytest.mark.parametrize("sd", [1e-12, pytest.param(1.0, marks=SLOW), pytest.param(1e3, marks=SLOW)])
def test_a_lines_closed_form_is_that_of_quadrature_however_large_the_error(sd):
    terms = found(LinearBasis(), (0.7,), sd)
    exact = [log_mean_risk(lambda x: mp.mpf("0.7") * x, mean, sd, (), (0.7,)) for mean in MEANS]
    np.testing.assert_allclose(terms.log_risk, exact, rtol=1e-13)


@pytest.mark.parametrize("sd", [1e-9, 0.3, 50.0, 1e6])
def test_categories_are_exact_in_both_tails(sd):
    cuts, beta = (4.0, 5.5), (1.5, -2.0)
    terms = found(CategoryBasis(cuts, 0), beta, sd)
    with mp.workdps(40):
        for k, mean in enumerate(MEANS):
            z = [(mp.mpf(cut) - mp.mpf(mean)) / mp.mpf(sd) for cut in cuts]
            low, high = mp.ncdf(z[0]), mp.ncdf(-z[1])
            middle = mp.ncdf(z[1]) - mp.ncdf(z[0]) if z[0] < 0 else mp.ncdf(-z[0]) - mp.ncdf(-z[1])
            risk = low + middle * mp.exp(beta[0]) + high * mp.exp(beta[1])
            np.testing.assert_allclose(terms.log_risk[k], float(mp.log(risk)), rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(terms.mean[0, k], float(middle * mp.exp(beta[0]) / risk), rtol=1e-9)


def test_integrals_that_are_too_coarse_are_told():
    from biocal.fitting.methods.estimate import calibrate_problem
    from biocal.fitting.problem.model_columns import lay_out_columns
    from biocal.fitting.problem.prepare import ModelFormulas, prepare
    from biocal.fitting.soundness.integrals import quadrature_notes

    problem = prepare(bc.PooledStudies.from_frame(pool_frame()), ModelFormulas()).problem
    basis, calibration = SplineBasis(KNOTS), calibrate_problem(problem)
    model = lay_out_columns(basis, problem)
    assert quadrature_notes(problem, basis, calibration, model, np.array(BETA), 20) == ()
    # a coefficient that one residual SD makes a log odds ratio of 10 and more
    (note,) = quadrature_notes(problem, basis, calibration, model, np.array([30.0, -60.0]), 20)
    assert "the integrals over the calibration's error are off by up to" in note


def test_induced_without_error_is_full_calibration():
    frame = pool_frame(larger=True)
    pairs = (frame["study"] != "R") & frame["reference"].notna()
    frame.loc[pairs, "reference"] = 1 + 0.7 * frame.loc[pairs, "local"]
    full, induced = (fit(frame, method, exposure=bc.rcs(list(KNOTS))) for method in ("full", "induced"))
    np.testing.assert_allclose(induced.params, full.params, rtol=1e-7)
    np.testing.assert_allclose(induced.cov_params(), full.cov_params(), rtol=1e-6)
    assert not any("integrals" in note for note in told(induced))
