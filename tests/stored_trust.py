"""The script that writes docs/statistical-trust.md, as a module, and the tables that it reads."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from biocal.datasets import data_root

FOLDER = Path(str(data_root())) / "simulation"
TRUST = FOLDER / "trust"
#: A difference beyond so many Monte Carlo standard errors is not chance, in the handful looked at in each test.
CLEAR = 3.5


def load() -> ModuleType:
    specification = importlib.util.spec_from_file_location("make_trust", FOLDER / "make_trust.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


trust = load()
