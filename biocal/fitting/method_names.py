"""The names of the methods, apart from the methods themselves, so that asking for one loads none."""

from __future__ import annotations

from biocal.errors import OptionError

#: In the order in which they are shown.
METHODS = ("naive", "internalized", "full", "induced", "two-stage")


def require_methods(methods: tuple[str, ...]) -> None:
    """Raise OptionError, listing those that exist, for a method that does not."""
    for method in methods:
        if method not in METHODS:
            raise OptionError(f"method {method!r} is not one of {', '.join(METHODS)}, all", allowed=METHODS)
