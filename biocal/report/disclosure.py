"""Small counts of persons are not told: how that is written, in counts, messages and figures.

A count of 1 to N - 1 is a small one and reads ``<N``; zero is shown, for it tells of nobody.  Counts from which
a small one would follow are withheld: see :mod:`biocal.report.suppression`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.errors import OptionError

IntArray = NDArray[np.intp]
FloatArray = NDArray[np.float64]

WITHHELD = "withheld"
#: What is counted in messages, and means persons.
_NOUNS = "rows?|sets?|matched sets?|persons?|cases?|controls?|pairs?|calibration pairs?|calibrators?|units?"
_COUNT_THEN_NOUN = re.compile(rf"(?<![\w.,:-])(\d{{1,3}}(?:,\d{{3}})*|\d+)(?= (?:{_NOUNS})\b)")
_NOUN_THEN_COUNT = re.compile(rf"((?:{_NOUNS})\b[^.;\d]{{0,60}}: )(\d+)\b")
#: A share and the counts of cases and controls, from which a small count would follow.
_SHARES = re.compile(r" of \d[\d,]* \(\d[\d.]* %; [^)]*\)")
#: Extremes are values of single persons; labels of sets name them.
_SINGLE_VALUES = re.compile(r" \((?:range|first:|first |set )[^)]*\)")


@dataclass(frozen=True, slots=True)
class Disclosure:
    """The rule of a report.

    Attributes
    ----------
    limit : int
        Counts of persons below it are hidden; 0: nothing is.

    Raises
    ------
    OptionError
        A negative limit.
    """

    limit: int = 0

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise OptionError(f"counts can be hidden below a number of persons, not below {self.limit}")

    @property
    def active(self) -> bool:
        """Whether anything is hidden."""
        return self.limit > 1

    def is_small(self, count: int) -> bool:
        """Whether a count is hidden for its own sake."""
        return 0 < count < self.limit

    def count(self, count: int, *, withheld: bool = False) -> str:
        """A count of persons, or of what stands for persons, as the page shows it."""
        if self.is_small(count):
            return f"<{self.limit}"
        return WITHHELD if withheld else f"{count:,}"

    def text(self, message: str) -> str:
        """A message without small counts, without values of single persons."""
        message = _SINGLE_VALUES.sub("", message)
        if not self.active:
            return message
        message = _SHARES.sub("", message)
        message = _COUNT_THEN_NOUN.sub(self._masked, message)
        return _NOUN_THEN_COUNT.sub(lambda found: found[1] + self._mask_words(found[2]), message)

    def _masked(self, found: re.Match[str]) -> str:
        return self._mask_words(found[1])

    def _mask_words(self, digits: str) -> str:
        return f"fewer than {self.limit}" if self.is_small(int(digits.replace(",", ""))) else digits

    def group_means(self, *columns: FloatArray) -> tuple[FloatArray, ...]:
        """Means of groups of neighbours instead of the values of single persons.

        Parameters
        ----------
        columns : ndarrays of shape (n,)
            The first is the one by which neighbours are found.

        Returns
        -------
        tuple of ndarray, shape (n_groups,)
            Each group holds at least max(5, limit) persons; no group where there are fewer.
        """
        bounds = group_bounds(columns[0].size, max(5, self.limit))
        order = np.argsort(columns[0], kind="stable")
        starts, sizes = bounds[:-1], np.diff(bounds)
        if sizes.size == 0:
            return tuple(np.empty(0) for _ in columns)
        return tuple(np.add.reduceat(column[order], starts) / sizes for column in columns)


def group_bounds(n: int, least: int) -> IntArray:
    """Bounds of as many groups as `n` sorted persons allow, each with `least` or more; (n_groups + 1,)."""
    n_groups = n // least
    return np.linspace(0, n, n_groups + 1).astype(np.intp) if n_groups else np.zeros(1, dtype=np.intp)
