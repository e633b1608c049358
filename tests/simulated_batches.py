"""A design and a batch runner that need no likelihood: numbers that depend on the replicate's stream alone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

#: Rows of the small scenario, so that a batch has 8 replicates, and of the large one, with 4.
SMALL_ROWS, LARGE_ROWS = 12_000, 24_000


@dataclass(frozen=True)
class StubStudy:
    n_persons: int


@dataclass(frozen=True)
class StubScenario:
    name: str
    n_persons: int = SMALL_ROWS
    methods: tuple[str, ...] = ("naive", "full")
    at: tuple[float, ...] = (25.0, 50.0, 75.0)
    pause: float = 0.0
    failing: float = 0.0
    log: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def studies(self) -> tuple[StubStudy, ...]:
        return (StubStudy(self.n_persons),)


@dataclass(frozen=True)
class StubDesign:
    scenarios: tuple[StubScenario, ...]
    replicates: int
    seed: int = 7
    methods: tuple[str, ...] = ("naive", "full")
    title: str = "a stub"

    def to_dict(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "replicates": self.replicates,
            "seed": self.seed,
            "methods": list(self.methods),
            "scenarios": [[scenario.name, scenario.n_persons] for scenario in self.scenarios],
        }


def stub_design(replicates: int = 50, **options: Any) -> StubDesign:
    scenarios = tuple(
        StubScenario(name, rows, **options)
        for name, rows in (("a", SMALL_ROWS), ("b", LARGE_ROWS), ("c", SMALL_ROWS))
    )
    return StubDesign(scenarios, replicates)


def run_stub(
    scenario: StubScenario, seed: int, scenario_index: int, replicates: Sequence[int]
) -> dict[str, np.ndarray]:
    """Like replicate.run_batch; appends what it ran to the scenario's log."""
    if scenario.log:
        with open(scenario.log, "a", encoding="utf-8") as log:
            log.write(f"{scenario_index} {replicates[0]} {len(replicates)} {os.getpid()}\n")
    time.sleep(scenario.pause)
    shape = (len(replicates), len(scenario.methods), len(scenario.at))
    estimate = np.empty(shape)
    failed = np.zeros(shape, dtype=bool)
    for row, replicate in enumerate(replicates):
        stream = np.random.SeedSequence(seed, spawn_key=(scenario_index, replicate))
        rng = np.random.default_rng(stream)
        estimate[row] = rng.standard_normal(shape[1:])
        failed[row] = (rng.random(shape[1]) < scenario.failing)[:, None]
    estimate[failed] = np.nan
    error = np.where(failed, "ConvergenceError: made to fail", "").astype(object)
    ones = np.ones(shape)
    columns = {
        "scenario": np.full(shape, scenario_index, dtype=np.int32),
        "replicate": np.asarray(replicates, dtype=np.int32)[:, None, None] + np.zeros(shape, dtype=np.int32),
        "method": np.broadcast_to(np.array(scenario.methods, dtype=object)[None, :, None], shape),
        "exposure": scenario.at * ones,
        "estimate": estimate,
        "std_error": ones + 0 * estimate,
        "conf_low": estimate - 1.96,
        "conf_high": estimate + 1.96,
        "truth": 0.0 * ones,
        "converged": ~failed,
        "error": error,
    }
    return {name: np.ascontiguousarray(values).reshape(-1) for name, values in columns.items()}


def run_and_die(
    scenario: StubScenario, seed: int, scenario_index: int, replicates: Sequence[int]
) -> dict[str, np.ndarray]:
    """Kill the process at the batch that the scenario's options name, unless a file says that it was done."""
    mark = Path(scenario.options["mark"])
    if [scenario_index, replicates[0]] == scenario.options["at"] and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return run_stub(scenario, seed, scenario_index, replicates)
