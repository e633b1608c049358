"""What a user of pandas and statsmodels does for one method of `biocal fit`: as fit.R.

python fit_statsmodels.py FILE.csv
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import statsmodels.api as sm
from statsmodels.discrete.conditional_models import ConditionalLogit


def main() -> None:
    """Read, calibrate, spline, fit; print the coefficients."""
    data = pd.read_csv(sys.argv[1])
    names = [name for name in data if name.startswith("z")]
    is_reference = data.groupby("study")["local"].transform("count") == 0

    def lines(rows: pd.DataFrame) -> pd.DataFrame:
        dummies = pd.get_dummies(rows["study"], dtype=float)
        return pd.concat(
            [dummies, dummies.mul(rows["local"], axis=0).add_prefix("local "), rows[names]], axis=1
        )

    pairs = data[~is_reference & (data["case"] == 0) & data["local"].notna() & data["reference"].notna()]
    calibration = sm.OLS(pairs["reference"], lines(pairs)).fit()
    exposure = data["reference"].copy()
    exposure[~is_reference] = calibration.predict(lines(data[~is_reference]))
    value = exposure.to_numpy()
    knots = np.quantile(value[data["case"] == 0], [0.05, 0.35, 0.65, 0.95])
    width = knots[-1] - knots[-2]

    def cube(knot: float) -> np.ndarray:
        return np.maximum(value - knot, 0.0) ** 3

    splines = [
        (cube(k) - cube(knots[-2]) * (knots[-1] - k) / width + cube(knots[-1]) * (knots[-2] - k) / width)
        / (knots[-1] - knots[0]) ** 2
        for k in knots[:2]
    ]
    columns = np.column_stack([value, *splines, data[names]])
    scale = columns.std(axis=0)  # raw columns stop its optimiser far from the maximum
    sets = data["study"] + " " + data["set"].astype(str)
    fitted = ConditionalLogit(data["case"].to_numpy(), columns / scale, groups=sets.to_numpy()).fit(disp=0)
    print("\n".join(f"{value:.17g}" for value in fitted.params / scale))


if __name__ == "__main__":
    main()
