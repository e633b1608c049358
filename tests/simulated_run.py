"""Run the stub design of simulated_batches in a process of its own, for tests that kill it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from simulated_batches import run_stub, stub_design

from biocal.simulation.running.engine import RunOptions, run_design

if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    design = stub_design(asked["replicates"], **asked["scenario"])
    run_design(design, Path(asked["out"]), RunOptions(**asked["options"]), run=run_stub)
