"""What the rounds have settled of the effect modifier, as requests carry it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from biocal.errors import MessageError
from biocal.federated import schema
from biocal.federated.tasks import MOST_TERMS


@dataclass(frozen=True, slots=True)
class AgreedModifier:
    """What is settled of the effect modifier.

    Attributes
    ----------
    n_columns : int
    main : tuple of int
        Columns that are main effects of their own.
    own_variances : dict of str to tuple of int
        As :class:`~biocal.sums.modifier.Modifier` has them.
    """

    n_columns: int = 0
    main: tuple[int, ...] = ()
    own_variances: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def variances(self, study: str) -> int:
        """Residual variances of a local study."""
        return 1 + len(self.own_variances.get(study, ()))


def modifier_out(modifier: AgreedModifier) -> dict[str, Any]:
    """As a request carries it."""
    return {
        "n_columns": modifier.n_columns,
        "main": list(modifier.main),
        "own_variances": {name: list(codes) for name, codes in modifier.own_variances.items()},
    }


def modifier_in(value: Any) -> AgreedModifier:
    """Read what a request says is settled of the modifier; raises MessageError."""
    found = schema.record(value, "agreed.modifier", ("n_columns", "main", "own_variances"))
    n = schema.whole(found["n_columns"], "agreed.modifier.n_columns", most=MOST_TERMS)
    main = _codes(0, n - 1)(found["main"], "agreed.modifier.main")
    own = schema.table(found["own_variances"], "agreed.modifier.own_variances", _codes(1, n))
    return AgreedModifier(n, main, own)


def _codes(least: int, most: int) -> Callable[[Any, str], tuple[int, ...]]:
    """Reader of increasing whole numbers within bounds."""

    def read(value: Any, where: str) -> tuple[int, ...]:
        numbers = schema.listed(
            value, where, lambda one, place: schema.whole(one, place, least=least, most=most)
        )
        if any(b <= a for a, b in pairwise(numbers)):
            raise MessageError(f"{where}: not increasing numbers")
        return tuple(numbers)

    return read
