"""What all results of one call share: the model's shape, the exposure's scale, the sample."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from biocal.pool.formulas.factors import Factor
from biocal.pool.matched_sets import DroppedSet, StudyFlow
from biocal.pool.tables.table import InputFile
from biocal.results.labels import Labels
from biocal.results.season import SeasonResults

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


class ExposureBasis(Protocol):
    """What a result needs of an exposure basis; see :mod:`biocal.model.exposure`."""

    @property
    def kind(self) -> str: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    def columns(self, exposure: FloatArray) -> FloatArray: ...
    def describe(self, unit: str = "") -> str: ...


@dataclass(frozen=True, slots=True)
class ModifierLevels:
    """Levels of the effect modifier at which curves are shown.

    Attributes
    ----------
    name : str
        The modifier as asked for.
    terms : tuple of str, length km
        Its columns.
    labels : tuple of str
        One a level.
    values : ndarray, shape (n_levels, km)
        The columns' values at each level.
    """

    name: str
    terms: tuple[str, ...]
    labels: tuple[str, ...]
    values: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class ExposureScale:
    """The exposure axis, one for all methods of a call.

    Attributes
    ----------
    reference : float
        Reference exposure x0.
    reference_rule : str
        Where it comes from, in words.
    grid : ndarray, shape (m,)
        Exposures at which curves are tabulated.
    low, high : float
        1st and 99th percentile among the controls of the fit.
    control_exposure : ndarray, shape (n_controls,)
        Full calibration's exposure of the controls of the fit.
    control_sd : float or None
        Its standard deviation, where `control_exposure` holds quantiles in place of all controls.
    """

    reference: float
    reference_rule: str
    grid: FloatArray
    low: float
    high: float
    control_exposure: FloatArray
    control_sd: float | None = None


@dataclass(frozen=True, slots=True)
class BySums:
    """How the rows were seen where a fit was made from sums.

    Attributes
    ----------
    kind : {"partitioned", "federated"}
    n_parts : int
        Partitions, or sites.
    uncounted : tuple of str
        Studies whose sites do not tell how many rows were left out.
    """

    kind: str
    n_parts: int
    uncounted: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """Where the rows are, as in "5 sites"."""
        noun = "site" if self.kind == "federated" else "partition"
        return f"{self.n_parts:,} {noun}{'' if self.n_parts == 1 else 's'}"

    @property
    def place(self) -> str:
        """The same as a place, as in "at 5 sites"."""
        return f"{'at' if self.kind == 'federated' else 'in'} {self.source}"

    @property
    def unseen(self) -> str:
        """Who does not see single persons, with the verb, as in "a federated fit does not see"."""
        if self.kind == "federated":
            return "a federated fit does not see"
        return "a fit from partitions never holds together"


@dataclass(frozen=True, slots=True)
class Sample:
    """Who is in the analysis.

    Attributes
    ----------
    n_studies, n_reference_studies, n_sets, n_cases, n_controls : int
    n_calibrators : int
        Persons of the calibration subset used.
    calibrated_controls : int
        Controls of local studies in the outcome model that are in the calibration subset.
    local_controls : int
        Controls of local studies in the outcome model.
    flow : tuple of StudyFlow
        Losses by study.
    set_shapes : dict
        (cases, controls) to number of sets.
    files : tuple of InputFile
    dropped_sets : tuple of DroppedSet
        Matched sets that the outcome model does not use, with reasons.
    sums : BySums or None
        When the fit was made from sums: rows were in partitions, or at sites.
    """

    n_studies: int
    n_reference_studies: int
    n_sets: int
    n_cases: int
    n_controls: int
    n_calibrators: int
    calibrated_controls: int
    local_controls: int
    flow: tuple[StudyFlow, ...]
    set_shapes: dict[tuple[int, int], int]
    files: tuple[InputFile, ...] = ()
    dropped_sets: tuple[DroppedSet, ...] = ()
    sums: BySums | None = None


@dataclass(frozen=True, slots=True)
class AskedTables:
    """Tables beyond the usual ones that were asked for.

    Attributes
    ----------
    per : tuple of float
        Increments of the exposure, in its unit, that get an odds ratio.
    per_sd : bool
        Whether one standard deviation gets one.
    joint : str or None
        Level of the modifier that joint curves have in common as reference.
    """

    per: tuple[float, ...] = ()
    per_sd: bool = False
    joint: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ModelInfo:
    """The outcome model as all methods of a call share it.

    Attributes
    ----------
    covariates, matching, modifier, calibration_covariates : str
        Formulas as asked for ("" for none).
    knot_rule : str
        "common" or "published".
    omitted : tuple of str
        Covariates constant within every set.
    calibration_names : tuple of str
        Columns of the calibration covariates.
    labels : Labels
    scale : ExposureScale
    modifier_levels : ModifierLevels or None
    level : float
        Confidence level.
    notes : tuple of str
    where : str
        Condition to which the analysis is restricted ("" for none).
    asked : AskedTables
    modifier_effects : tuple of str
        Terms of the modifier's columns as main effects.
    joint_obstacle : str
        Why levels of the modifier cannot be compared; "" when they can.
    season : SeasonResults or None
        When the exposure was standardised to a season.
    factors : tuple of Factor
        How categories are coded, in all formulas.
    """

    covariates: str
    matching: str
    modifier: str
    calibration_covariates: str
    calibration_coefficients: str
    knot_rule: str
    omitted: tuple[str, ...]
    calibration_names: tuple[str, ...]
    labels: Labels
    scale: ExposureScale
    modifier_levels: ModifierLevels | None
    level: float
    notes: tuple[str, ...] = field(default=())
    where: str = ""
    asked: AskedTables = field(default=AskedTables())
    modifier_effects: tuple[str, ...] = field(default=())
    joint_obstacle: str = field(default="")
    season: SeasonResults | None = None
    factors: tuple[Factor, ...] = ()
