"""Sentences about what simulations showed are computed anew from the stored studies."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from biocal.report.sections.methods_text import WHAT_METHODS_DO

ROOT = Path(__file__).parents[2]
STUDIES = ROOT / "data" / "simulation" / "studies"


def page(name: str) -> str:
    """A page in one line, so that a sentence may be broken anywhere."""
    return " ".join((ROOT / name).read_text(encoding="utf-8").split())


def performance(study: str) -> pd.DataFrame:
    return pd.read_csv(STUDIES / study / "performance.csv")


def test_the_readme_says_of_induced_what_the_recovery_study_found():
    [said] = re.findall(
        r"recovery: R² .7, 100 calibrators, a bent curve, ([\d,]+) replicates\) its bias at (\w+) exposures was "
        r"at most "
        r"([\d.]+), full's ([\d.]+), with root mean squared errors within (\d+) % of full's "
        r"\(Monte Carlo error ([\d.]+) %\)",
        page("README.md"),
    )
    found = performance("recovery")
    of = {name: rows.set_index("exposure") for name, rows in found.groupby("method")}
    induced, full = of["induced"], of["full"]
    assert set(found["n"]) == {int(said[0].replace(",", ""))}
    assert len(induced) == 5
    assert said[1] == "five"
    assert f"{induced['bias'].abs().max():.3f}" == f"{float(said[2]):.3f}"
    assert f"{full['bias'].abs().max():.3f}" == f"{float(said[3]):.3f}"
    assert (induced["rmse"] / full["rmse"] - 1).abs().max() < float(said[4]) / 100
    assert round(100 * (induced["mcse_rmse"] / induced["rmse"]).max(), 1) == float(said[5])


def test_methods_says_of_few_calibrators_what_the_stored_study_found():
    text = page("docs/methods.md")
    [said] = re.findall(
        r"([\d,]+) replicates\) normal intervals of full and induced covered (\.\d+) to (\.\d+) .*? up to (\.\d+)\)",
        text,
    )
    found = performance("small_subsets")
    few = (found["studies.calibrators"] == 29) & (found["fit.calibration_variance"] == "robust")
    found = found[few & found["method"].isin(["full", "induced"])]
    assert set(found["n"]) == {int(said[0].replace(",", ""))}
    assert (round(found["coverage"].min(), 3), round(found["coverage"].max(), 3)) == (
        float(said[1]),
        float(said[2]),
    )
    assert round(found["mcse_coverage"].max(), 3) == float(said[3])


def test_methods_counts_the_points_of_the_stored_page():
    [said] = re.findall(
        r"clearly smaller at (\d+) of (\d+) points and clearly larger at (\d+)", page("docs/methods.md")
    )
    stored = r"clearly smaller than full's at (\d+) of (\d+) and clearly larger at (\d+)"
    assert [said] == re.findall(stored, page("data/simulation/RESULTS.md"))


def test_fulls_bias_does_not_grow_with_the_calibration_subset_as_methods_says():
    found = pd.concat(
        pd.read_csv(STUDIES / f"subset_size_{n}_studies" / "summary.csv").assign(of=n)
        for n in ("two", "four", "eight")
    )
    full = found[found["method"] == "full"]
    cells = full.pivot_table(
        index=[name for name in full if name in ("of", "studies.r_squared", "truth.beta")],
        columns="studies.calibrators",
        values=["average_relative_bias", "mcse_average_relative_bias"],
    )
    bias, error = cells["average_relative_bias"], cells["mcse_average_relative_bias"]
    growth = bias[250] - bias[29]
    # chance: four standard errors of a difference
    assert (growth < 4 * (error[250] ** 2 + error[29] ** 2) ** 0.5).all()


#: Studies in which the curve is varied: a straight or flat one has no second coefficient.
VARIED = (
    "subset_size_two_studies",
    "subset_size_four_studies",
    "subset_size_eight_studies",
    "scales_near",
    "scales_far",
)


def by_method(table: str, value: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A column of the stored tables by cell (and exposure) and method, of bent and of other curves."""
    found = pd.concat([pd.read_csv(STUDIES / name / f"{table}.csv").assign(of=name) for name in VARIED])
    keys = ["of", "studies.r_squared", "studies.calibrators", "truth.beta", "exposure"]
    wide = found.pivot(index=[key for key in keys if key in found], columns="method", values=value)
    straight = wide.index.get_level_values("truth.beta").str.endswith(" 0.0]")
    return wide[~straight], wide[straight]


def test_the_report_says_of_full_and_induced_what_the_stored_studies_found():
    bias, _ = by_method("summary", "average_relative_bias")
    less = int((bias["induced"] < bias["full"]).sum())
    assert f"In {less} of {len(bias)} simulated designs with bent curves" in WHAT_METHODS_DO["induced"]
    errors, _ = by_method("performance", "empirical_se")
    ratio = 100 * (errors["induced"] / errors["full"] - 1)
    assert f"{-ratio.min():.0f} % smaller to {ratio.max():.0f} % larger" in WHAT_METHODS_DO["induced"]
    full = 100 * bias["full"]
    near, far = (full.xs(r, level="studies.r_squared") for r in (0.9, 0.6))
    assert (
        f"by {near.min():.0f} to {near.max():.0f} % of the log odds ratio on average at R² .9, and by "
        f"{far.min():.0f} to {far.max():.0f} % at R² .6"
    ) in WHAT_METHODS_DO["full"]


def test_the_page_of_results_says_how_far_biases_under_straight_curves_are_from_0():
    _, bias = by_method("performance", "bias")
    _, error = by_method("performance", "mcse_bias")
    bias, error = bias[["full", "induced"]], error[["full", "induced"]]
    [(n, largest)] = re.findall(
        r"none of their (\d+) biases at single points is three Monte Carlo standard errors from 0 "
        r"\(the largest is (\.\d+)\)",
        page("data/simulation/RESULTS.md"),
    )
    assert (bias.abs() < 3 * error).all(axis=None)
    assert (bias.size, round(bias.abs().max(axis=None), 3)) == (int(n), float(largest))


@pytest.mark.parametrize("name", ["docs/statistical-trust.md", "data/simulation/trust/PAGE.md"])
def test_statistical_trust_says_under_which_conditions_intervals_cover(name):
    text = page(name)
    summary = text[text.index("**In short.**") :][:700]
    for condition in (
        "curves that the spline can follow",
        "normal errors of constant variance",
        "published rule",
    ):
        assert condition in summary
    assert "Where theory says that a 95 % interval should cover, it does" not in text


def test_no_page_claims_more_than_the_stored_studies_hold():
    for name in ("README.md", "docs/methods.md", "docs/how-to/season.md"):
        text = page(name)
        for claim in (
            "did little harm in simulations",
            "removes the bias",
            "under normal residuals and",
            "as they should be",
        ):
            assert claim not in text, (name, claim)


def test_nothing_is_called_valid_because_a_test_did_not_reject():
    """Tests of curvature with 40 to 60 pairs seldom see an error in proportion to the value (METHODS section 18)."""
    places = [*(ROOT / "biocal").rglob("*.py"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    places += [*(ROOT / "vignettes").glob("*.py"), *(ROOT / "biocal").rglob("*.html")]
    said = [
        place.name
        for place in places
        if "build" not in place.parts
        and re.search(
            r"\b(stays?|remains?|still) valid\b", " ".join(place.read_text(encoding="utf-8").split())
        )
    ]
    assert said == []
