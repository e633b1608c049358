"""A small pool of known shape, as the tests of the commands read it from a file, and a spec for it."""

from __future__ import annotations

import numpy as np
import pandas as pd

SPEC = """\
files = ["pool.csv"]
method = ["naive", "full"]
exposure = "rcs"
knots = 3
covariates = "bmi"
matching = "sex"
ref = 60
exposure_name = "25(OH)D"
unit = "nmol/L"
outcome_name = "colorectal cancer"
"""


def small_pool(n_sets: int = 60, seed: int = 20260101) -> pd.DataFrame:
    """Two local studies and a reference study, pairs, with covariates; the first 25 controls calibrate."""
    rng = np.random.default_rng(seed)
    frames = []
    for study, line in (("North", (10.0, 0.8)), ("South", (-6.0, 1.2)), ("West", None)):
        n = 2 * n_sets
        case = np.tile([1, 0], n_sets)
        bmi = rng.normal(27, 4, n).round(1)
        sex = np.repeat(rng.choice(["f", "m"], n_sets), 2)
        exposure = rng.normal(60, 18, n) - 5 * case - 0.4 * (bmi - 27)
        reference = exposure.round(2)
        frame = pd.DataFrame({"study": study, "set": np.repeat(np.arange(n_sets) + 1, 2), "case": case})
        if line is None:
            frame["local"], frame["reference"] = np.nan, reference
        else:
            frame["local"] = ((exposure - line[0]) / line[1] + rng.normal(0, 6, n)).round(2)
            frame["reference"] = np.where((case == 0) & (np.arange(n) < 50), reference, np.nan)
        frames.append(frame.assign(bmi=bmi, sex=sex))
    return pd.concat(frames, ignore_index=True)
