"""Replicates of one scenario as arrays: replicate by method by exposure.

A scenario at a time is all that summaries need in memory, however many scenarios a study has.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import ColumnError, InputError
from biocal.simulation.fitting.quantities import CURVE
from biocal.simulation.measuring.performance_columns import truths

if TYPE_CHECKING:
    import pandas as pd


__all__ = [
    "COLUMNS",
    "ReplicateCube",
    "cube_of_frame",
    "read_cubes",
    "split_scenarios",
]


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


#: Rows read at once.
_BATCH_ROWS = 8_192
_ARRAYS = ("estimate", "std_error", "conf_low", "conf_high", "present", "sound")


def read_cubes(replicates: pd.DataFrame | str | Path) -> Iterator[ReplicateCube]:
    """Yield the scenarios one after the other.

    Parameters
    ----------
    replicates : DataFrame, str or Path
        The columns of replicates.parquet (``error`` may be missing), in any order of rows; or a Parquet
        file of them, ordered by scenario and replicate, of which one scenario at a time is read.

    Raises
    ------
    ColumnError
        A column is missing.
    InputError
        A row occurs twice, a scenario has two truths at one exposure, or a file is not in order.
    """
    if isinstance(replicates, str | Path):
        yield from _cubes_of_file(Path(replicates))
    else:
        for part in split_scenarios(replicates):
            yield cube_of_frame(part)


def _cubes_of_file(path: Path) -> Iterator[ReplicateCube]:
    """Yield the scenarios of a file that is ordered by scenario and replicate.

    Raises
    ------
    ColumnError, InputError
        As :func:`read_cubes` tells.
    """
    waiting: list[ReplicateCube] = []
    for frame in _whole_replicates(path):
        cube = cube_of_frame(frame)
        if waiting and cube.scenario != waiting[-1].scenario:
            if cube.scenario < waiting[-1].scenario:
                raise _disorder(path)
            yield _stacked(waiting)
            waiting = []
        if waiting and cube.replicates[0] <= waiting[-1].replicates[-1]:
            raise _disorder(path)
        waiting.append(cube)
    if waiting:
        yield _stacked(waiting)


def _whole_replicates(path: Path) -> Iterator[pd.DataFrame]:
    """Pieces of one scenario each, which end where a replicate ends."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        missing = [name for name in COLUMNS if name not in file.schema_arrow.names]
        if missing:
            raise ColumnError(f"{path} has no column {missing[0]!r}", columns=tuple(missing))
        wanted = [name for name in (*COLUMNS, "error", "quantity") if name in file.schema_arrow.names]
        rest: pd.DataFrame | None = None
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=wanted, use_threads=False):
            frame = curve_rows(batch.to_pandas())
            if frame.empty:
                continue
            if rest is not None:
                frame = pd.concat([rest, frame], ignore_index=True)
            starts, rest = _pieces(frame, path)
            for start, end in itertools.pairwise(starts):
                yield frame.iloc[start:end]
            # Arrow keeps what it has freed: without this a long study holds several times its arrays.
            del batch, frame
            pa.default_memory_pool().release_unused()
        if rest is not None:
            yield rest


def _pieces(frame: pd.DataFrame, path: Path) -> tuple[list[int], pd.DataFrame]:
    """Row numbers where scenarios begin, up to the last replicate, which is set apart."""
    scenario, replicate = frame["scenario"].to_numpy(), frame["replicate"].to_numpy()
    if (np.diff(scenario) < 0).any():
        raise _disorder(path)
    other = np.flatnonzero((scenario != scenario[-1]) | (replicate != replicate[-1]))
    end = int(other[-1]) + 1 if other.size else 0
    begins = np.flatnonzero(np.diff(scenario[:end])) + 1
    starts = [0, *begins.tolist(), end] if end else [0]
    return starts, frame.iloc[end:].copy()


def _disorder(path: Path) -> InputError:
    return InputError(f"{path} is not ordered by scenario and replicate: sort it first")


def _stacked(parts: list[ReplicateCube]) -> ReplicateCube:
    """One scenario from cubes of its replicates; the parts are used up."""
    methods = tuple(dict.fromkeys(method for part in parts for method in part.methods))
    exposures = np.unique(np.concatenate([part.exposures for part in parts]))
    arrays: dict[str, Any] = {name: [] for name in _ARRAYS}
    truth = np.full(exposures.size, np.nan)
    errors: dict[str, Counter[str]] = {}
    scenario, replicates = parts[0].scenario, np.concatenate([part.replicates for part in parts])
    while parts:
        part = parts.pop(0)
        column = np.searchsorted(exposures, part.exposures)
        if (np.isfinite(truth[column]) & (truth[column] != part.truth)).any():
            raise InputError(f"scenario {scenario} has more than one truth at an exposure", scenario=scenario)
        truth[column] = part.truth
        for name in _ARRAYS:
            arrays[name].append(_aligned(getattr(part, name), part, methods, exposures))
        _add_errors(errors, part.errors)
    for name in _ARRAYS:  # one after the other, so that the pieces of each go before the next are joined
        arrays[name] = np.concatenate(arrays[name])
    return ReplicateCube(scenario, replicates, methods, exposures, truth, **arrays, errors=errors)


def _aligned(values: Any, part: ReplicateCube, methods: tuple[str, ...], exposures: Any) -> Any:
    """An array (B, k, m) of a part on the methods and exposures of the whole."""
    if part.methods == methods and np.array_equal(part.exposures, exposures):
        return values
    whole = np.full(
        (len(values), len(methods), exposures.size),
        False if values.dtype == bool else np.nan,
        dtype=values.dtype,
    )
    rows = [methods.index(method) for method in part.methods]
    columns = np.searchsorted(exposures, part.exposures)
    whole[:, np.asarray(rows)[:, None], columns] = values
    return whole


def _add_errors(errors: dict[str, Counter[str]], more: Mapping[str, Counter[str]]) -> None:
    for method, messages in more.items():
        errors.setdefault(method, Counter()).update(messages)
