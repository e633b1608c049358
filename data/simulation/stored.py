"""Reading the stored studies, and numbers with their Monte Carlo errors as text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
METHODS = ("naive", "internalized", "full", "induced")
TEXT_KEYS = ("fit.calibration_covariates", "fit.calibration_variance")
SHAPES = {
    "[0.0, 0.0]": "null",
    "[-0.009, 0.0]": "linear",
    "[-0.02, 0.0266]": "J",
    "[-0.02, 0.0133]": "plateau",
}


def numbers(path: Path, words: Sequence[str]) -> pd.DataFrame:
    """A stored table, all columns but those of words as numbers."""
    # Python's own conversion: that of pandas differs in the last bit between its versions, and a tie rounds apart.
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    for name in frame.columns.difference(list(words)):
        frame[name] = [float(cell) if cell else float("nan") for cell in frame[name]]
    return frame


def read(study: str, table: str) -> pd.DataFrame:
    words = ("method", "minus", "truth.beta", *TEXT_KEYS)
    frame = numbers(HERE / "studies" / study / f"{table}.csv", words)
    if "truth.beta" in frame:
        frame["curve"] = frame["truth.beta"].map(SHAPES)
    return frame


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def with_error(value: float, error: float, digits: int = 3) -> str:
    return f"{value:.{digits}f} ({error:.{digits}f})" if np.isfinite(value) else ""
