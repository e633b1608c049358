"""The spec of a plan: a simulation's sections for what is guessed, and [plan] for what is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from biocal.errors import DesignError
from biocal.simulation.design.design import read_toml_file
from biocal.simulation.design.keys import (
    Problems,
    as_integer,
    as_word,
    line_of,
    note_unknown,
    read_record,
    read_value,
)
from biocal.simulation.design.scenario import Estimand, Scenario
from biocal.simulation.design.scenarios import SECTIONS, read_scenario, unused_keys
from biocal.simulation.planning.options import FEWEST, PlanOptions, check_options
from biocal.system.bytes import in_a_line

#: Keys that a design of `biocal simulate` has, and a plan has no use for.
_OF_SIMULATE = ("replicates", "methods")
_TOP_KEYS = ("title", "seed", *_OF_SIMULATE, "plan", "pilot", *SECTIONS)
DEFAULT_SEED = 1


@dataclass(frozen=True, slots=True)
class PlanSpec:
    """What a spec says.

    Attributes
    ----------
    title : str
    seed : int
        Of the one large study on which expectations are evaluated.
    options : PlanOptions
    scenario : Scenario or None
        Guesses; None with a pilot.
    pilot : str
        Path of the pilot's spec of `biocal fit`, as written; "" without.
    estimand : Estimand or None
        Exposures, with a pilot (optional there).
    notes : tuple of str
    source : str
        File of the spec.
    """

    title: str
    seed: int
    options: PlanOptions
    scenario: Scenario | None
    pilot: str = ""
    estimand: Estimand | None = None
    notes: tuple[str, ...] = ()
    source: str = ""


def read_plan(source: str | PathLike[str] | Mapping[str, Any]) -> PlanSpec:
    """Read a plan from a TOML file, or from a mapping with the same keys.

    Raises
    ------
    DesignError
        The file cannot be read, or everything that is wrong with it, each with file, line and key
        (attribute ``problems``).
    """
    if isinstance(source, Mapping):
        return _read(source, None, "")
    path = Path(source)
    mapping, text = read_toml_file(path, "a plan")
    return _read(mapping, text, str(path))


def _read(mapping: Mapping[str, Any], text: str | None, name: str) -> PlanSpec:
    problems = Problems()
    if "vary" in mapping:
        problems.add(
            "vary", "belongs to biocal simulate; a plan compares what plan.calibrators and plan.spread list"
        )
    note_unknown({k: v for k, v in mapping.items() if k != "vary"}, _TOP_KEYS, "", problems)
    title = read_value(as_word, mapping.get("title", ""), "title", problems)
    seed = read_value(as_integer, mapping.get("seed", DEFAULT_SEED), "seed", problems)
    if seed is not None and seed < 0:
        problems.add("seed", f"must be 0 or more, not {seed}")
    options = _options(mapping.get("plan", {}), problems)
    pilot, estimand, scenario = "", None, None
    notes: list[str] = []
    if "pilot" in mapping:
        pilot, estimand = _pilot(mapping, problems)
    else:
        scenario = _scenario(mapping, options, problems)
        if scenario is not None:
            _require_budget(scenario, options, problems)
            scenario, notes = _plannable(scenario, problems)
    _raise_if_any(problems, text, name)
    assert options is not None
    unused = [key for key in _OF_SIMULATE if key in mapping]
    if unused:
        notes.append(
            f"{' and '.join(unused)} belong to biocal simulate and are not used: nothing is replicated"
        )
    return PlanSpec(title or "", seed or 0, options, scenario, pilot, estimand, tuple(notes), name)


def _options(table: Any, problems: Problems) -> PlanOptions | None:
    if isinstance(table, Mapping):
        # one number or word stands for a list of one
        listed = {key: [table[key]] for key in ("calibrators", "spread") if _is_single(table.get(key))}
        table = {**table, **listed}
    options = read_record(PlanOptions, table, "plan", problems)
    if options is not None:
        for key, message in check_options(options):
            problems.add(f"plan.{key}", message)
    return options


def _is_single(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _pilot(mapping: Mapping[str, Any], problems: Problems) -> tuple[str, Estimand | None]:
    """The pilot's spec and, if given, the exposures."""
    table = mapping["pilot"]
    path = ""
    if not isinstance(table, Mapping):
        problems.add("pilot", 'must be a table such as [pilot] with spec = "analysis.toml"')
    else:
        note_unknown(table, ("spec",), "pilot", problems)
        if "spec" in table:
            path = read_value(as_word, table["spec"], "pilot.spec", problems) or ""
        else:
            problems.add(
                "pilot.spec", "is missing: the spec of biocal fit that reads and fits the pilot data"
            )
    for section in SECTIONS:
        if section in mapping and section != "estimand":
            problems.add(section, "is a guess, and the pilot's data stand for it; leave out one of the two")
    estimand = None
    if "estimand" in mapping:
        estimand = read_record(Estimand, mapping["estimand"], "estimand", problems)
    return path, estimand


def _scenario(mapping: Mapping[str, Any], options: PlanOptions | None, problems: Problems) -> Scenario | None:
    """The guesses as a scenario; a study without calibrators gets the first number that is compared."""
    spec = {key: mapping[key] for key in SECTIONS if key in mapping}
    filler = int(options.calibrators[0]) if options and options.calibrators else 30
    studies = spec.get("studies")
    if isinstance(studies, list):
        spec["studies"] = [
            {**study, "calibrators": filler}
            if isinstance(study, Mapping)
            and study.get("laboratory", "local") == "local"
            and "calibrators" not in study
            else study
            for study in studies
        ]
    for key, message in unused_keys(spec):
        problems.add(key, message)
    return read_scenario(spec, ("full",), problems)


def _require_budget(scenario: Scenario, options: PlanOptions | None, problems: Problems) -> None:
    """Refuse a budget that leaves some local study without a line."""
    n_local = sum(not study.is_reference for study in scenario.studies)
    budget = None if options is None else options.budget
    if budget is not None and 1 <= budget < FEWEST * n_local:
        problems.add(
            "plan.budget", f"{budget} for {n_local} local studies: each needs {FEWEST} or more for a line"
        )


def _plannable(scenario: Scenario, problems: Problems) -> tuple[Scenario, list[str]]:
    """The scenario without what no closed form covers, with what must be told."""
    notes = []
    if scenario.disease.type == "cohort":
        problems.add("disease.type", 'must be "rare" in a plan; biocal simulate draws finite cohorts')
    if scenario.measurement.cases:
        problems.add("measurement.cases", "must be false in a plan: calibrators are chosen among controls")
    if all(study.is_reference for study in scenario.studies):
        problems.add("studies", "must hold a local laboratory: there is nothing to calibrate otherwise")
    if scenario.truth.heterogeneity:
        scenario = replace(scenario, truth=replace(scenario.truth, heterogeneity=0.0))
        notes.append(
            "truth.heterogeneity is taken as 0: standard errors are those of one curve common to the studies, which "
            "are too small for the mean of curves that differ"
        )
    return scenario, notes


def _raise_if_any(problems: Problems, text: str | None, name: str) -> None:
    if not problems.found:
        return
    lines = []
    for key, message in problems.found:
        line = None if text is None else line_of(text, key)
        shown = in_a_line(name)
        place = "" if not name else f"{shown}: " if line is None else f"{shown}:{line}: "
        lines.append(f"{place}{key}: {message}")
    raise DesignError(lines, pairs=problems.found)
