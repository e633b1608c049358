"""The induced likelihood: persons against the formula, sets against enumeration, derivatives against differences."""

from __future__ import annotations

import numpy as np
import pytest
from enumeration import enumerate_set
from induced_by_hand import log_risk_and_gradient
from outcome_fits import fit_conditional_logistic, fit_induced_likelihood

from biocal.errors import ConvergenceError, SeparationError, SingularInformationError
from biocal.kernels.sets import layout as set_layout
from biocal.kernels.sets.layout import lay_out_sets
from biocal.model.exposure import CategoryBasis, LinearBasis, SplineBasis
from biocal.model.outcome import induced
from biocal.model.outcome.induced import InducedDesign, InducedLikelihood, InducedTerms
from biocal.model.outcome.induced_ascent import climb, null_loglik
from biocal.model.outcome.induced_law import ExposureLaw
from biocal.model.outcome.induced_persons import lay_out_risks
from biocal.model.outcome.induced_risk import CategoryRisk, LinearRisk, NodeRisk
from biocal.model.outcome.interpolated_risk import INTERPOLATION_TOLERANCE

# The same sums in another order.
ROUNDING = 1e-12
# Central differences with steps of 1e-5 on values of order 1 to 100.
DIFFERENCES = 1e-7

SPLINE = SplineBasis((2.5, 3.6, 4.6, 6.0))
CATEGORIES = CategoryBasis((3.0, 4.0, 5.0), 1)
BASES = {"linear": LinearBasis(), "spline": SPLINE, "categories": CATEGORIES}
# Cases and controls of the sets: pairs, 1:m, n:1 and n:m either way, so that every kernel and turn is met.
SHAPES = [
    (1, 1),
    (1, 1),
    (1, 3),
    (1, 2),
    (2, 1),
    (3, 1),
    (2, 3),
    (3, 2),
    (2, 2),
    (4, 2),
    (2, 2),
    (1, 0),
    (0, 2),
] * 2


def law_of(rng, n, *, n_groups=2, known=0.3, residuals=None):
    group = np.where(rng.random(n) < known, -1, rng.integers(0, n_groups, n))
    variance = np.linspace(0.2, 0.7, n_groups)
    return ExposureLaw(4 + rng.normal(size=n), group, variance, residuals)


def matched_problem(seed, basis, *, modifiers=1, others=2, residuals=None, shapes=SHAPES):
    """Layout, design and law of random persons in sets of `shapes`, rows shuffled; and set codes, case status."""
    rng = np.random.default_rng(seed)
    code = np.concatenate([np.full(m + c, j) for j, (m, c) in enumerate(shapes)])
    case = np.concatenate([np.arange(m + c) < m for m, c in shapes])
    order = rng.permutation(code.size)
    code, case = code[order], case[order]
    n, n_terms = code.size, len(basis.names)
    levels = rng.integers(0, 2, (modifiers, n)).astype(float)
    positions = np.arange((1 + modifiers) * n_terms).reshape(1 + modifiers, n_terms)
    positions[1:] += others  # products come after the covariates
    design = InducedDesign(
        np.vstack([np.ones((1, n)), levels]),
        positions,
        rng.normal(size=(others, n)),
        n_terms + np.arange(others),
    )
    return lay_out_sets(code, case), design, law_of(rng, n, residuals=residuals), code, case


def enumerated(beta, design, law, basis, code, case, residuals=None):
    """Log-likelihood and score by enumeration of every set."""
    n, p = code.size, beta.size
    eta, columns = np.zeros(n), np.zeros((p, n))
    for i in range(n):
        g = law.group[i]
        own = beta[design.exposure_positions].T @ design.multipliers[:, i]
        sd = None if g < 0 else np.sqrt(law.variance[g])
        log_risk, gradient = log_risk_and_gradient(
            own, law.mean[i], sd, basis, residuals=None if residuals is None else residuals[g]
        )
        eta[i] = log_risk + beta[design.other_positions] @ design.others[:, i]
        columns[design.exposure_positions, i] = np.outer(design.multipliers[:, i], gradient)
        columns[design.other_positions, i] = design.others[:, i]
    loglik, score = 0.0, np.zeros(p)
    for j in np.unique(code):
        mine = code == j
        if 0 < case[mine].sum() < mine.sum():
            terms = enumerate_set(eta[mine], columns[:, mine], case[mine])
            loglik, score = loglik + terms.loglik, score + terms.score
    return loglik, score


