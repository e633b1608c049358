"""Coverage of the bootstrap's percentile intervals: python run.py OUT [REPLICATES]

Cells of design.toml; each replicate is fitted once and then on resamples of its sets.  Writes OUT/performance.csv.
Minutes a hundred replicates; what is done is kept after every ten, and a second call goes on.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

import biocal as bc
from biocal.fitting.methods.estimate import EstimationOptions, calibrate_problem, estimate_method
from biocal.fitting.repeated.bootstrap import BootstrapPlan, MethodPlan, Replicate, draw_task
from biocal.fitting.repeated.resampling import design_resampling
from biocal.model.exposure import SplineBasis
from biocal.results.fit.curve import response_axis, response_contrasts
from biocal.simulation.design.design import read_design
from biocal.simulation.drawing.draw import draw
from biocal.simulation.drawing.estimand import true_log_or
from biocal.simulation.fitting.problem import problem_of

#: (199 + 1) * .025 is a whole number: the limits are the 5th value from either end.
RESAMPLES = 199
FROM_EITHER_END = 5
#: Replicates after which what is done is kept.
BATCH = 10
HERE = Path(__file__).parent


def one_replicate(scenario, problem, seed: int) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Estimates (m,), and resampled curves (R, m), of each method."""
    basis = SplineBasis(tuple(float(knot) for knot in scenario.fit.knots))
    axis = response_axis(basis, np.array(scenario.estimand.at), scenario.estimand.reference)
    calibration = calibrate_problem(problem)
    fits = {method: estimate_method(problem, method, basis, calibration) for method in scenario.methods}
    plans = tuple(
        MethodPlan(method, fit.model.terms, basis, axis, np.ones((1, 1)), frozenset())
        for method, fit in fits.items()
    )
    plan = BootstrapPlan(
        design_resampling(problem, "calibrators"),
        plans,
        bc.rcs(knots=list(scenario.fit.knots)),
        "common",
        EstimationOptions(),
        True,
        0,
        seed,
    )
    draws = draw_task(plan, range(RESAMPLES))
    found = []
    for k, (method, fit) in enumerate(fits.items()):
        contrasts = response_contrasts(
            basis, fit.model.exposure_positions, fit.model.n_terms, axis, np.ones(1)
        )
        curves = [each[k].curves[0] for each in draws if isinstance(each[k], Replicate)]
        found.append((method, contrasts.T @ fit.outcome.beta, np.array(curves)))
    return found


def percentile_rows(scenario, index: int, seed: int, replicates: range) -> pd.DataFrame:
    """A row a replicate, method and exposure, with the percentile limits."""
    drawn = draw(scenario, seed, index, replicates)
    truth, parts = true_log_or(scenario), []
    for row, replicate in enumerate(replicates):
        for method, estimate, curves in one_replicate(scenario, problem_of(drawn, scenario, row), replicate):
            ordered = np.sort(curves, axis=0)
            parts.append(
                pd.DataFrame(
                    {
                        "scenario": index,
                        "replicate": replicate,
                        "method": method,
                        "exposure": scenario.estimand.at,
                        "truth": truth,
                        "estimate": estimate,
                        "std_error": curves.std(axis=0, ddof=1),
                        "conf_low": ordered[FROM_EITHER_END - 1],
                        "conf_high": ordered[-FROM_EITHER_END],
                        "resamples": len(curves),
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


def main(out: Path, replicates: int | None) -> None:
    design = read_design(HERE / "design.toml")
    out.mkdir(parents=True, exist_ok=True)
    kept = out / "replicates.csv"
    for first in range(0, replicates or design.replicates, BATCH):
        for index, scenario in enumerate(design.scenarios):
            done = pd.read_csv(kept) if kept.exists() else pd.DataFrame(columns=["scenario", "replicate"])
            if ((done["scenario"] == index) & (done["replicate"] == first)).any():
                continue
            rows = percentile_rows(scenario, index, design.seed, range(first, first + BATCH))
            rows.to_csv(kept, mode="a", header=not kept.exists(), index=False)
    rows = pd.read_csv(kept)
    levels = pd.DataFrame(design.levels).rename(columns={"truth": "truth.label"})
    levels.insert(0, "scenario", range(len(levels)))
    table = bc.performance(
        rows, by=["scenario", "method", "exposure"], conf_low="conf_low", conf_high="conf_high"
    ).tidy()
    levels.merge(table, on="scenario").to_csv(out / "performance.csv", index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
