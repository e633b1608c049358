"""The induced estimator beside the full one on the same pools: python benchmarks/induced.py

CPU seconds on one thread, medians, calibration known in both, sandwich not included: what is compared is the
maximisation over the exposure's columns, preparation included.
"""

from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

from engine import cpu, machine

from biocal.exposure.terms import SplineBasis
from biocal.outcome.conditional_logistic import fit_conditional_logistic
from biocal.pooling.estimate import calibrate_problem
from biocal.pooling.induced import induced_coefficients
from biocal.pooling.model_columns import lay_out_columns
from biocal.pooling.plug_in import plug_in_exposure
from biocal.pooling.problem import PooledProblem
from biocal.simulation.generate import draw
from biocal.simulation.replicate import problem_of
from biocal.simulation.scenario import Estimand, ExposureLaw, FitPlan, Scenario, StudyDesign
from biocal.simulation.truth import Truth

KNOTS = (34.35, 60.02, 85.64)


def pool(sets: int, controls: int) -> PooledProblem:
    """Four studies of equal size, one of them a reference study."""
    lines = (("B", 12.0, 0.75), ("C", -8.0, 1.3), ("D", 5.0, 0.9))
    size: dict[str, int] = {"sets": sets // 4, "controls": controls}
    local = [
        StudyDesign(name, laboratory="local", intercept=a, slope=b, r_squared=0.7, calibrators=100, **size)
        for name, a, b in lines
    ]
    studies = (StudyDesign("A", laboratory="reference", **size), *local)
    scenario = Scenario(
        ExposureLaw(60, 20),
        Truth("rcs", (-0.02, 0.015), KNOTS),
        studies,
        Estimand((25.0, 100.0), 55.0),
        FitPlan("rcs", KNOTS, "none"),
    )
    return problem_of(draw(scenario, 20261122, 0, [0]), scenario, 0)


def main() -> None:
    for key, value in machine().items():
        print(f"{key}: {value}")
    print("\n| pool | full, ms | induced, ms | ratio | gate | |\n|---|---|---|---|---|---|")
    for sets, controls, gate in ((2000, 1, 25), (50_000, 4, 10)):
        problem = pool(sets, controls)
        calibration = calibrate_problem(problem)
        basis = SplineBasis(KNOTS)
        exposure = plug_in_exposure(problem, "full", calibration)
        model = lay_out_columns(basis, problem)

        def full() -> object:
            columns = model.build(basis.columns(exposure.value), problem)  # noqa: B023
            return fit_conditional_logistic(problem.layout, columns, model.terms)  # noqa: B023

        def induced() -> object:
            return induced_coefficients(problem, basis, calibration)  # noqa: B023

        ours, theirs = cpu(induced, 5), cpu(full, 9)
        ratio = ours / theirs
        verdict = "met" if ratio <= gate else "NOT met"
        times = f"{1e3 * theirs:.1f} | {1e3 * ours:.1f} | {ratio:.1f} x"
        print(f"| {sets:,} sets 1:{controls} | {times} | <= {gate} x | {verdict} |")


if __name__ == "__main__":
    main()
