"""Random pooled studies with known truth, as data frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class StudyPlan:
    """A study: its sets, and the line reference = intercept + slope * local + error (None: reference study)."""

    name: str
    n_sets: int
    shape: tuple[int, int] = (1, 1)
    line: tuple[float, float] | None = None
    noise: float = 0.5
    n_calibrators: int = 20


REFERENCE, LOCAL_A, LOCAL_B = (
    StudyPlan("R", 60),
    StudyPlan("A", 60, (1, 2), (1.0, 0.7)),
    StudyPlan("B", 40, (2, 2), (-0.8, 1.4)),
)


def draw_pool(
    rng: np.random.Generator,
    plans: Sequence[StudyPlan],
    *,
    log_odds: float = 0.5,
    covariate_log_odds: tuple[float, ...] = (),
    correlation: float = 0.5,
    mean: float = 5.0,
    sd: float = 1.5,
) -> pd.DataFrame:
    """Draw a pool whose reference measurement has a known log odds ratio.

    Among controls the exposure X ~ N(mean, sd^2) and each covariate z1, z2, ... is standard normal with
    `correlation` to X; cases follow the law tilted by exp(log_odds X + covariate_log_odds' Z), again normal.
    The local value is (X - intercept + noise) / slope, so that E(X | local, Z) is linear among controls.
    The last `n_calibrators` controls of each local study have their reference value too.  Rows are shuffled.
    """
    k = len(covariate_log_odds)
    law = np.eye(k + 1)
    law[0, 1:] = law[1:, 0] = correlation
    if k > 1:
        law[1:, 1:] += correlation**2 * (1 - np.eye(k))
    law[0] *= sd
    law[:, 0] *= sd
    tilt = np.array([log_odds, *covariate_log_odds])
    frames = [_draw_study(rng, plan, np.linalg.cholesky(law), law @ tilt, mean) for plan in plans]
    pool = pd.concat(frames, ignore_index=True)
    return pool.iloc[rng.permutation(len(pool))].reset_index(drop=True)


def _draw_study(rng, plan: StudyPlan, root, shift, mean: float) -> pd.DataFrame:
    cases, controls = plan.shape
    size = cases + controls
    case = np.tile(np.arange(size) < cases, plan.n_sets)
    values = rng.normal(size=(case.size, len(shift))) @ root.T + np.outer(case, shift)
    exposure = mean + values[:, 0]
    frame = pd.DataFrame(
        {
            "study": plan.name,
            "set": np.repeat(np.arange(1, plan.n_sets + 1), size),
            "case": case.astype(int),
            "local": np.nan,
            "reference": exposure,
        }
    )
    for column in range(1, len(shift)):
        frame[f"z{column}"] = values[:, column]
    if plan.line is not None:
        intercept, slope = plan.line
        frame["local"] = (exposure - intercept + rng.normal(0, plan.noise, case.size)) / slope
        measured = np.flatnonzero(~case)[-plan.n_calibrators :]
        frame.loc[~np.isin(np.arange(case.size), measured), "reference"] = np.nan
    return frame
