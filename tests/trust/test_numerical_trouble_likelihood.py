"""Large sets, steep predictors and near-separation against 80 digits; separation is refused by name."""

from __future__ import annotations

import numpy as np
import pytest
from outcome_fits import fit_conditional_logistic
from pools import StudyPlan, draw_pool
from precise_arithmetic import MatchedSets, as_array, derivatives, in_80_digits, maximum, precise

import biocal as bc
from biocal.errors import FitError, SeparationError
from biocal.kernels.newton import maximise
from biocal.kernels.sets.layout import lay_out_sets
from biocal.kernels.sets.likelihood import ConditionalLikelihood

#: Relative, of log-likelihood and score: a few times 2e-16.  The information of 37,500 cells a set, one after the
#: other, keeps 13 digits, and one fewer each time that predictors are ten times steeper (2e-11 seen at 2,000).
SAME_SUM, SAME_INFORMATION = 2e-14, 2e-12
#: A score near 0 loses the digits that its two parts share.
SAME_STEEP_SCORE, SAME_STEEP_INFORMATION = 1e-12, 1e-9
#: Relative, of a maximum and its information: Newton's last step squares what the stopping rule leaves.
SAME_MAXIMUM = 1e-9
METHODS = ("naive", "internalized", "full", "induced")


def rows_of(shapes, n_columns, seed):
    """Code, case and normal columns of sets (cases, controls)."""
    code = np.concatenate([np.full(sum(shape), j) for j, shape in enumerate(shapes)])
    case = np.concatenate([np.arange(sum(shape)) < shape[0] for shape in shapes])
    return code, case, np.random.default_rng(seed).normal(size=(n_columns, code.size))


@in_80_digits
def compare_likelihood(shapes, slope, *, n_columns=1, score=SAME_SUM, information=SAME_INFORMATION):
    code, case, columns = rows_of(shapes, n_columns, [len(shapes), n_columns])
    beta = np.full(n_columns, slope / np.sqrt(n_columns))
    likelihood = ConditionalLikelihood(lay_out_sets(code, case), columns)
    fast, details = likelihood.evaluate(beta[None]), likelihood.details(beta[None])
    slow = derivatives(MatchedSets(columns, case, code), precise(beta))
    wanted = -as_array(slow.second)
    size = np.sqrt(np.outer(np.diagonal(wanted), np.diagonal(wanted)))
    for found in (fast.loglik[0], details.loglik[0]):
        np.testing.assert_allclose(found, float(slow.value), rtol=SAME_SUM)
    np.testing.assert_allclose(fast.score[0], as_array(slow.first), rtol=score)
    np.testing.assert_allclose(details.set_scores[0].sum(axis=-1), as_array(slow.first), rtol=score)
    for found in (fast.information[0], details.information[0]):
        assert (np.abs(found - wanted) <= information * size).all()


MIXED = [(150, 250), (1, 1), (250, 150), (1, 1), (3, 2), (1, 2)]


@pytest.mark.parametrize(("shapes", "slope"), [(MIXED, 1.0), ([(250, 150)], 5.0)])
def test_150_to_250_sets_and_the_reverse_equal_80_digits(shapes, slope):
    compare_likelihood(shapes, slope)


@pytest.mark.slow
@pytest.mark.parametrize("shapes", [[(150, 250)], [(250, 150)], MIXED])
@pytest.mark.parametrize("slope", [0.01, 1.0, 20.0, 200.0, 1000.0])
def test_large_sets_equal_80_digits_however_steep(shapes, slope):
    compare_likelihood(shapes, slope, n_columns=2, score=SAME_STEEP_SCORE, information=SAME_STEEP_INFORMATION)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (3, 5), (5, 3), (12, 20)])
@pytest.mark.parametrize("reach", [30.0, 700.0, 5000.0])
@in_80_digits
def test_linear_predictors_of_700_and_beyond_neither_overflow_nor_vanish(shape, reach):
    code, case, columns = rows_of([shape] * 3, 1, [*shape, int(reach)])
    columns /= np.abs(columns).max()
    likelihood = ConditionalLikelihood(lay_out_sets(code, case), columns)
    for slope in (reach, -reach):
        fast = likelihood.evaluate(np.array([[slope]]))
        slow = derivatives(MatchedSets(columns, case, code), precise([slope]))
        # Where cases are all but sure the log-likelihood is tiny beside the predictors that it is the difference of.
        np.testing.assert_allclose(fast.loglik[0], float(slow.value), rtol=SAME_SUM, atol=1e-15 * reach)
        np.testing.assert_allclose(fast.score[0, 0], float(slow.first[0]), rtol=1e-10, atol=1e-15 * reach)
        np.testing.assert_allclose(
            fast.information[0, 0, 0], -float(slow.second[0, 0]), rtol=1e-9, atol=1e-15
        )


