"""Draw the consortium again and again, analyse every draw alike, and store how each method did.

A redraw has other persons from the same laws and the same curves, rounded as the files are.  Women and men are
analysed apart, for their true curves differ, with one calibration for both.  `reference` is the analysis of the
reference value of everybody: what could be had without any local laboratory.  SYNTHETIC DATA throughout.

    python data/vitamin_d/redraws/redraw.py --redraws 500 --jobs 2

writes performance.csv and differences.csv beside this file.  The numbers do not depend on the number of jobs.
"""

from __future__ import annotations

import argparse
import os
import sys
import tomllib
import warnings
from pathlib import Path

# one thread a process; before NumPy is imported
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

import biocal as bc

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import make_data  # noqa: E402

#: Redraw r has this seed plus r; the seed of the files is not among them.
FIRST_SEED = 500_000_000
AT = [24.0, 81.25, 93.75, 110.0]
METHODS = ["naive", "internalized", "full", "induced", "two-stage"]
ROUNDED = ["local", "reference", "bmi", "physical_activity", "exposure"]
COLUMNS = [
    *("study", "set", "case", "local", "reference"),
    *("sex", "race", "age", "month", "bmi", "physical_activity"),
]
ANALYSIS = {
    "exposure": bc.rcs(knots=4),
    "covariates": "bmi + physical_activity",
    "matching": "age + C(sex) + C(race) + C(month)",
    "reference": make_data.REFERENCE_EXPOSURE,
    "at": AT,
}
SEXES = ("female", "male")
#: The exposure analysed: standardised to the annual mean, on which the risk depends, or as measured on the day.
SEASONS = {"standardised": "month", "ignored": None}


def planted() -> dict[str, np.ndarray]:
    """True curves by sex: spline coefficients (3,) of truth.toml."""
    truth = tomllib.loads((HERE.parent / "truth.toml").read_text())["truth"]
    return {sex: np.array(truth[sex]["beta"]) for sex in SEXES}


def true_log_or(beta: np.ndarray) -> dict[float, float]:
    """True log odds ratios at AT."""
    columns = make_data.spline_columns(np.array([make_data.REFERENCE_EXPOSURE, *AT]))
    return dict(zip(AT, (columns[1:] - columns[0]) @ beta, strict=True))


def draw(seed: int, curves: dict[str, np.ndarray]) -> pd.DataFrame:
    """One consortium, as make_data.build draws it."""
    frames = []
    for index, cohort in enumerate(make_data.COHORTS):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
        people, _ = make_data.measure(make_data.draw_cohort(cohort, curves, rng), cohort, rng)
        frames.append(people)
    return pd.concat(frames, ignore_index=True).round(dict.fromkeys(ROUNDED, 1))


def pools(people: pd.DataFrame) -> dict[str, bc.PooledStudies]:
    """The pool as its cohorts would send it, and that of the reference value of everybody."""
    everybody = people.assign(local=np.nan, reference=people["exposure"])
    ng_per_ml = {c.name: 2.496 for c in make_data.COHORTS if c.laboratory and c.laboratory.unit == "ng/mL"}
    return {
        "sent": bc.PooledStudies.from_frame(people[COLUMNS], scale_local=ng_per_ml),
        "everybody": bc.PooledStudies.from_frame(everybody[COLUMNS]),
    }


def rows_of_fit(fit: object, **keys: object) -> list[dict[str, object]]:
    """A row an exposure."""
    found = fit.dose_response(at=AT).tidy()
    return [
        {
            **keys,
            "exposure": float(row.exposure),
            "estimate": row.log_or,
            "std_error": row.std_error,
            "converged": True,
        }
        for row in found.itertuples()
    ]


def one_redraw(replicate: int) -> list[dict[str, object]]:
    """All methods on one redraw; a method that fails keeps its rows, blank."""
    warnings.simplefilter("ignore")
    drawn = pools(draw(FIRST_SEED + replicate, planted()))
    rows: list[dict[str, object]] = []
    for sex in SEXES:
        for season, column in SEASONS.items():
            asked = {**ANALYSIS, "where": f"sex == '{sex}'", "season": column}
            keys = {"sex": sex, "season": season, "replicate": replicate}
            fits = bc.fit(drawn["sent"], method=METHODS, keep_going=True, **asked)
            for method in METHODS:
                if method in fits:
                    rows += rows_of_fit(fits[method], method=method, **keys)
                else:
                    rows += [{**keys, "method": method, "exposure": at, "converged": False} for at in AT]
            best = bc.fit(drawn["everybody"], method="full", **asked)
            rows += rows_of_fit(best, method="reference", **keys)
    return rows


def paired_differences(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean difference between methods on the same redraws, with its Monte Carlo standard error."""
    wide = rows.pivot(index=["sex", "season", "exposure", "replicate"], columns="method", values="estimate")
    pairs = [("naive", "reference"), ("internalized", "reference"), ("full", "reference")]
    pairs += [("induced", "reference"), ("full", "induced"), ("two-stage", "full")]
    found = []
    for method, minus in pairs:
        by_cell = (wide[method] - wide[minus]).groupby(level=["sex", "season", "exposure"])
        table = by_cell.agg(["count", "mean", "std"]).reset_index()
        table.insert(2, "method", method)
        table.insert(3, "minus", minus)
        table["mcse_difference"] = table["std"] / np.sqrt(table["count"])
        found.append(table.drop(columns="std").rename(columns={"count": "n", "mean": "difference"}))
    return pd.concat(found, ignore_index=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--redraws", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=HERE)
    asked = parser.parse_args()
    found = Parallel(n_jobs=asked.jobs, verbose=1)(delayed(one_redraw)(r) for r in range(asked.redraws))
    rows = pd.DataFrame([row for one in found for row in one])
    truths = {sex: true_log_or(beta) for sex, beta in planted().items()}
    rows["truth"] = [truths[sex][at] for sex, at in zip(rows["sex"], rows["exposure"], strict=True)]
    table = bc.performance(rows, by=["sex", "season", "method", "exposure"]).tidy()
    asked.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(asked.out / "performance.csv", index=False, lineterminator="\n")
    paired_differences(rows).to_csv(asked.out / "differences.csv", index=False, lineterminator="\n")
    rows.to_parquet(asked.out / "replicates.parquet", index=False)


if __name__ == "__main__":
    main()
