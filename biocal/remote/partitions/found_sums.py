"""What the rounds of a fit from partitions have found, before it is made into results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from biocal.fitting.sums.calibration import SummedCalibration
from biocal.fitting.sums.fits import SummedFits
from biocal.fitting.sums.modifier import Modifier
from biocal.pool.formulas.factors import Factor
from biocal.remote.partitions.merging import LocalStudy
from biocal.remote.partitions.steps import LaidOutPart, ReadPart
from biocal.results.model import ModifierLevels


@dataclass(frozen=True, slots=True, eq=False)
class FoundExposure:
    """The controls' exposure over all partitions.

    Attributes
    ----------
    n : int
        Controls.
    sd : float
    quantiles : dict of float to float
        Exact, by probability: those of `SCALE_PROBABILITIES` and of the knots.
    """

    n: int
    sd: float
    quantiles: Mapping[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class FoundSums:
    """All that the rounds have found.

    Attributes
    ----------
    read : tuple of ReadPart
    laid : tuple of LaidOutPart
    local : dict of str to LocalStudy
    outside : dict of str to int
        Local values outside the range of their study's pairs.
    covariate_names, calibration_names, omitted : tuple of str
        Of the outcome model, of the calibration, and constant within every set.
    calibration : SummedCalibration or None
    obstacle : str
        Why there is none, where naive alone was asked for; else what is to be told of it.
    digits : tuple of str
        Columns of the outcome model of which few digits are left.
    exposure : FoundExposure
    fits : SummedFits
    modifier : Modifier
    modifier_levels : ModifierLevels or None
        At which curves are shown.
    factors : tuple of Factor
        How categories are coded, by the levels that all partitions have together.
    """

    read: tuple[ReadPart, ...]
    laid: tuple[LaidOutPart, ...]
    local: Mapping[str, LocalStudy]
    outside: Mapping[str, int]
    covariate_names: tuple[str, ...]
    calibration_names: tuple[str, ...]
    omitted: tuple[str, ...]
    calibration: SummedCalibration | None
    obstacle: str
    digits: tuple[str, ...]
    exposure: FoundExposure
    fits: SummedFits
    modifier: Modifier
    modifier_levels: ModifierLevels | None
    factors: tuple[Factor, ...]
