"""Reports on a pool: what it holds, and what stands in the way of calibration."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import MatchedSetError
from biocal.pool.checks.notices import Problem, ProblemLog
from biocal.pool.matched_sets import OutcomeRows, StudyFlow, count_shapes, select_outcome_rows
from biocal.pool.pooled import PooledStudies

# A line needs two pairs; its residual variance a third.  Our choice.
MIN_CALIBRATION_PAIRS = 3
# Local values closer than this, relative to their size, are one value typed several times.
_EQUAL = 1e-12


@dataclass(frozen=True, slots=True)
class StudyCheck:
    """One study in a `CheckReport`.

    Attributes
    ----------
    study : str
    kind : {"reference", "local"}
    flow : StudyFlow
        Rows, sets, cases and controls, and what was left out (no covariates considered).
    set_shapes : dict
        (cases, controls) to the number of sets with both.
    """

    study: str
    kind: str
    flow: StudyFlow
    set_shapes: dict[tuple[int, int], int]

    @property
    def sets_without_information(self) -> int:
        """Sets that hold only cases or only controls."""
        return self.flow.sets_without_case + self.flow.sets_without_control


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What `check_pool` found.

    Attributes
    ----------
    studies : tuple of StudyCheck
        In the order of the pool's ``study_names``.
    set_shapes : dict
        (cases, controls) to the number of sets, over all studies.
    n_files : int
    problems : tuple of Problem
        All problems, errors first.
    """

    studies: tuple[StudyCheck, ...]
    set_shapes: dict[tuple[int, int], int]
    n_files: int
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Problems that stand in the way of a calibration or a fit."""
        return tuple(problem for problem in self.problems if problem.level == "error")

    @property
    def totals(self) -> dict[str, int]:
        """Sums over the studies."""
        flows = [one.flow for one in self.studies]
        return {
            "studies": len(self.studies),
            "rows": sum(flow.rows_read for flow in flows),
            "sets": sum(flow.sets for flow in flows),
            "cases": sum(flow.cases for flow in flows),
            "controls": sum(flow.controls for flow in flows),
            "calibration_pairs": sum(flow.calibration_pairs for flow in flows),
            "sets_without_information": sum(one.sets_without_information for one in self.studies),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain dictionaries and lists, for JSON; set shapes as "1:2"."""
        return {
            **self.totals,
            "set_shapes": _shape_words(self.set_shapes),
            "by_study": [
                {"kind": one.kind, **asdict(one.flow), "set_shapes": _shape_words(one.set_shapes)}
                for one in self.studies
            ],
            "problems": [problem.to_dict() for problem in self.problems],
        }

    def to_text(self) -> str:
        """Return the summary as aligned text, without the problems."""
        header = ["study", "laboratory", "rows", "sets", "cases", "controls", "cases:controls\na set"]
        header += ["calib.\npairs", "rows with\nno local", "one-sided\nsets"]
        rows = [[*_study_cells(one)] for one in self.studies]
        totals = self.totals
        no_local = sum(one.flow.without_local for one in self.studies)
        numbers = [totals[name] for name in ("rows", "sets", "cases", "controls")]
        after = [totals["calibration_pairs"], no_local, totals["sets_without_information"]]
        rows.append(["all", "", *map(_count, numbers), "", *map(_count, after)])
        source = f"{_count(totals['rows'])} rows"
        if self.n_files:
            source += f" from {self.n_files} file{'' if self.n_files == 1 else 's'}"
        noun = "study" if totals["studies"] == 1 else "studies"
        lines = [f"{totals['studies']} {noun}, {source}", "", _aligned(header, rows), ""]
        lines.append(f"matched sets by cases:controls: {_shapes_text(self.set_shapes, most=8) or 'none'}")
        if totals["sets_without_information"]:
            lines.append("one-sided sets hold only cases or only controls; they are dropped")
        return "\n".join(lines)


