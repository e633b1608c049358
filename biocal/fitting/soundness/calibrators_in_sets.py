"""Calibrators that share matched sets: by set their scores cancel, and the calibration looks too certain.

Least-squares residuals of a study sum to zero.  In a sandwich over matched sets the scores of a set's calibrators are
added up before they are squared; where all of a study's calibrators are in one set, nothing of its line's variance is
left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.fitting.problem.problem import PooledProblem
from biocal.model.calibration.lines import CalibrationFit
from biocal.pool.checks.notices import counted

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: Fewer sets than this, by the number of calibrators in them, hold a study's calibrators: told (our choice).
LEAST_SETS = 10


def calibrators_in_few_sets(problem: PooledProblem, calibration: CalibrationFit | None) -> tuple[str, ...]:
    """Studies whose calibrators lie in few sets, with the slope's standard error by set and by person."""
    if calibration is None:
        return ()
    study, unit = problem.calibrators.rows.study, problem.calibrators.unit
    told = []
    for s, name in enumerate(problem.local_names):
        sizes = np.bincount(unit[study == s])
        sets = CalibratorSets(int(sizes.sum()), int(np.count_nonzero(sizes)), int((sizes * sizes).sum()))
        if sets.few:
            told.append(sets.words(name, *slope_errors(calibration, s, unit)))
    return tuple(told)


@dataclass(frozen=True, slots=True)
class CalibratorSets:
    """A study's calibrators and the sets that they lie in; sets that share persons are one, and so is a person in none.

    Attributes
    ----------
    calibrators, sets : int
    squares : int
        Sum over the sets of the squared number of calibrators.
    """

    calibrators: int
    sets: int
    squares: int

    @property
    def few(self) -> bool:
        """Whether calibrators share sets, and the sets count as fewer than `LEAST_SETS` equal ones."""
        return self.calibrators > self.sets and self.calibrators**2 < LEAST_SETS * self.squares

    def __add__(self, other: CalibratorSets) -> CalibratorSets:
        return CalibratorSets(
            self.calibrators + other.calibrators, self.sets + other.sets, self.squares + other.squares
        )

    def words(self, study: str, by_set: float, by_person: float) -> str:
        """What is told of a study, with the standard errors of its slope."""
        short = ". Intervals of the methods that calibrate are too short" if by_set < by_person else ""
        return (
            f"the {counted(self.calibrators, 'calibrator')} of study {study} lie in "
            f"{counted(self.sets, 'matched set')} (a person in no set counts as one): within a set their scores cancel "
            "partly or wholly, and the sandwich over sets estimates the variance of the calibration badly (standard "
            f"error of the slope: {by_set:.3g} by set, {by_person:.3g} by person){short}"
        )


def slope_errors(calibration: CalibrationFit, study: int, unit: IntArray) -> tuple[float, float]:
    """Sandwich standard errors of a local study's slope: by set, from the units of the pairs (n,), and by person."""
    scores = calibration.mean_scores()
    place = calibration.layout.position[study, 1]
    influence = scores.scores @ scores.inverse_bread[place]
    by_set = np.bincount(unit, weights=influence)
    return float(np.linalg.norm(by_set)), float(np.linalg.norm(influence))
