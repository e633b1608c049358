"""A whole simulation study: scenarios by full factorial from one file, methods, replicates, seed."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from biocal.errors import DesignError
from biocal.simulation.design.checks import check_methods
from biocal.simulation.design.keys import (
    MOST_REPLICATES,
    Problems,
    as_integer,
    as_word,
    as_words,
    line_of,
    note_unknown,
    read_value,
)
from biocal.simulation.design.scenario import Scenario
from biocal.simulation.design.scenarios import SECTIONS, read_scenario, unused_keys
from biocal.simulation.design.vary import Variation, read_variation
from biocal.system.bytes import (
    LARGEST_TEXT_OF_OPTIONS,
    UnreadableTomlError,
    file_bytes,
    in_a_line,
    parse_toml,
)

__all__ = ["Design", "read_design", "read_toml_file"]

DEFAULT_METHODS = ("naive", "internalized", "full", "induced")
DEFAULT_REPLICATES = 1000
DEFAULT_SEED = 1
_TOP_KEYS = ("title", "replicates", "seed", "methods", *SECTIONS, "vary")


@dataclass(frozen=True)
class Design:
    """A simulation study.

    Attributes
    ----------
    title : str
    replicates : int
        Of each scenario.
    seed : int
    methods : tuple of str
    scenarios : tuple of Scenario
        The full factorial of the varied keys, the last key fastest; one without them.
    varied : tuple of str
        The varied keys, in the order of the file.
    levels : tuple of dict
        For each scenario, what each varied key is: a number, text or truth value; for a list or table its
        label, or else its JSON.
    spec : Mapping
        The design as it was read.
    """

    title: str
    replicates: int
    seed: int
    methods: tuple[str, ...]
    scenarios: tuple[Scenario, ...]
    varied: tuple[str, ...] = ()
    levels: tuple[dict[str, Any], ...] = ({},)
    spec: Mapping[str, Any] | None = None

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Design:
        """Read a design from a mapping with the keys of a design file.

        Raises
        ------
        DesignError
            Everything that is wrong with it, each with its key (attribute ``problems``).
        """
        return _read(mapping, None, "")

    def with_options(self, *, replicates: int | None = None, seed: int | None = None) -> Design:
        """Return the design with another number of replicates, or another seed.

        Raises
        ------
        DesignError
            Fewer than one replicate, or a negative seed.
        """
        problems = Problems()
        changed = replace(
            self,
            replicates=self.replicates if replicates is None else replicates,
            seed=self.seed if seed is None else seed,
        )
        _check_counts(changed.replicates, changed.seed, problems)
        _raise_if_any(problems, None, "")
        return changed

    def to_dict(self) -> dict[str, Any]:
        """The design as it was read, with the replicates, seed and methods in use."""
        numbers = {"replicates": self.replicates, "seed": self.seed, "methods": list(self.methods)}
        return copy.deepcopy({**(self.spec or {}), **numbers})


def read_design(source: str | PathLike[str] | Mapping[str, Any]) -> Design:
    """Read a simulation design from a TOML file, or from a mapping with the same keys.

    Parameters
    ----------
    source : path or mapping

    Returns
    -------
    Design

    Raises
    ------
    DesignError
        The file cannot be read, or everything that is wrong with it, each with file, line and key
        (attribute ``problems``).
    """
    if isinstance(source, Mapping):
        return Design.from_mapping(source)
    path = Path(source)
    mapping, text = read_toml_file(path, "a design")
    return _read(mapping, text, str(path))


def read_toml_file(path: Path, what: str) -> tuple[dict[str, Any], str]:
    """The content of a file that should be `what` ("a design"), and its text; raises DesignError."""
    name = in_a_line(path)
    try:
        text = file_bytes(path, most=LARGEST_TEXT_OF_OPTIONS).decode("utf-8-sig")
        return parse_toml(text), text
    except FileNotFoundError as fault:
        raise DesignError([f"{name}: there is no such file"]) from fault
    except OSError as fault:
        raise DesignError([f"{name}: cannot be read: {fault.strerror or fault}"]) from fault
    except UnicodeDecodeError as fault:
        raise DesignError([f"{name}: is not a text in UTF-8, as TOML is"]) from fault
    except tomllib.TOMLDecodeError as fault:
        raise DesignError([f"{name}: is not valid TOML: {fault}"]) from fault
    except UnreadableTomlError as fault:
        raise DesignError([f"{name}: is not {what}: {fault}"]) from fault


def _read(mapping: Mapping[str, Any], text: str | None, name: str) -> Design:
    """Read everything, and raise once with all that is wrong."""
    problems = Problems()
    spec = copy.deepcopy(dict(mapping))
    note_unknown(spec, _TOP_KEYS, "", problems)
    title = _top(spec, "title", as_word, "", problems)
    replicates = _top(spec, "replicates", as_integer, DEFAULT_REPLICATES, problems)
    seed = _top(spec, "seed", as_integer, DEFAULT_SEED, problems)
    methods = _top(spec, "methods", as_words, DEFAULT_METHODS, problems)
    _check_counts(replicates, seed, problems)
    for key, message in check_methods(methods):
        problems.add(key, message)
    variation = read_variation(spec, problems)
    scenarios = _read_scenarios(spec, methods, variation, problems)
    _raise_if_any(problems, text, name)
    return Design(
        title=title,
        replicates=replicates,
        seed=seed,
        methods=methods,
        scenarios=tuple(scenarios),
        varied=variation.keys,
        levels=variation.levels,
        spec=spec,
    )


def _top(spec: Mapping[str, Any], key: str, read: Any, default: Any, problems: Problems) -> Any:
    """A key outside sections, or its default."""
    if key not in spec:
        return default
    value = read_value(read, spec[key], key, problems)
    return default if value is None else value


def _check_counts(replicates: int, seed: int, problems: Problems) -> None:
    if replicates < 1:
        problems.add("replicates", f"must be 1 or more, not {replicates}")
    if replicates > MOST_REPLICATES:
        problems.add("replicates", f"must be {MOST_REPLICATES:,} or fewer, not {replicates:,}")
    if seed < 0:
        problems.add("seed", f"must be 0 or more, not {seed}")


def _read_scenarios(
    spec: Mapping[str, Any], methods: tuple[str, ...], variation: Variation, problems: Problems
) -> list[Scenario]:
    """Every scenario; a problem that only some of them have says which."""
    scenarios, found, unused = [], [], []
    for changed in variation.specs:
        own = Problems()
        scenario = read_scenario(changed, methods, own)
        found.append(own.found)
        unused.append(unused_keys(changed))
        if scenario is not None:
            scenarios.append(scenario)
    for level, own_problems in zip(variation.levels, found, strict=True):
        for problem in own_problems:
            key, message = problem
            if all(problem in others for others in found):
                problems.add(key, message)
            elif not any(key == known and message in text for known, text in problems.found):
                where = ", ".join(f"{name} = {value}" for name, value in level.items())
                problems.add(key, f"{message} (in the scenario of {where})")
    # A key that no scenario uses is a slip; one used at some level of another is not.
    for key, message in unused[0] if unused else ():
        if all((key, message) in others for others in unused):
            problems.add(key, message)
    return scenarios


def _raise_if_any(problems: Problems, text: str | None, name: str) -> None:
    if not problems.found:
        return
    lines = []
    for key, message in problems.found:
        line = None if text is None else line_of(text, key)
        place = "" if not name else f"{name}: " if line is None else f"{name}:{line}: "
        lines.append(f"{place}{key}: {message}")
    raise DesignError(lines, pairs=problems.found)
