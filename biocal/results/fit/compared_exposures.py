"""Which exposures a contrast compares, and at which level of the modifier."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biocal.errors import OptionError
from biocal.results.model import ExposureBasis, ModelInfo

FloatArray = NDArray[np.float64]

#: Quantiles of the controls' exposure that are compared unless told otherwise.
DEFAULT_CONTRAST = (0.75, 0.25)
_DEFAULT_RULE = "75th against 25th percentile of the controls' exposure"


def compared_exposures(
    basis: ExposureBasis, info: ModelInfo | None, at: float | str | None, reference: float | str | None
) -> tuple[FloatArray, str, str]:
    """Difference of the exposure columns at two exposures.

    Parameters
    ----------
    basis : ExposureBasis
    info : ModelInfo or None
        For the default exposures and the unit.
    at, reference : float, str or None
        Exposures in the unit of the reference laboratory, or labels of categories.  Defaults: the 75th and the
        25th percentile of the controls' exposure; the highest category and the reference category.

    Returns
    -------
    difference : ndarray, shape (K,)
        f(at) - f(reference).
    label : str
        As in "75 against 50 nmol/L".
    rule : str
        Where the exposures come from; "" when they were asked for.

    Raises
    ------
    OptionError
        Exposures that are equal, not finite, or not among the categories.
    """
    unit = f" {info.labels.unit}" if info and info.labels.unit else ""
    if basis.kind == "categories":
        difference, label = _compared_categories(basis, at, reference)
        return difference, label + unit, ""
    rule = _DEFAULT_RULE if at is None and reference is None else ""
    if at is None or reference is None:
        if info is None:
            raise OptionError("give both exposures to compare, at and reference")
        high, low = np.quantile(info.scale.control_exposure, DEFAULT_CONTRAST)
        at, reference = high if at is None else at, low if reference is None else reference
    try:
        points = np.array([at, reference], dtype=float)
    except ValueError:
        points = np.array([np.nan, np.nan])
    if not np.isfinite(points).all() or points[0] == points[1]:
        raise OptionError(
            f"the exposures to compare must be two different finite numbers, not {at} and {reference}",
            at=at,
            reference=reference,
        )
    columns = basis.columns(points)
    return columns[:, 0] - columns[:, 1], f"{points[0]:.4g} against {points[1]:.4g}{unit}", rule


def _compared_categories(
    basis: ExposureBasis, at: float | str | None, reference: float | str | None
) -> tuple[FloatArray, str]:
    """Difference of the indicators of two categories, and what is compared."""
    labels: tuple[str, ...] = basis.labels  # type: ignore[attr-defined]
    base = int(basis.reference)  # type: ignore[attr-defined]
    highest = len(labels) - 1
    plain = ["".join(label.split()) for label in labels]
    places = []
    for wanted, default in ((at, highest if base != highest else 0), (reference, base)):
        text = plain[default] if wanted is None else "".join(str(wanted).split())
        if text not in plain:
            raise OptionError(f"{wanted!r} is not one of {', '.join(labels)}", allowed=labels)
        places.append(plain.index(text))
    if places[0] == places[1]:
        raise OptionError(f"{labels[places[0]]} cannot be compared with itself", at=at)
    indicator = np.eye(len(labels))[:, [k for k in range(len(labels)) if k != base]]
    return indicator[places[0]] - indicator[places[1]], f"{labels[places[0]]} against {labels[places[1]]}"


def modifier_multipliers(
    info: ModelInfo | None, n_products: int, wanted: str | None
) -> tuple[tuple[float, ...], str]:
    """Multipliers of the exposure columns and their products at a level of the modifier, and its name.

    Parameters
    ----------
    info : ModelInfo or None
    n_products : int
        Columns of the modifier.
    wanted : str or None
        Label of a level; default the first.

    Raises
    ------
    OptionError
        An unknown level, or a level where there is no modifier.
    """
    levels = info.modifier_levels if info else None
    if levels is None:
        if n_products:
            raise OptionError("the levels of the effect modifier are not known here")
        if wanted is not None:
            raise OptionError("this fit has no effect modifier")
        return (1.0,), ""
    chosen = levels.labels[0] if wanted is None else wanted
    if chosen not in levels.labels:
        raise OptionError(
            f"{chosen!r} is not a level of {levels.name}; levels: {', '.join(levels.labels)}",
            allowed=levels.labels,
        )
    values = levels.values[levels.labels.index(chosen)]
    return (1.0, *(float(value) for value in values)), f"{levels.name} = {chosen}"
