"""What was found in the data: one record a finding, and the log that collects them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from biocal.errors import DataProblemsError

Level = Literal["error", "warning", "note"]

# Findings of one kind in one column that are listed line by line; the others are counted.  Our
# choice: enough to see the pattern, few enough to read.
LISTED_PLACES = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing found in the data.

    Attributes
    ----------
    level : {"error", "warning", "note"}
        ``error``: the data cannot be used until it is mended.  ``warning``: something is left out or
        ignored.  ``note``: something was read in a way that the user should know about.
    code : str
        Stable short word for the kind of finding, e.g. ``"missing-column"``.
    message : str
        What was found and what to do.
    file : str or None
        File as the caller named it.
    line : int or None
        Line in a text file (the header is line 1), observation number in Stata, SAS and Parquet
        files, row number from 1 in a data frame.
    column, study : str or None
        Column and study concerned.
    count : int or None
        Number of cells, rows or sets concerned.
    """

    level: Level
    code: str
    message: str
    file: str | None = None
    line: int | None = None
    column: str | None = None
    study: str | None = None
    count: int | None = None

    def __str__(self) -> str:
        place = self.file or ""
        if self.line is not None:
            place = f"{place}:{self.line}" if place else f"row {self.line}"
        parts = [place] if place else []
        if self.column is not None:
            parts.append(f"column '{self.column}'")
        return ": ".join([*parts, self.message])

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary (for JSON)."""
        return {name: getattr(self, name) for name in self.__slots__}


def counted(number: int, noun: str) -> str:
    """Return "1 row" or "1,200 rows"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@dataclass
class ProblemLog:
    """Collects problems in the order found, so that one run tells them all."""

    found: list[Problem] = field(default_factory=list)
    #: Every line with an error, by file, and how many of the errors found tell of lines.
    error_lines: dict[str | None, set[int]] = field(default_factory=dict)
    n_line_errors: int = 0

    def add(self, level: Level, code: str, message: str, **place: Any) -> None:
        """Record one problem; ``place`` holds the optional fields of `Problem`."""
        self.found.append(Problem(level, code, message, **place))

    def add_lines(
        self,
        level: Level,
        code: str,
        lines: Sequence[int],
        message_of: Callable[[int], str],
        **place: Any,
    ) -> None:
        """Record a finding at several lines: the first few one by one, the others as a count.

        Parameters
        ----------
        lines : sequence of int
            Line of each finding.
        message_of : callable
            Message for the k-th finding, k = 0, 1, ...
        """
        total = len(lines)
        if level == "error" and total:
            self.error_lines.setdefault(place.get("file"), set()).update(int(line) for line in lines)
            self.n_line_errors += min(total, LISTED_PLACES + 1)
        for k in range(min(total, LISTED_PLACES)):
            self.add(level, code, message_of(k), line=int(lines[k]), count=1, **place)
        if total > LISTED_PLACES:
            rest = total - LISTED_PLACES
            message = f"... and {rest:,} more of this kind (the last in line {int(lines[-1])})"
            self.add(level, code, message, count=rest, **place)

    def extend(self, problems: Iterable[Problem]) -> None:
        """Record problems found elsewhere."""
        self.found.extend(problems)

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Those that forbid going on."""
        return tuple(problem for problem in self.found if problem.level == "error")

    def require_no_errors(self) -> tuple[Problem, ...]:
        """Return the warnings and notes.

        Raises
        ------
        DataProblemsError
            With every problem found, errors first, when there is an error among them.
        """
        if self.errors:
            others = tuple(problem for problem in self.found if problem.level != "error")
            alone = self.n_line_errors == len(self.errors)
            raise DataProblemsError(self.errors + others, self.error_lines if alone else None)
        return tuple(self.found)
