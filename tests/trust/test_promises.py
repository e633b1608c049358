"""The list of promises names tests and places that are there, and is the list of docs/trust.md."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
from broken_source import changed_source

ROOT = Path(__file__).parents[2]
PROMISES = tomllib.loads((ROOT / "tests/trust/promises.toml").read_text(encoding="utf-8"))["promise"]
#: A row of the tables of docs/trust.md that begins with the id of a promise.
ROW = re.compile(r"^\| `([a-z0-9-]+)` \| \S.* \| \S.* \|$", re.MULTILINE)


@cache
def content(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("promise", PROMISES, ids=[one["id"] for one in PROMISES])
def test_a_promise_names_a_test_and_one_place_that_would_break_it(promise):
    path, _, name = promise["test"].partition("::")
    assert f"def {name.partition('[')[0]}(" in content(path)
    file, broken = changed_source(ROOT, promise)
    assert broken != file.read_text(encoding="utf-8")
    if file.suffix == ".py":  # a test that cannot even be imported would notice nothing
        compile(broken, file, "exec")


def test_the_tables_of_the_documentation_hold_each_promise_once():
    told = ROW.findall(content("docs/trust.md"))
    assert sorted(told) == sorted(promise["id"] for promise in PROMISES)


def test_no_two_promises_are_broken_alike():
    ways = {tuple(one[key] for key in sorted(one) if key not in ("id", "text")) for one in PROMISES}
    assert len(ways) == len(PROMISES) == len({one["id"] for one in PROMISES})
