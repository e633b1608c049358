"""What the stored studies say of each claim, every number with its Monte Carlo standard error; for make_results.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from stored import METHODS, markdown, read, with_error

#: Differences count from so many of their Monte Carlo standard errors.
CLEAR = 2.0
SIZES = ("subset_size_two_studies", "subset_size_four_studies", "subset_size_eight_studies")
SCALES = ("scales_near", "scales_far")
TITLES = dict(zip((*SIZES, *SCALES), ("two", "four", "eight", "near", "far"), strict=True))
BIAS, COVERAGE = "average_relative_bias", "average_coverage"


def averages(study: str) -> pd.DataFrame:
    """A row a cell and method, curves other than null."""
    frame = read(study, "summary")
    return frame[frame["curve"] != "null"] if "curve" in frame else frame


def said(request: str) -> str:
    """What a placeholder of RESULTS.head.md asks for: a function of this file and its arguments.

    ``span STUDY METHOD bias r_squared=0.7``, ``at STUDY METHOD MEASURE EXPOSURE KEY=LEVEL``, or a table's name.
    """
    name, *arguments = request.split()
    plain = [word for word in arguments if "=" not in word]
    levels = dict(word.split("=") for word in arguments if "=" in word)
    if name == "span":
        return span(*plain, levels)
    if name == "at":
        return at(*plain, levels)
    if name == "changes":
        return changes(*plain)
    if name == "squared_errors":
        return squared_errors(*plain)
    tables = (where_the_claims_hold, from_29_to_250, induced_against_full, cost_of_leaving_out)
    return {table.__name__: table for table in tables}[name]()


def _at_levels(frame: pd.DataFrame, levels: dict[str, str]) -> pd.DataFrame:
    """Rows whose varied keys have these levels."""
    for key, level in levels.items():
        column = key if key in frame else f"studies.{key}"
        frame = frame[frame[column] == (float(level) if frame[column].dtype.kind == "f" else level)]
    assert len(frame), levels
    return frame


def span(study: str, method: str, what: str, levels: dict[str, str]) -> str:
    """Smallest and largest over the cells chosen, each with its error."""
    measure = {"bias": BIAS, "coverage": COVERAGE}[what]
    frame = averages(study)
    frame = _at_levels(frame[frame["method"] == method], levels)
    ordered = frame.sort_values(measure)
    low, high = (
        with_error(row[measure], row[f"mcse_{measure}"]) for _, row in ordered.iloc[[0, -1]].iterrows()
    )
    return low if len(ordered) == 1 else f"{low} to {high}"


def at(study: str, method: str, measure: str, exposure: str, levels: dict[str, str]) -> str:
    """A measure at one exposure, with its error."""
    frame = read(study, "performance")
    frame = frame[(frame["method"] == method) & (frame["exposure"] == float(exposure))]
    (row,) = (row for _, row in _at_levels(frame, levels).iterrows())
    return with_error(row[measure], row[f"mcse_{measure}"])


def cells(study: str, *keys: str) -> Iterator[tuple[list[str], pd.DataFrame]]:
    """Groups of cells: the words of their levels, and a row a curve with columns (measure, method)."""
    names = [f"studies.{key}" for key in keys]
    for levels, group in averages(study).groupby(names, sort=True):
        wide = group.pivot(
            index=["studies.calibrators", "curve"],
            columns="method",
            values=[BIAS, COVERAGE, f"mcse_{BIAS}", f"mcse_{COVERAGE}"],
        )
        yield [TITLES[study], *(f"{level:g}" for level in levels)], wide


def _clearly(wide: pd.DataFrame, better: str, worse: str) -> tuple[int, int]:
    """Cells in which `better` has clearly less average relative bias, and clearly more coverage, than `worse`."""
    found = []
    for measure, sign in ((BIAS, -1.0), (COVERAGE, 1.0)):
        gain = sign * (wide[measure, better] - wide[measure, worse])
        error = np.hypot(wide[f"mcse_{measure}", better], wide[f"mcse_{measure}", worse])
        found.append(int((gain > CLEAR * error).sum()))
    return found[0], found[1]


def where_the_claims_hold() -> str:
    """Cells in which each method is clearly better, or worse, than naive, and full than internalized."""
    pairs = (("full", "naive"), ("naive", "full"), ("internalized", "naive"), ("naive", "internalized"))
    pairs += (("full", "internalized"), ("internalized", "full"))
    rows = []
    for study in TITLES:
        for words, wide in cells(study, "r_squared", "calibrators"):
            counts = [_clearly(wide, *pair) for pair in pairs]
            rows.append([*words, str(len(wide)), *(f"{bias}, {cover}" for bias, cover in counts)])
    header = ["studies", "R^2", "calibrators", "curves", *(f"{better} < {worse}" for better, worse in pairs)]
    return markdown(header, rows)


def from_29_to_250() -> str:
    """Change of both averages from 29 to 250 calibrators, the mean over curves."""
    rows = []
    for study in TITLES:
        for words, wide in cells(study, "r_squared"):
            row = list(words)
            for measure in (BIAS, COVERAGE):
                for method in METHODS:
                    few, many = (wide.xs(number) for number in (29.0, 250.0))
                    change = many[measure, method] - few[measure, method]
                    error = np.hypot(many[f"mcse_{measure}", method], few[f"mcse_{measure}", method])
                    row.append(with_error(change.mean(), np.sqrt((error**2).sum()) / len(change)))
            rows.append(row)
    header = ["studies", "R^2", *(f"{what}, {m}" for what in ("bias", "coverage") for m in METHODS)]
    return markdown(header, rows)


def changes(what: str, methods: str) -> str:
    """Least and largest change of an average from 29 to 250 calibrators, over the lines of that table."""
    measure = {"bias": BIAS, "coverage": COVERAGE}[what]
    found = [
        (wide.xs(250.0) - wide.xs(29.0))[measure, method].mean()
        for study in TITLES
        for _, wide in cells(study, "r_squared")
        for method in methods.split(",")
    ]
    return f"{min(found):.3f} to {max(found):.3f}"


def induced_against_full() -> str:
    """Induced minus full on the same data, by curve: bias at both ends, and squared error; means over cells."""
    rows = []
    for study in TITLES:
        frame = read(study, "differences")
        frame = frame[(frame["method"] == "induced") & (frame["minus"] == "full")]
        for (curve, r_squared), group in frame.groupby(["curve", "studies.r_squared"], sort=True):
            row = [TITLES[study], str(curve), f"{r_squared:g}"]
            for exposure in (25.0, 100.0):
                one = group[group["exposure"] == exposure]
                for measure in ("bias_difference", "squared_error_difference"):
                    error = np.sqrt((one[f"mcse_{measure}"] ** 2).sum()) / len(one)
                    row.append(with_error(one[measure].mean(), error, 4))
            rows.append(row)
    header = ["studies", "curve", "R^2"]
    header += [f"{what} at {x}" for x in (25, 100) for what in ("bias", "squared error")]
    return markdown(header, rows)


def squared_errors(which: str) -> str:
    """Points of bent curves, over all cells, where induced's squared error is clearly larger or smaller than full's."""
    sign = 1.0 if which == "larger" else -1.0
    frames = [read(study, "differences") for study in TITLES]
    frame = pd.concat(frames)
    frame = frame[(frame["method"] == "induced") & (frame["minus"] == "full")]
    frame = frame[frame["curve"].isin(("J", "plateau"))]
    clear = sign * frame["squared_error_difference"] > CLEAR * frame["mcse_squared_error_difference"]
    return f"{int(clear.sum())} of {len(frame)}"


def cost_of_leaving_out() -> str:
    """Without the covariate and the matching factor in the calibration minus with them, by method."""
    frame = read("left_out_covariate", "performance")
    measures: tuple[tuple[str, Callable[[pd.Series], pd.Series]], ...] = (
        ("bias", np.abs), ("rmse", np.asarray), ("coverage", np.asarray),
    )  # fmt: skip
    rows = []
    for r_squared in (0.9, 0.7):
        for method in ("reference", *METHODS):
            chosen = frame[(frame["method"] == method) & (frame["studies.r_squared"] == r_squared)]
            chosen = chosen.set_index(["fit.calibration_covariates", "exposure"])
            row = [f"{r_squared:g}", method]
            for exposure in (25.0, 100.0):
                for measure, size in measures:
                    cost = size(chosen.loc[("none", exposure), measure]) - size(
                        chosen.loc[("outcome", exposure), measure]
                    )
                    errors = chosen[f"mcse_{measure}"]
                    error = np.hypot(errors["none", exposure], errors["outcome", exposure])
                    row.append(with_error(float(cost), float(error)))
            rows.append(row)
    header = ["R^2", "method"]
    header += [f"{what} at {x}" for x in (25, 100) for what in ("\\|bias\\|", "RMSE", "coverage")]
    return markdown(header, rows)
