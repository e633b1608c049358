"""Labels of codes: which mean missing, and which name cases and controls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from biocal.pool.checks.notices import ProblemLog, counted
from biocal.pool.tables.cells import number_text

#: Labels of one column, by code.
Labels = Mapping[float, str]

_MISSING = frozenset(
    {
        *(
            "missing",
            "unknown",
            "not known",
            "refused",
            "refusal",
            "refused to answer",
            "don't know",
            "dont know",
        ),
        *("do not know", "not applicable", "not available", "no answer", "not answered", "no response"),
        *("not stated", "not recorded", "not reported", "not ascertained", "n/a", "na"),
    }
)
_NUMBER_BEFORE = re.compile(r"^\s*-?\d+\s*[.:=)-]?\s+")
_NOT_CASE = re.compile(r"\b(?:non|not an?|not|no)[\s-]*cases?\b")
_CASE, _CONTROL = re.compile(r"\bcases?\b"), re.compile(r"\bcontrols?\b")
#: Words that tell what 1 and 0 must mean without naming cases or controls.
_LIKE_CASE = frozenset({"yes", "true", "affected", "diseased", "ill", "sick"})
_LIKE_CONTROL = frozenset({"no", "false", "unaffected", "healthy", "well", "disease-free", "not affected"})


def stata_labels(reader: Any) -> dict[str, dict[float, str]]:
    """Value labels of a Stata file's variables, by variable and code; the file must have been read."""
    by_name = reader.value_labels()
    # pandas has no public way from a variable to the name of its labels
    pairs = zip(reader._varlist, reader._lbllist, strict=True)
    return {
        str(variable): {float(code): str(label) for code, label in by_name[name].items()}
        for variable, name in pairs
        if name in by_name
    }


def blank_missing_labels(
    frame: pd.DataFrame, labels: Mapping[str, Labels], file: str, log: ProblemLog
) -> pd.DataFrame:
    """Blank the cells whose code is labelled as missing, and tell how many by code."""
    blanked: dict[str, pd.Series[Any]] = {}
    for name, of_code in labels.items():
        for code, label in of_code.items():
            if _plain(label) not in _MISSING:
                continue
            there = frame[name] == code
            count = int(there.sum())
            if count:
                blanked[name] = blanked.get(name, frame[name]).mask(there)
                message = (
                    f"{counted(count, 'cell')} with {number_text(code)}, which the file labels '{label}'; taken as "
                    "missing. If it is a level of its own, give it another label"
                )
                log.add("warning", "missing-label", message, file=file, column=name, count=count)
    return frame.assign(**blanked)


def case_meaning(label: str) -> bool | None:
    """Whether a label names cases (True) or controls (False); None when it names neither, or both."""
    plain = _plain(label)
    without = _NOT_CASE.sub("", plain)
    case = _CASE.search(without) is not None
    control = without != plain or _CONTROL.search(plain) is not None
    return case if case != control else None


def contradicts_code(code: float, label: str) -> bool:
    """Whether 1 is labelled like a control ("no", "healthy") or 0 like a case ("yes", "affected")."""
    return _plain(label) in {1.0: _LIKE_CONTROL, 0.0: _LIKE_CASE}.get(code, frozenset())


def _plain(label: str) -> str:
    """A label without the number before it ("0. case"), in small letters."""
    return _NUMBER_BEFORE.sub("", label).strip().casefold().replace("\u2019", "'")
