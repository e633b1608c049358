"""A site's memory: which persons earlier answers were about, and how many rounds were answered.

Two answers about populations that differ by one person tell that person's values by subtraction.  The ledger
keeps, for every session answered, a keyed hash of each row that entered a sum; a new session is refused when
all sessions together would tell apart a group of fewer persons than the site's minimum.  Any sum or difference of
answers is then a sum over groups that are large enough, however many sessions are combined.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import DisclosureError, InputError
from biocal.pool.formulas.levels import column_kinds
from biocal.pool.pooled import PooledStudies
from biocal.remote.sites.messages.messages import kept_json
from biocal.remote.sites.plan import Plan
from biocal.remote.sites.site.site_problem import SiteProblem
from biocal.system.files import replace_file

#: Part of a population: a study and the role in which its rows are summed.
Population = dict[str, frozenset[str]]
_HASH_BYTES = 10


def population_of(site: SiteProblem, plan: Plan, key: bytes) -> Population:
    """Keyed hashes of the rows that enter the sums, by study and role.

    Parameters
    ----------
    site : SiteProblem
    plan : Plan
    key : bytes
        The site's own; without it hashes can neither be made nor tried.

    Notes
    -----
    A row is its study, set, person and measurements; for each covariate a further role holds them with the
    covariate's value, so that a corrected value counts as a different person.
    """
    pool, prepared = site.pool, site.prepared
    rows = np.union1d(prepared.outcome_rows.rows, prepared.calibration_pool_rows)
    persons = None if pool.roles.person is None else pool.frame[pool.roles.person].astype(object).to_numpy()
    identity = {row: _identity(pool, row, persons) for row in rows.tolist()}
    used = {one.name for text in plan.formula_texts().values() for one in column_kinds(pool, text)}
    found: dict[str, set[str]] = {}
    for role, members in (
        ("outcome model", prepared.outcome_rows.rows),
        ("calibration", prepared.calibration_pool_rows),
    ):
        for row in members.tolist():
            _add(found, pool, row, role, identity[row], key)
    for name in sorted(used):
        values = pool.frame[name].astype(object).to_numpy()
        for row in rows.tolist():
            _add(found, pool, row, f"column '{name}'", f"{identity[row]}\x1f{values[row]}", key)
    return {place: frozenset(members) for place, members in found.items()}


def _identity(pool: PooledStudies, row: int, persons: NDArray[Any] | None) -> str:
    code = pool.set_code[row]
    person = "" if persons is None else str(persons[row])
    parts = (
        pool.study_names[pool.study[row]],
        "" if code < 0 else pool.set_labels[code],
        person,
        str(int(pool.is_case[row])),
        repr(float(pool.local_assay[row])),
        repr(float(pool.reference_assay[row])),
    )
    return "\x1f".join(parts)


def _add(
    found: dict[str, set[str]], pool: PooledStudies, row: int, role: str, content: str, key: bytes
) -> None:
    members = found.setdefault(f"{pool.study_names[pool.study[row]]}: {role}", set())
    spelt, times = f"{role}\x1f{content}", 0
    hashed = _hash(spelt, key)
    while hashed in members:  # rows alike in everything count as different persons
        times += 1
        hashed = _hash(f"{spelt}\x1f{times}", key)
    members.add(hashed)


def _hash(text: str, key: bytes) -> str:
    return hashlib.blake2b(text.encode(), key=key, digest_size=_HASH_BYTES).hexdigest()


@dataclass(frozen=True, slots=True)
class AnsweredSession:
    """One session as the ledger remembers it.

    Attributes
    ----------
    session : str
    title : str
        What it was about, for people.
    plan : str
        Digest of the plan.
    requests : tuple of str
        Digests of the requests answered, in order of the rounds.
    population : Population
    """

    session: str
    title: str
    plan: str
    requests: tuple[str, ...]
    population: Population = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ledger:
    """All sessions that a site has answered, oldest first."""

    sessions: tuple[AnsweredSession, ...] = ()

    def find(self, session: str) -> AnsweredSession | None:
        """The session of that id, or None."""
        return next((one for one in self.sessions if one.session == session), None)

    def require_no_small_difference(self, session: str, population: Population, minimum: int) -> None:
        """Refuse a session that, with those answered before, tells few persons apart.

        Raises
        ------
        DisclosureError
            Some group of persons with the same membership in all sessions is smaller than `minimum`.
        """
        earlier = [one for one in self.sessions if one.session != session]
        for place, members in population.items():
            others = [one.population[place] for one in earlier if place in one.population]
            smallest = smallest_group([*others, members])
            if others and smallest < minimum:
                few = "1 row" if smallest == 1 else f"{smallest} rows"
                raise DisclosureError(
                    f"{place}: with what was answered in earlier sessions, this one would tell {few} "
                    f"apart from the others, fewer than {minimum}: their values would follow by subtraction. "
                    f"Answer from the same rows as before, or from rows that differ by at least {minimum}",
                    place=place,
                    smallest=smallest,
                )

    def with_answer(self, answered: AnsweredSession) -> Ledger:
        """The ledger with a session added, or brought up to date."""
        others = [one for one in self.sessions if one.session != answered.session]
        return Ledger((*others, answered))


def smallest_group(populations: list[frozenset[str]]) -> int:
    """Size of the smallest group of members that are in exactly the same populations; 0 is never returned."""
    groups: dict[int, int] = {}
    everybody = frozenset().union(*populations)
    for member in everybody:
        pattern = 0
        for k, population in enumerate(populations):
            pattern |= (member in population) << k
        groups[pattern] = groups.get(pattern, 0) + 1
    return min(groups.values(), default=1_000_000_000)


def read_ledger(path: Path) -> Ledger:
    """Read a ledger; an absent one is empty.

    Raises
    ------
    InputError
        The file is there but is no ledger: without it nothing may be answered.
    """
    try:
        content = kept_json(path)
        return Ledger(
            tuple(
                AnsweredSession(
                    one["session"],
                    one["title"],
                    one["plan"],
                    tuple(one["requests"]),
                    {place: frozenset(members) for place, members in one["population"].items()},
                )
                for one in content["sessions"]
            )
        )
    except FileNotFoundError:
        return Ledger()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise InputError(
            f"{path}: this site's ledger cannot be read ({type(fault).__name__}); put it back from a copy. Without "
            "it the site cannot tell what it has answered, and answers nothing",
            path=str(path),
        ) from fault


def write_ledger(path: Path, ledger: Ledger) -> None:
    """Write a ledger, whole or not at all."""
    content = {"sessions": [_session_out(one) for one in ledger.sessions]}
    replace_file(path, (json.dumps(content, indent=0) + "\n").encode())


def _session_out(one: AnsweredSession) -> Mapping[str, Any]:
    return {
        "session": one.session,
        "title": one.title,
        "plan": one.plan,
        "requests": list(one.requests),
        "population": {place: sorted(members) for place, members in one.population.items()},
    }
