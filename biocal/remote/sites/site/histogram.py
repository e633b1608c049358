"""The controls' exposure without any single value: bins that hold enough persons, merged at the centre."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import MessageError
from biocal.remote.sites.messages import schema

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: Bins before merging (our choice): fine beside what merging leaves.
N_BINS = 400
#: The bins reach this many standard deviations beyond the means; the outermost are open.
_REACH = 6.0


@dataclass(frozen=True, slots=True)
class BinEdges:
    """Equal bins between `low` and `high`, the same at all sites; the first and the last are open.

    Attributes
    ----------
    low, high : float
    n_bins : int
    """

    low: float
    high: float
    n_bins: int = N_BINS

    @property
    def values(self) -> FloatArray:
        """All edges, shape (n_bins + 1,)."""
        return np.linspace(self.low, self.high, self.n_bins + 1)

    def to_message(self) -> dict[str, Any]:
        """As a request carries it."""
        return {"low": self.low, "high": self.high, "n_bins": self.n_bins}

    @classmethod
    def read(cls, value: Any, where: str) -> BinEdges:
        """From a request; raises MessageError."""
        found = schema.record(value, where, ("low", "high", "n_bins"))
        low, high = schema.real(found["low"], where), schema.real(found["high"], where)
        if not low < high:
            raise MessageError(f"{where}: {low:g} is not below {high:g}")
        return cls(low, high, schema.whole(found["n_bins"], where, least=2, most=2 * N_BINS))


@dataclass(frozen=True, slots=True, eq=False)
class MergedBins:
    """Counts of neighbouring bins put together until each holds enough persons.

    Attributes
    ----------
    starts : ndarray of int, shape (m,)
        First bin of each group; the last group ends with the last bin.
    counts : ndarray of int, shape (m,)
    means : ndarray, shape (m,)
        Mean of the values of each group.
    """

    starts: IntArray
    counts: IntArray
    means: FloatArray


def choose_edges(centres: Sequence[float], spreads: Sequence[float]) -> BinEdges:
    """Edges that cover distributions of known mean and standard deviation."""
    low = min(c - _REACH * s for c, s in zip(centres, spreads, strict=True))
    high = max(c + _REACH * s for c, s in zip(centres, spreads, strict=True))
    if not low < high:
        low, high = low - 1.0, high + 1.0
    return BinEdges(low, high)


def merge_bins(values: FloatArray, edges: BinEdges, least: int) -> MergedBins:
    """Count values in bins, neighbours merged from the left until each group holds `least` persons or more."""
    place = np.searchsorted(edges.values[1:-1], values, side="right")
    counts = np.bincount(place, minlength=edges.n_bins)
    starts: list[int] = []
    held, start = 0, 0
    for position, count in enumerate(counts.tolist()):
        held += count
        if held >= least:
            starts.append(start)
            held, start = 0, position + 1
    # What is left over at the end belongs to the last group.
    group = np.searchsorted(np.array(starts, dtype=np.intp), place, side="right") - 1
    sizes = np.bincount(group, minlength=len(starts))
    sums = np.bincount(group, weights=values, minlength=len(starts))
    return MergedBins(np.array(starts, dtype=np.intp), sizes.astype(np.intp), sums / np.maximum(sizes, 1))


@dataclass(frozen=True, slots=True, eq=False)
class MergedDistribution:
    """All sites' bins together.

    Attributes
    ----------
    edges : BinEdges
    parts : tuple of MergedBins
        One a site.
    """

    edges: BinEdges
    parts: tuple[MergedBins, ...]

    @property
    def n_persons(self) -> int:
        """Controls of all sites."""
        return int(sum(part.counts.sum() for part in self.parts))

    def exposures(self) -> FloatArray:
        """As many exposures as persons, spread evenly about the means of their groups, within the groups' bins."""
        found = []
        values = self.edges.values
        for part in self.parts:
            bounds = np.append(values[part.starts], values[-1])
            for low, high, count, mean in zip(bounds, bounds[1:], part.counts, part.means, strict=False):
                reach = max(min(mean - low, high - mean), 0.0)
                found.append(mean + reach * (2.0 * (np.arange(count) + 0.5) / count - 1.0))
        return np.sort(np.concatenate(found)) if found else np.empty(0)

    def bounds(self, probability: float) -> tuple[float, float]:
        """Lowest and highest place that the pooled quantile can have, given the bins.

        Every person of a bin at its left edge gives the one, at its right edge the other; the type-7 quantile
        lies between the order statistics around it.
        """
        values, n = self.edges.values, self.n_persons
        lefts, rights = [], []
        for part in self.parts:
            ends = np.append(part.starts[1:], self.edges.n_bins)
            lefts.append(np.repeat(values[part.starts], part.counts))
            rights.append(np.repeat(values[ends], part.counts))
        below = int(np.floor(probability * (n - 1)))
        above = min(below + 1, n - 1)
        return float(np.sort(np.concatenate(lefts))[below]), float(np.sort(np.concatenate(rights))[above])
