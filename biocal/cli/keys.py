"""Every option that a spec may hold as a key, what kind of value it takes, and how that is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from enum import Enum
from typing import Any


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


KEYS: Mapping[str, Kind] = {
    "files": Kind.TEXTS,
    "study": Kind.TEXT,
    "set": Kind.TEXT,
    "case": Kind.TEXT,
    "local": Kind.TEXT,
    "reference": Kind.TEXT,
    "person": Kind.TEXT,
    "reference_study": Kind.TEXTS,
    "local_study": Kind.TEXTS,
    "scale_local": Kind.FACTORS,
    "calibrate_with_cases": Kind.FLAG,
    "detection_limit": Kind.FACTORS,
    "reference_detection_limit": Kind.NUMBER,
    "below_limit": Kind.TEXT,
    "local_flag": Kind.TEXT,
    "reference_flag": Kind.TEXT,
    "sensitivity": Kind.TEXTS,
    "method": Kind.TEXTS,
    "keep_going": Kind.FLAG,
    "residual_law": Kind.TEXT,
    "calibration_covariates": Kind.TEXT,
    "calibration_coefficients": Kind.TEXT,
    "calibration_form": Kind.TEXT,
    "calibration_estimator": Kind.TEXT,
    "calibration_knots": Kind.WHOLE,
    "batch": Kind.TEXT,
    "calibration_variance": Kind.TEXT,
    "exposure": Kind.TEXT,
    "knots": Kind.WHOLE,
    "knot_values": Kind.NUMBERS,
    "knot_probs": Kind.NUMBERS,
    "knot_rule": Kind.TEXT,
    "cuts": Kind.NUMBERS,
    "reference_category": Kind.TEXT,
    "covariates": Kind.TEXT,
    "matching": Kind.TEXT,
    "modifier": Kind.TEXT,
    "season": Kind.TEXT,
    "season_reference": Kind.DAY,
    "season_harmonics": Kind.WHOLE,
    "season_controls": Kind.TEXT,
    "where": Kind.TEXT,
    "calibrate_within": Kind.FLAG,
    "missing": Kind.TEXT,
    "imputation": Kind.TEXT,
    "imputation_files": Kind.FLAG,
    "small_sample": Kind.FLAG,
    "by": Kind.TEXTS,
    "subsite": Kind.TEXTS,
    "leave_one_out": Kind.FLAG,
    "ref": Kind.NUMBER,
    "at": Kind.NUMBERS,
    "level": Kind.NUMBER,
    "per": Kind.NUMBERS,
    "per_sd": Kind.FLAG,
    "aic": Kind.FLAG,
    "joint": Kind.TEXT,
    "seed": Kind.WHOLE,
    "bootstrap": Kind.WHOLE,
    "jobs": Kind.WHOLE,
    "strata": Kind.TEXT,
    "partitioned": Kind.FLAG,
    "scheduler": Kind.TEXT,
    "exposure_name": Kind.TEXT,
    "unit": Kind.TEXT,
    "outcome_name": Kind.TEXT,
    "suppress": Kind.WHOLE,
    "out": Kind.TEXT,
    "force": Kind.FLAG,
    "quiet": Kind.FLAG,
}

#: Keys of the specs of a federated fit alone.
FEDERATED_KEYS: Mapping[str, Kind] = {
    "sites": Kind.TEXTS,
    "site": Kind.TEXT,
    "minimum": Kind.WHOLE,
    "rounds": Kind.WHOLE,
    "secret_file": Kind.TEXT,
}

#: Values allowed, where they are few; methods are known to the estimators.
CHOICES: Mapping[str, tuple[str, ...]] = {
    "below_limit": ("lod", "lod/2", "lod/sqrt2", "censored"),
    "exposure": ("rcs", "linear", "categories"),
    "knot_rule": ("common", "published"),
    "residual_law": ("normal", "smearing"),
    "strata": ("calibrators", "deciles"),
    "calibration_coefficients": ("common", "by-study"),
    "missing": ("complete", "indicator"),
    "season_controls": ("other-sets", "all"),
    "calibration_form": ("linear", "log-log", "rcs"),
    "calibration_estimator": ("least-squares", "huber"),
    "calibration_variance": ("robust", "hc3"),
}

#: Ways to say one thing: a source may use one of them, and the command line's replaces the file's.
EXCLUSIVE = (("knots", "knot_values", "knot_probs"),)


def option_of(key: str) -> str:
    """The long option of a key: ``--knot-values`` of ``knot_values``."""
    return "--" + key.replace("_", "-")


def from_words(key: str, value: Any) -> Any:
    """Read a value as typer hands it over.

    Raises
    ------
    ValueError
        With what is wrong.
    """
    if KEYS[key] is Kind.NUMBERS:
        return [_number(part) for part in str(value).replace(",", " ").split()]
    if KEYS[key] is Kind.FACTORS:
        what, example = ("LIMIT", "Alder=5") if key == "detection_limit" else ("FACTOR", "Alder=2.496")
        return _by_study(value, what, example)
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


def from_toml(key: str, value: Any) -> Any:
    """Read a value of a spec; a single text or number stands for a list of one.

    Raises
    ------
    ValueError
        With what is wrong.
    """
    kind = FEDERATED_KEYS[key] if key in FEDERATED_KEYS else KEYS[key]
    if kind in (Kind.TEXTS, Kind.NUMBERS) and not isinstance(value, list):
        value = [value]
    # ids of studies may be numbers
    if kind is Kind.TEXTS and key in ("reference_study", "local_study"):
        value = [str(one) if _is(one, int | float) else one for one in value]
    if kind is Kind.DAY and (_is(value, int) or isinstance(value, date)):
        return str(value)
    if not _fits(kind, value):
        raise ValueError(f"expected {kind.value}, found {_shown(value)}")
    return value


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
