"""Which column plays which part, and what a missing one may have been called."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from biocal.errors import OptionError
from biocal.study.spelling import one_spelling

#: A column of this name is taken for the person when there is one.
DEFAULT_PERSON = "person"


@dataclass(frozen=True, slots=True)
class ColumnRoles:
    """Names of the columns that the analysis is built on.

    Attributes
    ----------
    study, set : str
        Study and matched set; set ids are unique within a study only.
    case : str
        1 for a case, 0 for a control.
    local, reference : str
        Biomarker measured by the study's own laboratory and by the reference laboratory.
    person : str or None
        Person id, when a person may appear in several sets; its absence is no error under the default name.
        None: every row is a person of its own, whatever the columns.
    """

    study: str = "study"
    set: str = "set"
    case: str = "case"
    local: str = "local"
    reference: str = "reference"
    person: str | None = DEFAULT_PERSON

    def __post_init__(self) -> None:
        part_of: dict[str, str] = {}
        for part in self.__slots__:
            name = getattr(self, part)
            if name is None and part == "person":
                continue
            if not isinstance(name, str) or not name.strip():
                raise OptionError(f"the {part} column must be named by a word, not {name!r}", option=part)
            name = one_spelling(name)
            object.__setattr__(self, part, name)
            if name in part_of and part == "person" and name == DEFAULT_PERSON:
                object.__setattr__(self, "person", None)  # the column plays another part
                continue
            if name in part_of:
                message = f"column '{name}' is named both as {part_of[name]} and as {part}; name two columns"
                raise OptionError(message, option=part)
            part_of[name] = part

    @property
    def named(self) -> tuple[str, ...]:
        """Every column that has a part."""
        names = (self.study, self.set, self.case, self.local, self.reference)
        return names if self.person is None else (*names, self.person)


def near_names(wanted: str, available: Iterable[str], *, most: int = 3) -> list[str]:
    """Return the available names that look like the wanted one, best first.

    Letter case, spaces and underscores do not count against a name: ``Case ID`` is near ``case_id``.
    """
    plain_names: dict[str, list[str]] = {}
    for name in available:
        plain_names.setdefault(_plain(name), []).append(name)
    close = difflib.get_close_matches(_plain(wanted), list(plain_names), n=most, cutoff=0.6)
    return [name for plain in close for name in plain_names[plain]][:most]


def did_you_mean(wanted: str, available: Iterable[str]) -> str:
    """Return ``"; did you mean 'a' or 'b'?"``, or nothing when no name is near."""
    near = near_names(wanted, available)
    return f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ""


def columns_there(wanted: str, available: Iterable[str], *, most: int = 20) -> str:
    """Return ``"; the columns are a, b, ...; did you mean 'a'?"``: what there is first, then what is near."""
    names = list(map(str, available))
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"; the columns are {', '.join(names[:most])}{more}{did_you_mean(wanted, names)}"


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter not in " _-.")


def same_but_for_spelling(one: str, other: str) -> bool:
    """Whether two names differ only in letter case, spaces, underscores, dots and hyphens."""
    return _plain(one) == _plain(other)
