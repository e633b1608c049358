"""What was asked about the season, and the columns that it gives a pool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.errors import OptionError
from biocal.fitting.problem.problem import SeasonRows
from biocal.kernels.splines import harmonic_columns
from biocal.pool.formulas.covariates import DesignColumns
from biocal.pool.pooled import PooledStudies
from biocal.pool.season_dates import SeasonColumn, reference_day, season_column

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: Harmonics count as held by the calibration covariates when these explain this share of each (our choice:
#: months explain .977 of the harmonics of dates, quarters .82).
_HELD = 0.9
#: Whose season is taken off a matched set: that of the study's other sets, or of all its controls.
SEASON_CONTROLS = ("other-sets", "all")


@dataclass(frozen=True, slots=True)
class SeasonRequest:
    """Season standardisation as asked for.

    Attributes
    ----------
    column : str
        Months or dates.
    reference : float or None
        Day of the year; None for the annual mean.
    harmonics : int
        Pairs of cosine and sine, 1 or 2.
    controls : {"other-sets", "all"}
    """

    column: str
    reference: float | None = None
    harmonics: int = 1
    controls: str = "other-sets"


@dataclass(frozen=True, slots=True, eq=False)
class SeasonDesign:
    """The season of every row of a pool.

    Attributes
    ----------
    request : SeasonRequest
    dates : SeasonColumn
    columns : DesignColumns
        Harmonics, (n, h).
    """

    request: SeasonRequest
    dates: SeasonColumn
    columns: DesignColumns

    def rows(self, rows: IntArray | slice) -> SeasonRows:
        """Harmonics of some rows of the pool, and of the reference date."""
        origin = np.zeros(2 * self.request.harmonics)
        if self.request.reference is not None:
            origin = harmonic_columns(np.array([self.request.reference]), self.request.harmonics)[:, 0]
        with_own_set = self.request.controls == "all"
        return SeasonRows(np.ascontiguousarray(self.columns.values[rows].T), origin, with_own_set)


def season_request(
    column: str | None, reference: object, harmonics: int, controls: str
) -> SeasonRequest | None:
    """Check the options; None without a column.

    Raises
    ------
    OptionError
        A reference that is no date, another number of harmonics, or other controls than there are.
    """
    day = reference_day(reference)
    if harmonics not in (1, 2) or isinstance(harmonics, bool):
        raise OptionError(f"season harmonics are 1 or 2, not {harmonics!r}", allowed=(1, 2))
    if controls not in SEASON_CONTROLS:
        raise OptionError(
            f"season controls are {' or '.join(SEASON_CONTROLS)}, not {controls!r}", allowed=SEASON_CONTROLS
        )
    if not column:
        if day is not None or harmonics != 1 or controls != SEASON_CONTROLS[0]:
            raise OptionError(
                "a season reference, harmonics or controls need a season column: name it with season"
            )
        return None
    return SeasonRequest(column, day, int(harmonics), controls)


def season_design(pool: PooledStudies, request: SeasonRequest | None) -> SeasonDesign | None:
    """Read the season of a pool; see :func:`biocal.pool.season_dates.season_column` for what it raises."""
    if request is None:
        return None
    dates = season_column(pool, request.column)
    values = harmonic_columns(dates.day, request.harmonics).T
    names = ("season cos", "season sin", "season cos 2", "season sin 2")[: values.shape[1]]
    return SeasonDesign(request, dates, DesignColumns(names, values, {request.column: np.isnan(dates.day)}))


def calibration_holds_season(
    pool: PooledStudies, season: SeasonDesign, calibration: Sequence[DesignColumns]
) -> bool:
    """Whether calibration covariates tell the season: C(month) does, age does not.

    Looked for in all rows of the local studies.
    """
    values = [part.values for part in calibration if part.values.shape[1]]
    if not values:
        return False
    design = np.column_stack([np.ones(pool.n_rows), *values])
    harmonics = season.columns.values
    known = np.isfinite(design).all(axis=1) & np.isfinite(harmonics).all(axis=1)
    known &= ~pool.is_reference_study[pool.study]
    if not known.any():
        return False
    wave = harmonics[known] - harmonics[known].mean(axis=0)
    left = wave - design[known] @ np.linalg.lstsq(design[known], wave, rcond=None)[0]
    return bool(((left**2).sum(axis=0) <= (1 - _HELD) * (wave**2).sum(axis=0)).all())


def season_notes(*, calibrated: bool, held: bool) -> tuple[str, ...]:
    """What must be told about the season and the calibration."""
    if held or not calibrated:
        return ()
    return (
        "the calibration leaves the season out: the calibrated level of local studies then swings too little, "
        "less so the better the assay, so that part of the season stays in their exposure; use calibration "
        "covariates 'outcome', or name the month among them",
    )
