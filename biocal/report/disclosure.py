"""Small counts of persons are not told: how that is written, in counts, messages and figures.

A count of 1 to N - 1 is a small one and reads ``<N``; zero is shown, for it tells of nobody.  Counts from which
a small one would follow are withheld: see :mod:`biocal.report.disclosure`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
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


BoolArray = NDArray[np.bool_]

#: Smallest width of the values that a hidden small count may have: it is one of two or more.
_LEAST_WIDTH = 1.0 - 1e-6


def with_totals(parts: IntArray) -> IntArray:
    """Append the sum of each row, then the sums of the columns; (rows + 1, columns + 1)."""
    wide = np.column_stack([parts, parts.sum(axis=1)])
    return np.vstack([wide, wide.sum(axis=0)])


def hidden_cells(
    table: IntArray, limit: int, cost: FloatArray, bound: tuple[tuple[int, ...], ...] = ()
) -> BoolArray:
    """Choose the cells of an additive table that are hidden.

    Parameters
    ----------
    table : ndarray of int, shape (r, c)
        From `with_totals`: the last column and row hold totals.
    limit : int
        N.
    cost : ndarray, shape (r, c)
        What is lost by withholding a cell; the cheapest that help are withheld.
    bound : tuple of tuple of int
        Columns that tell of each other (a pair has as many cases as controls), so that in each row they are
        hidden together.

    Returns
    -------
    ndarray of bool, shape (r, c)
    """
    hidden = is_small(table, limit)
    while True:
        _protect_lines(table, hidden, limit, cost, bound)
        exposed = next(_exposed(table, hidden, limit), None)
        if exposed is None:
            return hidden
        hidden[_cheapest_beside(exposed, table, hidden, cost)] = True


def hidden_in_column(counts: IntArray, limit: int) -> BoolArray:
    """Choose the cells of one column that is shown with its total; shape (n + 1,), the total last."""
    table = np.append(counts, counts.sum())[:, None]
    cost = table.astype(float)
    cost[-1] *= 10.0
    hidden = is_small(table, limit)
    _protect(table, hidden, limit, cost, (slice(None), 0))
    return hidden[:, 0]


def is_small(table: IntArray, limit: int) -> BoolArray:
    """Primary cells, of the shape of `table`."""
    return np.logical_and(table > 0, table < limit)


def possible_values(
    table: IntArray, hidden: BoolArray, limit: int, cell: tuple[int, int]
) -> tuple[float, float]:
    """The least and the greatest value of a hidden cell that the shown cells allow.

    Parameters
    ----------
    table : ndarray of int, shape (r, c)
        With totals.
    hidden : ndarray of bool, shape (r, c)
    limit : int
    cell : tuple of int
        Row and column.
    """
    from scipy.optimize import linprog

    shape, flat = table.shape, hidden.ravel()
    unknown = np.flatnonzero(flat)
    equations = _additivity(shape)
    known = equations[:, ~flat] @ table.ravel()[~flat]
    small = is_small(table, limit).ravel()[unknown]
    bounds = [(1, limit - 1) if one else (limit, None) for one in small]
    objective = (unknown == cell[0] * shape[1] + cell[1]).astype(float)
    ends = []
    for sign in (1.0, -1.0):
        found = linprog(
            sign * objective, A_eq=equations[:, unknown], b_eq=-known, bounds=bounds, method="highs"
        )
        ends.append(sign * (float(found.fun) if found.fun is not None else -np.inf))
    return ends[0], ends[1]


def _additivity(shape: tuple[int, int]) -> FloatArray:
    """Equations of the totals: each row and each column, the total with -1; (r + c, r c)."""
    rows = []
    for line in _lines(*shape):
        cells = np.zeros(shape)
        cells[line] = 1.0
        cells[line] *= np.append(np.ones(cells[line].size - 1), -1.0)
        rows.append(cells.ravel())
    return np.array(rows)


def _lines(n_rows: int, n_columns: int) -> Iterator[tuple[slice | int, slice | int]]:
    for row in range(n_rows):
        yield row, slice(None)
    for column in range(n_columns):
        yield slice(None), column


def _protect_lines(
    table: IntArray, hidden: BoolArray, limit: int, cost: FloatArray, bound: tuple[tuple[int, ...], ...]
) -> None:
    """Withhold cells until every line is protected; changes `hidden`."""
    before = -1
    while before != int(hidden.sum()):
        before = int(hidden.sum())
        for columns in bound:
            some, there = (np.any(each[:, list(columns)], axis=1) for each in (hidden, table > 0))
            for column in columns:
                hidden[some & there & (table[:, column] > 0), column] = True
        for line in _lines(*table.shape):
            _protect(table, hidden, limit, cost, line)


def _protect(
    table: IntArray, hidden: BoolArray, limit: int, cost: FloatArray, line: tuple[slice | int, slice | int]
) -> None:
    """Withhold further cells of one line until its small cells cannot be had by subtraction."""
    counts, now = table[line], hidden[line].copy()
    while now.any() and (now.sum() < 2 or (not now[-1] and counts[now].sum() < 2 * limit)):
        free = ~now & (counts > 0)
        if not free.any():
            break
        now[np.flatnonzero(free)[int(np.argmin(cost[line][free]))]] = True
    hidden[line] = now


def _exposed(table: IntArray, hidden: BoolArray, limit: int) -> Iterator[tuple[int, int]]:
    """Primary cells that follow from the cells shown."""
    for row, column in np.argwhere(is_small(table, limit)):
        low, high = possible_values(table, hidden, limit, (int(row), int(column)))
        if high - low < _LEAST_WIDTH:
            yield int(row), int(column)


def _cheapest_beside(
    cell: tuple[int, int], table: IntArray, hidden: BoolArray, cost: FloatArray
) -> tuple[int, int]:
    """The cheapest cell still shown in the lines of a cell; in the whole table when they have none."""
    beside = np.zeros(table.shape, dtype=np.bool_)
    beside[cell[0], :] = beside[:, cell[1]] = True
    free = ~hidden & (table > 0)
    chosen = free & beside if (free & beside).any() else free
    price = np.where(chosen, cost, np.inf)
    row, column = np.unravel_index(int(np.argmin(price)), price.shape)
    return int(row), int(column)
