"""The stacked sandwich from the studies' parts of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from biocal.fitting.sums.calibration import SummedCalibration
from biocal.fitting.sums.records import SandwichAnswer, StudyMeat
from biocal.kernels.sandwich import SandwichCovariance, inverse_of_information
from biocal.model.calibration.stacked import inverse_of_stacked_bread

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


def sandwich_of_parts(
    parts: Sequence[SandwichAnswer], calibration: SummedCalibration | None
) -> tuple[SandwichCovariance, bool]:
    """Covariance of one task's coefficients.

    With T = B21 B11^-1 and the sums over a study's units M22 of U_j U_j', M21 of U_j c_j' and M11 of c_j c_j',
    its part of the meat is M22 - T M21' - M21 T' + T M11 T': units never leave their study.

    Parameters
    ----------
    parts : sequence of SandwichAnswer
        One a site.
    calibration : SummedCalibration or None

    Returns
    -------
    SandwichCovariance, bool
        Without influences, for which rows are needed; and whether the calibration's uncertainty is in it.
    """
    information = np.sum([part.information for part in parts], axis=0)
    information = (information + information.T) / 2
    inverse = inverse_of_information(information)
    studies: dict[str, StudyMeat] = {}
    for part in parts:
        studies |= part.studies
    meat = np.sum([study.outcome for study in studies.values()], axis=0)
    p = information.shape[0]
    names = () if calibration is None else calibration.names
    shares = np.zeros((len(names), p, p))
    stacked = calibration is not None and any(study.bread is not None for study in studies.values())
    if calibration is not None and stacked:
        places, transfer = _transfer(calibration, studies, p)
        for s, name in enumerate(names):
            study = studies[name]
            assert study.cross is not None
            assert study.calibration is not None
            own = transfer[:, places[s]]
            through = own @ study.calibration @ own.T
            mixed = own @ study.cross.T
            meat = meat - mixed - mixed.T + through
            shares[s] = inverse @ through @ inverse
    vcov = inverse @ meat @ inverse
    nobody = np.empty((0, p))
    return SandwichCovariance((vcov + vcov.T) / 2, inverse, shares, nobody), bool(stacked)


def few_set_words(parts: Sequence[SandwichAnswer], calibration: SummedCalibration) -> tuple[str, ...]:
    """As `calibrators_in_few_sets` of :mod:`biocal.fitting.soundness.calibrators_in_sets`, from sums of sets."""
    studies: dict[str, StudyMeat] = {}
    for part in parts:
        studies |= part.studies
    size = calibration.gamma.size
    meats = np.zeros((2, size, size))
    few = []
    for s, name in enumerate(calibration.names):
        study, own = studies[name], calibration.positions(s)
        if study.sets is None or study.calibration is None or study.by_person is None:
            return ()
        for meat, sums in zip(meats, (study.calibration, study.by_person), strict=True):
            meat[np.ix_(own, own)] += sums[: own.size, : own.size]
        if study.sets.few:
            few.append((s, name, study.sets))
    told = []
    for s, name, sets in few:
        row = calibration.inverse_bread[calibration.layout.position[s][1]]
        told.append(sets.words(name, *(float(np.sqrt(row @ meat @ row)) for meat in meats)))
    return tuple(told)


def _transfer(
    calibration: SummedCalibration, studies: Mapping[str, StudyMeat], p: int
) -> tuple[list[IntArray], FloatArray]:
    """Places of each study's calibration parameters, and T = B21 B11^-1."""
    size, n_studies = calibration.gamma.size, len(calibration.names)
    n_groups = calibration.layout.n_groups
    with_variances = any(study.lower is not None for study in studies.values())
    places = [calibration.positions(s) for s in range(n_studies)]
    inverse = calibration.inverse_bread
    if with_variances:
        lower = np.zeros((n_groups, size))
        for s, name in enumerate(calibration.names):
            rows = studies[name].lower
            assert rows is not None
            lower[np.ix_(calibration.groups(s), places[s])] = rows
        inverse = inverse_of_stacked_bread(inverse, lower, calibration.freedom)
        places = [np.append(place, size + calibration.groups(s)) for s, place in enumerate(places)]
    cross = np.zeros((p, inverse.shape[0]))
    for s, name in enumerate(calibration.names):
        bread = studies[name].bread
        assert bread is not None
        cross[:, places[s]] += bread
    return places, cross @ inverse
