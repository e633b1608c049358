"""One scenario read from the sections of a design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from biocal.errors import DesignError
from biocal.simulation.design.joint_checks import require_sound
from biocal.simulation.design.keys import Problems, as_integer, keys_of, read_record, read_value
from biocal.simulation.design.scenario import (
    Covariate,
    Disease,
    Estimand,
    ExposureLaw,
    FitPlan,
    Matching,
    Measurement,
    Scenario,
    StudyDesign,
)
from biocal.simulation.design.truth import Truth

#: The sections of a design and their records.
SECTIONS: dict[str, type] = {
    "exposure": ExposureLaw,
    "truth": Truth,
    "measurement": Measurement,
    "covariates": Covariate,
    "matching": Matching,
    "disease": Disease,
    "fit": FitPlan,
    "estimand": Estimand,
    "studies": StudyDesign,
}
#: Sections that may occur several times, as in [[studies]].
LISTS = ("covariates", "studies")
_REQUIRED = ("exposure", "truth", "estimand", "studies")
#: Keys of a study: those of its record, and how many studies like it there are.
#: Ours: no consortium has more studies.
MOST_COPIES = 1_000
STUDY_KEYS = (*keys_of(StudyDesign), "copies")

# A key of the left is read only when that of the right has one of these values.
_READ_WHEN: dict[str, tuple[str, tuple[str, ...]]] = {
    "exposure.weights": ("exposure.law", ("mixture",)),
    "exposure.means": ("exposure.law", ("mixture",)),
    "exposure.sds": ("exposure.law", ("mixture",)),
    "truth.beta": ("truth.type", ("rcs", "linear")),
    "truth.knots": ("truth.type", ("rcs",)),
    "truth.formula": ("truth.type", ("expression",)),
    "measurement.df": ("measurement.error", ("t",)),
    "measurement.skewness": ("measurement.error", ("skewed",)),
    "measurement.sd_trend": ("measurement.error", ("heteroscedastic",)),
    "disease.size": ("disease.type", ("cohort",)),
    "disease.prevalence": ("disease.type", ("cohort",)),
    "fit.knots": ("fit.exposure", ("rcs",)),
}


def read_scenario(spec: Mapping[str, Any], methods: tuple[str, ...], problems: Problems) -> Scenario | None:
    """Read one scenario; None with problems noted when it cannot be.

    Parameters
    ----------
    spec : mapping
        A design without [vary].
    methods : tuple of str
    problems : Problems
        Gets whatever is wrong.
    """
    records: dict[str, Any] = {}
    for section, record in SECTIONS.items():
        if section not in spec:
            if section in _REQUIRED:
                name = f"[[{section}]]" if section in LISTS else f"[{section}]"
                problems.add(section, f"the section {name} is missing")
            continue
        if section in LISTS:
            records[section] = _read_list(section, record, spec[section], problems)
        else:
            records[section] = read_record(record, spec[section], section, problems)
    if all(section in records for section in _REQUIRED) and all(
        each is not None for each in records.values()
    ):
        try:
            return require_sound(Scenario(**records, methods=methods))
        except DesignError as fault:
            _note(fault, spec, problems)
            return None
    _note_sections(records, problems)
    return None


def _read_list(section: str, record: type, tables: Any, problems: Problems) -> tuple[Any, ...] | None:
    """Read the records of [[covariates]] or [[studies]]; a study may stand for several."""
    if not isinstance(tables, Sequence) or isinstance(tables, str):
        problems.add(section, f"must be a list of tables, each headed [[{section}]]")
        return None
    found: list[Any] = []
    for k, table in enumerate(tables):
        place = f"{section}[{k}]"
        copies = 1
        if section == "studies" and isinstance(table, Mapping) and "copies" in table:
            copies = _read_copies(table["copies"], f"{place}.copies", problems)
            table = {key: value for key, value in table.items() if key != "copies"}
        one = read_record(record, table, place, problems)
        if copies == 1 or one is None:
            found.append(one)
        else:
            found += [_copy(table, record, place, number) for number in range(1, copies + 1)]
    return None if any(one is None for one in found) else tuple(found)


def _read_copies(value: Any, place: str, problems: Problems) -> int:
    copies = read_value(as_integer, value, place, problems)
    if copies is None:
        return 1
    if copies < 0:
        problems.add(place, f"must be 0 or more, not {copies}")
        return 1
    if copies > MOST_COPIES:
        problems.add(place, f"must be {MOST_COPIES:,} or fewer, not {copies:,}")
        return 1
    return int(copies)


def _copy(table: Mapping[str, Any], record: type, place: str, number: int) -> Any:
    """The study that is this copy of a table: names get its number."""
    return read_record(record, {**table, "name": f"{table['name']}{number}"}, place, Problems())


def _note(fault: DesignError, spec: Mapping[str, Any], problems: Problems) -> None:
    """Note the problems of a scenario under the keys of the file, where copies are one table."""
    places = [
        k
        for k, table in enumerate(spec["studies"])
        for _ in range(int(table.get("copies", 1)) if isinstance(table, Mapping) else 1)
    ]
    for key, message in fault.pairs:  # type: ignore[attr-defined]
        if key.startswith("studies["):
            index, _, rest = key.removeprefix("studies[").partition("]")
            key = f"studies[{places[int(index)]}]{rest}"
        problems.add(key, message)


def _note_sections(records: Mapping[str, Any], problems: Problems) -> None:
    """Note what is wrong within the sections that could be read, when others could not."""
    from biocal.simulation.design import checks

    by_record: dict[type, Any] = {
        ExposureLaw: checks.check_exposure,
        Truth: checks.check_truth,
        Measurement: checks.check_measurement,
        Covariate: checks.check_covariate,
        Matching: checks.check_matching,
        Disease: checks.check_disease,
        FitPlan: checks.check_fit,
        Estimand: checks.check_estimand,
        StudyDesign: checks.check_study,
    }
    for section, found in records.items():
        if found is None:
            continue
        several = section in LISTS
        for k, one in enumerate(found if several else (found,)):
            place = f"{section}[{k}]" if several else section
            for key, message in by_record[type(one)](one):
                problems.add(f"{place}.{key}", message)


def unused_keys(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Keys that are given but not read, with the reason."""
    unused = []
    for key, (decisive, values) in _READ_WHEN.items():
        section, _, name = key.partition(".")
        table = spec.get(section)
        if not isinstance(table, Mapping) or name not in table:
            continue
        defaults = {"exposure.law": "normal", "measurement.error": "normal", "disease.type": "rare"}
        defaults["fit.exposure"] = "rcs"
        if table.get(decisive.partition(".")[2], defaults.get(decisive)) not in values:
            wanted = " or ".join(f'"{value}"' for value in values)
            unused.append((key, f"is not used unless {decisive} is {wanted}"))
    for k, table in enumerate(spec.get("covariates", ()) if isinstance(spec.get("covariates"), list) else ()):
        if isinstance(table, Mapping) and "prevalence" in table and table.get("type") != "binary":
            unused.append((f"covariates[{k}].prevalence", 'is not used unless the type is "binary"'))
    matching = spec.get("matching")
    if isinstance(matching, Mapping) and "strata_share" in matching and "strata" not in matching:
        unused.append(("matching.strata_share", "is not used without matching.strata"))
    truth = spec.get("truth")
    if isinstance(truth, Mapping) and "heterogeneity_of" in truth and not truth.get("heterogeneity"):
        unused.append(("truth.heterogeneity_of", "is not used without truth.heterogeneity"))
    return unused
