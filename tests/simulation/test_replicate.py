"""One batch of replicates: the batched estimators against the general ones, failures as data."""

from __future__ import annotations

import numpy as np
import pytest

from biocal.fitting.methods.estimate import calibrate_problem, estimate_method
from biocal.fitting.problem.scale import learn_basis
from biocal.model.exposure import SplineBasis, rcs
from biocal.simulation.design.joint_checks import require_sound
from biocal.simulation.design.scenario import (
    Covariate,
    Disease,
    Estimand,
    ExposureLaw,
    FitPlan,
    Matching,
    Measurement,
    Scenario,
    StudyDesign,
)
from biocal.simulation.design.truth import Truth
from biocal.simulation.drawing.draw import draw
from biocal.simulation.fitting.problem import problem_of
from biocal.simulation.fitting.replicate import estimate_drawn, run_batch

KNOTS = (34.35, 60.02, 85.64)
AT = (25.0, 37.5, 75.0, 100.0)
#: The same arithmetic in another order, through normal equations instead of a QR factorisation.
SAME_ARITHMETIC = 1e-8


def scenario(**changes: object) -> Scenario:
    lines = (("B", 12.0, 0.75), ("C", -8.0, 1.3))
    local = [
        StudyDesign(name, 60, 2, laboratory="local", intercept=a, slope=b, r_squared=0.7, calibrators=30)
        for name, a, b in lines
    ]
    studies = (StudyDesign("A", 60, 2, laboratory="reference"), *local)
    parts: dict[str, object] = {
        "exposure": ExposureLaw(60, 20),
        "truth": Truth("rcs", (-0.02, 0.015), KNOTS),
        "studies": studies,
        "estimand": Estimand(AT, 55.0),
        "fit": FitPlan("rcs", KNOTS, "none"),
        "methods": ("reference", "naive", "internalized", "full"),
    }
    return require_sound(Scenario(**(parts | changes)))  # type: ignore[arg-type]


WITH_COVARIATES = {
    "covariates": (Covariate("z", 0.5, 0.3),),
    "matching": Matching(season_share=0.2),
    "measurement": Measurement("classical"),
    "fit": FitPlan("rcs", 4, "outcome"),
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"fit": FitPlan("linear", 3, "none")},
        {"fit": FitPlan("rcs", 3, "none")},
        {"fit": FitPlan("rcs", KNOTS, "none", calibration_variance="hc3")},
        WITH_COVARIATES,
    ],
    ids=["given knots", "linear", "quantile knots", "hc3", "covariates and matching"],
)
@pytest.mark.parametrize("method", ["reference", "naive", "internalized", "full"])
def test_a_batch_gives_the_numbers_of_the_general_code(changes: dict[str, object], method: str) -> None:
    design = scenario(**changes)
    drawn = draw(design, 1, 0, range(3))
    found = estimate_drawn(drawn, design)[method]
    log_or, std_error, errors = found.log_or, found.std_error, found.errors
    for row in range(3):
        everybody = problem_of(drawn, design, row)
        calibration = calibrate_problem(everybody)
        plan = design.fit
        specification = rcs(plan.knots if isinstance(plan.knots, int) else list(plan.knots))
        knots = learn_basis(specification, everybody, "full", calibration, knot_rule="common")
        from biocal.model.exposure import linear

        basis = linear().learn() if plan.exposure == "linear" else knots
        problem = problem_of(drawn, design, row, everybody_reference=method == "reference")
        found = estimate_method(
            problem, "naive" if method == "reference" else method, basis, calibrate_problem(problem)
        )
        contrast = np.zeros((found.model.n_terms, len(AT)))
        contrast[found.model.exposure_positions[0]] = basis.columns(np.array(AT)) - basis.columns(
            np.array([55.0])
        )
        np.testing.assert_allclose(log_or[row], contrast.T @ found.outcome.beta, atol=SAME_ARITHMETIC)
        variance = np.einsum("pm,pq,qm->m", contrast, found.covariance.vcov, contrast)
        np.testing.assert_allclose(std_error[row], np.sqrt(variance), rtol=SAME_ARITHMETIC, atol=1e-15)
        assert errors[row] == ""


def test_numbers_do_not_depend_on_the_batch() -> None:
    design = scenario(methods=("naive", "full", "induced"))
    together = run_batch(design, 7, 2, range(4))
    apart = [run_batch(design, 7, 2, [replicate]) for replicate in range(4)]
    for name in ("estimate", "std_error", "truth", "replicate"):
        joined = np.concatenate([part[name] for part in apart])
        # Matrix products of a batch and of a single replicate may sum in another order.
        np.testing.assert_allclose(together[name], joined, rtol=1e-9, atol=1e-12)


def test_rows_come_by_replicate_method_and_exposure() -> None:
    table = run_batch(scenario(), 7, 5, [3, 9])
    n = len(AT)
    assert table["replicate"].tolist() == [3] * 4 * n + [9] * 4 * n
    assert table["method"][: 4 * n : n].tolist() == ["reference", "naive", "internalized", "full"]
    assert table["exposure"][:n].tolist() == list(AT)
    assert (table["scenario"] == 5).all()


def test_a_replicate_that_cannot_be_fitted_keeps_its_rows_and_says_why() -> None:
    studies = (
        StudyDesign("A", 3, 1, laboratory="reference"),
        StudyDesign("B", 3, 1, laboratory="local", intercept=0, slope=1, r_squared=0.9, calibrators=3),
    )
    table = run_batch(scenario(studies=studies, methods=("full",)), 1, 0, range(20))
    failed = ~table["converged"].astype(bool)
    assert failed.any()
    assert np.isnan(table["estimate"][failed]).all()
    assert all(message for message in table["error"][failed])
    assert np.isfinite(table["estimate"][~failed]).all()
    assert table["estimate"].size == 20 * len(AT)


def test_the_reference_method_uses_the_reference_value_of_everybody() -> None:
    design = scenario(methods=("reference",))
    drawn = draw(design, 3, 0, [0])
    problem = problem_of(drawn, design, 0, everybody_reference=True)
    assert problem.local_names == ()
    np.testing.assert_array_equal(problem.reference_assay, drawn.reference_assay[0])
    found = estimate_method(problem, "naive", SplineBasis(KNOTS), None)
    log_or = estimate_drawn(drawn, design)["reference"].log_or[0]
    basis = SplineBasis(KNOTS)
    contrast = basis.columns(np.array(AT)) - basis.columns(np.array([55.0]))
    np.testing.assert_allclose(log_or, contrast.T @ found.outcome.beta, atol=SAME_ARITHMETIC)


def test_sets_that_share_a_person_of_the_cohort_are_one_unit() -> None:
    studies = (
        StudyDesign("A", 40, 2, laboratory="reference"),
        StudyDesign("B", 40, 2, laboratory="local", intercept=5, slope=0.8, r_squared=0.8, calibrators=30),
    )
    design = scenario(studies=studies, disease=Disease("cohort", 1500, 0.6), methods=("full",))
    drawn = draw(design, 2, 0, [0])
    assert drawn.person is not None
    problem = problem_of(drawn, design, 0)
    assert 20 < problem.n_units < problem.n_sets
    person, unit = drawn.person[0], problem.set_unit[drawn.set_code]
    for shared in np.unique(person):
        assert np.unique(unit[person == shared]).size == 1
    found = estimate_drawn(drawn, design)["full"]
    log_or, errors = found.log_or, found.errors
    assert errors == [""]
    assert np.isfinite(log_or).all()
