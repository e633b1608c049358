"""Are induced's integrals exact enough where the fit ended?  The rule is compared with one of three times its nodes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biocal.fitting.methods.induced import exposure_law
from biocal.fitting.methods.plug_in import plug_in_exposure
from biocal.fitting.problem.model_columns import ModelColumns
from biocal.fitting.problem.problem import PooledProblem
from biocal.kernels.normal_laws import MAX_NODES
from biocal.model.calibration.lines import CalibrationFit
from biocal.model.exposure import Basis
from biocal.model.outcome.induced_law import ExposureBasis, ExposureLaw, own_coefficients
from biocal.model.outcome.induced_risk import NodeRisk

#: Error of a log relative risk from which it is told: a tenth of the standard error of a good study (our choice).
_TOLD = 0.01
#: Persons whose integrals are looked at, evenly over the calibrated means.
MOST_LOOKED_AT = 200


def quadrature_notes(
    problem: PooledProblem,
    basis: Basis,
    calibration: CalibrationFit | None,
    model: ModelColumns,
    beta: NDArray[np.float64],
    nodes: int,
) -> tuple[str, ...]:
    """Tell where log relative risks by `nodes` Gauss-Hermite nodes differ from those by three times as many.

    Parameters
    ----------
    problem : PooledProblem
    basis : Basis
        Linear terms and categories have closed forms, and nothing to tell.
    calibration : CalibrationFit or None
    model : ModelColumns
    beta : ndarray, shape (p,)
    nodes : int

    Notes
    -----
    A common shift of all persons cancels within the sets: it is taken off by the median.
    """
    if calibration is None or basis.kind == "categories":
        return ()
    exposure = plug_in_exposure(problem, "full", calibration)
    law, terms = exposure_law(problem, basis, calibration, exposure)
    uncertain = np.flatnonzero(~law.known)
    if terms.kind == "linear" or not uncertain.size:
        return ()
    ordered = uncertain[np.argsort(law.mean[uncertain], kind="stable")]
    some = ordered[np.unique(np.linspace(0, ordered.size - 1, MOST_LOOKED_AT).astype(int))]
    return notes_of_law(law.take(some), terms, model, beta, problem.modifier[:, some], nodes)


def notes_of_law(
    law: ExposureLaw,
    terms: ExposureBasis,
    model: ModelColumns,
    beta: NDArray[np.float64],
    modifier: NDArray[np.float64],
    nodes: int,
) -> tuple[str, ...]:
    """The same for some uncertain exposures (m,) with the modifier's columns (km, m)."""
    multipliers = np.vstack([np.ones(law.mean.size), modifier])
    own = own_coefficients(beta[model.exposure_positions], multipliers)
    finer = min(3 * nodes, MAX_NODES)
    few, many = (NodeRisk(law, terms, nodes=n).terms(own, covariance=False).log_risk for n in (nodes, finer))
    off = few - many
    worst = float(np.abs(off - np.median(off)).max())
    if not worst > _TOLD:
        return ()
    return (
        f"the integrals over the calibration's error are off by up to {worst:.2g} in a log relative risk ({nodes} "
        f"against {finer} nodes): the error is large beside the distances of the knots, or the curve very steep; use "
        "fewer knots, wider apart, or method full",
    )
