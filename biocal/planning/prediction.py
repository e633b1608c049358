"""Predicted standard errors of log odds ratios for numbers of calibrators and sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.delta import normal_quantile
from biocal.planning.curvature import Curvature
from biocal.planning.variance import VariancePieces

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What one design is expected to give.

    Attributes
    ----------
    label : str
        "as planned", "equal" or "best".
    spread : str
    calibrators : ndarray, shape (L,)
    std_error, floor : ndarray, shape (m,)
        Of the log odds ratios; the floor is that with infinitely many calibrators.
    shares : ndarray, shape (L, m)
        Share of the variance that each study's calibration adds.
    gain : ndarray, shape (m,)
        By how much 10 re-assays more, divided alike among the local studies, would narrow the interval, as a share
        of its width.
    """

    label: str
    spread: str
    calibrators: FloatArray
    std_error: FloatArray
    floor: FloatArray
    shares: FloatArray
    gain: FloatArray

    @property
    def above_floor(self) -> FloatArray:
        """By how much the interval is wider than with infinitely many calibrators, as a share, shape (m,)."""
        return np.asarray(self.std_error / self.floor - 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """Variances of the log odds ratios as functions of a design.

    Attributes
    ----------
    pieces : VariancePieces
    contrasts : ndarray, shape (p, m)
    curvature : Curvature or None
        Second-order terms; None from a pilot.
    level : float
    """

    pieces: VariancePieces
    contrasts: FloatArray
    curvature: Curvature | None
    level: float

    def parts(self, calibrators: FloatArray, spread: str) -> tuple[FloatArray, FloatArray]:
        """Variance of the log ORs: outcome part (m,), and each study's calibration (L, m)."""
        c = self.contrasts
        outcome = np.einsum("pm,pq,qm->m", c, self.pieces.outcome, c)
        calibration = np.einsum("pm,spq,qm->sm", c, self.pieces.calibration_parts(calibrators, spread), c)
        if self.curvature is not None:
            more_outcome, more_calibration = self.curvature.ratios(self.pieces, calibrators, spread)
            outcome, calibration = outcome * more_outcome, calibration * more_calibration
        return outcome, calibration

    def std_error(self, calibrators: FloatArray, spread: str, sets: float = 1.0) -> FloatArray:
        """Standard errors, shape (m,), with `sets` times the sets."""
        outcome, calibration = self.parts(calibrators, spread)
        return np.asarray(np.sqrt(outcome / sets + calibration.sum(axis=0)))

    @property
    def floor(self) -> FloatArray:
        """Standard errors with infinitely many calibrators, shape (m,)."""
        c = self.contrasts
        return np.asarray(np.sqrt(np.einsum("pm,pq,qm->m", c, self.pieces.outcome, c)))

    def width(self, std_error: FloatArray) -> FloatArray:
        """Width of the interval of the log odds ratio."""
        return np.asarray(2.0 * normal_quantile(self.level) * std_error)

    def predict(self, label: str, calibrators: FloatArray, spread: str) -> Prediction:
        """Everything about one design."""
        outcome, calibration = self.parts(calibrators, spread)
        variance = outcome + calibration.sum(axis=0)
        error = np.sqrt(variance)
        more = self.std_error(calibrators + 10.0 / calibrators.size, spread)
        return Prediction(
            label, spread, calibrators, error, self.floor, calibration / variance, 1.0 - more / error
        )

    def equal(self, number: float) -> FloatArray:
        """So many calibrators in every study, or all its controls where these are fewer, shape (L,)."""
        return np.asarray(np.minimum(float(number), np.asarray(self.pieces.most, dtype=float)))

    def enough(self, spread: str, share: float, least: int) -> list[int | None]:
        """Fewest calibrators a study, alike in all, whose interval is within `share` of the floor, by exposure.

        Not below `least`; None where even all controls are not enough.
        """
        most = max(self.pieces.most)
        limit = (1.0 + share) * self.floor
        found: list[int | None] = []
        for m in range(limit.size):
            if self.std_error(self.equal(most), spread)[m] > limit[m]:
                found.append(None)
                continue
            low, high = max(4, least), max(4, least, most)
            while low < high:
                middle = (low + high) // 2
                if self.std_error(self.equal(middle), spread)[m] <= limit[m]:
                    high = middle
                else:
                    low = middle + 1
            found.append(low)
        return found

    def sets_for_width(self, calibrators: FloatArray, spread: str, width: float) -> list[int | None]:
        """Sets of all studies together for intervals of this width, by exposure; None where none suffice."""
        outcome, calibration = self.parts(calibrators, spread)
        room = (width / self.width(np.ones(1))[0]) ** 2 - calibration.sum(axis=0)
        return [
            int(np.ceil(self.pieces.n_sets * part / left)) if left > 0 else None
            for part, left in zip(outcome, room, strict=True)
        ]
