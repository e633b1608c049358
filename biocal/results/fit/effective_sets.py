"""How many matched sets carry the information, and what is told where they are few."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.contrasts import contrast_errors, normal_quantile
from biocal.kernels.sets.spread import LEAST_SHARE, SetSpread
from biocal.results.fit.curve import ResponseAxis, response_axis, response_contrasts
from biocal.results.text import exact, number, odds_ratio, percent

if TYPE_CHECKING:
    from biocal.results.fit.fit import Fit

FloatArray = NDArray[np.float64]

#: With fewer sets by information a sandwich interval is told to be too short (our choice; seen: 8 strata of 40:80 cover
#: .88 where .95 is meant, 150 pairs and one set of 250:500 .85).
LEAST_EFFECTIVE_SETS = 40
#: Sets that a warning names.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class LargeSet:
    """A set with a large share of the information.

    Attributes
    ----------
    study, name : str
        "" where they are not known.
    share : float
        Of the model-based variance of the contrast that fewest sets tell.
    """

    study: str
    name: str
    share: float

    def words(self) -> str:
        """As in "Elm (set 12) 41 %"."""
        where = f" (set {self.name})" if self.name else ""
        return f"{self.study or 'a study'}{where} {percent(self.share)}"


@dataclass(frozen=True, slots=True, eq=False)
class EffectiveSets:
    """Matched sets by information: the number of equal ones that would estimate the variance as well.

    Attributes
    ----------
    first : float
        Of the first exposure coefficient.
    first_term : str
        Its name.
    tabulated : tuple of ndarray
        Of each tabulated odds ratio, an array a level of the modifier; NaN at the reference exposure.
    smallest : float
        The least of the tabulated ones; without any, `first`.
    at : str
        Where that is, as in "odds ratio of 30 against 60 nmol/L".
    intervals : tuple of float
        The odds ratio there; its limits; its limits by the uncorrected standard error.
    largest : tuple of LargeSet
        Sets with the largest shares there.
    """

    first: float
    first_term: str
    tabulated: tuple[FloatArray, ...]
    smallest: float
    at: str
    intervals: tuple[float, float, float, float, float]
    largest: tuple[LargeSet, ...]

    def words(self) -> str:
        """One line for the summary."""
        return (
            f"{_sets(self.first)} for the coefficient {self.first_term}, {_sets(self.smallest)} for the {self.at} (the "
            "least that is tabulated)"
        )

    def warning(self, level: float) -> str:
        """What is told where sets are few; "" elsewhere."""
        if min(self.first, self.smallest) >= LEAST_EFFECTIVE_SETS:
            return ""
        ratio, low, high, plain_low, plain_high = self.intervals
        shares = ", ".join(one.words() for one in self.largest)
        return (
            f"few matched sets carry the information: counted by information they are {self.words()}. Below about "
            f"{LEAST_EFFECTIVE_SETS} the sandwich interval tends to be too short. Largest shares there: {shares}. The "
            f"odds ratio there is {ratio:.3g}, {100 * level:g} % interval {low:.3g} to {high:.3g}; by the uncorrected "
            "standard error, which rests on the model and takes the calibration as known, "
            f"{plain_low:.3g} to {plain_high:.3g}"
        )

    def record(self) -> dict[str, Any]:
        """For fit.json."""
        return {
            "first_exposure_column": self.first,
            "tabulated": [values.tolist() for values in self.tabulated],
            "smallest": self.smallest,
            "smallest_at": self.at,
            "told_below": LEAST_EFFECTIVE_SETS,
            "largest_sets": [
                {"study": one.study, "set": one.name, "share": one.share} for one in self.largest
            ],
        }


def with_effective_sets(fit: Fit, spread: SetSpread | None) -> Fit:
    """The fit with its sets by information, and a warning where they are few."""
    if spread is None or not np.isfinite(fit.vcov).all():
        return fit
    found = _effective_sets(fit, spread)
    told = found.warning(fit.info.level)
    return replace(fit, effective_sets=found, warnings=(*fit.warnings, told) if told else fit.warnings)


def _effective_sets(fit: Fit, spread: SetSpread) -> EffectiveSets:
    n_terms, positions = len(fit.terms), fit.exposure_positions.ravel()
    term, scale = fit.terms[positions[0]], fit.info.scale
    axis = response_axis(fit.basis, np.asarray(scale.grid, dtype=float), scale.reference)
    contrasts, labels = [np.eye(n_terms)[:, positions[:1]]], [f"coefficient {term}"]
    for multipliers, level in _levels(fit):
        contrasts.append(response_contrasts(fit.basis, fit.exposure_positions, n_terms, axis, multipliers))
        labels += [f"odds ratio of {_shown(fit, axis, k)}{level}" for k in range(axis.exposure.size)]
    numbers = [spread.effective(one[positions]) for one in contrasts]
    flat = np.concatenate(numbers)
    tabulated = np.where(np.arange(flat.size) > 0, flat, np.nan)
    least = int(np.nanargmin(tabulated)) if np.isfinite(tabulated).any() else 0
    contrast = np.concatenate(contrasts, axis=1)[:, least]
    return EffectiveSets(
        float(flat[0]),
        term,
        tuple(numbers[1:]),
        float(flat[least]),
        labels[least],
        _intervals(fit, contrast),
        _largest(spread, contrast[positions]),
    )


def _levels(fit: Fit) -> list[tuple[tuple[float, ...], str]]:
    """1 and the modifier's columns at each level that is shown, and what to call it."""
    levels = fit.info.modifier_levels
    if levels is None:
        return [((1.0,), "")]
    named = zip(levels.labels, levels.values.tolist(), strict=True)
    return [((1.0, *values), f", {levels.name} = {label}") for label, values in named]


def _shown(fit: Fit, axis: ResponseAxis, k: int) -> str:
    unit = f" {fit.info.labels.unit}" if fit.info.labels.unit else ""
    if axis.categories is not None:
        return f"{axis.categories[k]} against {axis.categories[int(axis.reference)]}{unit}"
    return f"{number(float(axis.exposure[k]))} against {exact(axis.reference)}{unit}"


def _intervals(fit: Fit, contrast: FloatArray) -> tuple[float, float, float, float, float]:
    """Odds ratio, its limits, and its limits by the uncorrected standard error."""
    middle = float(contrast @ fit.estimates)
    errors = [contrast_errors(contrast[:, None], vcov)[0] for vcov in (fit.vcov, fit.vcov_uncorrected)]
    half, plain = (normal_quantile(fit.info.level) * float(error) for error in errors)
    ends = np.array([middle, middle - half, middle + half, middle - plain, middle + plain])
    found = odds_ratio(ends).tolist()
    one, low, high, plain_low, plain_high = (float(value) for value in found)
    return one, low, high, plain_low, plain_high


def _largest(spread: SetSpread, contrast: FloatArray) -> tuple[LargeSet, ...]:
    shares = spread.shares(contrast)
    order = [int(k) for k in np.argsort(-shares, kind="stable")[:_NAMED] if shares[k] > LEAST_SHARE]
    names = spread.names or (("", ""),) * spread.units.size
    return tuple(LargeSet(*names[k], float(shares[k])) for k in order)


def _sets(count: float) -> str:
    return f"{count:,.0f}" if count >= 10 else f"{count:.2g}"
