"""Files that repeat each other's facts must not drift apart."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import biocal

ROOT = Path(__file__).resolve().parents[1]


def padded(version: str) -> tuple[int, ...]:
    """Return a version as three numbers, so that 2.2 and 2.2.0 are one."""
    numbers = [int(part) for part in version.split(".")[:3]]
    return (*numbers, *[0] * (3 - len(numbers)))


def lower_bounds() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = project["dependencies"] + project["optional-dependencies"]["test"]
    return dict(re.fullmatch(r"([\w-]+)>=([\d.]+)", each).groups() for each in requirements)


def test_the_oldest_versions_tested_are_those_that_the_package_allows():
    lines = (ROOT / "tests" / "constraints-oldest.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    for name, bound in lower_bounds().items():
        assert padded(pinned[name]) == padded(bound), name


@pytest.mark.parametrize(
    ("file", "pattern"), [("CITATION.cff", r"^version: (\S+)$"), ("CHANGELOG.md", r"^## (\S+)")]
)
def test_citation_and_changelog_know_the_version(file, pattern):
    text = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(pattern, text, flags=re.MULTILINE).group(1) == biocal.__version__
