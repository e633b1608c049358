"""Are the rows of several imputations the same persons, in the same sets and with the same case status?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocal.errors import OptionError
from biocal.pool.checks.notices import ProblemLog, counted
from biocal.pool.pooled import PooledStudies

IntArray = NDArray[np.intp]

#: A label that the first imputation does not have.
_UNKNOWN = -2


def require_same_rows(pools: Sequence[PooledStudies]) -> tuple[str, ...]:
    """Refuse imputations that are not the same rows.

    Rows are the same by person where every imputation has a person column, and otherwise by their place.  The
    measurements and the covariates of a row may differ: they may be imputed.

    Returns
    -------
    tuple of str
        What is to be told: measurements that differ.

    Raises
    ------
    OptionError
        Other studies, or other numbers of rows.
    DataProblemsError
        Rows whose case status, set, study or person differs from that of the first imputation.
    """
    log = ProblemLog()
    apart = np.zeros((2, pools[0].n_rows), dtype=np.bool_)
    for k, pool in enumerate(pools[1:], start=2):
        _require_same_size(pools[0], pool, k)
        _compare_kinds(pools[0], pool, k, log)
        apart |= _compare_rows(pools[0], pool, k, log)
    log.require_no_errors()
    local, reference = (int(one.sum()) for one in apart)
    if local + reference == 0:
        return ()
    told = [f"local values of {counted(local, 'row')}"] if local else []
    told += [f"reference values of {counted(reference, 'row')}"] if reference else []
    return (f"{' and '.join(told)} differ between the imputations, and are taken as imputed",)


def _require_same_size(first: PooledStudies, pool: PooledStudies, k: int) -> None:
    if pool.study_names != first.study_names:
        raise OptionError(
            f"imputation {k} has the studies {', '.join(pool.study_names)}, the first "
            f"{', '.join(first.study_names)}; every imputation must hold the whole pool"
        )
    if pool.n_rows != first.n_rows:
        raise OptionError(
            f"imputation {k} has {counted(pool.n_rows, 'row')}, the first {first.n_rows:,}; every imputation must "
            "hold the whole pool"
        )


def _compare_kinds(first: PooledStudies, pool: PooledStudies, k: int, log: ProblemLog) -> None:
    """A study is measured at the reference laboratory in all imputations, or in none."""
    for s in np.flatnonzero(first.is_reference_study != pool.is_reference_study):
        kinds = [
            "a reference study" if one.is_reference_study[s] else "a local study" for one in (first, pool)
        ]
        name = first.study_names[s]
        message = (
            f"study '{name}' is {kinds[0]} in imputation 1 and {kinds[1]} in imputation {k}; say which it is by "
            "reference_study or local_study (--reference-study, --local-study)"
        )
        log.add("error", "imputations-differ", message, study=name)


def _compare_rows(first: PooledStudies, pool: PooledStudies, k: int, log: ProblemLog) -> NDArray[np.bool_]:
    """Tell rows that differ; returns where the local and the reference values do (2, n), in the first's rows."""
    mine, others = {"study": first.study}, {"study": pool.study}
    mine["case"], others["case"] = first.is_case.astype(np.intp), pool.is_case.astype(np.intp)
    mine["set"], others["set"] = _same_codes(first.frame[first.roles.set], pool.frame[pool.roles.set])
    by_person = first.person_code is not None and pool.person_code is not None
    order = [np.arange(first.n_rows)] * 2
    if by_person:
        assert first.roles.person is not None
        assert pool.roles.person is not None
        persons = _same_codes(first.frame[first.roles.person], pool.frame[pool.roles.person])
        mine["person"], others["person"] = persons
        order = [_by_person(codes) for codes in (mine, others)]
        if _tell_other_persons(pool, k, (mine, others), order, log):
            return np.zeros((2, first.n_rows), dtype=np.bool_)
    for name in ("study", "set", "case"):
        apart = np.flatnonzero(mine[name][order[0]] != others[name][order[1]])
        if apart.size:
            rows = order[1][apart]
            place = np.argsort(rows)
            _tell(first, pool, k, name, (order[0][apart][place], rows[place]), log, by_person=by_person)
            break
    found = np.zeros((2, first.n_rows), dtype=np.bool_)
    pairs = ((first.local_assay, pool.local_assay), (first.reference_assay, pool.reference_assay))
    for row, (own, other) in zip(found, pairs, strict=True):
        own, other = own[order[0]], other[order[1]]
        row[order[0]] = (own != other) & ~(np.isnan(own) & np.isnan(other))
    return found


