"""Pools whose risk depends on the season-standardised level while laboratories measure the level of the day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from biocal.kernels.splines import spline_columns

#: METHODS section 7's design: mean 60, SD 20 on the day, its knots, curve and lines.
KNOTS = (34.35, 60.02, 85.64)
BETA = np.array([-0.02, 0.015])
AT, REFERENCE = (25.0, 37.5, 75.0, 90.0, 100.0), 55.0
MEAN, SD = 60.0, 20.0
LINES = {"R": None, "A": (12.0, 0.75), "B": (-8.0, 1.3), "C": (5.0, 0.9)}
PEAKS = {"R": 8.5, "A": 9.0, "B": 8.0, "C": 2.5}  # C lies in the southern hemisphere


def true_log_or() -> np.ndarray:
    """Log odds ratios of the standardised level at AT."""
    at, anchor = (spline_columns(np.array(x, dtype=float), KNOTS) for x in (AT, (REFERENCE,)))
    return (at - anchor).T @ BETA


@dataclass(frozen=True)
class SeasonalPool:
    """Design: sets 1:1 of each study matched on the month, share of Var X that is season."""

    share: float = 0.15
    n_sets: int = 500
    r_squared: float = 0.7
    calibrators: int = 100

    def draw(self, rng: np.random.Generator) -> pd.DataFrame:
        """Rows of all studies; `everybody` has the reference value of each person."""
        frames = [self._draw_study(rng, name, line) for name, line in LINES.items()]
        return pd.concat(frames, ignore_index=True)

    def _draw_study(self, rng, name: str, line: tuple[float, float] | None) -> pd.DataFrame:
        n = self.n_sets
        month = rng.integers(1, 13, n)
        season = SD * np.sqrt(2 * self.share) * np.cos(2 * np.pi * (month - PEAKS[name]) / 12)
        level = np.concatenate([self._cases(rng), self._annual(rng, n)]) + np.tile(season, 2)
        frame = pd.DataFrame(
            {
                "study": name,
                "set": np.tile(np.arange(n), 2),
                "case": np.repeat([1, 0], n),
                "local": np.nan,
                "reference": level,
                "month": np.tile(month, 2),
                "everybody": level,
            }
        )
        if line is not None:  # classical error, as in METHODS section 10
            intercept, slope = line
            error = rng.normal(0, SD * np.sqrt((1 - self.r_squared) / self.r_squared), 2 * n)
            frame["local"] = (MEAN - intercept) / slope + self.r_squared / slope * (level - MEAN + error)
            chosen = n + rng.choice(n, self.calibrators, replace=False)
            frame.loc[~np.isin(np.arange(2 * n), chosen), "reference"] = np.nan
        return frame

    def _annual(self, rng: np.random.Generator, n: int) -> np.ndarray:
        return MEAN + SD * np.sqrt(1 - self.share) * rng.normal(size=n)

    def _cases(self, rng: np.random.Generator) -> np.ndarray:
        """The controls' law tilted by the odds ratio, by rejection."""
        found = np.empty(0)
        grid = np.linspace(MEAN - 6 * SD, MEAN + 6 * SD, 2001)
        top = (spline_columns(grid, KNOTS).T @ BETA).max()
        while found.size < self.n_sets:
            some = self._annual(rng, 4 * self.n_sets)
            accepted = np.log(rng.random(some.size)) < spline_columns(some, KNOTS).T @ BETA - top
            found = np.concatenate([found, some[accepted]])
        return found[: self.n_sets]


def as_if_all_measured_at_the_reference(frame: pd.DataFrame) -> pd.DataFrame:
    """Reference values for everybody, so that nothing is left to calibration."""
    return frame.assign(reference=frame["everybody"], local=np.nan).drop(columns="everybody")
