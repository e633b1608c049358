"""Numbers of one answer held against one another, and against what the site answered before.

A sum is not a secret's proof: a site can always send wrong numbers.  What cannot be, however, is refused where it
arrives, before it is mixed with the numbers of others and makes a result that nobody can tell from a sound one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import lgamma

import numpy as np
from numpy.typing import NDArray

from biocal.errors import MessageError
from biocal.fitting.sums.records import ResidualSums
from biocal.remote.sites.messages.schema import require_sums_of_squares
from biocal.remote.sites.site.histogram import BinEdges, MergedBins

FloatArray = NDArray[np.float64]

#: Rounding of sums that centre and site work out in different ways, relative to their size.
_ROUNDING = 1e-5


@dataclass(frozen=True, slots=True)
class StudyCounts:
    """A study as its site counts it; `measured` and `losses` are None when withheld."""

    name: str
    kind: str
    sets: int
    cases: int
    controls: int
    measured: int | None
    losses: Mapping[str, int] | None


def require_counts(studies: Sequence[StudyCounts]) -> None:
    """Refuse studies told twice, and sets that have not each a case and a control."""
    seen: set[str] = set()
    for k, one in enumerate(studies):
        where = f"studies[{k}]"
        if one.name in seen:
            raise MessageError(f"{where}: study '{one.name}' is told twice")
        seen.add(one.name)
        if one.sets > min(one.cases, one.controls):
            raise MessageError(
                f"{where}: study '{one.name}' has {one.sets:,} sets, but {one.cases:,} cases and {one.controls:,} "
                "controls"
            )
        if one.measured is not None and one.measured < one.cases + one.controls:
            raise MessageError(
                f"{where}.measured: study '{one.name}' has fewer measured persons, {one.measured:,}, than cases and "
                f"controls, {one.cases + one.controls:,}"
            )


def require_shapes(
    triples: Sequence[Sequence[int]], studies: Sequence[StudyCounts]
) -> dict[tuple[int, int], int]:
    """Sizes of sets by cases and controls; refused where they are not those of the counts."""
    shapes = {(cases, controls): n for cases, controls, n in triples}
    if len(shapes) < len(triples):
        raise MessageError("shapes: a size of sets is told twice")
    if any(min(cases, controls, n) < 1 for cases, controls, n in triples):
        raise MessageError("shapes: a size of sets without case, control or set")
    for k, what in enumerate(("cases", "controls", "sets")):
        told = sum(n * (cases, controls, 1)[k] for cases, controls, n in triples)
        counted = sum(getattr(one, what) for one in studies)
        if told != counted:
            raise MessageError(f"shapes: they hold {told:,} {what}, the studies {counted:,}")
    return shapes


def require_joint_squares(first: FloatArray, between: FloatArray, second: FloatArray, where: str) -> None:
    """Refuse squares and products of two groups of columns that cannot belong together."""
    require_sums_of_squares(np.block([[first, between], [between.T, second]]), where)


def require_bins(bins: MergedBins, square: float, edges: BinEdges, n_controls: int) -> None:
    """Refuse a histogram of other persons than the controls, with means outside its bins, or wider than all of them."""
    total = int(bins.counts.sum())
    if total != n_controls:
        raise MessageError(f"counts: {total:,} persons, but the site has {n_controls:,} controls")
    values = edges.values
    slack = _ROUNDING * (edges.high - edges.low)
    lows, highs = values[bins.starts] - slack, np.append(values[bins.starts[1:]], np.inf) + slack
    lows[0] = -np.inf  # the outermost bins are open
    outside = np.flatnonzero((bins.means < lows) | (bins.means > highs))
    if outside.size:
        k = int(outside[0])
        raise MessageError(
            f"means[{k}]: {bins.means[k]:.6g} is not in its bins, {lows[k]:.6g} to {highs[k]:.6g}"
        )

    between = float(bins.counts @ (bins.means - bins.counts @ bins.means / max(total, 1)) ** 2)
    if square < between * (1.0 - _ROUNDING):
        raise MessageError(f"square: {square:.6g}, less than the {between:.6g} between the bins")


def require_calibrated(local_controls: int, calibrated: int | None, counted: int) -> None:
    """Refuse controls of local studies other than counted before."""
    if local_controls != counted:
        raise MessageError(
            f"local_controls: {local_controls:,}, but the local studies have {counted:,} controls"
        )
    if calibrated is not None and calibrated > local_controls:
        raise MessageError(f"calibrated_controls: {calibrated:,} of {local_controls:,}")


def require_residuals(
    rss: float, freedom: float, expected: tuple[float, float], total: float, lost: float, where: str
) -> None:
    """Refuse residual sums that are not those of the calibration sums of the same site, but for the share `lost`."""
    if abs(rss - expected[0]) > max(_ROUNDING, lost) * (total + expected[0]):
        raise MessageError(f"{where}.rss: {rss:.6g}, but its calibration sums give {expected[0]:.6g}")
    if abs(freedom - expected[1]) > max(_ROUNDING * abs(expected[1]), 1e-3, lost * abs(expected[1])):
        raise MessageError(f"{where}.freedom: {freedom:.6g}, but its calibration sums give {expected[1]:.6g}")


def require_parts_of_pairs(sums: ResidualSums, n: int, gram: FloatArray, where: str) -> None:
    """Refuse levels of the modifier whose pairs and products do not add up to those of the study."""
    total = int(sums.pairs.sum())
    if total != n:
        raise MessageError(f"{where}.pairs: {total:,}, but {n:,} calibration pairs were told before")
    if sums.gram is None:
        return
    size = np.sqrt(np.outer(np.diagonal(gram), np.diagonal(gram)))
    if (np.abs(sums.gram.sum(axis=0) - gram) > _ROUNDING * size).any():
        raise MessageError(f"{where}.gram: the products of the levels do not add up to those of the study")


def require_likelihood(
    score: FloatArray, information: FloatArray, expected: FloatArray, method: str, where: str
) -> None:
    """Refuse sums of a likelihood that contradict one another."""
    if method != "induced" and not np.allclose(information, expected, rtol=1e-9, atol=0.0):
        raise MessageError(f"{where}.expected: not its information, as in a conditional likelihood it is")
    flat = np.diagonal(expected) == 0
    if np.abs(score[flat]).max(initial=0.0) > _ROUNDING * np.abs(score).max(initial=0.0):
        raise MessageError(f"{where}.score: not 0 along a column that has no information")
    if score.any() and flat.all():
        raise MessageError(f"{where}.score: not 0, although nothing has information")


def require_log_odds(loglik: float, shapes: Mapping[tuple[int, int], int] | None, where: str) -> None:
    """Refuse a log-likelihood with all coefficients 0 that is not that of the sizes of the sets."""
    if shapes is None:
        return
    expected = -sum(n * _log_ways(cases, controls) for (cases, controls), n in shapes.items())
    if abs(loglik - expected) > _ROUNDING * max(1.0, abs(expected)):
        raise MessageError(
            f"{where}.loglik: {loglik:.8g} with all coefficients 0, but sets of these sizes have {expected:.8g}"
        )


def _log_ways(cases: int, controls: int) -> float:
    """Log of the ways in which a set's cases can be chosen."""
    return lgamma(cases + controls + 1) - lgamma(cases + 1) - lgamma(controls + 1)
