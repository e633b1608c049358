"""Values that lie far from 0 and hardly differ: what a computer's 16 digits leave of them is told, or refused.

Least squares on columns 1, W with |W| = k times the spread of W loses 2 log10 k digits of its covariance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biocal.calibration.rows import CalibrationRows
from biocal.errors import CalibrationDesignError
from biocal.pooling.problem import PooledProblem

FloatArray = NDArray[np.float64]

#: Size over spread of a calibration column from which its digits are told, and beyond which there are too few: the
#: covariance is good to about 2e-16 times its square, 2e-4 and 2e-2 (our choice).
TOLD, REFUSED = 1e6, 1e7
#: The same of a column of the outcome model, of which differences are taken at once: 7 digits are left.
_TOLD_OF_OUTCOME = 1e9
_EPSILON = 2.2e-16


def size_over_spread(values: FloatArray) -> float:
    """Largest absolute value over the range; infinite where nothing varies, 0 without values."""
    if values.size == 0:
        return 0.0
    largest = max(abs(float(values.max())), abs(float(values.min())))
    spread = float(values.max() - values.min())
    if spread == 0:
        return 0.0 if largest == 0 else float("inf")
    return largest / spread


def require_digits(
    rows: CalibrationRows, names: tuple[str, ...], local_names: tuple[str, ...]
) -> tuple[str, ...]:
    """Refuse calibration columns that hardly differ beside their size; tell of those that lose digits.

    Parameters
    ----------
    rows : CalibrationRows
        The calibration subset: columns 1, W and the calibration covariates.
    names : tuple of str
        Of the covariates.
    local_names : tuple of str
        Local studies.

    Raises
    ------
    CalibrationDesignError
        Too few digits are left (attribute ``columns``).
    """
    columns = [
        (f"local values of study {name}", rows.columns[1, rows.study == s])
        for s, name in enumerate(local_names)
    ]
    columns += [
        (f"values of calibration covariate {name}", rows.columns[2 + k]) for k, name in enumerate(names)
    ]
    found = [(name, values, size_over_spread(values)) for name, values in columns]
    # What is constant is told elsewhere, by its own name.
    lost = [(name, values) for name, values, ratio in found if REFUSED < ratio < np.inf]
    if lost:
        raise CalibrationDesignError(
            f"too few digits are left: {'; '.join(_near(*one) for one in lost)}. Subtract a constant from such values",
            columns=tuple(name for name, _ in lost),
        )
    return tuple(
        f"{_near(name, values)}; standard errors that rest on the calibration keep about "
        f"{int(-np.log10(_EPSILON * ratio**2))} digits, so subtract a constant"
        for name, values, ratio in found
        if TOLD < ratio < np.inf
    )


def outcome_digit_notes(problem: PooledProblem) -> tuple[str, ...]:
    """Columns of the outcome model that keep fewer than 7 digits once sets are compared."""
    columns = [("local values", problem.local_assay), ("reference values", problem.reference_assay)]
    columns += [
        (f"values of {name}", values)
        for name, values in zip(problem.covariate_names, problem.covariates, strict=True)
    ]
    notes = []
    for name, values in columns:
        known = values[np.isfinite(values)]
        ratio = size_over_spread(known)
        if _TOLD_OF_OUTCOME < ratio < np.inf:
            notes.append(
                f"{_near(name, known)}: about {max(0, int(-np.log10(_EPSILON * ratio)))} digits are left of the "
                "differences; subtract a constant"
            )
    return tuple(notes)


def _near(name: str, values: FloatArray) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{name} lie near {(low + high) / 2:.3g} and differ by {high - low:.2g} at most"
