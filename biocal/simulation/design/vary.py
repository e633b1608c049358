"""The table [vary] of a design: a full factorial over any keys."""

from __future__ import annotations

import copy
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from biocal.pool.checks.columns import did_you_mean
from biocal.simulation.design.checks import LOCAL_KEYS
from biocal.simulation.design.keys import Problems
from biocal.simulation.design.scenarios import LISTS, SECTIONS, STUDY_KEYS

#: Ours: each is read and checked before the first is drawn.
MOST_SCENARIOS = 10_000
#: Keys that all scenarios share: replicates are paired by their number, and methods compared, within the study.
OF_THE_STUDY = ("title", "replicates", "seed", "methods")
_INDEXED = re.compile(r"(\w+)\[(\d+)\]\.(\w+)")


@dataclass(frozen=True)
class Variation:
    """The scenarios' specifications.

    Attributes
    ----------
    keys : tuple of str
        Varied keys, as written.
    levels : tuple of dict
        What each is in each scenario.
    specs : tuple of dict
        The design with these levels put in.
    """

    keys: tuple[str, ...]
    levels: tuple[dict[str, Any], ...]
    specs: tuple[dict[str, Any], ...]


class _NoSuchKeyError(Exception):
    """A varied key is not one of the design; the message says so."""


def read_variation(spec: Mapping[str, Any], problems: Problems) -> Variation:
    """Read [vary] and put each combination of its levels into the design."""
    table = spec.get("vary", {})
    if not isinstance(table, Mapping):
        problems.add("vary", "must be a table of keys, each with a list of values")
        table = {}
    values_of: dict[str, list[Any]] = {}
    for key, values in _flat(table):
        place = f'vary."{key}"'
        if not isinstance(values, list | tuple) or not values:
            problems.add(place, "must be a list of one or more values")
            continue
        try:
            _put(copy.deepcopy(dict(spec)), key, values[0])
        except _NoSuchKeyError as fault:
            problems.add(place, str(fault))
            continue
        shown = [_label(value) for value in values]
        for k, value in enumerate(shown):
            if value in shown[:k]:
                problems.add(place, f"holds {value} twice")
        values_of[key] = list(values)
    levels, specs = [], []
    n_scenarios = math.prod(len(values) for values in values_of.values())
    if n_scenarios > MOST_SCENARIOS:
        problems.add("vary", f"makes {n_scenarios:,} scenarios, more than the {MOST_SCENARIOS:,} allowed")
        values_of = {}
    for combination in itertools.product(*values_of.values()):
        changed = copy.deepcopy({key: value for key, value in spec.items() if key != "vary"})
        # a whole section first: it would take the place of keys within it
        for key, value in sorted(zip(values_of, combination, strict=True), key=lambda pair: "." in pair[0]):
            _put(changed, key, copy.deepcopy(value["value"] if _is_labelled(value) else value))
        specs.append(changed)
        levels.append({key: _label(value) for key, value in zip(values_of, combination, strict=True)})
    return Variation(tuple(values_of), tuple(levels), tuple(specs))


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Keys written without quotes arrive as nested tables: studies.sets = [..] is {studies: {sets: ..}}."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _is_labelled(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {"label", "value"}


def _label(value: Any) -> Any:
    """A level as one number or text."""
    if _is_labelled(value):
        return value["label"]
    if isinstance(value, str | int | float | bool):
        return value
    return json.dumps(value, default=str)


def _put(spec: dict[str, Any], key: str, value: Any) -> None:
    """Put a value into the design under a key such as ``truth.beta`` or ``studies.calibrators``."""
    indexed = _INDEXED.fullmatch(key)
    section, _, rest = (indexed[1], "", indexed[3]) if indexed else key.partition(".")
    if section not in SECTIONS:
        raise _NoSuchKeyError(_no_such(key))
    if not rest:
        spec[section] = value
        return
    if section not in LISTS:
        if rest not in {each.name for each in fields(SECTIONS[section])}:
            raise _NoSuchKeyError(_no_such(key))
        table = spec.setdefault(section, {})
        if isinstance(table, dict):
            table[rest] = value
        return
    known = STUDY_KEYS if section == "studies" else tuple(each.name for each in fields(SECTIONS[section]))
    tables = [table for table in spec.get(section, []) if isinstance(table, dict)]
    if indexed:
        tables = tables[int(indexed[2]) : int(indexed[2]) + 1]
    elif rest not in known:
        name, _, rest = rest.rpartition(".")
        tables = [table for table in tables if str(table.get("name")) == name]
    elif section == "studies" and rest in LOCAL_KEYS:
        tables = [table for table in tables if table.get("laboratory", "local") != "reference"]
    if rest not in known or not tables:
        raise _NoSuchKeyError(_no_such(key))
    for table in tables:
        table[rest] = value


def _no_such(key: str) -> str:
    if key in OF_THE_STUDY:
        return "belongs to the whole study and cannot be varied; run a design for each"
    known = [f"{section}.{each.name}" for section, record in SECTIONS.items() for each in fields(record)]
    known += ["studies.copies", *SECTIONS]
    hint = did_you_mean(key, known)
    return "there is no such key" + (hint or '; write it as in "measurement.error" or "studies.sets"')
