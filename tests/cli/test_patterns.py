"""Patterns among the files: those of the standard library, in bounded time."""

from __future__ import annotations

import glob
import os

import pytest

import biocal.cli.options.spec
from biocal.cli.options.spec import PatternTooWideError, matching_files

FILES = (
    "a.csv",
    "b10.csv",
    "b9.csv",
    ".hidden.csv",
    "x/c.csv",
    "x/y/d.csv",
    "x/.h/e.csv",
    "x/[q]/f.csv",
    "n.txt",
)
PATTERNS = (
    "*.csv",
    "b?.csv",
    "[ab]*.csv",
    "**/*.csv",
    "x/**",
    "**/d.csv",
    "*/*.csv",
    ".*.csv",
    "**/y/*",
    "*/y/../*.csv",
)


@pytest.fixture
def tree(tmp_path):
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    return tmp_path


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("absolute", [False, True])
def test_a_pattern_stands_for_what_the_standard_library_finds(pattern, absolute, tree, monkeypatch):
    monkeypatch.chdir(tree)
    wanted = os.path.join(tree, pattern) if absolute else pattern
    expected = {os.path.normpath(one) for one in glob.glob(wanted, recursive=True) if not os.path.isdir(one)}
    found = [one for one in matching_files("", wanted) if not os.path.isdir(one)]
    assert {os.path.normpath(one) for one in found} == expected
    assert len(set(found)) == len(found)


def test_numbers_in_names_are_in_their_order(tree):
    found = matching_files(str(tree), "b*.csv")
    assert [os.path.basename(one) for one in found] == ["b9.csv", "b10.csv"]


def test_a_folder_whose_name_holds_brackets_is_taken_as_it_is(tree):
    assert len(matching_files(str(tree / "x" / "[q]"), "*.csv")) == 1


def test_a_pattern_that_looks_at_too_much_is_refused(tree, monkeypatch):
    monkeypatch.setattr(biocal.cli.options.spec, "MOST_VISITED", 5)
    with pytest.raises(PatternTooWideError, match="more than 5 files and folders; begin it with the folder"):
        matching_files(str(tree), "**/*.csv")