def random_beta(seed, p):
    return np.random.default_rng(seed).normal(size=p) * 0.5


def differences(function, at, step=1e-5):
    """Central differences of a vector function, one row for each entry of `at`."""
    rows = []
    for k in range(at.size):
        change = np.zeros(at.size)
        change[k] = step
        rows.append((function(at + change) - function(at - change)) / (2 * step))
    return np.array(rows)


# --- single persons ---


def test_linear_closed_form_is_what_quadrature_gives():
    rng = np.random.default_rng(1)
    law = law_of(rng, 50, known=0.0)
    b = rng.normal(size=(1, 50))
    closed, nodes = LinearRisk(law), NodeRisk(law, LinearBasis())
    first, second = closed.terms(b), nodes.terms(b)
    for name in ("log_risk", "mean", "covariance"):
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), rtol=1e-10, atol=1e-11)
    first, second = closed.sensitivity(b), nodes.sensitivity(b)
    for name in ("by_mean", "by_variance", "gradient_by_mean", "gradient_by_variance"):
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), rtol=1e-9, atol=1e-10)


def test_two_categories_by_hand():
    # mu = 4, sigma = 1, cut at 5, log OR log 3 above: P(above) = 1 - Phi(1), M = 1 + 2 P.
    from scipy.stats import norm

    law = ExposureLaw(np.array([4.0]), np.array([0]), np.array([1.0]))
    risk = CategoryRisk(law, (5.0,), 0)
    above, b = norm.sf(1.0), np.array([[np.log(3.0)]])
    terms = risk.terms(b)
    share = 3 * above / (1 + 2 * above)
    np.testing.assert_allclose(terms.log_risk, np.log(1 + 2 * above), rtol=ROUNDING)
    np.testing.assert_allclose(terms.mean[0], share, rtol=ROUNDING)
    np.testing.assert_allclose(terms.covariance[0, 0], share * (1 - share), rtol=ROUNDING)
    # d P / d mu = phi(1); d P / d sigma^2 = phi(1) / 2.
    by_mean = 2 * norm.pdf(1.0) / (1 + 2 * above)
    found = risk.sensitivity(b)
    np.testing.assert_allclose(found.by_mean, by_mean, rtol=ROUNDING)
    np.testing.assert_allclose(found.by_variance, by_mean / 2, rtol=ROUNDING)


def test_probabilities_of_far_categories_keep_their_digits():
    from scipy.stats import norm

    law = ExposureLaw(np.array([0.0, 30.0]), np.array([0, 0]), np.array([1.0]))
    risk = CategoryRisk(law, (10.0, 11.0, 20.0), 0)
    # Only the category [10, 11) of person 0 has weight: b = -800 for the others leaves its tail probability.
    terms = risk.terms(np.array([[60.0], [-800.0], [-800.0]]))
    tail = norm.sf(10.0) - norm.sf(11.0)
    np.testing.assert_allclose(terms.log_risk[0], np.log1p(tail * np.expm1(60.0)), rtol=1e-10)
    assert np.isfinite(terms.log_risk).all()


@pytest.mark.parametrize("kind", BASES)
def test_a_person_follows_the_formula(kind):
    basis, rng = BASES[kind], np.random.default_rng(2)
    law = law_of(rng, 40)
    risks = lay_out_risks(law, np.ones((1, 40)), basis)
    b = rng.normal(size=(1, len(basis.names))) * 0.6
    terms = risks.evaluate(b)
    for i in range(40):
        sd = None if law.group[i] < 0 else np.sqrt(law.variance[law.group[i]])
        log_risk, gradient = log_risk_and_gradient(b[0], law.mean[i], sd, basis)
        np.testing.assert_allclose(terms.log_risk[i], log_risk, rtol=1e-11, atol=ROUNDING)
        np.testing.assert_allclose(terms.gradient[:, i], gradient, rtol=1e-10, atol=ROUNDING)


