"""What the comparisons of pinned numbers share: relative differences, and how they are told."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd


class Difference(NamedTuple):
    """One pinned quantity: the largest |biocal - R| of its entries over the largest |R|."""

    grid: str
    quantity: str
    size: float


def read_persons(path: Path) -> pd.DataFrame:
    """Read a table whose column ``design`` is text and whose others are numbers, to the last bit."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return pd.DataFrame(
        {name: [row[name] if name == "design" else float(row[name]) for row in rows] for name in rows[0]}
    )


def relative_differences(
    grid: str, pinned: Mapping[str, Any], found: Mapping[str, Any]
) -> Iterable[Difference]:
    """Compare every pinned quantity of a grid; infinite where shapes or blanks differ."""
    for quantity, value in pinned.items():
        expected = np.array(value, dtype=float)  # null is NaN
        got = np.asarray(found[quantity], dtype=float)
        if expected.shape != got.shape or np.any(np.isnan(expected) != np.isnan(got)):
            yield Difference(grid, quantity, np.inf)
            continue
        gap = np.nan_to_num(np.abs(got - expected)).max(initial=0.0)
        size = np.nan_to_num(np.abs(expected)).max(initial=0.0)
        yield Difference(grid, quantity, float(gap / size if size > 0 else gap))


def tell(
    folder: Path,
    differences: Callable[[Mapping[str, Any]], Iterable[Difference]],
    tolerances: Mapping[str, float],
) -> int:
    """Print the largest difference of each quantity; return 1 when one is beyond its tolerance.

    The pins are those named on the command line, else those of the folder.  The tolerance of a quantity
    that has none of its own is that of "".
    """
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else folder / "pins.json"
    rows = list(differences(json.loads(path.read_text(encoding="utf-8"))))
    status = 0
    for quantity in dict.fromkeys(row.quantity for row in rows):
        worst = max((row for row in rows if row.quantity == quantity), key=lambda row: row.size)
        tolerance = tolerances.get(quantity, tolerances[""])
        fine = worst.size <= tolerance
        status |= not fine
        print(f"{quantity:32} {worst.size:9.2e}  {worst.grid}{'' if fine else f'  BEYOND {tolerance:g}'}")
    return int(status)
