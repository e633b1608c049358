"""One knot more: where it goes, what is tested, and that it finds a curve which the knots miss."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

import biocal as bc
from biocal.fitting.methods.estimate import DEFAULT_OPTIONS, estimate_method
from biocal.fitting.problem.prepare import ModelFormulas, prepare
from biocal.fitting.repeated.basis_test import basis_test, further_knot
from biocal.kernels.contrasts import wald_test
from biocal.kernels.meta.numbers import combine_estimates
from biocal.kernels.splines import spline_columns, spline_curvatures, spline_slopes
from biocal.model.exposure import SplineBasis
from biocal.pool.pooled import PooledStudies


def pairs(seed: int, n: int = 1200, studies: int = 2, *, bent: bool = False) -> PooledStudies:
    """1:1 sets measured at the reference: the case drawn by its conditional probability."""
    rng = np.random.default_rng(seed)
    x = rng.normal(63, 20, (n, 2)).clip(5)
    score = -0.08 * np.minimum(x, 45) if bent else -0.02 * x
    first = rng.random(n) < 1 / (1 + np.exp(score[:, 1] - score[:, 0]))
    frame = pd.DataFrame(
        {
            "study": np.repeat([f"S{k % studies}" for k in range(n)], 2),
            "set": np.repeat(np.arange(n), 2),
            "case": np.column_stack([first, ~first]).astype(int).ravel(),
            "local": np.nan,
            "reference": x.ravel(),
        }
    )
    return PooledStudies.from_frame(frame)


@dataclass(frozen=True)
class Extended:
    """The columns of some knots, and of the larger spline the one column that they lack."""

    knots: tuple[float, ...]
    larger: tuple[float, ...]
    column: int
    kind: str = field(default="rcs", init=False)

    @property
    def names(self):
        return tuple(f"x{k}" for k in range(len(self.knots)))

    def columns(self, exposure):
        return np.vstack(
            [spline_columns(exposure, self.knots), spline_columns(exposure, self.larger)[self.column]]
        )

    def slopes(self, exposure):
        return np.vstack(
            [spline_slopes(exposure, self.knots), spline_slopes(exposure, self.larger)[self.column]]
        )

    def curvatures(self, exposure):
        return np.vstack(
            [spline_curvatures(exposure, self.knots), spline_curvatures(exposure, self.larger)[self.column]]
        )


@pytest.mark.parametrize(
    "knots", [(30.0, 55.0, 70.0, 95.0), (20.0, 25.0, 30.0, 95.0), (40.0, 90.0, 100.0), (30.0, 35.0, 100.0)]
)
def test_the_test_is_that_of_a_column_added_to_the_fits_own(knots):
    pool = pairs(1, 400)
    problem = prepare(pool, ModelFormulas()).problem
    basis = SplineBasis(knots)
    found = estimate_method(problem, "full", basis, None)
    (test,), _ = basis_test(problem, found, basis, None, DEFAULT_OPTIONS)
    knot = further_knot(knots, problem.reference_assay[problem.is_control])
    larger = tuple(sorted((*knots, knot)))
    # Any column of the larger spline outside the smaller one's span does.
    own = Extended(knots, larger, 1 if knot > larger[1] else 2)
    grid = np.linspace(0, 130, 400)
    if np.linalg.matrix_rank(own.columns(grid)) < len(knots):
        own = Extended(knots, larger, len(larger) - 2)
    more = estimate_method(problem, "full", own, None)
    expected = wald_test("basis", more.outcome.beta, more.covariance.vcov, np.array([len(knots) - 1]))
    # The two parametrisations stop at the same maximum to about 1e-7 of a coefficient.
    assert test.statistic == pytest.approx(expected.statistic, rel=1e-5)
    assert test.df == 1


def test_the_knot_goes_to_the_median_of_the_fullest_gap_the_lowest_of_equals():
    controls = np.concatenate([np.linspace(1.1, 1.9, 9), np.linspace(2.1, 2.9, 10), [3.5]])
    assert further_knot((1.0, 2.0, 3.0, 4.0), controls) == pytest.approx(1.5)
    assert further_knot((1.0, 2.0, 3.0, 4.0), controls[3:]) == pytest.approx(2.5)
    assert further_knot((5.0, 6.0, 7.0), controls) is None


def test_a_curve_that_bends_where_no_knot_is_is_found_and_told():
    fits = [bc.fit(pairs(seed, bent=True), exposure=bc.rcs([30, 80, 105])) for seed in range(6)]
    p = np.array([next(t.p_value for t in fit.tests() if t.test == "basis") for fit in fits])
    told = [any(note.startswith("one knot more, at") for note in fit.notes) for fit in fits]
    assert told == list(p < 0.10)
    # With enough knots p is uniform: 4 or more of 6 below .10 have probability .0013.
    assert (p < 0.10).sum() >= 4


def test_slopes_of_the_studies_stand_before_the_test_of_the_curve_and_are_always_told():
    pool = pairs(3, 600, 3)
    fit = bc.fit(pool)
    names = [test.test for test in fit.tests()]
    assert names.index("slope_heterogeneity") < names.index("heterogeneity")
    (told,) = [note for note in fit.notes if note.startswith("studies' linear slopes: Q =")]
    assert "does not show that the studies agree" in told
    single = [bc.fit(pool, exposure=bc.linear(), where=f'study == "S{k}"') for k in range(3)]
    expected = combine_estimates(
        [float(one.estimates[0]) for one in single], [float(one.vcov[0, 0]) for one in single], method="reml"
    )
    test = next(test for test in fit.tests() if test.test == "slope_heterogeneity")
    assert test.statistic == pytest.approx(expected.heterogeneity.q, rel=1e-6)
    assert test.df == 2
    assert f"I2 {100 * expected.heterogeneity.i_squared:.0f} %, tau {expected.tau_squared**0.5:.3g}" in told
