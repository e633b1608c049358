"""What an option is: a word of the command line and a key of a spec, and how its values are read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum
from inspect import Parameter
from typing import Annotated, Any

import typer


class Kind(Enum):
    """Kinds of values; the text says what to write in a spec."""

    TEXT = 'a text, such as "bmi"'
    NUMBER = "a number, such as 0.95"
    WHOLE = "a whole number, such as 4"
    DAY = "annual, a date such as 2026-07-01, or a day of the year such as 182"
    FLAG = "true or false"
    TEXTS = 'a list of texts, such as ["naive", "full"]'
    NUMBERS = "a list of numbers, such as [30, 50, 70]"
    FACTORS = "a table of numbers, such as [scale_local] with the line Alder = 2.496"


#: What typer reads for a kind; several values and tables are words that are read later.
_TYPED: Mapping[Kind, Any] = {
    Kind.NUMBER: float | None,
    Kind.WHOLE: int | None,
    Kind.FLAG: bool,
    Kind.TEXTS: list[str] | None,
    Kind.FACTORS: list[str] | None,
}


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a command, and a key of a spec.

    Attributes
    ----------
    key : str
        With underscores; ``files`` are arguments.
    kind : Kind
    metavar, panel, help : str
        As ``--help`` shows them.
    choices : tuple of str
        Values allowed, where they are few.
    default : object
        What holds when nothing is said, for the record; None where there is no such value.
    exposures : tuple of str
        Kinds of exposure that know it; empty: all.
    needs : str
        Key of the option without which it has no meaning.
    of_fit : bool
        Whether `biocal.fit` has an argument of the same name.
    least, most : int or None
        Of a whole number.
    """

    key: str
    kind: Kind
    metavar: str = ""
    panel: str = ""
    help: str = ""
    choices: tuple[str, ...] = ()
    default: Any = None
    exposures: tuple[str, ...] = ()
    needs: str = ""
    of_fit: bool = False
    least: int | None = None
    most: int | None = None

    @property
    def name(self) -> str:
        """The long option: ``--knot-values`` of ``knot_values``."""
        return option_of(self.key)

    def info(self) -> Any:
        """What typer is told of it."""
        if self.key == "files":
            return typer.Argument(metavar=self.metavar, help=self.help, show_default=False)
        return typer.Option(
            self.name,
            metavar=self.metavar or None,
            help=self.help,
            rich_help_panel=self.panel or None,
            min=self.least,
            max=self.most,
            show_default=False,
        )

    def parameter(self) -> Parameter:
        """The parameter of a command's function."""
        kind = _TYPED.get(self.kind, str | None)
        default = False if self.kind is Kind.FLAG else None
        return Parameter(
            self.key, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, self.info()]
        )


def option_of(key: str) -> str:
    """The long option of a key: ``--knot-values`` of ``knot_values``."""
    return "--" + key.replace("_", "-")


def from_words(option: Option, value: Any) -> Any:
    """Read a value as typer hands it over.

    Raises
    ------
    ValueError
        With what is wrong.
    """
    if option.kind is Kind.NUMBERS:
        return [_number(part) for part in str(value).replace(",", " ").split()]
    if option.kind is Kind.FACTORS:
        what, example = ("LIMIT", "Alder=5") if option.key == "detection_limit" else ("FACTOR", "Alder=2.496")
        return _by_study(value, what, example)
    return require_choice(option, value)


def require_choice(option: Option, value: Any) -> Any:
    """Return the value; ValueError unless it is one of an option's few."""
    if option.choices and value not in option.choices:
        raise ValueError(f"'{value}' is not one of {', '.join(option.choices)}")
    return value


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(
            f"'{text}' is not a number; write numbers with commas between, such as 30,50,70"
        ) from None
    if not math.isfinite(number):
        raise ValueError(f"'{text}' is not a finite number")
    return number


def _by_study(words: list[str], what: str, example: str) -> dict[str, float]:
    """``STUDY=NUMBER`` words; a study's name may hold ``=``."""
    factors: dict[str, float] = {}
    for word in words:
        study, sign, factor = word.rpartition("=")
        if not sign or not study.strip():
            raise ValueError(f"'{word}' is not STUDY={what}, such as {example}")
        if study in factors:
            raise ValueError(f"study '{study}' has two {what.lower()}s")
        try:
            factors[study] = float(factor)
        except ValueError:
            point = f"; write {factor.replace(',', '.')}, with a point" if "," in factor else ""
            raise ValueError(f"'{factor}' of '{word}' is not a number{point}") from None
    return factors


def from_toml(option: Option, value: Any) -> Any:
    """Read a value of a spec; a single text or number stands for a list of one.

    Raises
    ------
    ValueError
        With what is wrong.
    """
    kind = option.kind
    if kind in (Kind.TEXTS, Kind.NUMBERS) and not isinstance(value, list):
        value = [value]
    # ids of studies may be numbers
    if kind is Kind.TEXTS and option.key in ("reference_study", "local_study"):
        value = [str(one) if _is(one, int | float) else one for one in value]
    if kind is Kind.DAY and (_is(value, int) or isinstance(value, date)):
        return str(value)
    if not _fits(kind, value):
        raise ValueError(f"expected {kind.value}, found {_shown(value)}")
    return require_choice(option, value)


def _fits(kind: Kind, value: Any) -> bool:
    if kind in (Kind.TEXT, Kind.DAY):
        return isinstance(value, str)
    if kind is Kind.FLAG:
        return isinstance(value, bool)
    if kind is Kind.WHOLE:
        return _is(value, int)
    if kind is Kind.NUMBER:
        return _is(value, int | float) and math.isfinite(value)
    if kind is Kind.TEXTS:
        return all(isinstance(one, str) for one in value)
    if kind is Kind.NUMBERS:
        return all(_is(one, int | float) and math.isfinite(one) for one in value)
    return isinstance(value, dict) and all(_is(one, int | float) for one in value.values())


def _is(value: Any, kind: Any) -> bool:
    """Whether a value is of a kind of number; true and false are not numbers."""
    return isinstance(value, kind) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
