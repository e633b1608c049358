"""A small well-formed pool, written out so that each test can spoil one thing in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from biocal.errors import DataProblemsError
from biocal.pool.checks.notices import Problem
from biocal.pool.reading import read_studies

# One reference study R and one local study L with 3 calibration controls; lines 2 to 9.
HEADER = "study,set,case,local,reference,bmi"
ROWS = (
    "R,1,1,,50.5,22.5",
    "R,1,0,,61.25,27",
    "L,1,1,40,,24",
    "L,1,0,45,52,31",
    "L,2,1,38,,26.5",
    "L,2,0,51,60,23",
    "L,3,1,47,,29",
    "L,3,0,58,66.5,21",
)


@pytest.fixture
def lines() -> list[str]:
    """The well-formed pool as lines; line k of the file is ``lines[k - 1]``."""
    return [HEADER, *ROWS]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write lines (or bytes) to a file and return its path."""

    def write_file(content: list[str] | bytes, name: str = "pool.csv") -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else ("\n".join(content) + "\n").encode())
        return str(path)

    return write_file


@pytest.fixture
def problems_of() -> Callable[..., tuple[Problem, ...]]:
    """Read files that must be refused and return what was told."""

    def read_and_fail(files: object, **options: object) -> tuple[Problem, ...]:
        with pytest.raises(DataProblemsError) as refused:
            read_studies(files, **options)  # type: ignore[arg-type]
        problems: tuple[Problem, ...] = refused.value.problems  # type: ignore[attr-defined]
        assert any(problem.level == "error" for problem in problems)
        assert str(refused.value) == "\n".join(map(str, problems))
        return problems

    return read_and_fail
