"""The likelihood engine side by side with its peers and with the arithmetic floor, in one run.

    make bench        (or: python benchmarks/engine.py [--quick] [--json FILE])

CPU seconds on one thread, medians.  Peers: R's survival::clogit (method "exact"), survival's bare C fitter,
statsmodels' ConditionalLogit, lifelines' CoxPHFitter.  R and lifelines are optional: without them their rows are
left out, and that is said.
The floor is what any method must do in a pass: exp of the linear predictors and one weighted Gram matrix of
the columns, on pieces that stay in the cache; times the passes that plain Newton takes from zero, whatever the
fit itself takes.  1:m passes read all difference rows from memory; the n*m free cells of n:m sets are stored
nowhere, so one piece serves for all of them.  Floor, preparation and fit are timed in turn, so that a busy
machine slows all of them alike.
"""

from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from environment import machine, peers_python, versions
from page_tables import engine_table
from processes import ProcessFailed, cost_of

from biocal.kernels.newton import maximise
from biocal.kernels.sets.layout import lay_out_sets
from biocal.kernels.sets.likelihood import ConditionalLikelihood

HERE = Path(__file__).parent


def cpu(work: Callable[[], object], times: int) -> float:
    """Median CPU seconds of some runs after one to warm up."""
    work()
    seconds = []
    for _ in range(times):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


