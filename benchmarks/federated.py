"""Federated against pooled: python benchmarks/federated.py [--json FILE]

The 17 cohorts of data/vitamin_d, each a site of its own, naive, internalized, full and induced with a spline: rounds,
bytes and seconds of a session played in one process, sites one after another, beside the pooled fit of the same
rows.  Sites answer at the same time in life; the longest answer of each round is then what counts.
"""

from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import biocal as bc
from biocal.datasets import data_root
from biocal.remote.sites.centre.coordinator import begin_session, take_answers
from biocal.remote.sites.messages.messages import message_bytes
from biocal.remote.sites.plan import plan_of
from biocal.remote.sites.site.site import SiteSettings, create_site, enter_answer, prepare_answer

METHODS = ["naive", "internalized", "full", "induced"]
KNOTS = [30.0, 50.0, 65.0, 95.0]
COVARIATES = "bmi + physical_activity"
MATCHING = "age + rcs(month, knots=[2, 5, 8, 11])"
#: What is promised of the coefficients.
AGREEMENT = 1e-8


def session(folder: Path, files: list[Path]) -> dict[str, Any]:
    """Play a session with a site a file; what it cost, and the fits."""
    names = [file.stem for file in files]
    for name, file in zip(names, files, strict=True):
        scale = {"scale_local": {"Ginkgo": 2.496}} if name == "ginkgo" else {}
        create_site(folder / name, SiteSettings(name, 5, 40, {"files": [str(file)], **scale}))
    options = {
        "sites": names,
        "method": METHODS,
        "knot_values": KNOTS,
        "covariates": COVARIATES,
        "matching": MATCHING,
        "ref": 56.25,
    }
    request, centre = begin_session(folder / "centre", plan_of(options), ""), folder / "centre"
    at_sites, at_centre, longest, sent, received, rounds = 0.0, 0.0, 0.0, 0, 0, 0
    while True:
        paths, slowest = [], 0.0
        for name in names:
            start = time.perf_counter()
            prepared = prepare_answer(folder / name, str(request), _read)
            enter_answer(folder / name, prepared)
            path = folder / name / f"answer_{prepared.answer.round:03d}.json"
            path.write_bytes(message_bytes(prepared.message))
            taken = time.perf_counter() - start
            at_sites, slowest = at_sites + taken, max(slowest, taken)
            received += path.stat().st_size
            paths.append(str(path))
        sent += request.stat().st_size * len(names)
        start = time.perf_counter()
        progress = take_answers(centre, paths)
        at_centre += time.perf_counter() - start
        longest, rounds = longest + slowest, rounds + 1
        if progress.comparison is not None:
            break
        request = progress.request_path
    return {
        "sites": len(names),
        "rounds": rounds,
        "kB_from_a_site": received / 1e3 / len(names),
        "kB_to_a_site": sent / 1e3 / len(names),
        "seconds_at_all_sites": at_sites,
        "seconds_at_the_slowest_site": longest,
        "seconds_at_the_centre": at_centre,
        "rows": sum(len(file.read_text().splitlines()) - 1 for file in files),
        "comparison": progress.comparison,
    }


def _read(reading: Mapping[str, Any]) -> bc.PooledStudies:
    return bc.read_studies(**reading)


def main() -> None:
    """Measure, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="write the figures there too")
    wanted = parser.parse_args()
    files = sorted((data_root() / "vitamin_d" / "cohorts").glob("*.csv"))
    start = time.perf_counter()
    pool = bc.read_studies([str(file) for file in files], scale_local={"Ginkgo": 2.496})
    reading = time.perf_counter() - start
    start = time.perf_counter()
    pooled = bc.fit(
        pool,
        method=METHODS,
        exposure=bc.rcs(knots=KNOTS),
        covariates=COVARIATES,
        matching=MATCHING,
        reference=56.25,
    )
    fitting = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        found = session(Path(folder), files)
    federated = found.pop("comparison")
    apart = {
        m: float(np.max(np.abs(federated[m].estimates - pooled[m].estimates) / pooled[m].std_errors))
        for m in METHODS
    }
    worst = max(apart.values())
    worst_error = max(
        float(np.max(np.abs(federated[m].std_errors / pooled[m].std_errors - 1))) for m in METHODS
    )
    found |= {
        "pooled_seconds_reading": reading,
        "pooled_seconds_fitting": fitting,
        "largest_differences_in_standard_errors": apart,
        "largest_relative_difference_of_standard_errors": worst_error,
        "agreement": AGREEMENT,
    }
    for name, value in found.items():
        print(f"{name:<50} {value:.4g}" if isinstance(value, float) else f"{name:<50} {value}")
    print("agreement", "met" if max(worst, worst_error) <= AGREEMENT else "NOT met")
    if wanted.json:
        Path(wanted.json).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
