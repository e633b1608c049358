"""Replicates from a Parquet file, a batch of rows and a scenario at a time.

Each batch becomes compact arrays at once, so that memory holds little beside the arrays of one scenario.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from biocal.errors import ColumnError, InputError
from biocal.simulation.results_cubes import COLUMNS, ReplicateCube, cube_of_frame, curve_rows, split_scenarios

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_cubes"]

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