@pytest.mark.parametrize("kind", BASES)
def test_smearing_takes_the_groups_own_residuals(kind):
    basis, rng = BASES[kind], np.random.default_rng(3)
    residuals = (rng.normal(size=7) * 0.5, rng.gamma(2, 0.3, size=12) - 0.6)
    law = law_of(rng, 30, residuals=residuals)
    terms = lay_out_risks(law, np.ones((1, 30)), basis).evaluate(b := rng.normal(size=(1, len(basis.names))))
    for i in range(30):
        known = law.group[i] < 0
        sd, own = (None, None) if known else (1.0, residuals[law.group[i]])
        log_risk, gradient = log_risk_and_gradient(b[0], law.mean[i], sd, basis, residuals=own)
        np.testing.assert_allclose(terms.log_risk[i], log_risk, rtol=1e-11, atol=ROUNDING)
        np.testing.assert_allclose(terms.gradient[:, i], gradient, rtol=1e-10, atol=ROUNDING)


@pytest.mark.parametrize("kind", BASES)
def test_derivatives_of_a_persons_risk_are_those_of_differences(kind):
    basis, rng = BASES[kind], np.random.default_rng(4)
    n, n_terms = 25, len(basis.names)
    mean, group, variance = 4 + rng.normal(size=n), np.zeros(n, dtype=int), np.array([0.36])
    b = rng.normal(size=(n_terms, 1)) * 0.6

    def terms(mean=mean, variance=variance, b=b):
        law = ExposureLaw(mean, group, variance)
        return lay_out_risks(law, np.ones((1, n)), basis, interpolate=False).evaluate(b.T)

    def vary(**change):
        low, high = (terms(**{k: v[s] for k, v in change.items()}) for s in (0, 1))
        return high.log_risk - low.log_risk, high.gradient - low.gradient

    here, step = terms(), 1e-5
    for k in range(n_terms):
        change = np.zeros((n_terms, 1))
        change[k] = step
        log_by, gradient_by = vary(b=(b - change, b + change))
        np.testing.assert_allclose(log_by / (2 * step), here.gradient[k], rtol=DIFFERENCES, atol=DIFFERENCES)
        np.testing.assert_allclose(
            gradient_by / (2 * step), here.at_points.covariance[k], rtol=DIFFERENCES, atol=DIFFERENCES
        )
    law = ExposureLaw(mean, group, variance)
    found = lay_out_risks(law, np.ones((1, n)), basis, interpolate=False).sensitivity(b.T)
    log_by, gradient_by = vary(mean=(mean - step, mean + step))
    np.testing.assert_allclose(log_by / (2 * step), found.by_mean, rtol=DIFFERENCES, atol=DIFFERENCES)
    np.testing.assert_allclose(
        gradient_by / (2 * step), found.gradient_by_mean, rtol=DIFFERENCES, atol=DIFFERENCES
    )
    log_by, gradient_by = vary(variance=(variance - step, variance + step))
    np.testing.assert_allclose(log_by / (2 * step), found.by_variance, rtol=DIFFERENCES, atol=DIFFERENCES)
    np.testing.assert_allclose(
        gradient_by / (2 * step), found.gradient_by_variance, rtol=DIFFERENCES, atol=DIFFERENCES
    )


@pytest.mark.parametrize("kind", BASES)
def test_without_scatter_the_risk_is_that_of_the_mean_itself(kind):
    basis, rng = BASES[kind], np.random.default_rng(5)
    law = ExposureLaw(4 + rng.normal(size=20), np.zeros(20, dtype=int), np.array([0.0]))
    risks = lay_out_risks(law, np.ones((1, 20)), basis)
    b = rng.normal(size=(1, len(basis.names)))
    terms, columns = risks.evaluate(b), basis.columns(law.mean)
    np.testing.assert_allclose(terms.log_risk, b[0] @ columns, rtol=ROUNDING, atol=ROUNDING)
    np.testing.assert_allclose(terms.gradient, columns, rtol=ROUNDING, atol=ROUNDING)
    found = risks.sensitivity(b)
    if kind != "categories":
        np.testing.assert_allclose(found.by_mean, b[0] @ basis.slopes(law.mean), rtol=ROUNDING, atol=ROUNDING)
    assert np.isfinite(found.gradient_by_variance).all()


# --- matched sets ---


