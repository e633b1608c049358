"""Every public name says what it takes, what it gives, what it raises, and shows an example that runs.

The sections are those of numpydoc.  That examples run is seen by pytest, which collects the doctests of biocal/.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

import biocal


def sections(text: str) -> set[str]:
    """Titles that are underlined."""
    lines = text.splitlines()
    return {title for title, line in pairwise(lines) if re.fullmatch(r"-{3,}", line.strip())}


def public_functions(owner: type) -> Iterator[tuple[str, Any]]:
    """Methods that a class defines itself; properties and attributes are told by the class."""
    for name, member in vars(owner).items():
        plain = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if not name.startswith("_") and inspect.isfunction(plain):
            yield name, plain


def everything() -> dict[str, Any]:
    """Public names, methods of public classes, functions of the data module."""
    found: dict[str, Any] = {}
    for name in biocal.__all__:
        member = getattr(biocal, name)
        if inspect.ismodule(member):
            found |= {f"{name}.{inner}": getattr(member, inner) for inner in member.__all__}
        elif callable(member):
            found[name] = member
        if inspect.isclass(member) and not issubclass(member, BaseException):
            found |= {f"{name}.{method}": function for method, function in public_functions(member)}
    return found


EVERYTHING = everything()


@pytest.mark.parametrize("name", EVERYTHING)
def test_a_public_docstring_has_what_it_should(name):
    member = EVERYTHING[name]
    text = inspect.getdoc(member) or ""
    assert text.strip(), f"{name} has no docstring"
    there = sections(text)
    is_error = inspect.isclass(member) and issubclass(member, BaseException)
    if ("." not in name and not is_error) or name.startswith("datasets."):
        assert "Examples" in there, f"{name} shows no example"
        assert ">>> " in text
    if inspect.isclass(member):
        return
    signature = inspect.signature(member)
    taken = [parameter for parameter in signature.parameters if parameter not in ("self", "cls")]
    if taken:
        assert "Parameters" in there, f"{name} does not tell {', '.join(taken)}"
    for parameter in taken:
        told = re.search(rf"^(?:.*, )?\*{{0,2}}{parameter}(?:,.*)?(?: :|$)", text, flags=re.MULTILINE)
        assert told, f"{name} does not tell {parameter}"
    if signature.return_annotation not in (None, "None"):
        assert "Returns" in there, f"{name} does not tell what it returns"
    if re.search(r"^\s+raise \w", inspect.getsource(member), flags=re.MULTILINE):
        assert "Raises" in there, f"{name} does not tell what it raises"


def test_a_missing_section_would_be_seen():
    assert sections("One line.\n\nReturns\n-------\nint") == {"Returns"}
    assert {"fit", "Fit.tidy", "datasets.load_vitamin_d", "PooledStudies.from_frame"} <= set(EVERYTHING)
