"""Intervals that `biocal simulate` does not make, over replicates: python run.py NAME OUT [REPLICATES]

NAME/design.toml says what is drawn, NAME/analysis.py (`analyse`) what is fitted to a replicate and kept: estimates with
limits, and p-values.  Writes OUT/NAME/performance.csv and tests.csv.  What is done is kept after every batch in
OUT/NAME/rows.csv, and a second call goes on.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import biocal as bc
from biocal.kernels.contrasts import normal_quantile
from biocal.simulation.design.design import read_design
from biocal.simulation.design.scenario import Scenario
from biocal.simulation.drawing.draw import Drawn, draw

HERE = Path(__file__).parent
#: Replicates after which what is done is kept.
BATCH = 25
#: Column of the levels of a cell, and what it is called in tables.
RENAMED = {"truth": "truth.label"}
NORMAL = normal_quantile(0.95)


@dataclass(frozen=True, eq=False)
class Case:
    """One replicate of one cell.

    `levels` are the cell's varied keys; `drawn` holds the batch, of which `row` is this replicate; `rng` is for what
    the design does not draw.
    """

    scenario: Scenario
    levels: dict[str, Any]
    seed: int
    index: int
    replicate: int
    drawn: Drawn
    row: int
    rng: np.random.Generator


def interval(method, quantity, truth, estimate, std_error, low=None, high=None, *, kind="normal"):
    """A row of an interval; without limits they are the normal ones."""
    half = NORMAL * std_error
    return {
        "method": method,
        "interval": kind,
        "exposure": f"{quantity:g}" if isinstance(quantity, float) else str(quantity),
        "truth": truth,
        "estimate": estimate,
        "std_error": std_error,
        "conf_low": estimate - half if low is None else low,
        "conf_high": estimate + half if high is None else high,
    }


def curve(method, at, truth, estimates, errors, *, kind="normal"):
    """Rows of a curve with normal limits."""
    rows = zip(at, truth, estimates, errors, strict=True)
    return [interval(method, float(x), t, float(b), float(e), kind=kind) for x, t, b, e in rows]


def p_row(method, test, p_value, *, kind="normal"):
    """A row of a test."""
    return {"method": method, "interval": kind, "exposure": f"p:{test}", "p_value": float(p_value)}


def frame_of(drawn: Drawn, row: int) -> pd.DataFrame:
    """One replicate as the table that a pooling project would have."""
    known = drawn.is_reference | drawn.in_calibration[row]
    columns = {
        "study": np.array(drawn.study_names)[drawn.study],
        "set": drawn.set_code,
        "case": drawn.is_case.astype(int),
        "local": drawn.local_assay[row],
        "reference": np.where(known, drawn.reference_assay[row], np.nan),
    }
    columns |= {name: drawn.covariates[row, k] for k, name in enumerate(drawn.covariate_names)}
    return pd.DataFrame(columns)


def analyse_all(analysis: Any, name: str, out: Path, replicates: int | None) -> None:
    """Draw and analyse what is not done yet."""
    design = read_design(HERE / name / "design.toml")
    kept = out / "rows.csv"
    out.mkdir(parents=True, exist_ok=True)
    columns = ["method", "interval", "exposure", "truth", "estimate", "std_error", "conf_low", "conf_high"]
    columns = ["scenario", "replicate", *columns, "p_value", "error"]
    done: set[tuple[int, int]] = set()
    if kept.exists():
        done = set(pd.read_csv(kept, usecols=["scenario", "replicate"]).itertuples(index=False, name=None))
    for first in range(0, replicates or design.replicates, BATCH):
        for index, scenario in enumerate(design.scenarios):
            if (index, first) in done:
                continue
            batch = range(first, first + BATCH)
            drawn = draw(scenario, design.seed, index, batch)
            rows = []
            for row, replicate in enumerate(batch):
                rng = np.random.default_rng([design.seed, index, replicate])
                case = Case(scenario, design.levels[index], design.seed, index, replicate, drawn, row, rng)
                try:
                    found = analysis.analyse(case)
                except bc.BiocalError as failure:  # a failed replicate is data
                    found = [{"error": f"{type(failure).__name__}: {failure}"}]
                rows += [{"scenario": index, "replicate": replicate, **each} for each in found]
            table = pd.DataFrame(rows).reindex(columns=columns)
            table.to_csv(kept, mode="a", header=not kept.exists(), index=False)


def summarise(name: str, out: Path) -> None:
    """Performance of the intervals and rejections of the tests."""
    design = read_design(HERE / name / "design.toml")
    rows = pd.read_csv(out / "rows.csv", dtype={"exposure": str, "error": str})
    levels = pd.DataFrame(list(design.levels)).rename(columns=RENAMED)
    levels.insert(0, "scenario", range(len(design.scenarios)))
    failed = rows[rows["error"].notna()].groupby("scenario")["replicate"].nunique()
    by = ["scenario", "method", "interval", "exposure"]
    is_test = rows["p_value"].notna()
    intervals = rows[~is_test & rows["error"].isna()]
    table = bc.performance(intervals, by=by, conf_low="conf_low", conf_high="conf_high").tidy()
    table["failed"] += table["scenario"].map(failed).fillna(0).astype(int)
    levels.merge(table, on="scenario").to_csv(out / "performance.csv", index=False)
    tests = rows[is_test].assign(test=lambda each: each["exposure"].str.removeprefix("p:"))
    found = []
    for alpha in (0.05, 0.01):
        counted = tests.assign(rejected=tests["p_value"] <= alpha).groupby(
            ["scenario", "method", "interval", "test"], sort=False
        )["rejected"]
        told = counted.agg(n="size", rejected="mean").reset_index()
        told["mcse_rejected"] = np.sqrt(told["rejected"] * (1 - told["rejected"]) / told["n"])
        found.append(told.assign(alpha=alpha))
    if len(tests):
        levels.merge(pd.concat(found), on="scenario").to_csv(out / "tests.csv", index=False)


@cache
def load_analysis(name: str) -> Any:
    """The module NAME/analysis.py."""
    specification = importlib.util.spec_from_file_location(f"trust_{name}", HERE / name / "analysis.py")
    assert specification is not None
    assert specification.loader is not None
    analysis = importlib.util.module_from_spec(specification)
    sys.modules["run"] = sys.modules[__name__]  # analyses import the makers of rows from here
    specification.loader.exec_module(analysis)
    return analysis


def main(name: str, out: Path, replicates: int | None = None) -> None:
    analyse_all(load_analysis(name), name, out / name, replicates)
    summarise(name, out / name)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None)
