"""What a worker is told: the analysis, its partition, and what earlier rounds have settled."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import OutputError
from biocal.fitting.problem.prepare import ModelFormulas
from biocal.fitting.sums.modifier import NO_MODIFIER, Modifier
from biocal.fitting.sums.records import StudyLine
from biocal.model.exposure import Basis
from biocal.pool.checks.columns import ColumnRoles
from biocal.pool.checks.options import PoolOptions
from biocal.system.files import remove_abandoned, temporary_folder

BoolArray = NDArray[np.bool_]

#: Levels of the columns that are taken as categories, by part of the model and column.
Levels = Mapping[str, Mapping[str, tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class PartSource:
    """A partition, and what must be known of the others to read it.

    Attributes
    ----------
    number : int
        From 0; sums are put together in this order.
    path : str
    sha256 : str
        Of its content when the fit began.
    options : PoolOptions
        For the studies that it holds.
    columns : tuple of str
        Columns of any partition.
    """

    number: int
    path: str
    sha256: str
    options: PoolOptions
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """The fit under way; parts that are not settled yet are None.

    Attributes
    ----------
    token : str
        Known to this fit alone: what an earlier one has left behind is never taken for its own.
    folder : str
        Where prepared partitions are kept when no Dask worker says otherwise.
    roles : ColumnRoles
    formulas : ModelFormulas
    texts : dict of str to str
        The formulas that are evaluated, by part of the model.
    levels : Levels or None
    kept : ndarray of bool, shape (number of covariate columns,), or None
        Covariates that vary within some set of some partition.
    lines : dict of str to StudyLine, or None
        Calibration, by local study; None before it is known, and where nothing can be calibrated.
    ranges : dict of str to (float, float)
        Least and largest local value of each study's calibration pairs.
    basis : Basis or None
    modifier : Modifier
        What is settled of the effect modifier.
    """

    token: str
    folder: str
    roles: ColumnRoles
    formulas: ModelFormulas
    texts: Mapping[str, str]
    levels: Levels | None = None
    kept: BoolArray | None = None
    lines: Mapping[str, StudyLine] | None = None
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    basis: Basis | None = None
    modifier: Modifier = NO_MODIFIER


_NAME = "biocal-partitions"


@contextmanager
def scratch_folder() -> Iterator[str]:
    """A new folder in the system's place for temporary files, the user's alone, removed with the block.

    A fit that was killed leaves its folder, which nobody holds any more: the next fit removes it.

    Raises
    ------
    OutputError
        There is no place.
    """
    with ExitStack() as held:
        try:
            place = Path(tempfile.gettempdir(), _NAME)
            remove_abandoned(place.parent, place.name)
            folder = held.enter_context(temporary_folder(place, mode=0o700))
        except OSError as fault:
            raise OutputError(
                f"there is no place for prepared partitions ({fault.strerror or fault}); name one with TMPDIR"
            ) from fault
        try:
            yield str(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
