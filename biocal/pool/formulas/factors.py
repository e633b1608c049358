"""How the factors of a formula are coded: their levels in order, and the level that the others stand against."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

#: As written, levels, coding, reference: the last fields of :class:`Factor`.
CodedFactor: TypeAlias = tuple[str, tuple[str, ...], str, str | None]

#: How patsy begins the name of a column, by coding.
_CODINGS = {"[T.": "Treatment", "[S.": "Sum", "[H.": "Helmert", "[D.": "Diff", ".": "Poly"}
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor of a formula.

    Attributes
    ----------
    formula : str
        Which formula has it: "covariates", "matching", "calibration" or "modifier".
    factor : str
        As it is written, such as ``C(smoking, Poly)``.
    column : str
        Column of the data; several separated by commas.
    levels : tuple of str
        In order.
    coding : str
        "Treatment", "Sum", "Helmert", "Diff", "Poly"; "one column a level", "one level"; or "other".
    reference : str or None
        The level that has no column: of Treatment the base level, of Sum the omitted one.
    """

    formula: str
    factor: str
    column: str
    levels: tuple[str, ...]
    coding: str
    reference: str | None

    def words(self) -> str:
        """The factor in a summary."""
        if self.coding == "Treatment":
            return f"{self.factor}: reference level {self.reference}; levels {self._listed(', ')}"
        if self.coding == "Sum":
            return f"{self.factor}: omitted level {self.reference} (Sum coding); levels {self._listed(', ')}"
        if self.coding in _CODINGS.values():
            return f"{self.factor}: no reference level: {self.coding} coding, levels in order {self._listed(' < ')}"
        return f"{self.factor}: no reference level: {self.coding}, levels {self._listed(', ')}"

    def _listed(self, between: str) -> str:
        if len(self.levels) <= _SHOWN:
            return between.join(self.levels)
        shown = between.join((*self.levels[: _SHOWN - 1], "...", self.levels[-1]))
        return f"{shown} ({len(self.levels):,} levels)"


def coded_factors(info: Any) -> list[CodedFactor]:
    """Factors of a patsy design that are categories: as written, levels, coding, reference.

    Where a factor is coded both with and without a reference level, as g is in ``g + g:x``, it is the former.
    """
    matrices: dict[Any, Any] = {}
    for subterms in info.term_codings.values():
        for factor, matrix in _contrasts(subterms):
            known = matrices.get(factor)
            if known is None or matrix.matrix.shape[1] < known.matrix.shape[1]:
                matrices[factor] = matrix
    found = []
    for factor, matrix in matrices.items():
        levels = tuple(str(level) for level in info.factor_infos[factor].categories)
        found.append((factor.name(), levels, *_coding(matrix, levels)))
    return found


def _contrasts(subterms: Iterable[Any]) -> Iterable[tuple[Any, Any]]:
    return (pair for subterm in subterms for pair in subterm.contrast_matrices.items())


def _coding(contrast: Any, levels: tuple[str, ...]) -> tuple[str, str | None]:
    """Name of a coding, and the level of the row that is all 0 (Treatment) or all -1 (Sum)."""
    rows, columns = contrast.matrix.shape
    if columns in (0, rows):
        return "one column a level" if columns else "one level", None
    names = [name for start, name in _CODINGS.items() if contrast.column_suffixes[0].startswith(start)]
    coding = names[0] if names else "other"
    apart = {"Treatment": 0.0, "Sum": -1.0}.get(coding)
    if apart is None:
        return coding, None
    return coding, levels[int((contrast.matrix == apart).all(axis=1).argmax())]
