"""A replicate of a simulation against one `bc.fit` of the same data: the same numbers, or the same refusal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import biocal as bc
from biocal.errors import BiocalError
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
from biocal.simulation.drawing.draw import Drawn, draw
from biocal.simulation.fitting import replicate as replicate_module
from biocal.simulation.fitting.problem import specification_of
from biocal.simulation.fitting.replicate import estimate_drawn, run_batch

KNOTS = (34.35, 60.02, 85.64)
STRAIGHT = FitPlan("linear", 3, "none")
METHODS = ("naive", "internalized", "full", "induced", "two-stage")
#: The same arithmetic in another order; where the calibration is ill-conditioned that loses digits.
SAME_ARITHMETIC = 1e-6


def scenario(
    sets: int = 60,
    calibrators: int = 20,
    r_squared: float = 0.7,
    lines: tuple[tuple[str, float, float], ...] = (("B", 12.0, 0.75), ("C", -8.0, 1.3)),
    **changes: Any,
) -> Scenario:
    local = [
        StudyDesign(name, sets, intercept=a, slope=b, r_squared=r_squared, calibrators=calibrators)
        for name, a, b in lines
    ]
    parts: dict[str, Any] = {
        "exposure": ExposureLaw(60, 20),
        "truth": Truth("rcs", (-0.02, 0.015), KNOTS),
        "studies": (StudyDesign("A", sets, laboratory="reference"), *local),
        "estimand": Estimand((25.0, 75.0), 55.0),
        "fit": FitPlan("rcs", KNOTS, "none"),
        "methods": METHODS,
    }
    return require_sound(Scenario(**(parts | changes)))


def pool_of(drawn: Drawn, row: int) -> bc.PooledStudies:
    """One replicate as a user would have it: a table."""
    measured = drawn.is_reference | drawn.in_calibration[row]
    columns = {
        "study": np.asarray(drawn.study_names, dtype=object)[drawn.study],
        "set": drawn.set_code,
        "case": drawn.is_case.astype(int),
        "local": np.where(drawn.is_reference, np.nan, drawn.local_assay[row]),
        "reference": np.where(measured, drawn.reference_assay[row], np.nan),
    }
    columns |= dict(zip(drawn.covariate_names, drawn.covariates[row], strict=True))
    columns |= dict(zip(drawn.matching_names, drawn.matching[row], strict=True))
    if drawn.person is None:
        return bc.PooledStudies.from_frame(pd.DataFrame(columns))
    return bc.PooledStudies.from_frame(pd.DataFrame(columns | {"person": drawn.person[row]}), person="person")


def single_fit(drawn: Drawn, design: Scenario, row: int, method: str) -> tuple[str, np.ndarray]:
    """Error, and log odds ratios with their standard errors."""
    plan = design.fit
    try:
        fit = bc.fit(
            pool_of(drawn, row),
            method=method,
            exposure=specification_of(design),
            covariates=" + ".join(design.outcome_covariates) or None,
            matching=" + ".join(design.matching.names) or None,
            modifier=plan.modifier,
            calibration_covariates=plan.calibration_covariates,
            calibration_variance=plan.calibration_variance,
            reference=design.estimand.reference,
            at=design.estimand.at,
        )
    except BiocalError as error:
        return f"{type(error).__name__}: {error}", np.empty(0)
    curve = fit.dose_response(at=design.estimand.at, reference=design.estimand.reference).tidy()
    if plan.modifier is not None:
        curve = curve[curve["modifier"] == curve["modifier"].iloc[0]]  # the level 0
    return "", curve[["log_or", "std_error"]].to_numpy().T


def compare(design: Scenario, replicates: int) -> Counter[str]:
    """Outcomes of all methods over some replicates, after asserting that both ways agree."""
    drawn = draw(design, 1, 0, range(replicates))
    found = estimate_drawn(drawn, design)
    outcomes: Counter[str] = Counter()
    for method in design.methods:
        for row in range(replicates):
            error, numbers = single_fit(drawn, design, row, method)
            assert found[method].errors[row] == error, (method, row)
            outcomes[error.partition(":")[0] or "fitted"] += 1
            if not error:
                simulated = np.stack([found[method].log_or[row], found[method].std_error[row]])
                np.testing.assert_allclose(simulated, numbers, rtol=SAME_ARITHMETIC, atol=1e-8)
            else:
                assert np.isnan(found[method].log_or[row]).all()
    return outcomes


COVARIATES = (Covariate("z", 0.3, 0.5), Covariate("b", 0.0, 0.3, "binary", 0.02))
DESIGNS: dict[str, tuple[Scenario, int, set[str]]] = {
    "ordinary": (scenario(), 1, {"fitted"}),
    "few sets": (scenario(sets=4, calibrators=3), 6, {"fitted", "OptionError", "FitError"}),
    "quantile knots": (scenario(sets=30, fit=FitPlan("rcs", 4, "none")), 1, {"fitted"}),
    "a rare covariate": (
        scenario(
            sets=30,
            calibrators=12,
            covariates=COVARIATES,
            matching=Matching(0.1),
            measurement=Measurement("classical"),
            fit=FitPlan("rcs", 3, "outcome"),
            methods=("naive", "full", "two-stage"),
        ),
        3,
        {"fitted", "SeparationError", "FitError"},
    ),
    "no residual freedom": (
        scenario(
            sets=6,
            calibrators=3,
            covariates=COVARIATES[:1],
            measurement=Measurement("classical"),
            fit=FitPlan("linear", 3, "outcome"),
        ),
        2,
        {"fitted", "CalibrationDesignError"},  # naive needs no calibration
    ),
    "too few digits": (
        scenario(lines=(("B", 60 - 0.75e9, 0.75),), fit=STRAIGHT),
        3,
        {"fitted", "CalibrationDesignError"},
    ),
    "knots outside": (scenario(sets=20, fit=FitPlan("rcs", (5.0, 60.0, 110.0), "none")), 2, {"OptionError"}),
    "perfect assay": (scenario(r_squared=1.0), 1, {"fitted"}),
    "separation": (
        scenario(
            sets=15, calibrators=10, truth=Truth("linear", (0.2,)), fit=STRAIGHT,
            methods=("internalized", "full", "two-stage"),
        ),
        3,
        {"fitted", "SeparationError", "FitError"},
    ),
    "modifier": (
        scenario(
            sets=80, calibrators=40, covariates=(Covariate("b", 0, 0.3, "binary", 0.4),),
            fit=FitPlan("linear", 3, "none", modifier="b"),
        ),
        1,
        {"fitted"},
    ),
    "cohort": (
        scenario(
            sets=40, disease=Disease("cohort", 300, 0.5), measurement=Measurement("classical"), fit=STRAIGHT,
            methods=("full", "induced", "two-stage"),
        ),
        2,
        {"fitted"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DESIGNS)
def test_a_replicate_is_what_one_fit_of_its_data_would_be(name: str) -> None:
    design, replicates, outcomes = DESIGNS[name]
    assert set(compare(design, replicates)) == outcomes


def test_a_covariate_constant_within_every_set_leaves_the_outcome_model_of_its_replicate_alone() -> None:
    design = scenario(
        sets=12,
        calibrators=8,
        covariates=(Covariate("b", 0, 0.2, "binary", 0.03),),
        fit=FitPlan("linear", 3, "none"),
        methods=("naive", "full"),
    )
    drawn = draw(design, 1, 0, range(6))
    covariates = drawn.covariates.copy()
    covariates[2] = 0.0
    drawn = replace(drawn, covariates=covariates)
    found = estimate_drawn(drawn, design)
    for method in design.methods:
        error, numbers = single_fit(drawn, design, 2, method)
        assert (found[method].errors[2], error) == ("", "")
        np.testing.assert_allclose(found[method].log_or[2], numbers[0], rtol=SAME_ARITHMETIC)


def _with_local_values(drawn: Drawn, row: int, change: Any) -> Drawn:
    local = drawn.local_assay.copy()
    local[row] = change(local[row])
    return replace(drawn, local_assay=local)


def _same_local_values(drawn: Drawn, row: int) -> None:
    drawn.local_assay[row, ~drawn.is_reference] = 50.0


def _local_values_without_digits(drawn: Drawn, row: int) -> None:
    drawn.local_assay[row] = 1e9 + 1e-3 * drawn.local_assay[row]


def _calibration_slope_next_to_zero(drawn: Drawn, row: int) -> None:
    mine = np.flatnonzero(drawn.in_calibration[row])
    local = drawn.local_assay[row, mine]
    line = np.column_stack([np.ones(mine.size), local])
    noise = np.random.default_rng(8).normal(size=mine.size)
    noise -= line @ np.linalg.lstsq(line, noise, rcond=None)[0]
    drawn.reference_assay[row, mine] = 60 + 1e-9 * local + 3 * noise


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_same_local_values, "same local value"),
        (_local_values_without_digits, "too few digits are left"),
        (_calibration_slope_next_to_zero, "calibrated values hardly differ"),
    ],
)
def test_one_hopeless_calibration_fails_its_own_replicate_by_name_and_no_other(
    harm: Callable[[Drawn, int], None], message: str
) -> None:
    # No reference study: nobody but calibrated persons tells of the exposure.
    studies = (StudyDesign("B", 80, intercept=12, slope=0.75, r_squared=0.7, calibrators=60),)
    design = scenario(studies=studies, methods=("naive", "full", "reference"), fit=STRAIGHT)
    drawn = draw(design, 3, 0, range(4))
    before = estimate_drawn(drawn, design)
    harm(drawn, 1)
    found = estimate_drawn(drawn, design)
    assert message in found["full"].errors[1]
    for method in ("naive", "full"):
        assert found[method].errors[1] == single_fit(drawn, design, 1, method)[0], method
    others = [0, 2, 3]
    for method in design.methods:
        assert [found[method].errors[row] for row in others] == [""] * 3
        np.testing.assert_allclose(
            found[method].log_or[others], before[method].log_or[others], rtol=SAME_ARITHMETIC
        )
    assert found["reference"].errors[1] == ""


def test_what_stops_the_array_computation_leaves_every_replicate_to_be_fitted_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    design = scenario(methods=("full",), sets=30)
    expected = run_batch(design, 1, 0, range(2))

    def fails(*_: Any) -> None:
        raise np.linalg.LinAlgError("Eigenvalues did not converge")

    monkeypatch.setattr(replicate_module, "fit_batch", fails)
    found = run_batch(design, 1, 0, range(2))
    assert found["converged"].all()
    np.testing.assert_allclose(found["estimate"], expected["estimate"], rtol=SAME_ARITHMETIC)
