"""Levels by which parts coded apart code alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def united_levels(found: Sequence[tuple[Any, ...]]) -> tuple[Any, ...] | None:
    """The levels of all parts together, in order; None when parts order them each in a way of its own."""
    if all(list(one) == sorted(one) for one in found):
        return tuple(sorted(set().union(*found)))
    return found[0] if all(one == found[0] for one in found) else None