def _same_codes(first: pd.Series[Any], other: pd.Series[Any]) -> tuple[IntArray, IntArray]:
    """Codes of two columns of labels, equal where the labels are; -1 where blank."""
    mine, others = first.astype("category").cat, other.astype("category").cat
    place = np.append(mine.categories.get_indexer(others.categories), -1)
    place[:-1][place[:-1] < 0] = _UNKNOWN
    return mine.codes.to_numpy().astype(np.intp), place[others.codes.to_numpy()].astype(np.intp)


def _by_person(codes: dict[str, IntArray]) -> IntArray:
    """Rows by study and person, those of one person by set and case status; without a person as they stand."""
    known, place = codes["person"] != -1, np.arange(codes["person"].size)
    within = np.where(known, codes["set"], place)
    return np.lexsort((np.where(known, codes["case"], 0), within, codes["person"], codes["study"]))


def _tell_other_persons(
    pool: PooledStudies,
    k: int,
    codes: tuple[dict[str, IntArray], ...],
    order: list[IntArray],
    log: ProblemLog,
) -> bool:
    """Tell rows of persons that the first imputation does not have, or not so often; whether there are any."""
    keys = []
    for one, rows in zip(codes, order, strict=True):
        person = one["person"][rows].astype(np.int64)
        key = one["study"][rows] * (codes[0]["person"].max(initial=0) + 4) + person - _UNKNOWN
        starts = np.flatnonzero(np.diff(key, prepend=-1))
        times = np.arange(key.size) - np.repeat(starts, np.diff(np.append(starts, key.size)))
        keys.append(key * (key.size + 1) + times)
    others = np.sort(order[1][~np.isin(keys[1], keys[0])])
    if others.size == 0:
        return False
    persons, studies = (
        pool.frame[one].iloc[others].tolist() for one in (pool.roles.person, pool.roles.study)
    )

    def words(j: int) -> str:
        return (
            f"imputation {k} has person {_shown(persons[j])} in study '{studies[j]}', where imputation 1 does not, or "
            "not so often; persons and their studies are the same in every imputation"
        )

    _tell_lines(pool, others, words, str(pool.roles.person), log)
    return True


def _tell(
    first: PooledStudies,
    pool: PooledStudies,
    k: int,
    name: str,
    rows: tuple[IntArray, IntArray],
    log: ProblemLog,
    *,
    by_person: bool,
) -> None:
    """Rows that differ in one column, by file and line of the later imputation."""
    columns = [str(getattr(one.roles, name)) for one in (first, pool)]
    cells = [
        one.frame[column].iloc[some].tolist()
        for one, column, some in zip((first, pool), columns, rows, strict=True)
    ]
    hint = (
        "" if by_person else "; rows are compared by their place: keep their order, or name the person column"
    )

    def words(j: int) -> str:
        there = first.place(int(rows[0][j]))
        file = f"{there['file']}:" if there["file"] is not None else "row "
        return (
            f"imputation {k} has {_shown(cells[1][j])} where imputation 1 has {_shown(cells[0][j])} ({file}"
            f"{there['line']}); case status, set and study of a row are the same in every imputation{hint}"
        )

    _tell_lines(pool, rows[1], words, columns[1], log)


def _tell_lines(
    pool: PooledStudies, rows: IntArray, words: Callable[[int], str], column: str, log: ProblemLog
) -> None:
    """Errors at some rows, file by file."""
    files = pool.file_index[rows]
    for index in np.unique(files):
        chosen = np.flatnonzero(files == index)
        log.add_lines(
            "error",
            "imputations-differ",
            pool.line[rows[chosen]].tolist(),
            lambda j, chosen=chosen: words(int(chosen[j])),  # type: ignore[misc]
            file=pool.place(int(rows[chosen[0]]))["file"],
            column=column,
        )


def _shown(cell: object) -> str:
    return "a blank" if cell is None or cell != cell else f"'{cell}'"
