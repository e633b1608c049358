"""Make the modules of shared test data (pools, enumeration, fixture_files) importable from every test folder."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

# The import mode "importlib" leaves sys.path alone, so that the modules beside this file would not be found.
sys.path.insert(0, str(Path(__file__).parent))

# Looked into for doctests it would be imported, and then refuse every connection of the tests that run after it.
collect_ignore = ["offline"]

# A background job of a shell ignores interrupts, and so would the commands that tests start and interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
