"""Tables that go into papers: CSV at full precision, Markdown and LaTeX rounded to their Monte Carlo error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from biocal.errors import OptionError
from biocal.results.text import csv_bytes, number
from biocal.results.text import table as text_table
from biocal.system.files import replace_file

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PaperTable"]

#: Significant digits of the Monte Carlo standard error that a printed table keeps (our choice).
_ERROR_DIGITS = 2
_MOST_DECIMALS = 6
#: Decimals of a column whose Monte Carlo errors are all 0 or blank (our choice).
_PLAIN_DECIMALS = 4
_COUNTS = ("n", "failed")
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}", "]": "{]}",  # at the start of a row a bracket would be an argument of the line before
}  # fmt: skip


class PaperTable:
    """A table of results: columns that name the row, then measures, some with ``mcse_`` columns.

    Parameters
    ----------
    frame : DataFrame
    by : sequence of str
        Columns that name the row.

    Attributes
    ----------
    frame : DataFrame
        Everything, unrounded.
    by : tuple of str
    """

    def __init__(self, frame: pd.DataFrame, *, by: Sequence[str]) -> None:
        self.frame = frame
        self.by = tuple(by)

    def tidy(self) -> pd.DataFrame:
        """All numbers, unrounded: a copy."""
        return self.frame.copy()

    @property
    def measures(self) -> tuple[str, ...]:
        """Columns that neither name the row nor are a Monte Carlo error."""
        names = [str(name) for name in self.frame.columns]
        return tuple(name for name in names if name not in self.by and not name.startswith("mcse_"))

    def to_csv(self, path: str | Path | None = None) -> str:
        """The whole table as CSV at full precision, so that reading it back loses nothing.

        Parameters
        ----------
        path : str or Path, optional
            Written there too, in place of what is there.

        Returns
        -------
        str
        """
        return _deliver(csv_bytes(self.frame).decode(), path)

    def to_markdown(
        self,
        path: str | Path | None = None,
        *,
        measures: Sequence[str] | None = None,
        digits: int | None = None,
    ) -> str:
        """A Markdown table, each measure with its Monte Carlo standard error in brackets.

        Parameters
        ----------
        path : str or Path, optional
            Written there too, in place of what is there.
        measures : sequence of str, optional
            Which, and in which order; default all.
        digits : int, optional
            Decimals.  Default: for each column so many that its typical (median) Monte Carlo standard
            error shows two significant digits.

        Returns
        -------
        str

        Raises
        ------
        OptionError
            A measure that the table does not have; digits outside 0 to 15.
        """
        header, rows = self._cells(measures, digits)
        names = len(self.by)
        lines = [header, ["---"] * names + ["---:"] * (len(header) - names), *rows]
        text = "\n".join(
            "| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines
        )
        return _deliver(text + "\n", path)

    def to_latex(
        self,
        path: str | Path | None = None,
        *,
        measures: Sequence[str] | None = None,
        digits: int | None = None,
        caption: str = "",
        label: str = "",
    ) -> str:
        r"""A LaTeX table (package booktabs), each measure with its Monte Carlo standard error in brackets.

        Parameters
        ----------
        path, measures, digits
            As in :meth:`to_markdown`.
        caption, label : str
            LaTeX as it stands; with either the tabular is set in a table environment.

        Returns
        -------
        str

        Raises
        ------
        OptionError
            As :meth:`to_markdown`.
        """
        header, rows = self._cells(measures, digits)
        align = "l" * len(self.by) + "r" * (len(header) - len(self.by))
        lines = [rf"\begin{{tabular}}{{{align}}}", r"\toprule", _latex_row(header), r"\midrule"]
        lines += [*(_latex_row(row) for row in rows), r"\bottomrule", r"\end{tabular}"]
        if caption or label:
            above = [r"\begin{table}", r"\centering"]
            above += [rf"\caption{{{caption}}}"] if caption else []
            above += [rf"\label{{{label}}}"] if label else []
            lines = [*above, *lines, r"\end{table}"]
        return _deliver("\n".join(lines) + "\n", path)

    def to_text(self, *, measures: Sequence[str] | None = None, digits: int | None = None) -> str:
        """The table set in columns for a terminal; arguments as in :meth:`to_markdown`."""
        header, rows = self._cells(measures, digits)
        return text_table(header, rows, left=len(self.by))

    def __str__(self) -> str:
        return self.to_text()

    def __len__(self) -> int:
        return len(self.frame)

    def _cells(self, measures: Sequence[str] | None, digits: int | None) -> tuple[list[str], list[list[str]]]:
        """Header and rows as text."""
        names = self.measures if measures is None else tuple(measures)
        unknown = [name for name in names if name not in self.measures]
        if unknown:
            raise OptionError(
                f"the table has no measure {unknown[0]!r}; choose among {', '.join(self.measures)}",
                option="measures",
                allowed=self.measures,
            )
        if digits is not None and not 0 <= digits <= 15:
            raise OptionError(f"digits must be 0 to 15, not {digits!r}", option="digits")
        columns = [[_plain(value) for value in self.frame[name]] for name in self.by]
        columns += [self._measure_cells(name, digits) for name in names]
        header = [*self.by, *(name.replace("_", " ") for name in names)]
        return header, [list(row) for row in zip(*columns, strict=True)]

    def _measure_cells(self, name: str, digits: int | None) -> list[str]:
        """One measure as text, with its Monte Carlo error."""
        values = self.frame[name]
        if name in _COUNTS or values.dtype.kind not in "fiu":
            return [_plain(value) for value in values]
        if f"mcse_{name}" not in self.frame:
            known = values.to_numpy(dtype=np.float64)
            return [number(value) if digits is None else _rounded(value, digits) for value in known]
        errors = self.frame[f"mcse_{name}"].to_numpy(dtype=np.float64)
        decimals = _decimals(errors) if digits is None else digits
        return [
            _rounded(value, decimals)
            + ("" if np.isnan(value) or np.isnan(error) else f" ({error:.{decimals}f})")
            for value, error in zip(values.to_numpy(dtype=np.float64), errors, strict=True)
        ]


def _decimals(errors: np.ndarray[Any, np.dtype[np.float64]]) -> int:
    """Decimals that show two significant digits of the typical error."""
    known = errors[np.isfinite(errors) & (errors > 0)]
    if known.size == 0:
        return _PLAIN_DECIMALS
    leading = int(np.floor(np.log10(np.median(known))))
    return int(np.clip(_ERROR_DIGITS - 1 - leading, 0, _MOST_DECIMALS))


def _rounded(value: float, decimals: int) -> str:
    if np.isnan(value):
        return ""
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text  # no "-0.00"


def _plain(value: Any) -> str:
    """A cell that names the row: numbers without needless digits."""
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:.10g}"
    return "" if value is None else str(value)


def _latex_row(cells: Sequence[str]) -> str:
    escaped = ["".join(_LATEX.get(letter, letter) for letter in cell) for cell in cells]
    return " & ".join(f"$-${cell[1:]}" if cell.startswith("-") else cell for cell in escaped) + r" \\"


def _deliver(text: str, path: str | Path | None) -> str:
    if path is not None:
        replace_file(Path(path), text.encode())
    return text
