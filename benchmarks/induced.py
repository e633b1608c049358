"""The induced estimator beside the full one on the same pools: python benchmarks/induced.py [--quick] [--json FILE]

CPU seconds on one thread, medians, calibration known in both, sandwich not included: what is compared is the
maximisation over the exposure's columns, preparation included.
"""

from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import json
from pathlib import Path

from engine import cpu
from page_tables import induced_table

from biocal.fitting.methods.estimate import calibrate_problem
from biocal.fitting.methods.induced import induced_coefficients
from biocal.fitting.methods.plug_in import plug_in_exposure
from biocal.fitting.problem.model_columns import lay_out_columns
from biocal.fitting.problem.problem import PooledProblem
from biocal.model.exposure import SplineBasis
from biocal.model.outcome.conditional import maximise_conditional, outcome_fit
from biocal.simulation.design.scenario import Estimand, ExposureLaw, FitPlan, Scenario, StudyDesign
from biocal.simulation.design.truth import Truth
from biocal.simulation.drawing.draw import draw
from biocal.simulation.fitting.problem import problem_of

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


#: Sets, controls a case, and the ratio allowed; the rows without one show the growth.
POOLS = (
    (2000, 1, 25),
    (1000, 4, None),
    (10_000, 4, None),
    (50_000, 4, 10),
    (100_000, 4, None),
    (1_000_000, 4, None),
)


def measure(sets: int, controls: int, gate: float | None) -> dict[str, object]:
    """CPU seconds of both on one pool."""
    problem = pool(sets, controls)
    calibration = calibrate_problem(problem)
    basis = SplineBasis(KNOTS)
    exposure = plug_in_exposure(problem, "full", calibration)
    model = lay_out_columns(basis, problem)

    def full() -> object:
        columns = model.build(basis.columns(exposure.value), problem)
        likelihood, optimum = maximise_conditional(problem.layout, columns, model.terms)
        return outcome_fit(optimum, likelihood.details(optimum.point))

    def induced() -> object:
        return induced_coefficients(problem, basis, calibration)

    few = sets > 100_000
    return {
        "sets": sets,
        "controls": controls,
        "gate": gate,
        "induced_s": cpu(induced, 1 if few else 5),
        "full_s": cpu(full, 2 if few else 9),
    }


def main() -> None:
    """Measure, print, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="up to 50,000 sets")
    parser.add_argument("--json", type=Path, help="write the numbers there")
    options = parser.parse_args()
    rows = [measure(*pool) for pool in POOLS if not options.quick or pool[0] <= 50_000]
    found = {"rows": rows}
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    print(induced_table(found))


if __name__ == "__main__":
    main()
