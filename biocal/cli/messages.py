"""Messages to stderr, one line each."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from biocal.study.notices import Problem


def tell(level: str, text: str) -> None:
    """Print one line, ``level: text``, to stderr."""
    print(f"{level}: {' '.join(text.split())}", file=sys.stderr)


def tell_problems(problems: Iterable[Problem], *, quiet: bool = False) -> None:
    """Print problems found in data, one a line; with `quiet` only the errors."""
    for problem in problems:
        if problem.level == "error" or not quiet:
            tell(problem.level, str(problem))
