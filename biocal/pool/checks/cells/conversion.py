"""Raw columns of all files into ids, case status and concentrations, telling every bad cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocal.pool.checks.cells.case_labels import CaseLabels, labels_of_case
from biocal.pool.checks.cells.censored_cells import CensoredCells, limit_of
from biocal.pool.checks.cells.natural_order import natural_ranks
from biocal.pool.checks.notices import ProblemLog, counted
from biocal.pool.tables.cells import (
    Codes,
    NumberCells,
    RawColumn,
    WordCells,
    as_ids,
    as_numbers,
    as_words,
    id_text,
    lost_digits,
    no_numbers,
    parse_number,
    zeros_and_ones,
)
from biocal.pool.tables.table import SourceTable, TableStack
from biocal.system.bytes import is_text

# Pairs of study and id are counted in a table of all that could be when it has no more entries than this a row
# (and some); else they are sorted.  Our choice: the table then takes less room than sorting would.
_PAIRS_PER_ROW = 2
# Words that some laboratories write for "not detected" and others for "not done" or "no data".
_NOT_DETECTED = frozenset(
    {"nd", "n.d.", "n.d", "n/d", "not detected", "undetected", "undetectable", "none detected"}
)
_FEW_PAIRS = 1_000


def told_ids(table: SourceTable, column: str, log: ProblemLog) -> WordCells:
    """Ids of a table's column; those that have lost digits are errors, and letters spelt in two ways are told."""
    raw = table.columns[column]
    cells = as_ids(raw)
    lost = lost_digits(cells.words)
    if any(lost):
        rows = np.flatnonzero(np.array([*lost, False])[cells.codes])
        words = cells.cells(rows)
        what = (
            "is in scientific notation, in which ids lose digits"
            if not isinstance(raw, pd.Series) or raw.dtype.kind != "f"
            else "is a floating-point number so large (2^53, or 2^24 in single precision) that different ids become one"
        )
        log.add_lines(
            "error",
            "id-lost-digits",
            table.line[rows].tolist(),
            lambda k: f"the id {words[k]} {what}; give ids as integers or as text",
            file=table.name or None,
            column=column,
        )
    if cells.respelt:
        message = (
            f"{counted(len(cells.respelt), 'id')} with letters of several code points, the micro sign or control "
            "characters; letters are read in one spelling (NFC), control characters shown as escapes"
        )
        count = len(cells.respelt)
        log.add("note", "id-spelling", message, file=table.name or None, column=column, count=count)
    return cells


def stacked_ids(stack: TableStack, column: str, log: ProblemLog) -> tuple[Codes, tuple[str, ...]]:
    """Ids of a column over all tables, numbered in natural order; see `told_ids`.

    Returns
    -------
    codes : ndarray, shape (n_rows,)
        -1 where blank or where the table has no such column.
    labels : tuple of str
    """
    if len(stack.tables) == 1 and column in stack.tables[0].columns:
        cells = told_ids(stack.tables[0], column, log)
        return in_natural_order(cells.codes, cells.words)
    codes = np.full(stack.n_rows, -1, dtype=np.int32)
    place: dict[str, int] = {}
    for table, rows in stack.parts():
        if column in table.columns:
            cells = told_ids(table, column, log)
            numbered = [place.setdefault(word, len(place)) for word in cells.words]
            codes[rows] = np.array([*numbered, -1], dtype=np.int32)[cells.codes]
    return in_natural_order(codes, list(place))


def in_natural_order(codes: Codes, labels: Sequence[str]) -> tuple[Codes, tuple[str, ...]]:
    """Renumber codes (-1 stays) so that their labels are in natural order."""
    ranks = natural_ranks(labels).astype(np.int32)
    ordered = np.empty(len(labels), dtype=object)
    ordered[ranks] = labels
    return np.append(ranks, np.int32(-1))[codes], tuple(ordered.tolist())


