"""What the inverse-variance kernels refuse: estimates and variances that cannot be pooled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from biocal.errors import InputError, OptionError

FloatArray = NDArray[np.float64]

# Smallest eigenvalue of a within-study correlation matrix we still call positive definite.  A sandwich or an
# inverse information with less is numerically singular: its inverse weight would be rounding error.  Ours.
SMALLEST_EIGENVALUE = 1e-12

# Two halves of a covariance matrix may differ by rounding, relative to the standard deviations; not by more.
ASYMMETRY_TOLERANCE = 1e-8


def require_estimates_and_variances(
    estimates: ArrayLike, variances: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Scalar estimates (k,) and variances (k,) as float arrays; InputError numbers the studies at fault."""
    values, spread = _as_floats(estimates, "estimates"), _as_floats(variances, "variances")
    if values.ndim != 1 or values.shape != spread.shape or values.size == 0:
        raise InputError(
            f"estimates and variances must be one number a study, equally many and at least one; "
            f"their shapes are {values.shape} and {spread.shape}"
        )
    _refuse(~np.isfinite(values), "an estimate that is not finite")
    _refuse(~(np.isfinite(spread) & (spread > 0)), "a variance that is not a positive finite number")
    return values, spread


def require_vectors_and_covariances(
    estimates: ArrayLike, covariances: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Vectors (k, p) and covariances (k, p, p) as float arrays; InputError numbers the studies at fault."""
    values, within = _as_floats(estimates, "estimates"), _as_floats(covariances, "covariances")
    if values.ndim != 2 or values.size == 0 or within.shape != (*values.shape, values.shape[1]):
        raise InputError(
            f"estimates must have shape (studies, columns) and covariances (studies, columns, columns); "
            f"their shapes are {values.shape} and {within.shape}"
        )
    _refuse((~np.isfinite(values)).any(axis=1), "an estimate that is not finite")
    _refuse((~np.isfinite(within)).any(axis=(1, 2)), "a covariance that is not finite")
    variances = np.diagonal(within, axis1=1, axis2=2)
    _refuse((~(variances > 0)).any(axis=1), "a variance that is not positive")
    sd = np.sqrt(variances)
    correlation = within / sd[:, :, None] / sd[:, None, :]
    transposed = np.swapaxes(correlation, 1, 2)
    _refuse(
        np.abs(correlation - transposed).max(axis=(1, 2)) > ASYMMETRY_TOLERANCE, "an asymmetric covariance"
    )
    smallest = np.linalg.eigvalsh((correlation + transposed) / 2)[:, 0]
    _refuse(~(smallest > SMALLEST_EIGENVALUE), "a covariance that is not positive definite")
    return values, (within + np.swapaxes(within, 1, 2)) / 2


def require_option(name: str, value: str, allowed: Sequence[str]) -> None:
    """Refuse a ``value`` of option ``name`` that is not ``allowed``, listing those that are."""
    if value not in allowed:
        listed = ", ".join(repr(option) for option in allowed)
        raise OptionError(
            f"{name} is {value!r}; it must be one of {listed}", option=name, allowed=tuple(allowed)
        )


def require_level(level: float) -> None:
    """Refuse a confidence level outside (0, 1)."""
    if not 0 < level < 1:
        raise OptionError(f"level is {level!r}; it must lie between 0 and 1, such as 0.95", option="level")


def require_two_studies(n_studies: int) -> None:
    """Refuse to leave out the only study."""
    if n_studies < 2:
        raise InputError("leaving one study out needs at least two studies; there is only one")


def _as_floats(values: ArrayLike, name: str) -> FloatArray:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be numbers, with the same columns in every study ({error})") from error


def _refuse(bad: NDArray[np.bool_] | np.bool_, fault: str) -> None:
    """Raise if any study is ``bad`` (k,); attribute ``studies`` holds their indices, counted from 0."""
    bad = np.atleast_1d(bad)
    if bad.any():
        studies = tuple(int(index) for index in np.flatnonzero(bad))
        places = ", ".join(str(index + 1) for index in studies)
        raise InputError(
            f"{len(studies)} of {len(bad)} studies have {fault} (number {places} in order, counted from 1); "
            "leave them out by name or mend their fit",
            studies=studies,
        )
