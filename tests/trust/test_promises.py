"""The list of promises names tests and places that are there."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROMISES = tomllib.loads((ROOT / "tests/trust/promises.toml").read_text(encoding="utf-8"))["promise"]


@pytest.mark.parametrize("promise", PROMISES, ids=[one["id"] for one in PROMISES])
def test_a_promise_names_a_test_and_one_place_that_would_break_it(promise):
    path, _, name = promise["test"].partition("::")
    assert f"def {name.partition('[')[0]}(" in (ROOT / path).read_text(encoding="utf-8")
    assert (ROOT / promise["file"]).read_text(encoding="utf-8").count(promise["before"]) == 1
    assert promise["before"] != promise["after"]
    assert promise["id"] in (ROOT / "docs/trust.md").read_text(encoding="utf-8")
