"""Writes RESULTS.md from the stored studies: python data/simulation/make_results.py

Every number in RESULTS.md comes from studies/*/*.csv; tests/recovery asserts what the sentences claim.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from claims import said
from stored import HERE, METHODS, markdown, read, with_error


def by_cell(study: str, measure: str, keys: Sequence[str], *, null: bool) -> str:
    """A row a cell, a column a method; the measure with its Monte Carlo standard error."""
    frame = read(study, "summary")
    if not null and "curve" in frame:
        frame = frame[frame["curve"] != "null"]
    rows = []
    for levels, cell in frame.groupby(list(keys), sort=True):
        found = cell.set_index("method")
        values = [with_error(found.loc[m, measure], found.loc[m, f"mcse_{measure}"]) for m in METHODS]
        rows.append(
            [*(f"{level:g}" if isinstance(level, float) else str(level) for level in levels), *values]
        )
    return markdown([*(key.split(".")[-1] for key in keys), *METHODS], rows)


def at_exposure(
    study: str, measure: str, exposure: float, keys: Sequence[str], methods: Sequence[str]
) -> str:
    """A row a cell: the measure at one exposure."""
    frame = read(study, "performance")
    frame = frame[(frame["exposure"] == exposure) & frame["method"].isin(methods)]
    rows = []
    for levels, cell in frame.groupby(list(keys), sort=True):
        found = cell.set_index("method")
        values = [with_error(found.loc[m, measure], found.loc[m, f"mcse_{measure}"]) for m in methods]
        rows.append(
            [*(f"{level:g}" if isinstance(level, float) else str(level) for level in levels), *values]
        )
    return markdown([*(key.split(".")[-1] for key in keys), *methods], rows)


CELL = ("curve", "studies.r_squared", "studies.calibrators")


def head() -> str:
    """The sentences, with what stands in {{ }} worked out from the stored numbers."""
    text = (HERE / "RESULTS.head.md").read_text()
    return re.sub(r"\{\{(.+?)\}\}", lambda found: said(found[1]), text)


def main() -> None:
    parts = [head()]
    for study, title in (
        ("subset_size_two_studies", "Two studies"),
        ("subset_size_four_studies", "Four studies"),
        ("subset_size_eight_studies", "Eight studies"),
        ("scales_near", "Four studies, local scales that nearly agree"),
        ("scales_far", "Four studies, local scales that differ widely"),
    ):
        parts += [f"### {title}", "Average relative bias (Monte Carlo standard error):"]
        parts += [
            by_cell(study, "average_relative_bias", CELL, null=False),
            "Average coverage of 95 % intervals:",
        ]
        parts += [by_cell(study, "average_coverage", CELL, null=True)]
    parts += ["## Full and induced where the curve bends", "Bias at 100 against 55, four studies:"]
    parts += [
        at_exposure("subset_size_four_studies", "bias", 100.0, CELL, METHODS),
        "Root mean squared error there:",
    ]
    parts += [at_exposure("subset_size_four_studies", "rmse", 100.0, CELL, METHODS)]
    keys = ("studies.r_squared", "fit.calibration_covariates")
    parts += ["## What leaving covariates out of the calibration costs", "Bias at 25 against 55:"]
    parts += [at_exposure("left_out_covariate", "bias", 25.0, keys, ("reference", *METHODS)), "At 100:"]
    parts += [at_exposure("left_out_covariate", "bias", 100.0, keys, ("reference", *METHODS))]
    keys = ("studies.r_squared", "studies.calibrators", "fit.calibration_variance")
    parts += ["## Small calibration subsets", "Coverage at 25 against 55:"]
    parts += [at_exposure("small_subsets", "coverage", 25.0, keys, ("full", "induced")), "At 100:"]
    parts += [at_exposure("small_subsets", "coverage", 100.0, keys, ("full", "induced"))]
    (HERE / "RESULTS.md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
