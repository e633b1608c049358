"""Every error and warning biocal raises.

Messages say what was found, where, and what to do.  The facts also travel as attributes, so that
callers need not parse text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any


class BiocalError(Exception):
    """Base of all errors that biocal raises on purpose.

    Parameters
    ----------
    message : str
        What was found, where, and what to do.
    **facts
        The same facts as values; each becomes an attribute.
    """

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        for name, value in facts.items():
            setattr(self, name, value)


class InputError(BiocalError, ValueError):
    """Something the caller gave cannot be used; the caller can mend it."""


class ColumnError(InputError):
    """A column is missing, doubled, or holds values of the wrong kind."""


class MatchedSetError(InputError):
    """The matched sets cannot be used: none has both a case and a control."""


class CalibrationDesignError(InputError):
    """A calibration cannot be fitted: too few pairs, or no spread among them."""


class SeasonDesignError(InputError):
    """A study's controls do not tell its season: too few, or drawn at too few times of the year (studies)."""


class FormulaError(InputError):
    """A covariate formula names unknown columns or cannot be parsed."""


class OptionError(InputError):
    """An option has a value that is not allowed; the message lists those that are."""


class DataProblemsError(InputError):
    """One or more problems found while reading or checking data.

    Attributes
    ----------
    problems : tuple of Problem
        Every problem found, each with file, line and column where known.
    lines : mapping of file to set of int, or None
        All lines with errors, when each error lies in lines of its own and the other lines could be looked at.
    """

    def __init__(self, problems: Sequence[Any], lines: Mapping[str | None, Set[int]] | None = None) -> None:
        super().__init__("\n".join(str(one) for one in problems), problems=tuple(problems), lines=lines)


class OutputError(InputError):
    """Results cannot be written to the place asked for."""


class DesignError(InputError):
    """A simulation design holds something that cannot be.

    Attributes
    ----------
    problems : tuple of str
        Every problem found, each naming its key as written in the file.
    pairs : tuple of (str, str)
        The same as key and message.
    """

    def __init__(self, problems: Sequence[str], pairs: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__("\n".join(problems), problems=tuple(problems), pairs=tuple(pairs))


class MessageError(InputError):
    """A message of a federated fit cannot be accepted: malformed, altered, or of another round or session."""


class DisclosureError(InputError):
    """A site refuses to answer: what was asked for could tell of single persons."""


class FitError(BiocalError):
    """The data are legal, but the model cannot be fitted to them."""


class ConvergenceError(FitError):
    """The maximum was not found (attributes: iterations, decrement)."""


class SeparationError(FitError):
    """The likelihood has no finite maximum (attribute: terms)."""


class SingularInformationError(FitError):
    """Columns are collinear (attribute: terms)."""


class SimulationError(BiocalError):
    """The simulation itself failed; a replicate whose fit fails is data, not this."""


class BiocalWarning(UserWarning):
    """Base of all warnings that biocal issues."""