def nearly_separated(gap, n_pairs=20):
    """Pairs whose case lies above, but for one that lies `gap` below."""
    rng = np.random.default_rng(3)
    difference = rng.uniform(0.5, 1.5, n_pairs)
    difference[0] = -gap
    column = np.zeros(2 * n_pairs)
    column[::2] = difference
    return np.repeat(np.arange(n_pairs), 2), np.tile([True, False], n_pairs), column[None]


@pytest.mark.parametrize("gap", [1e-1, 1e-3, 1e-5, 1e-7])
@in_80_digits
def test_the_maximum_near_separation_is_found_to_nine_digits(gap):
    code, case, columns = nearly_separated(gap)
    fit = fit_conditional_logistic(lay_out_sets(code, case), columns, ["z"])
    likelihood = MatchedSets(columns, case, code)
    wanted = maximum(likelihood, precise(fit.beta))
    np.testing.assert_allclose(fit.beta[0], float(wanted[0]), rtol=SAME_MAXIMUM)
    curvature = -derivatives(likelihood, wanted).second[0, 0]
    np.testing.assert_allclose(fit.information[0, 0], float(curvature), rtol=1e-5)


@pytest.mark.parametrize("gap", [0.0, 1e-12])
def test_a_gap_that_is_rounding_counts_as_separation(gap):
    code, case, columns = nearly_separated(gap)
    with pytest.raises(SeparationError, match="along z every case lies at or beyond"):
        fit_conditional_logistic(lay_out_sets(code, case), columns, ["z"])


PLANS = (
    StudyPlan("R", 25),
    StudyPlan("A", 25, (1, 2), (1.0, 0.7), n_calibrators=12),
    StudyPlan("B", 15, (2, 2), (-0.8, 1.4), n_calibrators=12),
)


def pool_frame(seed=1):
    return draw_pool(np.random.default_rng(seed), PLANS, covariate_log_odds=(0.3,))


def separated(frame, kind):
    case, z = frame["case"], frame["z1"]
    if kind == "complete":
        return frame.assign(z1=case + 0.01 * z)
    if kind == "quasi-complete":
        return frame.assign(z1=((z > 0.8) & (case == 1)).astype(float))
    # one direction of two: z1 + z2 separates, neither alone does
    return frame.assign(z1=z, z2=-z + 0.5 * case)


@pytest.mark.parametrize("kind", ["complete", "quasi-complete", "one direction"])
@pytest.mark.parametrize("method", [*METHODS, "two-stage"])
def test_separation_is_refused_by_name_in_every_method(kind, method):
    frame = separated(pool_frame(), kind)
    terms = "z1 + z2" if kind == "one direction" else "z1"
    with pytest.raises(FitError, match=r"separation: along .*z1") as caught:
        bc.fit(bc.PooledStudies.from_frame(frame), method=method, exposure=bc.linear(), covariates=terms)
    if method != "two-stage":
        assert isinstance(caught.value, SeparationError)
        assert set(caught.value.terms) == set(terms.split(" + "))


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (3, 5)])
@pytest.mark.parametrize("far", [1.0, 10.0, 100.0, 1e4, 1e200])
def test_newton_from_a_bad_start_finds_the_maximum_or_says_that_it_has_not(shape, far):
    code, case, columns = rows_of([shape] * 60, 2, shape)
    columns[0] += 0.5 * case
    likelihood = ConditionalLikelihood(lay_out_sets(code, case), columns)
    best = maximise(likelihood.evaluate, np.zeros((1, 2))).point[0]
    for direction in ((1.0, 1.0), (-1.0, 1.0), (1.0, -1.0)):
        with np.errstate(all="ignore"):
            found = maximise(likelihood.evaluate, far * np.array([direction]))
        assert not found.converged[0] or np.abs(found.point[0] - best).max() < 1e-8
        assert found.converged[0] or far >= 100
