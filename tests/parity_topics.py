"""Topics of R-compat/parity for the tests: pins, data hashes and the comparison of each.  R is not needed."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

PARITY = Path(__file__).parents[1] / "R-compat" / "parity"


class Topic:
    """One folder of R-compat/parity."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = PARITY / name
        self.pins: dict[str, Any] = json.loads((self.folder / "pins.json").read_text(encoding="utf-8"))
        self.grids: dict[str, Any] = self.pins["grids"]

    def compare(self) -> ModuleType:
        """The folder's compare.py."""
        spec = importlib.util.spec_from_file_location(f"{self.name}_compare", self.folder / "compare.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module

    def require_own_data(self, packages: set[str], files: set[str]) -> None:
        """The pins name R, the packages and the data beside them, byte for byte."""
        hashes = {f"{file.replace('.', '_', 1)}_sha256": file for file in files}
        assert set(self.pins["made_with"]) == {"R", *packages, *hashes}
        for key, file in hashes.items():
            digest = hashlib.sha256((self.folder / file).read_bytes()).hexdigest()
            assert self.pins["made_with"][key] == digest, file

    def require_agreement(self, quantities_per_grid: dict[str, set[str]]) -> list[Any]:
        """Every grid and quantity expected is there, is compared, and is within its tolerance."""
        assert {grid: set(pinned) for grid, pinned in self.grids.items()} == quantities_per_grid
        module = self.compare()
        differences = list(module.differences(self.pins))
        beyond = [d for d in differences if d.size > module.TOLERANCES.get(d.quantity, module.TOLERANCES[""])]
        assert beyond == []
        return differences
