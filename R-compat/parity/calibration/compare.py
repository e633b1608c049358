"""Compare biocal's censored and robust calibrations with survival::survreg and MASS::rlm.

Run: python compare.py [PINS.json]   prints the largest difference of each quantity; exit 1 beyond tolerance.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from biocal.model.calibration.estimators import fit_calibration_model
from biocal.model.calibration.forms import CalibrationForm, CalibrationModel
from biocal.model.calibration.lines import CalibrationFit, CalibrationRows, lay_out_parameters

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from comparison import Difference, relative_differences, tell  # noqa: E402

STUDIES = ("A", "B", "C")
#: Two maximisers.  survreg inverts the information of its last iterate; rlm stops when coefficients stand still.
TOLERANCES = {"": 1e-7, "vcov": 1e-6}


def fitted(
    pairs: pd.DataFrame,
    response: str,
    *,
    names: tuple[str, ...],
    covariate: bool = False,
    model: CalibrationModel,
    censored: bool,
) -> tuple[CalibrationFit, float]:
    """biocal's fit of some pairs, and the censored log-likelihood at its estimate."""
    study = np.array([names.index(name) for name in pairs["study"]], dtype=np.intp)
    columns = [np.ones(len(pairs)), pairs["local"].to_numpy()]
    if covariate:
        columns.append(pairs["v"].to_numpy())
    rows = CalibrationRows(study, np.array(columns), study)
    layout = lay_out_parameters(len(names), len(columns), np.arange(len(names)), by_study=False)
    below = pairs["below"].to_numpy().astype(bool) if censored else None
    form = CalibrationForm(model.form)
    fit = fit_calibration_model(
        rows, pairs[response].to_numpy(), layout, names, model=model, form=form, censored=below
    )
    return fit, loglik(fit, rows, pairs)


def maximum_likelihood(fit: CalibrationFit) -> np.ndarray:
    """survreg's scale: biocal's variances are corrected for the degrees of freedom."""
    pairs = np.bincount(fit.group, minlength=fit.variance.size)
    return np.sqrt(fit.variance * fit.freedom / pairs)


def loglik(fit: CalibrationFit, rows: CalibrationRows, pairs: pd.DataFrame) -> float:
    """Censored log-likelihood at biocal's estimate, from its parameters alone."""
    from scipy.stats import norm

    response = fit.form.response(pairs["at_limit"].to_numpy())
    sigma, mean = maximum_likelihood(fit)[fit.group], fit.linear_predictor(rows)
    below = pairs["below"].to_numpy().astype(bool)
    return float(
        norm.logcdf(response[below], mean[below], sigma[below]).sum()
        + norm.logpdf(response[~below], mean[~below], sigma[~below]).sum()
    )


def differences(pins: Mapping[str, Any]) -> Iterator[Difference]:
    """Every pinned quantity against biocal."""
    pairs = pd.read_csv(HERE / "pairs.csv")
    for grid, pinned in pins["grids"].items():
        kind, _, which = grid.rpartition("_")
        if grid == "tobit_common":
            fit, value = fitted(
                pairs, "at_limit", names=STUDIES, covariate=True, model=CalibrationModel(), censored=True
            )
            # survreg: intercepts, the covariate, slopes
            order = [0, 2, 4, 6, 1, 3, 5]
            yield from relative_differences(grid, pinned, _censored(fit, order, value))
            continue
        own = pairs[pairs["study"] == which]
        if kind == "huber":
            model = CalibrationModel(estimator="huber")
            fit, _ = fitted(own, "gross", names=(which,), model=model, censored=False)
            yield from relative_differences(
                grid, pinned, {"coefficients": fit.gamma, "scale": np.sqrt(fit.variance[0])}
            )
            continue
        model = CalibrationModel(form="log-log" if kind == "tobit_log" else "linear")
        fit, value = fitted(own, "at_limit", names=(which,), model=model, censored=True)
        yield from relative_differences(grid, pinned, _censored(fit, [0, 1], value))


def _censored(fit: CalibrationFit, order: list[int], value: float) -> dict[str, Any]:
    assert fit.joint is not None
    vcov = fit.joint.inverse_bread[np.ix_(order, order)]
    return {
        "coefficients": fit.gamma[order],
        "scale": maximum_likelihood(fit),
        "vcov": vcov,
        "loglik": value,
    }


if __name__ == "__main__":
    sys.exit(tell(HERE, differences, TOLERANCES))
