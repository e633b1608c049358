"""Small counts of persons are not told: which cells are hidden, and how that is written.

A count of 1 to N - 1 is a small cell and reads ``<N``.  Where it could be had by subtraction from a total
that is shown, other cells of that row or column are withheld too (complementary suppression): in every
line of an additive table either nothing is hidden, or at least two cells are, which together count N or
more.  Zero is shown: it tells of nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.errors import OptionError

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]
FloatArray = NDArray[np.float64]

WITHHELD = "withheld"
#: What is counted in messages, and means persons.
_NOUNS = "rows?|sets?|matched sets?|persons?|cases?|controls?|pairs?|calibration pairs?|calibrators?|units?"
_COUNT_THEN_NOUN = re.compile(rf"(?<![\w.,:-])(\d{{1,3}}(?:,\d{{3}})*|\d+)(?= (?:{_NOUNS})\b)")
_NOUN_THEN_COUNT = re.compile(rf"((?:{_NOUNS})\b[^.;\d]{{0,60}}: )(\d+)\b")
#: Extremes are values of single persons; labels of sets name them.
_SINGLE_VALUES = re.compile(r" \((?:range|first:|first )[^)]*\)")


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


def with_totals(parts: IntArray) -> IntArray:
    """Append the sum of each row, then the sums of the columns; (rows + 1, columns + 1)."""
    wide = np.column_stack([parts, parts.sum(axis=1)])
    return np.vstack([wide, wide.sum(axis=0)])


def hidden_cells(
    table: IntArray, limit: int, cost: FloatArray, bound: tuple[tuple[int, ...], ...]
) -> BoolArray:
    """Choose the cells of an additive table that are hidden.

    Parameters
    ----------
    table : ndarray of int, shape (r, c)
        From `with_totals`: the last column and row hold totals.
    limit : int
    cost : ndarray, shape (r, c)
        What is lost by withholding a cell; the cheapest that help are withheld.
    bound : tuple of tuple of int
        Columns that tell of each other (a pair has as many cases as controls), so that in each row they are
        hidden together.

    Returns
    -------
    ndarray of bool, shape (r, c)

    Notes
    -----
    Holds in each row and column whatever cells they have; that no small cell follows from several lines
    together is not proved here but tested for the tables of the bundled data (tests/report).
    """
    hidden = np.logical_and(table > 0, table < limit)
    while True:
        before = int(hidden.sum())
        for columns in bound:
            some, there = (np.any(each[:, list(columns)], axis=1) for each in (hidden, table > 0))
            for column in columns:
                hidden[some & there, column] = True
        for line in _lines(*table.shape):
            _protect(hidden[line], table[line], cost[line], limit, hidden, line)
        if int(hidden.sum()) == before:
            return hidden


def _lines(n_rows: int, n_columns: int) -> Iterator[tuple[slice | int, slice | int]]:
    for row in range(n_rows):
        yield row, slice(None)
    for column in range(n_columns):
        yield slice(None), column


def _protect(
    now: BoolArray,
    counts: IntArray,
    cost: FloatArray,
    limit: int,
    hidden: BoolArray,
    line: tuple[slice | int, slice | int],
) -> None:
    """Withhold further cells of one line until its small cells cannot be had by subtraction."""
    now = now.copy()
    while now.any() and (now.sum() < 2 or (not now[-1] and counts[now].sum() < limit)):
        free = ~now & (counts > 0)
        if not free.any():
            break
        cheapest = np.flatnonzero(free)[int(np.argmin(cost[free]))]
        now[cheapest] = True
    hidden[line] = now


def hidden_in_column(counts: IntArray, limit: int) -> BoolArray:
    """Choose the cells of one column that is shown with its total; shape (n,)."""
    table = np.append(counts, counts.sum())[:, None]
    hidden = np.logical_and(table > 0, table < limit)
    cost = table.astype(float)
    cost[-1] *= 10.0
    _protect(hidden[:, 0], table[:, 0], cost[:, 0], limit, hidden, (slice(None), 0))
    return hidden[:, 0]
