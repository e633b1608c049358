"""Values that lie far from 0 and hardly differ: what a computer's 16 digits leave of them is told, or refused.

Least squares on columns 1, W with |W| = k times the spread of W loses 2 log10 k digits of its covariance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.errors import CalibrationDesignError
from biocal.fitting.problem.problem import PooledProblem
from biocal.model.calibration.rows import CalibrationRows

FloatArray = NDArray[np.float64]

#: Size over spread of a calibration column from which its digits are told, and beyond which there are too few: the
#: covariance is good to about 2e-16 times its square, 2e-4 and 2e-2 (our choice).
TOLD, REFUSED = 1e6, 1e7
#: The same of a column of the outcome model, of which differences are taken at once: 7 digits are left.
_TOLD_OF_OUTCOME = 1e9
_EPSILON = 2.2e-16


@dataclass(frozen=True, slots=True)
class Extent:
    """Least and largest of some values, by what they are called; NaN without values."""

    name: str
    low: float
    high: float

    @classmethod
    def of(cls, name: str, values: FloatArray) -> Extent:
        """Of values, shape (n,)."""
        if values.size == 0:
            return cls(name, float("nan"), float("nan"))
        return cls(name, float(values.min()), float(values.max()))

    @property
    def size_over_spread(self) -> float:
        """Largest absolute value over the range; infinite where nothing varies, 0 without values."""
        largest, spread = max(abs(self.low), abs(self.high)), self.high - self.low
        if np.isnan(spread):
            return 0.0
        if spread == 0:
            return 0.0 if largest == 0 else float("inf")
        return largest / spread

    def words(self) -> str:
        """Where the values lie."""
        return f"{self.name} lie near {(self.low + self.high) / 2:.3g} and differ by {self.high - self.low:.2g} at most"


class ApproximateExtent(Extent):
    """About where values lie of which mean and standard deviation alone are known."""

    def words(self) -> str:
        """Where the values lie."""
        return f"{self.name} lie near {(self.low + self.high) / 2:.3g} and differ by about {self.high - self.low:.2g}"


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
    local_values = (rows.columns[1, rows.study == s] for s in range(len(local_names)))
    found = [
        Extent.of(name, values)
        for name, values in zip(extent_names(local_names, ()), local_values, strict=True)
    ]
    covariates = zip(extent_names((), names), rows.columns[2:], strict=True)
    return require_digits_of([*found, *(Extent.of(name, values) for name, values in covariates)])


def extent_names(local_names: Sequence[str], covariates: Sequence[str]) -> tuple[str, ...]:
    """What the calibration's columns are called in messages: local values by study, then its covariates."""
    return (
        *(f"local values of study {name}" for name in local_names),
        *(f"values of calibration covariate {name}" for name in covariates),
    )


def require_digits_of(extents: Sequence[Extent]) -> tuple[str, ...]:
    """The same from the least and largest values of each column."""
    found = [(one, one.size_over_spread) for one in extents]
    # What is constant is told elsewhere, by its own name.
    lost = [one for one, ratio in found if REFUSED < ratio < np.inf]
    if lost:
        raise CalibrationDesignError(
            f"too few digits are left: {'; '.join(one.words() for one in lost)}. Subtract a constant from such values",
            columns=tuple(one.name for one in lost),
        )
    return tuple(
        f"{one.words()}; standard errors that rest on the calibration keep about "
        f"{int(-np.log10(_EPSILON * ratio**2))} digits, so subtract a constant"
        for one, ratio in found
        if TOLD < ratio < np.inf
    )


def rounding_of_sums(extents: Sequence[Extent]) -> float:
    """About the share of sums of squares and products of such columns that is rounding."""
    ratios = [one.size_over_spread for one in extents]
    return float(_EPSILON * max([ratio for ratio in ratios if np.isfinite(ratio)], default=0.0) ** 2)


def outcome_digit_notes(problem: PooledProblem) -> tuple[str, ...]:
    """Columns of the outcome model that keep fewer than 7 digits once sets are compared."""
    return digit_notes(outcome_extents(problem))


def outcome_extents(problem: PooledProblem) -> tuple[Extent, ...]:
    """Least and largest of the measurements and covariates that are known, in the outcome model."""
    columns = [("local values", problem.local_assay), ("reference values", problem.reference_assay)]
    columns += [
        (f"values of {name}", values)
        for name, values in zip(problem.covariate_names, problem.covariates, strict=True)
    ]
    return tuple(Extent.of(name, values[np.isfinite(values)]) for name, values in columns)


def digit_notes(extents: Sequence[Extent]) -> tuple[str, ...]:
    """As :func:`outcome_digit_notes`, from the least and largest values of each column."""
    notes = []
    for one in extents:
        ratio = one.size_over_spread
        if _TOLD_OF_OUTCOME < ratio < np.inf:
            notes.append(
                f"{one.words()}: about {max(0, int(-np.log10(_EPSILON * ratio)))} digits are left of the "
                "differences; subtract a constant"
            )
    return tuple(notes)


def joined_extents(parts: Sequence[Sequence[Extent]]) -> tuple[Extent, ...]:
    """Least and largest over parts that name the same columns."""
    return tuple(
        Extent(several[0].name, _least([one.low for one in several]), -_least([-one.high for one in several]))
        for several in zip(*parts, strict=True)
    )


def _least(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return min(known) if known else float("nan")
