"""What a site tells of the effect modifier: made and guarded at the site, read and checked at the centre."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from biocal.errors import DisclosureError, MessageError
from biocal.fitting.problem.modifier import FEW_VALUES, is_number
from biocal.fitting.problem.units import level_codes
from biocal.fitting.sums.modifier import MOST_LEVELS, LevelHere, ModifierPart, StudyLevels, modifier_of_part
from biocal.remote.sites.messages import schema
from biocal.remote.sites.site.guard import require_persons
from biocal.remote.sites.site.site_problem import SiteProblem

#: Most calibration pairs of a study (our choice): the centre writes down the level of each.
MOST_PAIRS = 1_000_000


def modifier_message(site: SiteProblem, minimum: int) -> dict[str, Any] | None:
    """Levels of the modifier with their persons, and which of them each local study has; None without one.

    The values of a number are told where they are few and each is many persons'; else not at all.

    Raises
    ------
    DisclosureError
        A level that few persons have.
    """
    found = modifier_of_part(site.pool, site.prepared)
    if found is None:
        return None
    levels = found.levels
    if is_number(found.names) and (
        levels is None or len(levels) > FEW_VALUES or any(one.persons < minimum for one in levels)
    ):
        levels = None
    elif levels is None:
        raise DisclosureError("the modifier has more levels than can be told; merge some of them")
    for one in levels or ():
        require_persons(
            one.persons, minimum, f"level '{one.label}' of the modifier: persons of the outcome model"
        )
    if found.indicator:
        _require_levels_of_studies(site, found, minimum)
    return {
        "names": list(found.names),
        "indicator": found.indicator,
        "equal_covariates": [sorted(one) for one in found.equal_covariates],
        "equal_calibration": [sorted(one) for one in found.equal_calibration],
        "levels": None if levels is None else [_level_message(one) for one in levels],
        "studies": {
            name: {"used": list(one.used), "pairs": [[code, n] for code, n in one.pairs.items()]}
            for name, one in found.studies.items()
        },
    }


def _require_levels_of_studies(site: SiteProblem, found: ModifierPart, minimum: int) -> None:
    codes, studies = level_codes(site.problem.modifier.T), site.problem.calibration_rows.study
    for s, name in enumerate(site.problem.local_names):
        for n in np.unique(codes[studies == s], return_counts=True)[1].tolist():
            require_persons(
                n, minimum, f"study '{name}': persons of the outcome model at a level of the modifier"
            )
        for n in found.studies[name].pairs.values():
            require_persons(n, minimum, f"study '{name}': calibration pairs at a level of the modifier")


def _level_message(level: LevelHere) -> dict[str, Any]:
    return {"values": list(level.values), "label": level.label, "persons": level.persons}


def read_modifier(value: Any, variables: tuple[str, ...], local_names: Sequence[str]) -> ModifierPart:
    """Read what a site with these local studies tells of the modifier; raises MessageError.

    Parameters
    ----------
    value : Any
        Of the message.
    variables : tuple of str
        Columns of the data that the modifier is made of.
    local_names : sequence of str
    """
    where = "modifier"
    keys = ("names", "indicator", "equal_covariates", "equal_calibration", "levels", "studies")
    found = schema.record(value, where, keys)
    names = tuple(schema.listed(found["names"], f"{where}.names", schema.text))
    if not names:
        raise MessageError(f"{where}.names: none")
    indicator = schema.truth(found["indicator"], f"{where}.indicator")
    schema.named(found["studies"], f"{where}.studies", local_names if indicator else ())

    def equal(key: str) -> tuple[frozenset[str], ...]:
        def words(one: Any, place: str) -> frozenset[str]:
            return frozenset(schema.listed(one, place, schema.text))

        return tuple(schema.listed(found[key], f"{where}.{key}", words, length=len(names)))

    return ModifierPart(
        names,
        variables,
        indicator,
        equal("equal_covariates"),
        equal("equal_calibration"),
        None if found["levels"] is None else _levels(found["levels"], f"{where}.levels", len(names)),
        {
            name: _study_levels(one, f"{where}.studies.{name}", len(names))
            for name, one in found["studies"].items()
        },
    )


def _levels(value: Any, where: str, n_columns: int) -> tuple[LevelHere, ...]:
    def level(one: Any, place: str) -> LevelHere:
        found = schema.record(one, place, ("values", "label", "persons"))
        return LevelHere(
            tuple(schema.vector(found["values"], f"{place}.values", n_columns).tolist()),
            schema.text(found["label"], f"{place}.label"),
            schema.whole(found["persons"], f"{place}.persons", least=1),
        )

    levels = tuple(schema.listed(value, where, level))
    if not 1 <= len(levels) <= MOST_LEVELS or len({one.values for one in levels}) < len(levels):
        raise MessageError(f"{where}: 1 to {MOST_LEVELS} levels, each once")
    return levels


def _study_levels(value: Any, where: str, n_columns: int) -> StudyLevels:
    def code(one: Any, place: str) -> int:
        return schema.whole(one, place, most=n_columns)

    found = schema.record(value, where, ("used", "pairs"))
    used = schema.listed(found["used"], f"{where}.used", code)
    pairs = schema.listed(
        found["pairs"], f"{where}.pairs", lambda one, place: schema.listed(one, place, schema.whole, length=2)
    )
    codes = [code(one[0], f"{where}.pairs") for one in pairs]
    if len(set(codes)) < len(codes) or len(set(used)) < len(used) or not used:
        raise MessageError(f"{where}: levels that are told twice, or none")
    if sum(one[1] for one in pairs) > MOST_PAIRS:
        raise MessageError(f"{where}.pairs: more than {MOST_PAIRS:,}")
    return StudyLevels(tuple(used), dict(zip(codes, (one[1] for one in pairs), strict=True)))