def within_study(study: Codes, ids: Codes, n_ids: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Number the distinct pairs (study, id), by study and then id.

    Returns
    -------
    codes : ndarray, shape (n,)
        -1 where the id is blank.
    id_of_code : ndarray, shape (n_codes,)
    """
    n_studies, n_ids = int(study.max(initial=-1)) + 1, max(n_ids, 1)
    # the last pair stands for a row without a study or id
    blank = n_studies * n_ids
    pair = study.astype(np.int64)
    pair *= n_ids
    pair += ids
    pair[(ids < 0) | (study < 0)] = blank
    if blank <= _PAIRS_PER_ROW * ids.size + _FEW_PAIRS:
        there = np.zeros(blank + 1, dtype=np.bool_)
        there[pair] = True
        there[blank] = False
        distinct = np.flatnonzero(there)
        number = np.cumsum(there, dtype=np.int32)
        number -= 1
        number[blank] = -1
        codes = number[pair].astype(np.intp)
    else:
        distinct, codes = np.unique(pair, return_inverse=True)
        if distinct.size and distinct[-1] == blank:
            codes[codes == distinct.size - 1] = -1
            distinct = distinct[:-1]
    return codes, (distinct % n_ids).astype(np.intp)


def name_of_file_is_no_text(column: str) -> str:
    """What is told where a study would have its name from a file whose name cannot be written as text."""
    return (
        f"without a column '{column}' the study would have the name of the file, which is not text in UTF-8; "
        "rename the file or add the column"
    )


def studies(stack: TableStack, column: str, log: ProblemLog) -> tuple[Codes, tuple[str, ...]]:
    """Study of every row, from the column or else from the file's name."""
    codes, labels = stacked_ids(stack, column, log)
    names = list(labels)
    named_by: dict[str, str] = {}
    advice = "the study is blank (or NA, which counts as blank); every row needs its study"
    for table, rows in stack.parts():
        if column in table.columns:
            blank = rows.start + np.flatnonzero(codes[rows] < 0)
            stack.tell_rows(log, "error", "study-blank", blank, lambda _: advice, column=column)
        elif table.stem is not None:
            name = id_text(table.stem)
            if not is_text(name):
                log.add(
                    "error", "study-name", name_of_file_is_no_text(column), file=table.name, column=column
                )
            elif name in labels:
                message = (
                    f"without a column '{column}' this file would be study '{name}', which another file "
                    "names in its column; rename the file or add the column"
                )
                log.add("error", "study-twice", message, file=table.name, column=column, study=name)
            elif name in named_by:
                message = (
                    f"without a column '{column}' this file and {named_by[name]} would both be "
                    f"study '{name}'; rename one of them or add the column"
                )
                log.add("error", "study-twice", message, file=table.name, column=column, study=name)
            named_by.setdefault(name, table.name)
            if name not in names:
                names.append(name)
            codes[rows] = names.index(name)
    return in_natural_order(codes, names)


def case_status(stack: TableStack, column: str, log: ProblemLog) -> NDArray[np.bool_]:
    """True for 1, False for 0; anything else is an error in its line.  Shape (n_rows,).

    Labels that name both cases and controls decide instead, and are told.
    """
    is_case = np.zeros(stack.n_rows, dtype=np.bool_)
    labelled = labels_of_case(stack, column, log)
    for k, (table, rows) in enumerate(stack.parts()):
        if column not in table.columns:
            continue
        raw = table.columns[column]
        meaning = labelled[k]
        if meaning is not None:
            is_case[rows] = _by_labels(stack, rows.start, column, raw, meaning, log)
            continue
        plain = zeros_and_ones(raw)
        if plain is not None:
            is_case[rows] = plain
            continue
        if isinstance(raw, pd.Series) and pd.api.types.is_bool_dtype(raw.dtype) and not raw.isna().any():
            is_case[rows] = raw.to_numpy(dtype=np.bool_)
            continue
        cells = as_words(raw)
        value = np.array([parse_number(word) for word in cells.words] + [np.nan])[cells.codes]
        is_case[rows] = value == 1
        bad = np.flatnonzero((value != 0) & (value != 1))
        words = cells.cells(bad)
        advice = _case_advice({word.casefold() for word in words})
        stack.tell_rows(
            log,
            "error",
            "case-not-binary",
            rows.start + bad,
            lambda k, words=words, advice=advice: f"{_shown(words[k])}, but case must be 1 or 0; {advice}",  # type: ignore[misc]
            column=column,
        )
    return is_case


def _by_labels(
    stack: TableStack, start: int, column: str, raw: RawColumn, meaning: CaseLabels, log: ProblemLog
) -> NDArray[np.bool_]:
    """Case status where labels name cases and controls; another value is an error in its line."""
    cells = as_words(raw)
    known = [meaning.get(word) for word in cells.words]
    bad = np.flatnonzero(np.array([*(one is None for one in known), True])[cells.codes])
    words = cells.cells(bad)
    advice = "which no label names as case or control; leave the row out, or mend the label"
    stack.tell_rows(
        log,
        "error",
        "case-not-binary",
        start + bad,
        lambda k: f"{_shown(words[k])}, {advice}",
        column=column,
    )
    return np.array([*(one is True for one in known), False], dtype=np.bool_)[cells.codes]


def _case_advice(words: set[str]) -> str:
    """What to do about case cells that are not 0 or 1."""
    if words & {"yes", "no", "y", "n", "true", "false", "t", "f", "case", "control"}:
        return "write 1 for cases and 0 for controls instead of words"
    if "2" in words:
        return "recode 1/2 to 0/1, 1 for cases and 0 for controls"
    if words == {""}:
        return "fill it in, or leave the row out"
    return "write 1 for cases and 0 for controls"


def concentrations(
    stack: TableStack, column: str, log: ProblemLog, unneeded: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], CensoredCells]:
    """Values of an assay column, where the cell holds something, and where it says "below the limit".

    Parameters
    ----------
    unneeded : ndarray of bool, shape (n_rows,)
        Rows whose value is not used; a bad cell there is ignored and told, elsewhere an error.

    Returns
    -------
    values : ndarray, shape (n_rows,)
        NaN where absent or bad.
    present : ndarray of bool, shape (n_rows,)
    censored : CensoredCells
    """
    below, limit = np.zeros(stack.n_rows, dtype=np.bool_), no_numbers(stack.n_rows)
    values = np.empty(0) if len(stack.tables) == 1 else np.full(stack.n_rows, np.nan)
    present = np.zeros(stack.n_rows, dtype=np.bool_)
    for table, rows in stack.parts():
        if column not in table.columns:
            continue
        cells = numbers_of(table, column, log)
        if len(stack.tables) == 1:
            values = cells.values
        else:
            values[rows] = cells.values
        np.logical_not(np.isnan(cells.values), out=present[rows])
        if not cells.bad_words:
            continue
        bad_rows = rows.start + cells.bad_rows
        present[bad_rows] = True
        decimal_comma = table.delimiter not in ("", ",")
        limits = [limit_of(word, decimal_comma=decimal_comma) for word in cells.bad_words]
        ignored = unneeded[bad_rows]
        says_below = np.array([one is not None for one in limits], dtype=np.bool_) & ~ignored
        below[bad_rows[says_below]] = True
        limit = limit if limit.flags.writeable else limit.copy()
        limit[bad_rows] = [np.nan if one is None else one for one in limits]
        for level, chosen in (("error", ~ignored & ~says_below), ("warning", ignored)):
            words = [word for word, wanted in zip(cells.bad_words, chosen, strict=True) if wanted]
            after = "" if level == "error" else "; ignored, because reference studies need no local values"
            stack.tell_rows(
                log,
                level,  # type: ignore[arg-type]
                "not-a-number",
                bad_rows[chosen],
                lambda k, words=words, after=after: _bad_number(words[k]) + after,  # type: ignore[misc]
                column=column,
            )
    return values if values.size else no_numbers(stack.n_rows).copy(), present, CensoredCells(below, limit)


