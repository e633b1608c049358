"""One program, one size, one process, for growth.py: prints CPU seconds, extra bytes and the coefficients.

python growth_one.py FILE ROWS biocal|statsmodels|lifelines
"""

from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import gc
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Fit = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def with_biocal(code: np.ndarray, is_case: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Preparation and fit; each of these returns the coefficients."""
    from engine import prepare_and_fit

    return prepare_and_fit(code, is_case, columns)[0]


def with_statsmodels(code: np.ndarray, is_case: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """ConditionalLogit with its default optimiser."""
    from statsmodels.discrete.conditional_models import ConditionalLogit

    return ConditionalLogit(is_case.astype(float), columns.T, groups=code).fit(disp=0).params


def with_lifelines(code: np.ndarray, is_case: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """CoxPHFitter, a stratum a set, all durations 1: the conditional likelihood where a set has one case."""
    import pandas as pd
    from lifelines import CoxPHFitter

    table = pd.DataFrame(columns.T, columns=[f"x{k + 1}" for k in range(columns.shape[0])])
    table = table.assign(set=code, case=is_case.astype(int), duration=1.0)
    return CoxPHFitter().fit(table, "duration", "case", strata=["set"]).params_.to_numpy()


def status_bytes(name: str) -> int | None:
    """A size from the kernel's report on this process; None where there is no such report."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    return next(
        int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith(name)
    )


def reset_peak() -> int | None:
    """Set the peak to what is held now, and return that; None where the system cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return status_bytes("VmRSS")


def main() -> None:
    """Measure and print."""
    file, rows, program = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    fit: Fit = {"biocal": with_biocal, "statsmodels": with_statsmodels, "lifelines": with_lifelines}[program]
    numbers = np.fromfile(file).reshape(-1, rows)
    code, is_case, columns = numbers[0].astype(np.int64), numbers[1] > 0, numbers[2:].copy()
    del numbers
    few = slice(0, 100)
    fit(code[few], is_case[few], columns[:, few].copy())
    gc.collect()
    before, start = reset_peak(), time.process_time()
    found = fit(code, is_case, columns)
    seconds = [time.process_time() - start]
    peak = status_bytes("VmHWM")
    while seconds[0] < 0.2 and len(seconds) < 9:
        start = time.process_time()
        fit(code, is_case, columns)
        seconds.append(time.process_time() - start)
    extra = "NA" if before is None or peak is None else str(peak - before)
    print(statistics.median(seconds), extra, *(f"{value:.17g}" for value in found))


if __name__ == "__main__":
    main()
