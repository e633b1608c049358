"""From the rounds' sums to the fits that users know from rows in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from biocal.errors import OptionError
from biocal.fitting.problem.prepare import ModelFormulas
from biocal.fitting.problem.scale import GRID_POINTS, LARGEST_EXPOSURE, MOST_EXPOSURES, scale_notes
from biocal.fitting.problem.units import shared_person_words
from biocal.fitting.sums.fits import CountedStudy, calibration_of_sums, comparison_of_sums
from biocal.pool.checks.cells.natural_order import natural_key
from biocal.remote.partitions.found_sums import FoundExposure, FoundSums
from biocal.remote.partitions.merging import merged_flow, merged_shapes
from biocal.remote.partitions.rounds import DRAWN_PROBABILITIES
from biocal.results.calibration.results import CalibrationResults
from biocal.results.fit.comparison import Comparison
from biocal.results.labels import Labels
from biocal.results.model import AskedTables, BySums, ExposureScale, ModelInfo, Sample

#: What rows would be needed for.
NOT_FROM_SUMS = (
    "a fit from partitions: the test of heterogeneity between studies, the calibration panels and the quality gate of "
    "the calibration, which need all rows of a study at once, are not made"
)


def comparison_of(
    found: FoundSums,
    formulas: ModelFormulas,
    labels: Labels,
    reference: float | None,
    at: Sequence[float] | None,
    level: float,
    asked: AskedTables,
) -> Comparison:
    """The fits of all methods.

    Parameters
    ----------
    found : FoundSums
    formulas : ModelFormulas
    labels : Labels
    reference : float or None
        Reference exposure; None: the median in controls.
    at : sequence of float or None
        Exposures of the curve; None: the default grid.
    level : float
    asked : AskedTables
    """
    shown = _calibration(found, labels)
    scale = _scale(found.exposure, found, reference, at)
    units = sum(part.n_units for part in found.laid)
    sample = _sample(found)
    effects, obstacle_to_joint = found.modifier.effects(found.covariate_names)
    info = ModelInfo(
        covariates=formulas.covariates or "",
        matching=formulas.matching or "",
        modifier=formulas.modifier or "",
        calibration_covariates=formulas.calibration_covariates,
        calibration_coefficients="by-study" if formulas.by_study else "common",
        knot_rule="common",
        omitted=found.omitted,
        calibration_names=found.calibration_names,
        labels=labels,
        scale=scale,
        modifier_levels=found.modifier_levels,
        level=level,
        asked=asked,
        modifier_effects=effects,
        joint_obstacle=obstacle_to_joint,
        factors=found.factors,
        notes=(
            *((found.obstacle,) if found.obstacle else ()),
            NOT_FROM_SUMS,
            *scale_notes(scale, labels.unit),
            *found.digits,
            *found.modifier.notes,
            *shared_person_words(sample.n_sets, units),
            *shown.notes,
        ),
    )
    return comparison_of_sums(found.fits, info, sample, shown)


def require_grid(reference: float | None, at: Sequence[float] | None) -> None:
    """Refuse exposures that cannot be, before any work is done; raises OptionError."""
    grid = [] if at is None else [float(one) for one in at]
    if len(grid) > MOST_EXPOSURES:
        raise OptionError(
            f"a curve is tabulated at {MOST_EXPOSURES:,} exposures at most, not {len(grid):,}", at=at
        )
    asked = [*grid, *([] if reference is None else [float(reference)])]
    if (at is not None and not grid) or any(not abs(one) <= LARGEST_EXPOSURE for one in asked):
        raise OptionError("the reference exposure and the exposures asked for must be finite numbers", at=at)


def _scale(
    exposure: FoundExposure, found: FoundSums, reference: float | None, at: Sequence[float] | None
) -> ExposureScale:
    low, median, high = (exposure.quantiles[q] for q in (0.01, 0.5, 0.99))
    uncalibrated = found.calibration is None and bool(found.local)
    name = "naive exposure" if uncalibrated else "full calibration's exposure"
    rule = "as asked" if reference is not None else f"median of {name} in controls"
    anchor = median if reference is None else float(reference)
    grid = np.asarray(at, dtype=float)
    if at is None:
        grid = np.unique(np.append(np.linspace(low, high, GRID_POINTS), anchor))
    drawn = np.array([exposure.quantiles[q] for q in DRAWN_PROBABILITIES])
    return ExposureScale(anchor, rule, grid, low, high, drawn, exposure.sd)


def _sample(found: FoundSums) -> Sample:
    flow = merged_flow(found.laid)
    return Sample(
        n_studies=len(flow),
        n_reference_studies=sum(one.study not in found.local for one in flow),
        n_sets=sum(one.sets for one in flow),
        n_cases=sum(one.cases for one in flow),
        n_controls=sum(one.controls for one in flow),
        n_calibrators=sum(one.moments.n for one in found.local.values()),
        calibrated_controls=sum(part.calibrated_controls for part in found.laid),
        local_controls=sum(part.local_controls for part in found.laid),
        flow=flow,
        set_shapes=merged_shapes(found.laid),
        files=tuple(part.file for part in found.read),
        dropped_sets=tuple(dropped for part in found.laid for dropped in part.dropped_sets),
        sums=BySums("partitioned", len(found.read)),
    )


def _calibration(found: FoundSums, labels: Labels) -> CalibrationResults:
    reference: dict[str, int] = {}
    for part in found.laid:
        for name, n in part.reference.items():
            reference[name] = reference.get(name, 0) + n
    studies = [CountedStudy(name, "reference", n) for name, n in reference.items()]
    for name, one in found.local.items():
        outside = found.outside.get(name, 0) / one.measured if one.measured else float("nan")
        ranges = (one.low, one.high, one.pair_low, one.pair_high)
        studies.append(CountedStudy(name, "local", one.measured, *ranges, outside))
    studies.sort(key=lambda one: natural_key(one.name))
    return calibration_of_sums(studies, found.calibration, found.calibration_names, labels)