@pytest.mark.parametrize("interpolate", [False, True])
@pytest.mark.parametrize("modifiers", [0, 1, 2])
@pytest.mark.parametrize("kind", BASES)
def test_likelihood_and_score_are_those_of_enumeration(kind, modifiers, interpolate):
    basis = BASES[kind]
    layout, design, law, code, case = matched_problem(6, basis, modifiers=modifiers)
    beta = random_beta(7, design.n_columns)
    likelihood = InducedLikelihood(layout, design, law, basis, interpolate=interpolate)
    if interpolate:
        likelihood.refine(beta)
    tolerance = 100 * INTERPOLATION_TOLERANCE if interpolate else 1e-11
    loglik, score = enumerated(beta, design, law, basis, code, case)
    terms = likelihood.evaluate(beta)
    np.testing.assert_allclose(terms.loglik, loglik, rtol=tolerance)
    np.testing.assert_allclose(terms.score, score, rtol=tolerance, atol=10 * tolerance)


def test_smearing_likelihood_is_that_of_enumeration():
    rng = np.random.default_rng(8)
    residuals = (rng.normal(size=9) * 0.4, rng.normal(size=5) * 0.8)
    layout, design, law, code, case = matched_problem(9, SPLINE, residuals=residuals)
    beta = random_beta(10, design.n_columns)
    loglik, score = enumerated(beta, design, law, SPLINE, code, case, residuals)
    terms = InducedLikelihood(layout, design, law, SPLINE).evaluate(beta)
    np.testing.assert_allclose(terms.loglik, loglik, rtol=1e-11)
    np.testing.assert_allclose(terms.score, score, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("modifiers", [0, 1])
@pytest.mark.parametrize("kind", BASES)
def test_score_and_observed_information_are_derivatives_of_the_likelihood(kind, modifiers):
    basis = BASES[kind]
    layout, design, law, _, _ = matched_problem(11, basis, modifiers=modifiers)
    beta = random_beta(12, design.n_columns)
    likelihood = InducedLikelihood(layout, design, law, basis)
    here = likelihood.evaluate(beta)
    slope = differences(lambda at: np.array([likelihood.evaluate(at).loglik]), beta)[:, 0]
    np.testing.assert_allclose(here.score, slope, rtol=DIFFERENCES, atol=10 * DIFFERENCES)
    curvature = -differences(lambda at: likelihood.evaluate(at).score, beta)
    np.testing.assert_allclose(here.information, curvature, rtol=DIFFERENCES, atol=10 * DIFFERENCES)
    assert np.abs(here.information - here.expected).max() > 0.01  # the two informations do differ


@pytest.mark.parametrize("kind", BASES)
def test_derivatives_by_the_law_are_those_of_the_score(kind):
    basis = BASES[kind]
    layout, design, law, code, _ = matched_problem(13, basis)
    beta, n = random_beta(14, design.n_columns), code.size
    details = InducedLikelihood(layout, design, law, basis).details(beta)

    def score(mean=law.mean, variance=law.variance):
        changed = ExposureLaw(mean, law.group, variance)
        return InducedLikelihood(layout, design, changed, basis).evaluate(beta).score

    uncertain = ~law.known
    for person in np.flatnonzero(uncertain)[::4]:
        change = np.where(np.arange(n) == person, 1e-5, 0.0)
        slope = (score(mean=law.mean + change) - score(mean=law.mean - change)) / 2e-5
        np.testing.assert_allclose(details.by_mean[:, person], slope, rtol=DIFFERENCES, atol=DIFFERENCES)
    for group in range(2):
        change = np.where(np.arange(2) == group, 1e-5, 0.0)
        slope = (score(variance=law.variance + change) - score(variance=law.variance - change)) / 2e-5
        by_group = details.by_variance[:, law.group == group].sum(axis=1)
        np.testing.assert_allclose(by_group, slope, rtol=DIFFERENCES, atol=DIFFERENCES)
    assert not details.by_mean[:, ~uncertain].any()
    assert not details.by_variance[:, ~uncertain].any()


def test_details_belong_to_the_same_point():
    layout, design, law, code, case = matched_problem(15, SPLINE)
    likelihood = InducedLikelihood(layout, design, law, SPLINE)
    beta = random_beta(16, design.n_columns)
    terms, details = likelihood.evaluate(beta), likelihood.details(beta)
    np.testing.assert_allclose(details.set_scores.sum(axis=1), terms.score, rtol=ROUNDING, atol=ROUNDING)
    columns = likelihood.columns(beta)
    np.testing.assert_allclose(columns @ details.residual, terms.score, rtol=1e-10, atol=1e-10)
    # Residuals of a set sum to 0, and sum_i Cov(T, 1_i) s_i' = Cov(T).
    np.testing.assert_allclose(np.bincount(code, weights=details.residual), 0.0, atol=ROUNDING)
    np.testing.assert_allclose(details.slope @ columns.T, terms.expected, rtol=1e-9, atol=1e-9)
    assert not details.residual[np.isin(code, code[case]) & ~np.isin(code, code[~case])].any()


@pytest.mark.parametrize("interpolate", [True, False])
@pytest.mark.parametrize("kind", list(BASES))
@pytest.mark.parametrize("size", [1, 151])
def test_pieces_add_up_to_the_whole(monkeypatch, kind, interpolate, size):
    """One block of sets in a piece, an odd number of persons, and everybody."""
    basis = BASES[kind]
    monkeypatch.setattr(set_layout, "_BLOCK_NUMBERS", 1)
    monkeypatch.setattr(set_layout, "_RECURSION_NUMBERS", 1)
    layout, design, law, *_ = matched_problem(21, basis, shapes=SHAPES * 4)
    beta = random_beta(22, design.n_columns)
    whole = InducedLikelihood(layout, design, law, basis, interpolate=interpolate)
    whole.refine(beta)
    monkeypatch.setattr(induced, "_PIECE", size)
    parts = InducedLikelihood(layout, design, law, basis, interpolate=interpolate)
    parts.refine(beta)
    n_pieces, n_blocks = len(list(parts.sweep(beta))), len(layout.blocks)
    assert n_pieces == n_blocks if size == 1 else 1 < n_pieces < n_blocks
    assert not parts.refine(beta)  # what was made accurate stays so, though the pieces are gathered anew
    # Each piece has cells of its own, whose errors are of the tolerance's order.
    same = 1e-7 if interpolate else ROUNDING
    for expected, found in (
        (whole.evaluate(beta), parts.evaluate(beta)),
        (whole.details(beta), parts.details(beta)),
    ):
        for name in set(expected.__slots__) - {"terms"}:
            np.testing.assert_allclose(
                getattr(found, name), getattr(expected, name), rtol=same, atol=same, err_msg=name
            )
    np.testing.assert_allclose(parts.columns(beta), whole.columns(beta), rtol=same, atol=same)


def test_cells_made_finer_later_serve_the_same_persons(monkeypatch):
    """Pieces that are gathered anew remember who is in which cell, and forget it when cells are halved."""
    layout, design, law, *_ = matched_problem(23, SPLINE, shapes=SHAPES * 4, modifiers=1)
    monkeypatch.setattr(induced, "_PIECE", 151)
    parts = InducedLikelihood(layout, design, law, SPLINE, interpolate=True)
    exact = InducedLikelihood(layout, design, law, SPLINE, interpolate=False)
    beta = random_beta(24, design.n_columns)
    refined = []
    for strength in (0.0, 0.0, 1.0, 20.0):
        refined.append(parts.refine(strength * beta))
        for _ in range(2):
            expected, found = exact.evaluate(strength * beta), parts.evaluate(strength * beta)
            np.testing.assert_allclose(found.loglik, expected.loglik, rtol=0, atol=1e-7)
            np.testing.assert_allclose(found.score, expected.score, rtol=0, atol=1e-6)
    assert refined[:2] == [False, False]  # at the first nobody was there, at the second all was accurate
    assert refined[3]


def test_null_likelihood_counts_the_subsets():
    layout, design, law, *_ = matched_problem(17, SPLINE)
    at_zero = InducedLikelihood(layout, design, law, SPLINE).evaluate(np.zeros(design.n_columns)).loglik
    np.testing.assert_allclose(null_loglik(layout), at_zero, rtol=ROUNDING)


# --- interpolation ---


@pytest.mark.parametrize("sigma", [0.0, 0.02, 0.4, 1.2])
@pytest.mark.parametrize("strength", [1.0, 6.0, 20.0])
def test_interpolation_keeps_its_bound_between_the_probes_too(sigma, strength):
    rng = np.random.default_rng(18)
    n = 4000
    law = ExposureLaw(
        4 + 1.5 * rng.normal(size=n), rng.integers(0, 2, n), np.array([sigma**2, 1.5 * sigma**2])
    )
    levels = np.vstack([np.ones(n), rng.integers(0, 3, n)])
    coefficients = strength * np.array([[0.3, -0.2, 0.5], [0.1, 0.2, -0.3]])
    exact = lay_out_risks(law, levels, SPLINE, interpolate=False).evaluate(coefficients)
    risks = lay_out_risks(law, levels, SPLINE, interpolate=True).refined(coefficients)
    assert risks.plan is not None  # six classes of 600 persons: the plan was worth it, and it was met
    assert risks.interpolation_errors(coefficients).max() <= INTERPOLATION_TOLERANCE
    fast = risks.evaluate(coefficients)
    np.testing.assert_allclose(fast.log_risk, exact.log_risk, rtol=0, atol=2 * INTERPOLATION_TOLERANCE)
    spread = np.ptp(exact.gradient, axis=1, keepdims=True)
    np.testing.assert_allclose(
        fast.gradient / spread, exact.gradient / spread, rtol=0, atol=2 * INTERPOLATION_TOLERANCE
    )


def test_interpolation_is_chosen_only_where_classes_are_large():
    rng = np.random.default_rng(19)

    def plan(n, multipliers=None):
        law = ExposureLaw(4 + rng.normal(size=n), np.zeros(n, dtype=int), np.array([0.3]))
        return lay_out_risks(law, np.ones((1, n)) if multipliers is None else multipliers, SPLINE).plan

    assert plan(50) is None
    assert plan(20_000) is not None
    assert plan(3_000, np.vstack([np.ones(3_000), rng.normal(size=3_000)])) is None  # a continuous modifier


def test_large_and_small_classes_go_together():
    rng = np.random.default_rng(20)
    group = np.concatenate([np.zeros(5_000, dtype=int), np.ones(30, dtype=int), np.full(200, -1)])
    law = ExposureLaw(4 + rng.normal(size=group.size), group, np.array([0.3, 0.5]))
    ones, b = np.ones((1, group.size)), np.array([[0.3, -0.2, 0.5]])
    mixed, exact = lay_out_risks(law, ones, SPLINE), lay_out_risks(law, ones, SPLINE, interpolate=False)
    assert mixed.plan is not None
    assert mixed.plan.cells.edges[1] is None
    np.testing.assert_allclose(
        mixed.refined(b).evaluate(b).log_risk, exact.evaluate(b).log_risk, atol=2 * INTERPOLATION_TOLERANCE
    )


def test_a_hopeless_interpolation_gives_way_to_evaluating_everybody():
    rng = np.random.default_rng(21)
    law = ExposureLaw(4 + rng.normal(size=3_000), np.zeros(3_000, dtype=int), np.array([0.3]))
    ones, b = np.ones((1, 3_000)), np.full((1, 3), 2e6)
    risks = lay_out_risks(law, ones, SPLINE, interpolate=True).refined(b)
    assert risks.plan is None
    exact = lay_out_risks(law, ones, SPLINE, interpolate=False).evaluate(b)
    np.testing.assert_array_equal(risks.evaluate(b).log_risk, exact.log_risk)


def test_memory_grows_with_persons_not_with_nodes_times_persons():
    import tracemalloc

    rng = np.random.default_rng(22)
    n = 100_000
    law = ExposureLaw(4 + rng.normal(size=n), np.zeros(n, dtype=int), np.array([0.3]))
    multipliers = np.vstack([np.ones(n), rng.normal(size=n)])
    coefficients = np.array([[0.3, -0.2, 0.5], [0.1, 0.2, -0.3]])
    tracemalloc.start()
    lay_out_risks(law, multipliers, SPLINE, nodes=60).evaluate(coefficients)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 60 nodes x 100,000 persons x 3 columns would be 144 MB; some 25 numbers a person are 20 MB.
    assert peak < 40e6


# --- the ascent ---


def double_well(at):
    """- (x^2 - 1)^2 - y^2: a minimum along x at 0, maxima at x = -1 and 1."""
    x, y = at
    hessian = np.diag([4 - 12 * x * x, -2.0])
    return InducedTerms(
        -((x * x - 1) ** 2) - y * y, np.array([-4 * x * (x * x - 1), -2 * y]), -hessian, np.diag([8.0, 2.0])
    )


@pytest.mark.parametrize("start", [(0.0, 0.0), (0.05, 1.0), (-0.5, 3.0), (3.0, -2.0)])
def test_the_ascent_finds_a_maximum_where_the_likelihood_is_not_concave(start):
    seen = []

    def evaluate(at):
        terms = double_well(at)
        seen.append(terms.loglik)
        return terms

    optimum = climb(evaluate, np.array(start))
    assert optimum.converged[0]
    # A decrement of 1e-10 leaves 1e-5 in x before the closing step, which squares it.
    np.testing.assert_allclose(np.abs(optimum.point[0]), [1.0, 0.0], atol=1e-8)
    assert optimum.loglik[0] >= seen[0]
    assert optimum.iterations[0] == len(seen)


def test_starts_with_negative_curvature_still_climb_to_the_same_maximum():
    layout, design, law, *_ = matched_problem(23, CATEGORIES, modifiers=0, shapes=SHAPES * 5)
    likelihood = InducedLikelihood(layout, design, law, CATEGORIES)
    near, _ = fit_induced_likelihood(likelihood, None, "abcde")
    starts = [
        near.beta + change for change in 4 * np.random.default_rng(24).normal(size=(40, near.beta.size))
    ]
    lowest = [np.linalg.eigvalsh(likelihood.evaluate(start).information)[0] for start in starts]
    assert (np.array(lowest) < -1e-3).sum() >= 5
    for start in starts:
        again, _ = fit_induced_likelihood(likelihood, start, "abcde")
        # Two ascents to one maximum.
        np.testing.assert_allclose(again.beta, near.beta, rtol=1e-6, atol=1e-7)


def test_too_few_iterations_are_told():
    layout, design, law, *_ = matched_problem(24, SPLINE)
    likelihood = InducedLikelihood(layout, design, law, SPLINE)
    with pytest.raises(ConvergenceError, match="maximum was not found in") as caught:
        fit_induced_likelihood(likelihood, np.full(design.n_columns, 0.5), "abcdefgh", max_iterations=2)
    assert caught.value.iterations >= 2
    assert caught.value.decrement > 0


def test_separation_by_a_covariate_is_named():
    layout, design, law, _, case = matched_problem(25, SPLINE, modifiers=0)
    others = np.vstack([design.others[:1], np.where(case, 1.0, 0.0)])
    separated = InducedDesign(design.multipliers, design.exposure_positions, others, design.other_positions)
    likelihood = InducedLikelihood(layout, separated, law, SPLINE)
    with pytest.raises(SeparationError, match="smoker") as caught:
        fit_induced_likelihood(likelihood, None, ["x", "x'", "x''", "age", "smoker"])
    assert "smoker" in caught.value.terms


def test_columns_that_cannot_be_told_apart_are_named_when_nothing_was_checked_before():
    layout, design, law, code, _ = matched_problem(26, SPLINE, modifiers=0)
    names = ["x", "x'", "x''", "age", "copy"]
    for second in (2 * design.others[0], code.astype(float)):
        others = np.vstack([design.others[:1], second])
        doubled = InducedDesign(design.multipliers, design.exposure_positions, others, design.other_positions)
        with pytest.raises(SingularInformationError, match="copy") as caught:
            fit_induced_likelihood(InducedLikelihood(layout, doubled, law, SPLINE), None, names)
        assert caught.value.terms == ("copy",)


@pytest.mark.parametrize("kind", BASES)
def test_known_exposures_give_the_plain_conditional_logit(kind):
    basis = BASES[kind]
    layout, design, law, *_ = matched_problem(27, basis, modifiers=0)
    known = ExposureLaw(law.mean, np.full(law.mean.size, -1), law.variance)
    names = [f"c{k}" for k in range(design.n_columns)]
    induced, _ = fit_induced_likelihood(InducedLikelihood(layout, design, known, basis), None, names)
    plain = fit_conditional_logistic(layout, np.vstack([basis.columns(law.mean), design.others]), names)
    np.testing.assert_allclose(induced.beta, plain.beta, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(induced.information, plain.information, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(induced.loglik, plain.loglik, rtol=ROUNDING)
    np.testing.assert_allclose(induced.loglik_null, plain.loglik_null, rtol=ROUNDING)


def test_one_node_is_the_full_calibration_likelihood():
    layout, design, law, *_ = matched_problem(28, SPLINE, modifiers=0)
    induced, _ = fit_induced_likelihood(
        InducedLikelihood(layout, design, law, SPLINE, nodes=1), None, ["a", "b", "c", "d", "e"]
    )
    plain = fit_conditional_logistic(layout, np.vstack([SPLINE.columns(law.mean), design.others]), "abcde")
    np.testing.assert_allclose(induced.beta, plain.beta, rtol=1e-8)
