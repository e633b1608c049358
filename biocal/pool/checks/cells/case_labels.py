"""Case status from labels: a Stata column whose codes are labelled, or a column of categories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import pandas as pd

from biocal.pool.checks.notices import ProblemLog
from biocal.pool.tables.cells import as_words, number_text
from biocal.pool.tables.table import SourceTable, TableStack
from biocal.pool.tables.value_labels import Labels, case_meaning, contradicts_code

#: True for a case and False for a control, by the word of the cell.
CaseLabels: TypeAlias = Mapping[str, bool]


def labels_of_case(stack: TableStack, column: str, log: ProblemLog) -> list[CaseLabels | None]:
    """What the labels of a case column mean, for each table; None where its codes stand for themselves.

    Labels that name both cases and controls decide.  Labels that name one of them only, labels that contradict
    1 for cases without naming them, and tables in which one code means a case and a control are errors.
    """
    found = [_of_table(table, column, log) for table in stack.tables]
    first: dict[str, tuple[bool, str]] = {}
    for table, meaning in zip(stack.tables, found, strict=True):
        if column not in table.columns or (meaning is not None and column not in table.labels):
            continue  # words mean the same in every file
        for word, is_case in (_plain_codes() if meaning is None else meaning).items():
            before, where = first.setdefault(word, (is_case, table.name))
            if before != is_case:
                message = (
                    f"{word} is a {_named(is_case)} here and a {_named(before)} in {where}, by labels or, without "
                    "labels, as 1 for cases and 0 for controls; recode the files alike"
                )
                log.add("error", "case-labels-disagree", message, file=table.name or None, column=column)
                break
    return found


def _of_table(table: SourceTable, column: str, log: ProblemLog) -> CaseLabels | None:
    raw = table.columns.get(column)
    place = {"file": table.name or None, "column": column}
    if isinstance(raw, pd.Series) and isinstance(raw.dtype, pd.CategoricalDtype):
        words = {word: case_meaning(word) for word in as_words(raw).words}
        named = {word: one for word, one in words.items() if one is not None}
        if set(named.values()) != {True, False}:
            return None
        _tell([f"'{word}' is a {_named(one)}" for word, one in named.items()], log, place)
        return named
    labels = table.labels.get(column)
    if raw is None or not labels:
        return None
    used = _used(raw, labels)
    meaning = {code: case_meaning(label) for code, label in used.items()}
    codes = {number_text(code): one for code, one in meaning.items() if one is not None}
    shown = [f"{number_text(code)} = '{label}'" for code, label in used.items()]
    if set(codes.values()) == {True, False}:
        if codes != _plain_codes():
            said = [f"{word} is a {_named(one)}" for word, one in codes.items()]
            _tell(said, log, place)
        return codes
    if codes or any(contradicts_code(code, label) for code, label in used.items()):
        message = (
            f"the labels ({', '.join(shown)}) do not name both cases and controls; label both codes as case and "
            "control, or recode to 1 for cases and 0 for controls and take the labels off"
        )
        log.add("error", "case-labels-unclear", message, **place)
    return None


def _used(raw: pd.Series[float], labels: Labels) -> dict[float, str]:
    """Labels that name case or control, or belong to a code that occurs."""
    there = set(np.unique(raw.dropna().to_numpy(dtype=np.float64)).tolist())
    return {code: label for code, label in labels.items() if code in there or case_meaning(label) is not None}


def _plain_codes() -> CaseLabels:
    return {"1": True, "0": False}


def _named(is_case: bool) -> str:
    return "case" if is_case else "control"


def _tell(words: list[str], log: ProblemLog, place: dict[str, str | None]) -> None:
    message = f"case status is read by the labels: {', '.join(words)}"
    log.add("note", "case-by-labels", message, **place)
