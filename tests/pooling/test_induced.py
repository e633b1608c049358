"""The induced estimator: fixtures, a stacked sandwich written out by hand, limits and invariances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from fixture_files import read_answers, read_rows
from induced_by_hand import induced_frame, set_terms

import biocal as bc
from biocal.errors import OptionError, SeparationError, SingularInformationError
from biocal.fitting.methods.induced import fit_induced, induced_coefficients
from biocal.fitting.methods.plug_in import fit_plug_in, plug_in_exposure
from biocal.fitting.problem.prepare import ModelFormulas, PreparedPool, prepare
from biocal.kernels.sandwich import stacked_covariance
from biocal.model.calibration.lines import CalibrationFit, dense_rows, fit_calibration
from biocal.model.exposure import CategoryBasis, LinearBasis, SplineBasis
from biocal.pool.pooled import PooledStudies

# Two maximisers, and the fixtures' central differences.
FIXTURE_BETA, FIXTURE_COVARIANCE = 1e-7, 1e-5
# The same arithmetic in another order, through a solution of equations.
SAME = 1e-9
# Central differences with steps of 1e-5 of the stacked estimating functions.
DIFFERENCES = 1e-6
# Interpolation to 1e-9 in log M against the evaluation of everybody.
INTERPOLATED = 1e-7

SHAPES = [(1, 1), (1, 2), (2, 2), (2, 1), (1, 3), (3, 2)] * 5
SPLINE = SplineBasis((2.8, 4.0, 5.2))
CATEGORIES = CategoryBasis((3.4, 4.6), 1)
BASES = {"linear": LinearBasis(), "spline": SPLINE, "categories": CATEGORIES}


@dataclass(frozen=True)
class Calibrated:
    """A prepared pool and its calibration."""

    prepared: PreparedPool
    calibration: CalibrationFit | None

    @property
    def problem(self):
        return self.prepared.problem

    def fit(self, basis, **options):
        return fit_induced(self.problem, basis, self.calibration, **options)

    def covariance(self, stacked):
        return stacked_covariance(stacked, len(self.problem.local_names))

    def full(self, basis):
        exposure = plug_in_exposure(self.problem, "full", self.calibration)
        return fit_plug_in(self.problem, exposure, basis, self.calibration)


def calibrated(frame, **formulas) -> Calibrated:
    prepared = prepare(PooledStudies.from_frame(frame), ModelFormulas(**formulas))
    problem = prepared.problem
    if not problem.local_names:
        return Calibrated(prepared, None)
    rows = problem.calibrators.rows
    return Calibrated(
        prepared,
        fit_calibration(rows, problem.calibrators.response, problem.calibrators.layout, problem.local_names),
    )


# --- fixtures ---

FIXTURES = [
    (name, key)
    for name, keys in (
        ("pairs", ("spline", "linear")),
        (
            "one_to_two",
            ("spline", "linear", "spline_calibration_with_covariates", "linear_calibration_with_covariates"),
        ),
    )
    for key in keys
]


@pytest.mark.parametrize("interpolate", [None, True])
@pytest.mark.parametrize(("name", "key"), FIXTURES)
def test_fixtures(name, key, interpolate):
    answers = read_answers(name)
    pool = calibrated(
        read_rows(name),
        covariates=" + ".join(answers["covariates"]),
        calibration_covariates="outcome" if "with_covariates" in key else "none",
    )
    expected = answers[key]["induced"]
    basis = SplineBasis(tuple(answers["knots"])) if key.startswith("spline") else LinearBasis()
    _, outcome, stacked = pool.fit(basis, interpolate=interpolate)
    found = pool.covariance(stacked)
    np.testing.assert_allclose(outcome.beta, expected["beta"], rtol=FIXTURE_BETA)
    np.testing.assert_allclose(found.vcov, expected["cov"], rtol=FIXTURE_COVARIANCE)
    np.testing.assert_allclose(found.vcov_uncorrected, expected["cov_uncorrected"], rtol=FIXTURE_COVARIANCE)


# --- the stacked sandwich, written out ---


def stacked_by_hand(pool: Calibrated, basis, beta):
    """Coefficients and covariance from estimating functions summed unit by unit, bread by differences."""
    problem, calibration = pool.problem, pool.calibration
    model, _, _ = pool.fit(basis)
    pairs, rows = problem.calibrators, problem.calibration_rows
    design, group = dense_rows(pairs.rows, pairs.layout), pairs.rows.group
    n_gamma, n_groups = design.shape[1], calibration.variance.size
    hat = np.einsum("ij,jk,ik->i", design, np.linalg.inv(design.T @ design), design)
    share = np.array([(1 - hat[group == g]).mean() for g in range(n_groups)])
    local = np.flatnonzero(~problem.is_reference)
    person_design = np.zeros((problem.is_case.size, n_gamma))
    person_design[local] = dense_rows(rows.take(local), pairs.layout)
    other_positions = np.concatenate([model.covariate_positions, model.modifier_positions])
    others = np.vstack([problem.covariates, problem.modifier[list(problem.modifier_main)]])
    multipliers = np.vstack([np.ones((1, problem.is_case.size)), problem.modifier])
    members = [np.flatnonzero(problem.set_code == j) for j in range(problem.n_sets)]

    def psi(theta):
        """Stacked scores of the units, (n_units, n_gamma + n_groups + p)."""
        gamma, variance, at = np.split(theta, [n_gamma, n_gamma + n_groups])
        scores = np.zeros((problem.n_units, theta.size))
        for i, unit in enumerate(pairs.unit):
            r = pairs.response[i] - design[i] @ gamma
            scores[unit, :n_gamma] += r * design[i]
            scores[unit, n_gamma + group[i]] += r * r - variance[group[i]] * share[group[i]]
        for j, rows_of_set in enumerate(members):
            persons = [
                {
                    "mean": problem.reference_assay[i]
                    if problem.is_reference[i]
                    else person_design[i] @ gamma,
                    "sd": None if problem.is_reference[i] else np.sqrt(variance[rows.group[i]]),
                    "A": multipliers[:, i],
                    "z": others[:, i],
                    "case": problem.is_case[i],
                }
                for i in rows_of_set
            ]
            terms = set_terms(at, persons, model.exposure_positions, other_positions, basis)
            scores[problem.set_unit[j], n_gamma + n_groups :] += terms.score
        return scores

    theta = np.concatenate([calibration.gamma, calibration.variance, beta])
    bread = np.empty((theta.size, theta.size))
    for k in range(theta.size):
        step = np.where(np.arange(theta.size) == k, 1e-5, 0.0)
        bread[:, k] = -(psi(theta + step) - psi(theta - step)).sum(axis=0) / 2e-5
    scores = psi(theta)
    inverse = np.linalg.inv(bread)
    start = n_gamma + n_groups
    return scores, bread, (inverse @ scores.T @ scores @ inverse.T)[start:, start:]


@pytest.mark.parametrize(
    ("kind", "modifier"),
    [
        ("spline", None),
        ("linear", "continuous"),
        ("spline", "levels"),
        ("categories", "levels"),
        ("categories", None),
    ],
)
def test_the_sandwich_is_that_of_the_stacked_equations(kind, modifier):
    frame = induced_frame(31, shapes=SHAPES, calibrators=28, modifier=modifier)
    pool = calibrated(frame, covariates="z", modifier="m" if modifier else None)
    basis = BASES[kind]
    _, outcome, stacked = pool.fit(basis)
    scores, bread, covariance = stacked_by_hand(pool, basis, outcome.beta)
    # All equations are solved.
    size = np.sqrt((scores**2).sum(axis=0))
    np.testing.assert_allclose(scores.sum(axis=0) / size, 0.0, atol=SAME)
    p = outcome.beta.size
    np.testing.assert_allclose(outcome.information, bread[-p:, -p:], rtol=DIFFERENCES, atol=DIFFERENCES * 100)
    np.testing.assert_allclose(stacked.cross, bread[-p:, :-p], rtol=DIFFERENCES, atol=DIFFERENCES * 100)
    inverse = np.linalg.inv(bread[:-p, :-p])
    np.testing.assert_allclose(stacked.inverse_calibration_bread, inverse, rtol=1e-5, atol=1e-8)
    found = pool.covariance(stacked).vcov
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    np.testing.assert_allclose(found / scale, covariance / scale, atol=10 * DIFFERENCES)


def test_levels_of_a_modifier_have_residual_variances_of_their_own():
    frame = induced_frame(31, shapes=SHAPES, calibrators=28, modifier="levels")
    pool = calibrated(frame, covariates="z", modifier="C(m)")
    assert pool.calibration.variance.size == 4  # two local studies, two levels
    _, _, stacked = pool.fit(SPLINE)
    assert stacked.cross.shape[1] == pool.calibration.gamma.size + 4


def test_bread_of_the_calibration_and_its_inverse_by_hand():
    pool = calibrated(induced_frame(32, shapes=SHAPES, calibrators=20), covariates="z")
    calibration, pairs = pool.calibration, pool.problem.calibrators
    design, group = dense_rows(pairs.rows, pairs.layout), pairs.rows.group
    n_groups = calibration.variance.size
    lower = np.array([2 * (calibration.residuals[group == g] @ design[group == g]) for g in range(n_groups)])
    bread = np.block(
        [[design.T @ design, np.zeros((design.shape[1], n_groups))], [lower, np.diag(calibration.freedom)]]
    )
    # The covariate is common to the studies, so that a study's own residuals are not orthogonal to it.
    assert np.abs(lower).max() > 0.01
    np.testing.assert_allclose(
        calibration.joint_scores().inverse_bread @ bread, np.eye(len(bread)), atol=SAME
    )
    scores = calibration.joint_scores().scores[:, calibration.gamma.size :]
    np.testing.assert_allclose(scores.sum(axis=0), 0.0, atol=SAME)
    one = 5
    expected = calibration.residuals[one] ** 2 - calibration.variance[group[one]] * np.mean(
        1 - calibration.leverage[group == group[one]]
    )
    np.testing.assert_allclose(scores[one, group[one]], expected, rtol=SAME)
    assert (scores != 0).sum() == scores.shape[0]


# --- limits ---


@pytest.mark.parametrize("covariates", [None, "z"])
def test_linear_without_a_modifier_is_full_calibration_sandwich_included(covariates):
    pool = calibrated(induced_frame(33, shapes=SHAPES * 3, calibrators=40), covariates=covariates)
    _, induced, stacked = pool.fit(LinearBasis())
    _, full, stacked_full = pool.full(LinearBasis())
    np.testing.assert_allclose(induced.beta, full.beta, rtol=SAME)
    np.testing.assert_allclose(induced.loglik, full.loglik, rtol=SAME)
    one, other = pool.covariance(stacked), pool.covariance(stacked_full)
    np.testing.assert_allclose(one.vcov, other.vcov, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(one.vcov_uncorrected, other.vcov_uncorrected, rtol=1e-7, atol=1e-12)
    # sigma^2 cancels within sets: its column of B21 is nothing.
    n_groups = pool.calibration.variance.size
    np.testing.assert_allclose(stacked.cross[:, -n_groups:], 0.0, atol=1e-8)


def test_linear_with_a_modifier_that_varies_within_sets_is_not():
    pool = calibrated(
        induced_frame(34, shapes=SHAPES * 3, calibrators=40, modifier="continuous"), modifier="m"
    )
    assert np.abs(pool.fit(LinearBasis())[1].beta - pool.full(LinearBasis())[1].beta).max() > 1e-3


@pytest.mark.parametrize("kind", ["linear", "spline"])
def test_when_the_calibration_has_no_scatter_induced_is_full(kind):
    frame = induced_frame(35, shapes=SHAPES, calibrators=30)
    local = frame["study"] > 1
    exact = local & frame["reference"].notna()
    frame.loc[exact, "reference"] = 0.4 + 1.1 * frame.loc[exact, "local"]
    pool = calibrated(frame, covariates="z", calibration_covariates="none")
    assert pool.calibration.variance.max() < 1e-20
    _, induced, stacked = pool.fit(BASES[kind])
    _, full, stacked_full = pool.full(BASES[kind])
    np.testing.assert_allclose(induced.beta, full.beta, rtol=1e-8)
    one, other = pool.covariance(stacked), pool.covariance(stacked_full)
    np.testing.assert_allclose(one.vcov, other.vcov, rtol=1e-6)


def test_induced_goes_to_full_as_the_scatter_goes_to_0():
    frame = induced_frame(36, shapes=SHAPES * 3, calibrators=40)
    pool = calibrated(frame, covariates="z", calibration_covariates="none")
    full = pool.full(SPLINE)[1].beta
    problem, rows = pool.problem, pool.problem.calibrators.rows
    distances = []
    fitted = problem.calibrators.response - pool.calibration.residuals
    for shrink in (1.0, 0.1, 0.01):
        response = fitted + shrink * pool.calibration.residuals
        calibration = fit_calibration(rows, response, problem.calibrators.layout, problem.local_names)
        distances.append(np.abs(fit_induced(problem, SPLINE, calibration)[1].beta - full).max())
    # The difference is of the order of sigma^2.
    assert distances[0] > 1e-3
    assert distances[1] < 0.02 * distances[0]
    assert distances[2] < 0.02 * distances[1]


@pytest.mark.parametrize("kind", BASES)
def test_reference_studies_alone_give_the_plain_conditional_logit(kind):
    frame = induced_frame(37, shapes=SHAPES, calibrators=20)
    pool = calibrated(frame[frame["study"] == 1], covariates="z")
    assert pool.calibration is None
    _, induced, stacked = pool.fit(BASES[kind])
    _, full, _ = pool.full(BASES[kind])
    np.testing.assert_array_equal(induced.beta, full.beta)
    assert stacked.cross is None
    np.testing.assert_array_equal(stacked.information, full.information)


def test_two_categories_by_hand():
    # One local study of pairs: the likelihood is a product over the pairs of
    # (1 + P_case (OR - 1)) / (2 + (P_case + P_control) (OR - 1)), P the chance to be above the cut.
    from scipy.optimize import minimize_scalar
    from scipy.stats import norm

    frame = induced_frame(38, shapes=[(1, 1)] * 150, calibrators=60, studies=2, covariate=False)
    frame = frame[frame["study"] == 2]
    pool = calibrated(frame)
    problem, calibration = pool.problem, pool.calibration
    mean = calibration.gamma[0] + calibration.gamma[1] * problem.local_assay
    above = norm.sf((4.2 - mean) / np.sqrt(calibration.variance[0]))
    order = np.lexsort((~problem.is_case, problem.set_code))
    case, control = above[order][0::2], above[order][1::2]

    def minus_loglik(b):
        odds = np.expm1(b)
        return -np.log((1 + case * odds) / (2 + (case + control) * odds)).sum()

    by_hand = minimize_scalar(minus_loglik, bounds=(-5, 5), method="bounded", options={"xatol": 1e-10})
    _, outcome, _ = pool.fit(CategoryBasis((4.2,), 0))
    np.testing.assert_allclose(outcome.loglik, -by_hand.fun, rtol=1e-10)
    # A search without derivatives finds the place of a maximum to half the digits of its height.
    np.testing.assert_allclose(outcome.beta[0], by_hand.x, atol=1e-6)


def test_a_category_in_which_no_calibrated_mean_falls_stops_full_but_not_induced():
    frame = induced_frame(
        39, shapes=[(1, 1)] * 200, calibrators=80, studies=2, covariate=False, residual_sd=1.5
    )
    pool = calibrated(frame[frame["study"] == 2])
    top = float(np.nanmax(pool.calibration.predict(pool.problem.calibration_rows)))
    basis = CategoryBasis((4.0, top + 0.05), 0)
    with pytest.raises(SingularInformationError, match="constant within every matched set"):
        pool.full(basis)
    assert np.isfinite(pool.fit(basis)[1].beta).all()


# --- options, messages, invariances ---


def test_interpolation_changes_neither_coefficients_nor_covariance():
    pool = calibrated(
        induced_frame(40, shapes=[(1, 2)] * 700, calibrators=60, modifier="levels"), modifier="C(m)"
    )
    _, exact, exact_stack = pool.fit(SPLINE, interpolate=False)
    _, fast, fast_stack = pool.fit(SPLINE, interpolate=True)
    one, other = pool.covariance(exact_stack), pool.covariance(fast_stack)
    error = np.sqrt(np.diag(one.vcov))
    np.testing.assert_allclose(fast.beta / error, exact.beta / error, rtol=0, atol=INTERPOLATED)
    scale = np.outer(error, error)
    np.testing.assert_allclose(other.vcov / scale, one.vcov / scale, rtol=0, atol=INTERPOLATED)
    np.testing.assert_allclose(fast.loglik, exact.loglik, rtol=1e-10)


def test_the_summary_says_whose_residual_variance_induced_takes_with_a_modifier():
    frame = induced_frame(31, shapes=SHAPES * 3, calibrators=60, modifier="levels")
    fit = bc.fit(bc.PooledStudies.from_frame(frame), method="induced", exposure=bc.linear(), modifier="C(m)")
    summary = " ".join(fit.summary().split())
    assert "each level of the modifier has a residual variance of its own in" in summary
    assert "in place of one for the study (used by induced only)" in summary


@pytest.mark.parametrize("kind", BASES)
def test_smearing_fits_but_has_no_stacked_scores(kind):
    pool = calibrated(induced_frame(41, shapes=SHAPES * 6, calibrators=90), covariates="z")
    _, smeared, stacked = pool.fit(BASES[kind], residual_law="smearing")
    _, normal, _ = pool.fit(BASES[kind])
    assert stacked is None
    # The residuals were drawn from a normal law: the two differ by far less than a standard error.
    error = np.sqrt(np.diag(np.linalg.inv(normal.information)))
    assert (np.abs(smeared.beta - normal.beta) / error).max() < 0.35
    if kind == "linear":
        # Without a modifier the law of the residuals cancels within sets.
        np.testing.assert_allclose(smeared.beta, normal.beta, rtol=1e-7)


def test_smearing_is_the_same_interpolated():
    pool = calibrated(induced_frame(42, shapes=SHAPES, calibrators=30), covariates="z")
    _, whole, _ = pool.fit(SPLINE, residual_law="smearing")
    _, quick, _ = pool.fit(SPLINE, residual_law="smearing", interpolate=True)
    np.testing.assert_allclose(whole.beta, quick.beta, rtol=1e-6)


def test_more_nodes_change_little_and_a_bad_number_is_refused():
    pool = calibrated(induced_frame(43, shapes=SHAPES * 3, calibrators=40), covariates="z")
    few, many = pool.fit(SPLINE)[1], pool.fit(SPLINE, nodes=80)[1]
    # The kinks of the spline's third derivative limit the rule.
    np.testing.assert_allclose(few.beta, many.beta, atol=1e-3)
    with pytest.raises(OptionError, match="quadrature nodes"):
        pool.fit(SPLINE, nodes=0)
    with pytest.raises(OptionError, match="normal, smearing") as caught:
        pool.fit(SPLINE, residual_law="gamma")
    assert caught.value.allowed == ("normal", "smearing")


def test_a_given_start_leads_to_the_same_maximum():
    pool = calibrated(induced_frame(44, shapes=SHAPES * 3, calibrators=40), covariates="z")
    usual = pool.fit(SPLINE)[1]
    again = pool.fit(SPLINE, start=usual.beta)[1]
    elsewhere = pool.fit(SPLINE, start=usual.beta + 0.5)[1]
    # What a closing Newton step leaves, in standard errors.
    error = np.sqrt(np.diag(np.linalg.inv(usual.information)))
    np.testing.assert_allclose(again.beta / error, usual.beta / error, atol=1e-7)
    np.testing.assert_allclose(elsewhere.beta / error, usual.beta / error, atol=1e-7)
    assert again.iterations == 1


@pytest.mark.parametrize("residual_law", ["normal", "smearing"])
def test_coefficients_alone_are_those_of_the_fit(residual_law):
    frame = induced_frame(44, shapes=SHAPES * 3, calibrators=40)
    for rows in (frame, frame[frame["study"] == 1]):
        pool = calibrated(rows, covariates="z")
        model, outcome, _ = pool.fit(SPLINE, residual_law=residual_law)
        again, beta = induced_coefficients(pool.problem, SPLINE, pool.calibration, residual_law=residual_law)
        assert again.terms == model.terms
        np.testing.assert_array_equal(beta, outcome.beta)


def test_units_of_both_laboratories_only_rescale():
    frame = induced_frame(45, shapes=SHAPES * 2, calibrators=30)
    pool = calibrated(frame, covariates="z")
    other = calibrated(
        frame.assign(local=2.5 * frame["local"], reference=40 * frame["reference"]), covariates="z"
    )
    _, one, stacked = pool.fit(SPLINE)
    _, two, stacked_two = other.fit(SplineBasis(tuple(40 * knot for knot in SPLINE.knots)))
    scale = np.array([40.0, 40.0, 1.0])
    np.testing.assert_allclose(two.beta * scale, one.beta, rtol=1e-7)
    np.testing.assert_allclose(
        other.covariance(stacked_two).vcov * np.outer(scale, scale), pool.covariance(stacked).vcov, rtol=1e-6
    )


def test_row_order_and_labels_do_not_matter():
    frame = induced_frame(46, shapes=SHAPES * 2, calibrators=30)
    other = frame.sample(frac=1, random_state=1).assign(
        study=lambda d: d["study"].map({1: "c", 2: "b", 3: "a"}),
        set=lambda d: "s" + (97 - d["set"]).astype(str),
    )
    one, two = calibrated(frame, covariates="z"), calibrated(other, covariates="z")
    (_, fit, stacked), (_, again, stacked_again) = one.fit(SPLINE), two.fit(SPLINE)
    np.testing.assert_allclose(again.beta, fit.beta, rtol=1e-8)
    np.testing.assert_allclose(two.covariance(stacked_again).vcov, one.covariance(stacked).vcov, rtol=1e-7)


def test_the_pool_twice_gives_the_same_coefficients_and_half_the_covariance():
    frame = induced_frame(47, shapes=SHAPES * 2, calibrators=30)
    twice = pd.concat([frame, frame.assign(study=frame["study"] + 10)])
    one = calibrated(frame, calibration_covariates="none")
    two = calibrated(twice, calibration_covariates="none")
    (_, fit, stacked), (_, again, stacked_again) = one.fit(SPLINE), two.fit(SPLINE)
    np.testing.assert_allclose(again.beta, fit.beta, rtol=1e-8)
    np.testing.assert_allclose(
        two.covariance(stacked_again).vcov, one.covariance(stacked).vcov / 2, rtol=1e-7
    )


def test_separation_is_told():
    frame = induced_frame(48, shapes=SHAPES, calibrators=20)
    frame["z"] = frame["case"] + 0.001 * frame["z"]
    with pytest.raises(SeparationError, match="z") as caught:
        calibrated(frame, covariates="z", calibration_covariates="none").fit(SPLINE)
    assert caught.value.terms == ("z",)


def draw_people(rng, n):
    """Local value and exposure of n controls: X = W + e, R^2 .5."""
    local = 60 + rng.normal(size=n) * 20 * np.sqrt(0.5)
    return local, local + rng.normal(size=n) * 20 * np.sqrt(0.5)


def test_in_a_large_pool_induced_recovers_the_truth_that_full_misses():
    # Pairs under a rare disease: cases are people drawn again with chances in proportion to exp(f(X)).
    rng = np.random.default_rng(52)
    basis, truth = SplineBasis((30.0, 55.0, 90.0)), np.array([-0.05, 0.06])
    candidate_local, candidate = draw_people(rng, 600_000)
    log_risk = truth @ basis.columns(candidate)
    # Beyond the 99.99th percentile the risk is capped: 1 case in 1,000 or so.
    log_risk -= np.quantile(log_risk, 0.9999)
    cases = np.flatnonzero(rng.random(log_risk.size) < np.exp(np.minimum(log_risk, 0.0)))
    control_local, control = draw_people(rng, cases.size)
    reference = np.where(np.arange(cases.size) < 5_000, control, np.nan)
    frame = pd.DataFrame(
        {
            "study": 1,
            "set": np.tile(np.arange(cases.size), 2),
            "case": np.repeat([1, 0], cases.size),
            "local": np.concatenate([candidate_local[cases], control_local]),
            "reference": np.concatenate([np.full(cases.size, np.nan), reference]),
        }
    )
    pool = calibrated(frame)
    (_, induced, stacked), (_, full, stacked_full) = pool.fit(basis), pool.full(basis)
    # log OR at 75 against 55; 4 standard errors: once in 16,000 seeds by chance.  Full is off by 6 or 7.
    contrast = basis.columns(np.array([75.0]))[:, 0] - basis.columns(np.array([55.0]))[:, 0]
    error, error_full = (
        np.sqrt(contrast @ pool.covariance(s).vcov @ contrast) for s in (stacked, stacked_full)
    )
    assert abs(contrast @ (induced.beta - truth)) < 4 * error
    assert abs(contrast @ (full.beta - truth)) > 4 * error_full