def numbers_of(table: SourceTable, column: str, log: ProblemLog) -> NumberCells:
    """A table's column as numbers, decimal commas told."""
    decimal_comma = table.delimiter not in ("", ",")
    cells = as_numbers(table.columns[column], decimal_comma=decimal_comma)
    if cells.n_decimal_commas:
        message = f"{counted(cells.n_decimal_commas, 'number')} with a decimal comma; read as decimal points"
        count = cells.n_decimal_commas
        log.add("note", "decimal-comma", message, file=table.name or None, column=column, count=count)
    return cells


def _bad_number(word: str) -> str:
    """What is wrong with a cell of an assay column, and what to do."""
    if word[:1] in "<≤":
        point = word.replace(",", ".")
        advice = f"write {point}" if limit_of(point, decimal_comma=False) is not None else "write it as <5.0"
        return f"'{word}' is not a number; if it is below a detection limit, {advice} and choose a --below-limit rule"
    if word[:1] in ">≥":
        return (
            f"'{word}' says only that the value is above a limit; give the measured value (of a diluted sample, say) "
            "or leave the cell blank"
        )
    if word.casefold() in _NOT_DETECTED:
        return (
            f"'{word}' may mean not detected or not done; if the value is below the detection limit, write LOD, state "
            "the limit and choose a --below-limit rule; if it was not measured, leave the cell blank"
        )
    if not np.isnan(parse_number(word)) or word.casefold().lstrip("+-") in ("inf", "infinity"):
        return f"'{word}' is infinite; give a finite number or leave the cell blank"
    if not np.isnan(parse_number(word.replace(",", ".", 1))):
        return f"'{word}' is not a number; write {word.replace(',', '.', 1)} if the comma is the decimal sign"
    return f"'{word}' is not a number; give a number or leave the cell blank"


def _shown(word: str) -> str:
    return f"'{word}'" if word else "blank"
