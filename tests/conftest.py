"""Make the modules of shared test data (pools, enumeration, fixture_files) importable from every test folder."""

from __future__ import annotations

import sys
from pathlib import Path

# The import mode "importlib" leaves sys.path alone, so that the modules beside this file would not be found.
sys.path.insert(0, str(Path(__file__).parent))