def check_pool(pool: PooledStudies) -> CheckReport:
    """Report what a pool holds and every problem with it.

    Parameters
    ----------
    pool : PooledStudies

    Returns
    -------
    CheckReport
        Besides what reading found: sets without information, and studies that cannot be calibrated
        (which the naive method does not need).

    Examples
    --------
    >>> import biocal as bc
    >>> pool = bc.PooledStudies.from_frame(bc.datasets.load_infertility(), reference="spontaneous")
    >>> report = bc.check_pool(pool)
    >>> report.set_shapes
    {(1, 1): 1, (1, 2): 82}
    >>> len(report.errors)
    0
    """
    log = ProblemLog()
    log.extend(calibration_problems(pool))
    flow: tuple[StudyFlow, ...]
    shapes: list[dict[tuple[int, int], int]] = [{} for _ in pool.study_names]
    total: dict[tuple[int, int], int] = {}
    try:
        used = select_outcome_rows(pool, {})
    except MatchedSetError as failure:
        log.add("error", "no-usable-set", str(failure), column=pool.roles.set)
        flow = failure.flow  # type: ignore[attr-defined]
    else:
        flow, total = used.flow, used.set_shapes
        shapes = [_shapes_of(used, used.study == s) for s in range(pool.n_studies)]
        log.extend(used.problems)
    log.extend(pool.problems)
    studies = tuple(
        StudyCheck(name, "reference" if pool.is_reference_study[s] else "local", flow[s], shapes[s])
        for s, name in enumerate(pool.study_names)
    )
    others = tuple(problem for problem in log.found if problem.level != "error")
    return CheckReport(studies, total, len(pool.files), log.errors + others)


def calibration_problems(pool: PooledStudies) -> tuple[Problem, ...]:
    """Return what forbids calibrating a study; empty when every local study can be calibrated.

    A local study needs `MIN_CALIBRATION_PAIRS` pairs of values, and local values that differ among
    them.
    """
    log = ProblemLog()
    who = "persons" if pool.in_calibration[pool.is_case].any() else "controls"
    for s in np.flatnonzero(~pool.is_reference_study):
        name = pool.study_names[s]
        pairs = np.flatnonzero(pool.in_calibration & (pool.study == s))
        local = pool.local_assay[pairs]
        if pairs.size < MIN_CALIBRATION_PAIRS:
            found = {0: "no calibration pairs", 1: "1 calibration pair"}
            message = (
                f"study '{name}' has {found.get(pairs.size, f'{pairs.size} calibration pairs')} "
                f"({who} with a local and a reference value); at least {MIN_CALIBRATION_PAIRS} are needed"
            )
            column = pool.roles.reference
            place = pool.place(int(np.flatnonzero(pool.study == s)[0]))
            log.add(
                "error",
                "too-few-pairs",
                message,
                file=place["file"],
                column=column,
                study=name,
                count=int(pairs.size),
            )
        elif np.ptp(local) <= _EQUAL * np.abs(local).max():
            message = (
                f"study '{name}': the local values of all {pairs.size} calibration pairs are {local[0]:g}; "
                "a calibration line needs values that differ"
            )
            place = pool.place(int(pairs[0]))
            log.add(
                "error",
                "constant-local",
                message,
                column=pool.roles.local,
                study=name,
                count=int(pairs.size),
                **place,
            )
    return tuple(log.found)


def _shapes_of(used: OutcomeRows, mine: NDArray[np.bool_]) -> dict[tuple[int, int], int]:
    """Shapes of the sets of one study."""
    if not mine.any():
        return {}
    code = used.set_code[mine] - used.set_code[mine][0]
    cases = np.bincount(code, weights=used.is_case[mine]).astype(np.intp)
    controls = np.bincount(code) - cases
    return count_shapes(cases, controls)


def _shape_words(shapes: dict[tuple[int, int], int]) -> dict[str, int]:
    return {f"{cases}:{controls}": count for (cases, controls), count in shapes.items()}


def _shapes_text(shapes: dict[tuple[int, int], int], most: int = 3) -> str:
    """The commonest shapes, e.g. "1:1 (253), 1:2 (80)"."""
    common = sorted(shapes.items(), key=lambda item: (-item[1], item[0]))
    words = [f"{cases}:{controls} ({_count(count)})" for (cases, controls), count in common[:most]]
    if len(common) > most:
        words.append(f"{len(common) - most} other shapes")
    return ", ".join(words)


def _study_cells(one: StudyCheck) -> list[str]:
    flow = one.flow
    numbers = [flow.rows_read, flow.sets, flow.cases, flow.controls]
    pairs = "" if one.kind == "reference" else _count(flow.calibration_pairs)
    after = [pairs, _count(flow.without_local), _count(one.sets_without_information)]
    return [one.study, one.kind, *map(_count, numbers), _shapes_text(one.set_shapes), *after]


def _count(number: int) -> str:
    return f"{number:,}"


def _aligned(header: list[str], rows: list[list[str]]) -> str:
    """Columns padded to their widest cell; words left, numbers right; headers of two lines stand low."""
    left = {0, 1, 6}
    names = [name.split("\n") if "\n" in name else ["", name] for name in header]
    table = [[name[0] for name in names], [name[1] for name in names], *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
    return "\n".join(lines)
