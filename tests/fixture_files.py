"""The fixtures of tests/data/fixtures: synthetic pools, and answers made by programs that share nothing with biocal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

FOLDER = Path(__file__).parent / "data" / "fixtures"


def read_answers(name: str) -> dict[str, Any]:
    """Answers of fixture `name`."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def read_rows(name: str) -> pd.DataFrame:
    """Rows of fixture `name`."""
    return pd.read_csv(FOLDER / f"{name}.csv")
