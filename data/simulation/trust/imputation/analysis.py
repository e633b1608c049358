"""A confounder missing at random, imputed properly, and Rubin's rules; beside complete cases and missing indicators.

The value goes missing with probability .2 where the measured exposure is above its study's median and .4 below.  Given
exposure and case status it is normal with a common slope (controls' law, tilted by the risk), so that the regression
from which it is imputed is the right one.  Calibrators are imputed from both measurements, others from their own.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from run import Case, frame_of, interval, p_row

import biocal as bc
from biocal.simulation.drawing.estimand import true_log_or

IMPUTATIONS = 10
NAME = "bmi"


def impute(frame: pd.DataFrame, predictors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One proper imputation by normal regression: coefficients and variance are drawn first."""
    y, known = frame[NAME].to_numpy(), frame[NAME].notna().to_numpy()
    x = predictors[known]
    inverse = np.linalg.inv(x.T @ x)
    fitted = inverse @ x.T @ y[known]
    left = y[known] - x @ fitted
    variance = left @ left / rng.chisquare(x.shape[0] - x.shape[1])
    drawn = rng.multivariate_normal(fitted, variance * inverse)
    return np.where(known, y, predictors @ drawn + rng.normal(0.0, np.sqrt(variance), len(y)))


def completed(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """All studies imputed once."""
    parts = []
    for _, people in frame.groupby("study"):
        level = people["local"].fillna(people["reference"]).to_numpy()
        one, case = np.ones(len(people)), people["case"].to_numpy(float)
        values = impute(people, np.column_stack([one, level, case]), rng)
        both = (people["local"].notna() & people["reference"].notna()).to_numpy()
        if both.any():
            pairs = people[both]
            measured = np.column_stack([one[both], pairs["local"], pairs["reference"]])
            values[both] = impute(pairs, measured, rng)
        parts.append(people.assign(**{NAME: values}))
    return pd.concat(parts)


def analyse(case: Case) -> list[dict]:
    scenario, at, rng = case.scenario, list(case.scenario.estimand.at), case.rng
    whole = frame_of(case.drawn, case.row)
    level = whole["local"].fillna(whole["reference"])
    high = level > level.groupby(whole["study"]).transform("median")
    frame = whole.assign(**{NAME: whole[NAME].where(rng.random(len(whole)) >= np.where(high, 0.2, 0.4))})
    options = {
        "method": scenario.methods[0],
        "exposure": bc.linear(),
        "covariates": NAME,
        "reference": scenario.estimand.reference,
        "at": at,
    }
    pools = [bc.PooledStudies.from_frame(completed(frame, rng)) for _ in range(IMPUTATIONS)]
    fits = {"imputed": bc.fit_imputations(pools, small_sample=True, **options)}
    gaps = bc.PooledStudies.from_frame(frame)
    fits |= {
        "nothing missing": bc.fit(bc.PooledStudies.from_frame(whole), **options),
        "complete cases": bc.fit(gaps, **options),
        "missing indicator": bc.fit(gaps, missing="indicator", **options),
    }
    rows, truth = [], true_log_or(scenario)
    for name, fit in fits.items():
        response = fit.dose_response(at=at)
        half = response.half_width
        for x, true, estimate, error, h in zip(
            at, truth, response.log_or, response.std_error, half, strict=True
        ):
            rows.append(interval(name, x, true, estimate, error, estimate - h, estimate + h))
        own = fit.tidy().set_index("term").loc[NAME]
        limits = own["conf_low"], own["conf_high"]
        rows.append(
            interval(name, NAME, scenario.covariates[0].log_or, own["estimate"], own["std_error"], *limits)
        )
        p_values = {test.test: test.p_value for test in fit.tests()}
        rows.append(p_row(name, "overall", p_values["overall"]))
    return rows
