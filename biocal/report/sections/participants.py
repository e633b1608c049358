"""Who was read, left out and used, by study, with small counts hidden where asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from biocal.pool.checks.notices import Problem
from biocal.report.disclosure import Disclosure, hidden_cells, with_totals
from biocal.report.page import ReportTable
from biocal.results.model import Sample
from biocal.results.text import count

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]
FloatArray = NDArray[np.float64]

#: What becomes of a study's rows: they add up to the rows read.
_FATES = (
    ("calibration_only", "no set (calibration only)"),
    ("not_selected", "not selected"),
    ("without_local", "no local value"),
    ("missing_covariate", "covariate missing"),
    ("rows_in_dropped_sets", "set without case or control"),
    ("cases", "cases used"),
    ("controls", "controls used"),
)
_CASES, _CONTROLS, _READ = 5, 6, 7
#: What is lost by withholding a count: one that was left out, the rows read, a person analysed (our choice).
_COSTS = (*(1.0,) * 5, 1e6, 1e6, 1e4)
_COST_OF_A_TOTAL = 20.0

#: Findings in the data, by code, that the table of participants does not show.
_FINDINGS: Mapping[str, str] = {
    "negative-value": "negative values, used as they are",
    "case-with-reference": "cases of local studies that have a reference value",
    "local-ignored": "local values in reference studies, not used",
    "case-without-set": "cases with a blank set, which enter no outcome model",
    "unused-row": "rows with a blank set that are no calibration pair, not used",
    "person-twice": "persons entered twice in one matched set",
    "person-blank": "blank persons",
    "row-twice": "rows equal in every column to another row",
    "not-a-number": "entries that are no numbers, ignored",
    "decimal-comma": "numbers with a decimal comma",
    "blank-row": "rows without any value, left out",
    "delimiter": "files with columns separated by another sign than a comma",
    "encoding": "files in another character set than UTF-8",
    "byte-order-mark": "files with a byte-order mark",
    "renamed-column": "files in which a column was found under a near name",
    "unnamed-column": "files with columns without a name, left out",
    "near-column": "optional columns that may have been meant under another name",
}
_IN_THE_TABLE = ("without-local", "missing-covariate", "set-without-case", "set-without-control")


@dataclass(frozen=True)
class Participants:
    """The flow of participants under a rule of disclosure.

    Attributes
    ----------
    sample : Sample
    disclosure : Disclosure
    """

    sample: Sample
    disclosure: Disclosure

    @cached_property
    def counts(self) -> IntArray:
        """Fates by study with totals, shape (S + 1, 8); the last column holds the rows read."""
        flow = self.sample.flow
        return with_totals(
            np.array([[getattr(one, name) for name, _ in _FATES] for one in flow], dtype=np.intp)
        )

    @cached_property
    def sets(self) -> IntArray:
        """Sets used by study, then in all, shape (S + 1,)."""
        used = [one.sets for one in self.sample.flow]
        return np.array([*used, sum(used)], dtype=np.intp)

    @cached_property
    def hidden(self) -> BoolArray:
        """Which of `counts` are not told; sets are told where cases are."""
        unknown = self._uncounted()
        if not self.disclosure.active:
            return unknown
        cost = self.counts + np.array(_COSTS)
        cost[-1] *= _COST_OF_A_TOTAL
        return unknown | hidden_cells(self.counts, self.disclosure.limit, cost, ((_CASES, _CONTROLS),))

    def _uncounted(self) -> BoolArray:
        """Counts that a site of a federated fit does not tell, and their totals."""
        hidden = np.zeros(self.counts.shape, dtype=np.bool_)
        sums = self.sample.sums
        names = () if sums is None else sums.uncounted
        rows = [s for s, one in enumerate(self.sample.flow) if one.study in names]
        for row in [*rows, -1] if rows else []:
            hidden[row, :_CASES] = hidden[row, _READ] = True
        return hidden

    def cell(self, row: int, column: int) -> str:
        """A count as the page shows it; row -1 holds the totals."""
        return self.disclosure.count(int(self.counts[row, column]), withheld=bool(self.hidden[row, column]))

    def set_cell(self, row: int) -> str:
        """The sets used by a study; row -1: by all."""
        return self.disclosure.count(int(self.sets[row]), withheld=bool(self.hidden[row, _CASES]))

    @property
    def read(self) -> str:
        """Rows read."""
        return self.cell(-1, _READ)

    @property
    def cases(self) -> str:
        """Cases used."""
        return self.cell(-1, _CASES)

    @property
    def controls(self) -> str:
        """Controls used."""
        return self.cell(-1, _CONTROLS)

    def of_study(self, name: str) -> tuple[str, str]:
        """Sets and cases of a study, as every table of the page shows them."""
        row = next(s for s, one in enumerate(self.sample.flow) if one.study == name)
        return self.set_cell(row), self.cell(row, _CASES)

    def tells_rows_of(self, name: str) -> bool:
        """Whether the rows with a measurement may be told: with the rows read they give those without."""
        row = next(s for s, one in enumerate(self.sample.flow) if one.study == name)
        return not self.hidden[row].any()

    def table(self) -> ReportTable:
        """Read, left out and used by study."""
        shown = [k for k in range(_CASES) if self.counts[-1, k]]
        if not shown and self._uncounted().any():
            shown = [k for k, (name, _) in enumerate(_FATES[:_CASES]) if name != "not_selected"]
        header = ("Study", "Rows read", *(f"Left out: {_FATES[k][1]}" for k in shown))
        header += ("Sets used", "Cases used", "Controls used")
        rows = [
            (name, self.cell(s, _READ), *(self.cell(s, k) for k in shown), *self._used(s))
            for s, name in [*enumerate(one.study for one in self.sample.flow), (-1, "All studies")]
        ]
        return ReportTable("Participants by study", header, rows[:-1], foot=rows[-1], note=self._note())

    def _used(self, row: int) -> tuple[str, str, str]:
        return self.set_cell(row), self.cell(row, _CASES), self.cell(row, _CONTROLS)

    def boxes(self) -> list[tuple[str, str, str]]:
        """The steps from reading to analysis: kind of box, heading, words."""
        files = self.sample.files
        source = f"from {count(len(files), 'file')}" if files else "from one table"
        source = source if self.sample.sums is None else f"from {self.sample.sums.source}"
        studies = count(self.sample.n_studies, "study", "studies")
        boxes = [("read", f"{self.read} rows read", f"{source}, {studies}")]
        reasons = {
            0: "had no matched set: they serve the calibration only",
            1: "were not selected by the condition asked for",
            2: "of local studies had no local value: dropped in every method",
            3: f"missed a covariate{self._missing()}",
            4: f"stood in sets that were then left without a case or a control{self._one_sided()}",
        }
        boxes += [
            ("lost", f"{self.cell(-1, k)} rows", words) for k, words in reasons.items() if self.counts[-1, k]
        ]
        if self._uncounted().any():
            told = "not every site tells how many it read and left out: see the table"
            boxes = [("read", "Rows", f"{source}, {studies}; {told}")]
        used = f"{self.cases} cases and {self.controls} controls"
        return [
            *boxes,
            ("used", f"{self.set_cell(-1)} matched sets used", f"{used}, the same for every method"),
        ]

    def shapes(self) -> str:
        """How many cases and controls a set has, with rare shapes together."""
        shapes = sorted(self.sample.set_shapes.items(), key=lambda item: -item[1])
        if not shapes:
            return "not shown, at some site a size is rarer than its minimum" if self.sample.sums else ""
        least = max(self.disclosure.limit, 1)
        shown = [item for item in shapes[:6] if item[1] >= least]
        rest = shapes[len(shown) :]
        while shown and rest and sum(n for _, n in rest) < least:
            rest = [shown.pop(), *rest]
        words = [f"{self._set_count(n)} of {cases}:{controls}" for (cases, controls), n in shown]
        if rest:
            words.append(f"{self._set_count(sum(n for _, n in rest))} of {count(len(rest), 'other shape')}")
        return "; ".join(words)

    def _set_count(self, n: int) -> str:
        return self.disclosure.count(n, withheld=bool(self.hidden[-1, _CASES]))

    def _missing(self) -> str:
        """Which covariates were missing; in how many rows only where no number is small."""
        missing: dict[str, int] = {}
        for one in self.sample.flow:
            for name, n in one.missing_by_variable.items():
                missing[name] = missing.get(name, 0) + n
        if self.disclosure.active:
            return f" ({', '.join(missing)})" if missing else ""
        return f" ({', '.join(f'{name} {n:,}' for name, n in missing.items())})" if missing else ""

    def _one_sided(self) -> str:
        if self.disclosure.active:
            return ""
        no_case = sum(one.sets_without_case for one in self.sample.flow)
        no_control = sum(one.sets_without_control for one in self.sample.flow)
        return f" ({count(no_case, 'set')} without a case, {count(no_control, 'set')} without a control)"

    def _note(self) -> str:
        if self._uncounted().any():
            return (
                "withheld: not told by the site that holds the study, for some count of rows left out is below its "
                "minimum."
            )
        if not self.hidden.any():
            return ""
        return (
            f"<{self.disclosure.limit}: a count of 1 to {self.disclosure.limit - 1}. withheld: a larger count from "
            "which such a count would follow by subtraction."
        )


def finding_table(problems: Sequence[Problem], disclosure: Disclosure) -> ReportTable | None:
    """What reading found, by kind; neither rows nor their places are named.

    Parameters
    ----------
    problems : sequence of Problem
        Warnings and notes of the pool.
    disclosure : Disclosure
    """
    found: dict[str, list[Problem]] = {}
    for problem in problems:
        if problem.code not in _IN_THE_TABLE:
            found.setdefault(problem.code, []).append(problem)
    if not found:
        return None
    rows = []
    for code, some in found.items():
        studies = list(dict.fromkeys(problem.study for problem in some if problem.study))
        n = sum(problem.count or 1 for problem in some)
        what = _FINDINGS.get(code, code.replace("-", " "))
        rows.append((what, ", ".join(studies) or "all files", disclosure.count(n)))
    return ReportTable("Found on reading the data", ("What", "Study", "How many"), rows, left=2)
