"""The pooled studies: every row of every study as checked arrays, the only reader of DataFrames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocal.pool.checks.columns import DEFAULT_PERSON, ColumnRoles
from biocal.pool.checks.limits import BelowLimit
from biocal.pool.checks.notices import Problem
from biocal.pool.tables.table import InputFile, RowNumbers


@dataclass(frozen=True, slots=True, eq=False)
class PooledStudies:
    """All rows of all studies, checked; row order is that of the files.

    Made by `from_frame` and by `biocal.pool.reading.read_studies`, not by hand.

    Attributes
    ----------
    frame : DataFrame, n rows
        Every row kept and all original columns under a RangeIndex; a covariate is numeric when all
        its values are numbers, otherwise categorical with sorted categories.  The arrays below may share its
        memory: take a copy before changing values in place.
    roles : ColumnRoles
        Which column is what.
    study_names : tuple of str
        In natural order.
    study : ndarray of int, shape (n,)
        Index into ``study_names``.
    set_code : ndarray of int, shape (n,)
        Matched set, unique over (study, set): numbered by study, then by natural order of the set
        id; -1 where the set is blank (the row serves calibration only).
    set_labels : tuple of str
        Set id as in the data, per code.
    is_case : ndarray of bool, shape (n,)
        True for cases.
    local_assay : ndarray, shape (n,)
        Local laboratory's value in the study's assay unit, after ``scale_local``; NaN where absent.
    reference_assay : ndarray, shape (n,)
        Reference laboratory's value in its unit; NaN where absent, and for cases of local studies
        unless the pool was made with ``calibrate_with_cases``.
    is_reference_study : ndarray of bool, shape (n_studies,)
        Whether the study was measured at the reference laboratory throughout.
    in_calibration : ndarray of bool, shape (n,)
        Row of a local study with both values: a control, or with ``calibrate_with_cases`` anyone.
    person_code : ndarray of int, shape (n,), or None
        Person, unique over (study, person); -1 where blank.  None without a person column.
    files : tuple of InputFile
        What was read; empty for a data frame.
    file_index, line : ndarray of int, shape (n,)
        Where each row comes from; ``file_index`` is -1 for a data frame.
    problems : tuple of Problem
        Warnings and notes.
    below_limit : BelowLimit or None
        Which values are below their detection limit, and by which rule they are taken; None when none is.
    levels : mapping of str to mapping, or None
        By formula and column: the levels that code it, agreed with others; None: those found in the rows.

    Examples
    --------
    >>> import biocal as bc
    >>> pool = bc.PooledStudies.from_frame(bc.datasets.load_infertility(), reference="spontaneous")
    >>> pool.n_rows, pool.n_studies, int(pool.is_case.sum())
    (248, 1, 83)
    """

    frame: pd.DataFrame
    roles: ColumnRoles
    study_names: tuple[str, ...]
    study: NDArray[np.intp]
    set_code: NDArray[np.intp]
    set_labels: tuple[str, ...]
    is_case: NDArray[np.bool_]
    local_assay: NDArray[np.float64]
    reference_assay: NDArray[np.float64]
    is_reference_study: NDArray[np.bool_]
    in_calibration: NDArray[np.bool_]
    person_code: NDArray[np.intp] | None
    files: tuple[InputFile, ...]
    file_index: RowNumbers
    line: RowNumbers
    problems: tuple[Problem, ...]
    below_limit: BelowLimit | None = None
    levels: Mapping[str, Mapping[str, tuple[Any, ...]]] | None = None

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        study: str = "study",
        set: str = "set",
        case: str = "case",
        local: str = "local",
        reference: str = "reference",
        person: str | None = DEFAULT_PERSON,
        reference_study: str | Sequence[str] = (),
        local_study: str | Sequence[str] = (),
        scale_local: Mapping[str, float] | None = None,
        calibrate_with_cases: bool = False,
        detection_limit: Mapping[str, float] | None = None,
        reference_detection_limit: float | None = None,
        below_limit: str | None = None,
        local_flag: str | None = None,
        reference_flag: str | None = None,
        duplicates: str = "refuse",
    ) -> PooledStudies:
        """Check a data frame that holds all studies.

        Parameters
        ----------
        frame : DataFrame
            One row a person and set.  It is not changed.
        study, set, case, local, reference, person : str
            Names of the columns; see `ColumnRoles`.
        reference_study, local_study : str or sequence of str
            Studies declared to be measured at the reference laboratory, or not to be.
        scale_local : mapping of study to factor, optional
            Local values are multiplied by it before anything else, for units.
        calibrate_with_cases : bool, default False
            Use the reference values of cases in local studies instead of ignoring them.
        detection_limit : mapping of study to limit, optional
            Detection limit of a study's local laboratory, in the unit of its file; a cell such as "<5.0" tells its
            own, "LOD" and flagged values need it.
        reference_detection_limit : float, optional
            The same of the reference laboratory.
        below_limit : {"lod", "lod/2", "lod/sqrt2", "censored"}, optional
            How values below their limit are taken; see :func:`biocal.pool.checks.limits.with_below_limit`.  Without
            it they are refused.
        local_flag, reference_flag : str, optional
            Column with 1 where the local (reference) value is below its limit, whatever its cell holds.
        duplicates : {"refuse", "first"}
            A person twice in a set, and a set of which every row is there several times, are refused; "first" keeps the
            first of the rows and tells how many were left out.

        Returns
        -------
        PooledStudies

        Raises
        ------
        DataProblemsError
            The data cannot be used; ``problems`` lists everything found.
        OptionError
            An option names a study that is not there, or a factor is not a positive number.

        Examples
        --------
        >>> import pandas as pd
        >>> pool = PooledStudies.from_frame(
        ...     pd.DataFrame({"study": "A", "set": [1, 1], "case": [1, 0], "reference": [40.0, 52.5]})
        ... )
        >>> pool.study_names, pool.set_labels, pool.is_reference_study.tolist()
        (('A',), ('1',), [True])
        """
        from biocal.pool.assembly import assemble
        from biocal.pool.checks.options import LimitOptions, PoolOptions
        from biocal.pool.tables.frame_table import frame_as_table

        roles = ColumnRoles(study, set, case, local, reference, person)
        limits = LimitOptions.of(
            detection_limit, reference_detection_limit, below_limit, local_flag, reference_flag
        )
        options = PoolOptions.of(
            reference_study, local_study, scale_local, calibrate_with_cases, limits, duplicates
        )
        return assemble([frame_as_table(frame)], roles, options)

    @property
    def n_rows(self) -> int:
        """Rows in the pool."""
        return int(self.study.size)

    @property
    def n_studies(self) -> int:
        """Studies in the pool."""
        return len(self.study_names)

    @property
    def covariate_names(self) -> tuple[str, ...]:
        """Columns that have no part of their own."""
        return tuple(name for name in self.frame.columns if name not in self.roles.named)

    def place(self, row: int) -> dict[str, Any]:
        """Return ``file`` and ``line`` of a row, as `Problem` takes them.

        Parameters
        ----------
        row : int
            Position in the pool, from 0.

        Returns
        -------
        dict
            file (None for a data frame) and line.
        """
        index = int(self.file_index[row])
        return {"file": self.files[index].path if index >= 0 else None, "line": int(self.line[row])}