def matched_data(
    rng: np.random.Generator, cases: np.ndarray, controls: np.ndarray, p: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Set codes, case status and columns (p, n); cases drawn by the conditional logistic model."""
    sizes = cases + controls
    code = np.repeat(np.arange(sizes.size), sizes)
    columns = rng.normal(size=(p, code.size))
    # The Gumbel trick draws one case a set exactly by the model; for several it is a close relative of it.
    key = 0.2 * columns.sum(axis=0) + rng.gumbel(size=code.size)
    order = np.lexsort((-key, code))
    start = np.cumsum(sizes) - sizes
    rank = np.arange(code.size) - np.repeat(start, sizes)
    is_case = np.zeros(code.size, dtype=bool)
    is_case[order] = rank < np.repeat(cases, sizes)
    return code, is_case, columns


def prepare_and_fit(code: np.ndarray, is_case: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, int]:
    """What is timed: from unsorted arrays to the maximum; returns beta and the number of evaluations."""
    likelihood = ConditionalLikelihood(lay_out_sets(code, is_case, n_columns=columns.shape[0]), columns)
    optimum = maximise(likelihood.evaluate, np.zeros((1, columns.shape[0])), slope=likelihood.slope)
    assert optimum.converged.all()
    return optimum.point[0], int(optimum.iterations[0])


def floor_pass(length: int, p: int, *, stored: bool) -> Callable[[], None]:
    """exp and one weighted Gram of `length` rows in pieces of 8,000: all of them, or one again and again."""
    rng = np.random.default_rng(1)
    piece = min(8000, length)
    n_pieces = -(-length // piece)
    columns = rng.normal(size=(n_pieces if stored else 1, p, piece))
    eta = rng.normal(size=(n_pieces if stored else 1, piece))

    def work() -> None:
        for i in range(n_pieces):
            at = i if stored else 0
            weight = np.exp(eta[at])
            (columns[at] * weight) @ columns[at].T

    return work


def beside_floor(
    data: tuple[np.ndarray, np.ndarray, np.ndarray], floor: Callable[[], None], times: int
) -> dict[str, float]:
    """CPU seconds of preparation, fit and floor, timed in turn: medians, and medians of the ratios by turn."""
    code, is_case, columns = data
    start = np.zeros((1, columns.shape[0]))
    turns = []
    for _ in range(times + 1):
        clock = [time.process_time()]
        likelihood = ConditionalLikelihood(lay_out_sets(code, is_case, n_columns=columns.shape[0]), columns)
        clock.append(time.process_time())
        maximise(likelihood.evaluate, start, slope=likelihood.slope)
        clock.append(time.process_time())
        for _ in range(5):
            floor()
        clock.append(time.process_time())
        turns.append(np.diff(clock))
    passes = int(maximise(likelihood.evaluate, start).iterations[0])
    prepare, fit, five = np.array(turns[1:]).T
    whole = five / 5 * passes
    return {
        "prepare": float(np.median(prepare)),
        "fit": float(np.median(fit)),
        "both": float(np.median(prepare + fit)),
        "floor": float(np.median(whole)),
        "passes": passes,
        "fit_ratio": float(np.median(fit / whole)),
        "both_ratio": float(np.median((prepare + fit) / whole)),
    }


def write_csv(
    path: Path, code: np.ndarray, is_case: np.ndarray, columns: np.ndarray, **extra: np.ndarray
) -> None:
    names = [*extra, "set", "case", *(f"x{k + 1}" for k in range(columns.shape[0]))]
    table = np.column_stack([*extra.values(), code, is_case, columns.T])
    np.savetxt(path, table, delimiter=",", header=",".join(names), comments="", fmt="%.17g")


def run_r(folder: Path) -> dict[str, float | str]:
    """CPU seconds of the R peers by name; empty when there is no R."""
    if shutil.which("Rscript") is None:
        print(
            "Rscript is not installed (Debian: apt install r-base-core r-cran-survival): its rows are left out"
        )
        return {}
    done = subprocess.run(
        ["Rscript", str(HERE / "engine.R"), str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        print("R failed:", done.stderr.strip().splitlines()[-1:])
        return {}
    found: dict[str, float | str] = {}
    for line in done.stdout.splitlines():
        name, value = line.split("\t", 1)
        found[name] = value if name == "version" else float(value)
    return found


def statsmodels_seconds(code: np.ndarray, is_case: np.ndarray, columns: np.ndarray, times: int = 1) -> float:
    """statsmodels' ConditionalLogit with its default optimiser."""
    from statsmodels.discrete.conditional_models import ConditionalLogit

    seconds = []
    for _ in range(times):
        start = time.process_time()
        ConditionalLogit(is_case.astype(float), columns.T, groups=code).fit(disp=0)
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


def beside_lifelines(
    code: np.ndarray, is_case: np.ndarray, columns: np.ndarray, sets: int
) -> dict[str, float] | None:
    """CPU seconds of lifelines and of ours on the first sets, and how far coefficients are apart; or None.

    lifelines takes hundredths of a second a set, so that it is given few; nothing is scaled up.
    """
    python = peers_python()
    if python is None:
        print("lifelines is not installed (pip install 'biocal[bench]'): its rows are left out")
        return None
    some = code < sets
    data = code[some], is_case[some], np.ascontiguousarray(columns[:, some])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sets.bin"
        np.vstack(data).tofile(file)
        command = [
            python,
            "-W",
            "ignore",
            str(HERE / "growth_one.py"),
            str(file),
            str(data[0].size),
            "lifelines",
        ]
        try:
            answer = cost_of(command).out.split()
        except ProcessFailed as failure:
            print("lifelines failed:", failure)
            return None
    apart = np.abs(np.array(answer[2:], dtype=float) - prepare_and_fit(*data)[0]).max()
    return {
        "sets": sets,
        "lifelines": float(answer[0]),
        "biocal": cpu(lambda: prepare_and_fit(*data), 25),
        "largest difference": float(apart),
    }


def command_cpu(command: list[str], status: int = 0, times: int = 7) -> float:
    """CPU seconds (user and system) of a command, all its modules compiled as in an installation."""
    seconds = []
    with tempfile.TemporaryDirectory() as compiled:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for _ in range(times + 1):  # the first compiles
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run(command, capture_output=True, check=False, env=environment)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            assert done.returncode == status, done.stderr
            seconds.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return statistics.median(seconds[1:])


def five_million_rows() -> tuple[float, float]:
    """CPU seconds of prepare + fit for 1,000,000 sets 1:4, p = 6, and extra memory in designs; in a child."""
    program = (
        "import os, resource, sys, time\n"
        f"sys.path.insert(0, {str(HERE)!r})\n"
        "import numpy as np, engine\n"
        "rng = np.random.default_rng(5)\n"
        "code, is_case, columns = engine.matched_data(rng, np.ones(10**6, int), np.full(10**6, 4), 6)\n"
        "engine.prepare_and_fit(code[:500], is_case[:500], columns[:, :500])\n"
        "def resident():\n"
        "    return int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE')\n"
        "open('/proc/self/clear_refs', 'w').write('5')\n"
        "before, start = resident(), time.process_time()\n"
        "engine.prepare_and_fit(code, is_case, columns)\n"
        "seconds = time.process_time() - start\n"
        "peak = [int(l.split()[1]) * 1024 for l in open('/proc/self/status') if l.startswith('VmHWM')][0]\n"
        "print(seconds, (peak - before) / columns.nbytes)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    seconds, designs = done.stdout.split()
    return float(seconds), float(designs)


def measure(*, quick: bool) -> dict[str, object]:
    rng = np.random.default_rng(20261122)
    pairs = matched_data(rng, np.ones(5000, int), np.ones(5000, int), 4)
    one_to_four = matched_data(rng, np.ones(50_000, int), np.full(50_000, 4), 6)
    many = matched_data(rng, rng.integers(2, 11, 5000), rng.integers(3, 21, 5000), 6)
    small = [matched_data(rng, np.ones(600, int), np.ones(600, int), 3) for _ in range(500)]
    found: dict[str, object] = {}
    seconds = {
        "pairs": cpu(lambda: prepare_and_fit(*pairs), 25),
        "one_to_four": cpu(lambda: prepare_and_fit(*one_to_four), 15),
        "many_to_many": cpu(lambda: prepare_and_fit(*many), 9),
        "small_pairs": cpu(lambda: batched(small), 5),
    }
    found["biocal"] = seconds
    beta_many, beta_four = prepare_and_fit(*many)[0], prepare_and_fit(*one_to_four)[0]
    found["floor"] = {
        "one_to_four": beside_floor(one_to_four, floor_pass(200_000, 6, stored=True), 15),
        "many_to_many": beside_floor(many, floor_pass(free_cells(many[0], many[1]), 6, stored=False), 9),
    }
    with tempfile.TemporaryDirectory() as folder:
        write_csv(Path(folder) / "pairs.csv", *pairs)
        write_csv(Path(folder) / "one_to_four.csv", *one_to_four)
        write_csv(Path(folder) / "many_to_many.csv", *many)
        write_csv(
            Path(folder) / "small_pairs.csv",
            np.concatenate([s[0] for s in small]),
            np.concatenate([s[1] for s in small]),
            np.concatenate([s[2] for s in small], axis=1),
            fit=np.repeat(np.arange(500), 1200),
        )
        r = run_r(Path(folder))
    found["R"] = r
    if r:
        for name, beta in (("many_to_many", beta_many), ("one_to_four", beta_four)):
            theirs = np.array([r[f"beta.{name}.{k + 1}"] for k in range(6)], dtype=float)
            found[f"largest difference from R, {name}"] = float(np.abs(beta - theirs).max())
    few = 100 if quick else 500
    found["lifelines"] = {
        "pairs": beside_lifelines(*pairs, sets=few),
        "one_to_four": beside_lifelines(*one_to_four, sets=few),
    }
    found["statsmodels"] = {"pairs": statsmodels_seconds(*pairs)}
    if not quick:
        found["statsmodels"]["one_to_four"] = statsmodels_seconds(*one_to_four)  # type: ignore[index]
        found["five_million_rows"] = dict(zip(("seconds", "designs"), five_million_rows(), strict=True))
    biocal = str(Path(sys.executable).parent / "biocal")
    found["start"] = {
        "version": command_cpu([biocal, "--version"]),
        "fit imports": command_cpu([sys.executable, "-c", fit_imports()]),
        # everything up to the first file, which is not there
        "fit": command_cpu([biocal, "fit", "no such file.csv", "--out", "nowhere"], status=3),
    }
    return found


def fit_imports() -> str:
    """Import of all of biocal that `biocal fit` has loaded when it comes to read its first file."""
    program = (
        "import sys, biocal.pool.reading as reading\n"
        "def stop(*_): print(*sys.modules); raise SystemExit\n"
        "reading._content = stop\n"
        "from biocal.cli.main import main\n"
        f"main(['fit', {__file__!r}, '--out', 'nowhere'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    names = [name for name in done.stdout.split() if name.startswith("biocal.")]
    assert "biocal.cli.commands.fit" in names
    return "import " + ", ".join(names)


def batched(problems: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> None:
    """500 fits as simulation does them: 16 problems over the same sets in one batch."""
    for start in range(0, len(problems), 16):
        some = problems[start : start + 16]
        # The sets are the same, so persons are put in the case's place before they are stacked.
        columns = np.stack([_case_first(*problem) for problem in some])
        code = some[0][0]
        is_case = np.zeros(code.size, dtype=bool)
        is_case[::2] = True
        layout = lay_out_sets(code, is_case, n_columns=columns.shape[1] * columns.shape[0])
        likelihood = ConditionalLikelihood(layout, columns)
        optimum = maximise(likelihood.evaluate, np.zeros((len(some), columns.shape[1])))
        assert optimum.converged.all()


def _case_first(code: np.ndarray, is_case: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return columns[:, np.argsort(2 * code + ~is_case, kind="stable")]


def free_cells(code: np.ndarray, is_case: np.ndarray) -> int:
    """Sum over the sets of cases times controls."""
    size, cases = np.bincount(code), np.bincount(code[is_case])
    return int((cases * (size - cases)).sum())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="without statsmodels on the large data and 5 million rows; 100 sets for lifelines",
    )
    parser.add_argument("--json", type=Path, default=HERE / "engine.json", help="where the numbers go")
    options = parser.parse_args()
    for key, value in (machine() | versions()).items():
        print(f"{key}: {value}")
    found = measure(quick=options.quick)
    options.json.write_text(json.dumps(found, indent=1) + "\n")
    print(engine_table(found))


if __name__ == "__main__":
    main()
