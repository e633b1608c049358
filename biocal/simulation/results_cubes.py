"""Replicates of one scenario as arrays: replicate by method by exposure.

A scenario at a time is all that summaries need in memory, however many scenarios a study has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import ColumnError, InputError
from biocal.simulation.performance_columns import truths
from biocal.simulation.quantities import CURVE

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "ReplicateCube", "cube_of_frame", "split_scenarios"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

_NUMBERS = ("estimate", "std_error", "conf_low", "conf_high")
COLUMNS = ("scenario", "replicate", "method", "exposure", *_NUMBERS, "truth", "converged")


@dataclass(frozen=True, slots=True, eq=False)
class ReplicateCube:
    """All replicates of one scenario.

    Attributes
    ----------
    scenario : int
    replicates : ndarray of int, shape (B,)
        Their numbers, ascending.
    methods : tuple of str, length k
        In the order in which they first appear.
    exposures, truth : ndarray, shape (m,)
        Exposures, ascending, and the true log odds ratio there.
    estimate, std_error, conf_low, conf_high : ndarray, shape (B, k, m)
    present : ndarray of bool, shape (B, k, m)
        There is such a row.
    sound : ndarray of bool, shape (B, k, m)
        The row converged and has an estimate, a standard error and limits; the other rows failed.
    errors : mapping from method to Counter
        Messages of failed replicates, one a replicate and method.
    """

    scenario: int
    replicates: IntArray
    methods: tuple[str, ...]
    exposures: FloatArray
    truth: FloatArray
    estimate: FloatArray
    std_error: FloatArray
    conf_low: FloatArray
    conf_high: FloatArray
    present: BoolArray
    sound: BoolArray
    errors: Mapping[str, Counter[str]] = field(default_factory=dict)

    @property
    def failed(self) -> BoolArray:
        """Rows that are there and failed, shape (B, k, m)."""
        return self.present & ~self.sound

    @property
    def error(self) -> FloatArray:
        """Estimate minus truth, shape (B, k, m)."""
        return self.estimate - self.truth

    @property
    def covers(self) -> BoolArray:
        """Whether the interval holds the truth, shape (B, k, m)."""
        return (self.conf_low <= self.truth) & (self.truth <= self.conf_high)


def split_scenarios(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Scenarios of a table, in ascending order."""
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise ColumnError(
            f"the replicates have no column {missing[0]!r}; they need {', '.join(COLUMNS)}",
            columns=tuple(missing),
        )
    for _, part in curve_rows(frame).groupby("scenario", sort=True):
        yield part


def curve_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of the curve: all, unless the column quantity names others."""
    return frame[frame["quantity"] == CURVE] if "quantity" in frame.columns else frame


def cube_of_frame(frame: pd.DataFrame) -> ReplicateCube:
    """Arrays of one scenario."""
    import pandas as pd

    scenario = int(frame["scenario"].iloc[0])
    replicates, row = np.unique(frame["replicate"].to_numpy(dtype=np.intp), return_inverse=True)
    method, names = pd.factorize(frame["method"].astype(object))
    exposures, column = np.unique(frame["exposure"].to_numpy(dtype=np.float64), return_inverse=True)
    shape = (replicates.size, len(names), exposures.size)
    place = (row.reshape(-1) * shape[1] + method) * shape[2] + column.reshape(-1)
    count = np.bincount(place, minlength=shape[0] * shape[1] * shape[2])
    if count.max(initial=0) > 1:
        first = int(np.flatnonzero(count[place] > 1)[0])
        raise InputError(
            f"scenario {scenario}: replicate {frame['replicate'].iloc[first]}, method "
            f"{frame['method'].iloc[first]}, exposure {frame['exposure'].iloc[first]} occurs more than once; "
            f"were the same replicates put together twice?",
            scenario=scenario,
        )
    numbers = {name: _laid_out(frame[name], place, shape) for name in _NUMBERS}
    converged = truths(frame["converged"])
    known = np.isfinite(numbers["estimate"]) & np.isfinite(numbers["std_error"])
    known &= ~np.isnan(numbers["conf_low"]) & ~np.isnan(numbers["conf_high"])
    known.reshape(-1)[place[~converged]] = False
    return ReplicateCube(
        scenario, replicates, tuple(str(name) for name in names), exposures, _truth(frame, column, scenario),
        **numbers, present=count.reshape(shape) > 0, sound=known, errors=_errors(frame, converged),
    )  # fmt: skip


def _laid_out(values: pd.Series[Any], place: IntArray, shape: tuple[int, ...]) -> FloatArray:
    cube = np.full(shape, np.nan)
    cube.reshape(-1)[place] = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return cube


def _truth(frame: pd.DataFrame, column: IntArray, scenario: int) -> FloatArray:
    """Truth at each exposure (m,), which all rows must share."""
    values = frame["truth"].to_numpy(dtype=np.float64)
    truth = np.empty(int(column.max()) + 1)
    truth[column.reshape(-1)] = values
    if not np.array_equal(truth[column.reshape(-1)], values):
        raise InputError(
            f"scenario {scenario} has more than one truth at an exposure, or none", scenario=scenario
        )
    return truth


def _errors(frame: pd.DataFrame, converged: BoolArray) -> dict[str, Counter[str]]:
    """Messages by method, each failed replicate once."""
    if "error" not in frame.columns or converged.all():
        return {}
    failed = frame.loc[~converged, ["replicate", "method", "error"]].astype(
        {"method": object, "error": object}
    )
    failed = failed.drop_duplicates(["replicate", "method"])
    return {
        str(method): Counter(text if isinstance(text, str) else "" for text in part["error"])
        for method, part in failed.groupby("method", sort=False)
    }
