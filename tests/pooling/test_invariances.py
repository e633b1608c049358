"""What must not matter does not: names, order, ids as text, units, and the pool given twice."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pooled_fits import METHODS, fit_frame
from pools import LOCAL_A, LOCAL_B, REFERENCE, draw_pool

from biocal.model.exposure import LinearBasis, SplineBasis

SAME_MAXIMUM = 1e-8  # coefficients, relative: rows in another order or unit end at the same point
SAME_SANDWICH = 1e-7  # covariances follow

KNOTS = (3.0, 5.0, 7.0)
FORMULAS = {"covariates": "z1 + z2"}


@pytest.fixture(scope="module")
def pool():
    return draw_pool(np.random.default_rng(3), [REFERENCE, LOCAL_A, LOCAL_B], covariate_log_odds=(0.3, 0.1))


def assert_same(one, two, scale=1.0, covariance=1.0):
    """`two` has coefficients scaled by `scale` (p,) and covariance by that squared times `covariance`."""
    scale = np.broadcast_to(scale, one.beta.shape)
    outer = np.outer(scale, scale) * covariance
    np.testing.assert_allclose(two.beta, one.beta * scale, rtol=SAME_MAXIMUM, atol=1e-10)
    for name in ("vcov", "uncorrected"):
        wanted = getattr(one, name) * outer
        close = SAME_SANDWICH * np.sqrt(np.outer(np.diagonal(wanted), np.diagonal(wanted)))
        assert (np.abs(getattr(two, name) - wanted) <= close).all()


@pytest.mark.parametrize("method", METHODS)
class TestInvariance:
    def fit(self, frame, method, knots=KNOTS, **formulas):
        basis = SplineBasis(knots) if knots else LinearBasis()
        return fit_frame(frame, method, basis, **(FORMULAS | formulas))

    def test_shuffled_rows(self, pool, method):
        shuffled = pool.sample(frac=1, random_state=5)
        assert_same(self.fit(pool, method), self.fit(shuffled, method))

    def test_relabelled_sets_and_studies(self, pool, method):
        rng = np.random.default_rng(9)
        renamed = pool.copy()
        renamed["study"] = renamed["study"].map({"R": "zeta", "A": "eta 10", "B": "eta 9"})
        number = dict(enumerate(rng.permutation(10_000)[:100]))
        renamed["set"] = renamed["set"].map(number)
        one, two = self.fit(pool, method), self.fit(renamed, method)
        assert_same(one, two)
        assert two.prepared.problem.local_names == ("eta 9", "eta 10")
        np.testing.assert_allclose(two.parts[::-1], one.parts, rtol=1e-6, atol=1e-12)

    def test_sets_with_ids_that_restart_or_run_through_all_studies(self, pool, method):
        through = pool.copy()
        through["set"] = through["set"] + through["study"].map({"R": 0, "A": 1000, "B": 5000})
        assert_same(self.fit(pool, method), self.fit(through, method))

    def test_ids_as_numbers_text_or_floats(self, pool, method):
        one = self.fit(pool, method)
        for kind in (str, float, lambda value: f" {value} "):
            other = pool.assign(set=pool["set"].map(kind))
            assert_same(one, self.fit(other, method))

    def test_words_as_ids(self, pool, method):
        words = pool.assign(set="pair-" + pool["set"].astype(str) + "b")
        assert_same(self.fit(pool, method), self.fit(words, method))

    @pytest.mark.parametrize("knots", [(), KNOTS], ids=["linear", "spline"])
    def test_units_of_all_laboratories_scale_the_coefficients(self, pool, method, knots):
        factor = 2.496
        other = pool.assign(local=pool["local"] * factor, reference=pool["reference"] * factor)
        one = self.fit(pool, method, knots)
        two = self.fit(other, method, tuple(factor * knot for knot in knots))
        scale = np.ones(one.beta.size)
        scale[: max(1, len(knots) - 1)] = 1 / factor
        assert_same(one, two, scale)

    def test_scale_local_is_the_same_as_scaled_values(self, pool, method):
        other = pool.copy()
        in_a = other["study"] == "A"
        other.loc[in_a, "local"] /= 2.496
        basis = SplineBasis(KNOTS)
        columns = {"scale_local": {"A": 2.496}}
        assert_same(self.fit(pool, method), fit_frame(other, method, basis, columns=columns, **FORMULAS))

    def test_units_and_origins_of_covariates(self, pool, method):
        other = pool.assign(z1=1000 * pool["z1"] - 17.0)
        scale = np.array([1.0, 1.0, 1e-3, 1.0])
        assert_same(self.fit(pool, method), self.fit(other, method), scale)

    @pytest.mark.parametrize("knots", [(), KNOTS], ids=["linear", "spline"])
    def test_the_pool_twice_under_other_study_names_halves_the_covariance(self, pool, method, knots):
        twice = pd.concat([pool, pool.assign(study=pool["study"] + " again")], ignore_index=True)
        one = self.fit(pool, method, knots, calibration_covariates="none")
        two = self.fit(twice, method, knots, calibration_covariates="none")
        assert_same(one, two, covariance=0.5)
        np.testing.assert_allclose(two.outcome.loglik, 2 * one.outcome.loglik, rtol=1e-12)

    def test_the_pool_twice_with_common_calibration_coefficients(self, pool, method):
        twice = pd.concat([pool, pool.assign(study=pool["study"] + " again")], ignore_index=True)
        assert_same(self.fit(pool, method), self.fit(twice, method), covariance=0.5)

    def test_columns_of_the_table_in_another_order_and_under_other_names(self, pool, method):
        names = {"study": "cohort", "set": "pair id", "case": "status", "local": "25OHD", "reference": "lcms"}
        other = pool.rename(columns=names)[["z2", "lcms", "status", "z1", "25OHD", "pair id", "cohort"]]
        fit = fit_frame(other, method, SplineBasis(KNOTS), columns=names, **FORMULAS)
        assert_same(self.fit(pool, method), fit)

    def test_reference_values_of_cases_in_local_studies_are_ignored(self, pool, method):
        other = pool.copy()
        cases = other.index[(other["study"] == "A") & (other["case"] == 1)]
        other.loc[cases, "reference"] = 99.0
        assert_same(self.fit(pool, method), self.fit(other, method))


@pytest.mark.parametrize("method", ["internalized", "full"])
def test_a_local_unit_changed_in_one_study_is_absorbed_by_its_calibration(pool, method):
    other = pool.copy()
    other.loc[other["study"] == "A", "local"] = 40.0 - 3.0 * other["local"]
    basis = SplineBasis(KNOTS)
    one, two = (fit_frame(frame, method, basis, **FORMULAS) for frame in (pool, other))
    assert_same(one, two)


def test_local_values_on_another_scale_do_change_naive(pool):
    other = pool.assign(local=pool["local"] * 2)
    one, two = (fit_frame(frame, "naive", LinearBasis(), **FORMULAS) for frame in (pool, other))
    assert abs(one.beta[0] - two.beta[0]) > 0.02
