"""How much a covariate formula asks for: found out before patsy multiplies it out."""

from __future__ import annotations

from typing import Any

from biocal.errors import FormulaError

# Ours: far beyond what a model of matched sets can bear, and written out in no time.
MOST_CHARACTERS = 5_000
MOST_TERMS = 1_000
#: Levels of a factor; more are ids or numbers taken for words.
MOST_LEVELS = 1_000
#: Degrees of freedom, or degree, of a spline.
MOST_DEGREES = 100


def require_moderate(formula: str) -> None:
    """Refuse a formula that would fill time or memory.

    Raises
    ------
    FormulaError
        It is too long, or stands for too many terms: ``a*b*c*...`` doubles with each factor.
    patsy.PatsyError
        It cannot be understood.
    """
    if len(formula) > MOST_CHARACTERS:
        shown = f"{formula[:40]}..."
        raise FormulaError(
            f"formula '{shown}' has {len(formula):,} characters, more than the {MOST_CHARACTERS:,} allowed",
            formula=formula,
            name=shown,
        )
    from patsy.parse_formula import parse_formula

    terms = _most_terms(parse_formula(formula))
    if terms > MOST_TERMS:
        raise FormulaError(
            f"formula '{shortened(formula)}' stands for more than {MOST_TERMS:,} terms; name those that are "
            "meant, joined by +",
            formula=formula,
            name="*",
        )


def shortened(text: str, most: int = 200) -> str:
    """Return a text that fits into a line of a message."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _most_terms(node: Any) -> int:
    """A bound on the terms that a node of patsy's syntax tree stands for, cut off above `MOST_TERMS`."""
    found: int
    parts = [_most_terms(part) for part in node.args]
    if node.type == "**":
        found = (1 + parts[0]) ** min(_whole(node.args[1]), parts[0])
    elif node.type == ":" and len(parts) == 2:
        found = parts[0] * parts[1]
    elif node.type == "*" and len(parts) == 2:
        found = parts[0] + parts[1] + parts[0] * parts[1]
    else:
        found = max(1, sum(parts))
    return min(found, MOST_TERMS + 1)


def _whole(node: Any) -> int:
    """The exponent of a power of terms; what is no whole number is refused by patsy."""
    text = str(getattr(node.token, "extra", ""))
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else MOST_TERMS
