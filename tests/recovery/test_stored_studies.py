"""What the stored simulation studies say, asserted from their numbers.

The studies are in data/simulation/studies, made by the command in data/simulation/PROTOCOL.md.  Bounds are in Monte
Carlo standard errors, so that another seed would pass too.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from biocal.datasets import data_root

STUDIES = Path(str(data_root())) / "simulation" / "studies"
#: A difference beyond this many of its Monte Carlo standard errors is not chance.
CLEAR = 3.0
#: METHODS section 7, columns 25, 37.5, 75, 90, 100: bias and empirical SD over 150 replicates.
PUBLISHED = {
    "reference": ((-0.004, -0.002, -0.001, -0.003, -0.005), (0.088, 0.047, 0.038, 0.084, 0.117)),
    "naive": ((-0.049, -0.026, -0.005, -0.025, -0.039), (0.092, 0.049, 0.039, 0.088, 0.123)),
    "internalized": ((-0.122, -0.062, -0.038, -0.117, -0.172), (0.096, 0.051, 0.044, 0.099, 0.138)),
    "full": ((-0.010, -0.004, -0.012, -0.028, -0.040), (0.100, 0.053, 0.045, 0.101, 0.141)),
    "induced": ((0.002, 0.001, -0.001, -0.002, -0.002), (0.101, 0.054, 0.046, 0.106, 0.148)),
}
PUBLISHED_REPLICATES = 150


def read(study: str, table: str) -> pd.DataFrame:
    return pd.read_csv(STUDIES / study / f"{table}.csv")


def difference(study: str, method: str, minus: str) -> pd.DataFrame:
    """Paired difference of bias by exposure, whichever way round it was stored."""
    table = read(study, "differences")
    found = table[(table["method"] == method) & (table["minus"] == minus)].copy()
    if found.empty:
        found = table[(table["method"] == minus) & (table["minus"] == method)].copy()
        found["bias_difference"] *= -1
    return found.sort_values("exposure")


@pytest.mark.parametrize("method", list(PUBLISHED))
def test_bias_and_spread_are_those_of_the_prototype(method: str) -> None:
    table = read("recovery", "performance")
    ours = table[table["method"] == method].sort_values("exposure")
    bias, spread = (np.array(values) for values in PUBLISHED[method])
    combined = np.hypot(spread / np.sqrt(PUBLISHED_REPLICATES), ours["mcse_bias"])
    assert (np.abs(ours["bias"] - bias) <= CLEAR * combined).all()
    error_of_spread = np.hypot(spread / np.sqrt(2 * PUBLISHED_REPLICATES), ours["mcse_empirical_se"])
    assert (np.abs(ours["empirical_se"] - spread) <= CLEAR * error_of_spread).all()


def test_induced_stays_within_a_hundredth_of_the_fit_on_reference_values() -> None:
    found = difference("recovery", "induced", "reference")
    assert found["n"].min() >= 1000
    assert (found["bias_difference"].abs() <= 0.01).all()


def test_full_lies_below_induced_where_the_curve_has_bent() -> None:
    found = difference("recovery", "full", "induced").set_index("exposure").loc[100.0]
    assert found["bias_difference"] < -CLEAR * found["mcse_bias_difference"]


@pytest.mark.parametrize("method", ["naive", "internalized"])
def test_naive_and_internalized_are_far_off(method: str) -> None:
    table = read("recovery", "performance").set_index(["method", "exposure"]).loc[(method, 25.0)]
    assert abs(table["bias"]) > 10 * table["mcse_bias"]


@pytest.mark.parametrize("method", ["reference", "naive", "internalized", "full", "induced"])
def test_standard_errors_are_honest(method: str) -> None:
    table = read("recovery", "performance")
    ours = table[table["method"] == method]
    assert (ours["relative_error_model_se"].abs() <= CLEAR * ours["mcse_relative_error_model_se"]).all()


def test_leaving_the_covariates_out_of_the_calibration_biases_what_is_calibrated() -> None:
    table = read("left_out_covariate", "performance").set_index(
        ["fit.calibration_covariates", "studies.r_squared", "method", "exposure"]
    )
    without, with_them = (table.loc[(choice, 0.7, "induced", 25.0)] for choice in ("none", "outcome"))
    assert abs(without["bias"]) > 5 * without["mcse_bias"]
    assert abs(with_them["bias"]) < CLEAR * with_them["mcse_bias"]


def test_intervals_hold_their_level_with_29_pairs_and_with_15_by_the_leverage_correction() -> None:
    table = read("small_subsets", "performance")
    induced = table[table["method"] == "induced"]
    enough = induced[
        (induced["studies.calibrators"] == 29) & (induced["fit.calibration_variance"] == "robust")
    ]
    # Ten correlated intervals: the worst may lie some way out.
    assert (np.abs(enough["coverage"] - 0.95) <= 0.01 + CLEAR * enough["mcse_coverage"]).all()
    few = induced[induced["studies.calibrators"] == 15].pivot(
        index=["studies.r_squared", "exposure"], columns="fit.calibration_variance", values="coverage"
    )
    assert few["robust"].min() < 0.94
    assert few["hc3"].min() > 0.94


def averages(study: str) -> pd.DataFrame:
    """Average relative bias and coverage by cell and method, curves other than null."""
    frame = read(study, "summary")
    return frame[frame["truth.beta"] != "[0.0, 0.0]"]


def cell(frame: pd.DataFrame, method: str, measure: str, **levels: float) -> pd.Series:
    chosen = frame[frame["method"] == method]
    for key, value in levels.items():
        chosen = chosen[chosen[f"studies.{key}"] == value]
    return chosen[measure]


def test_naive_pooling_fails_where_scales_differ_widely_and_full_does_not() -> None:
    far = averages("scales_far")
    assert cell(far, "naive", "average_coverage").max() < 0.5
    assert cell(far, "naive", "average_relative_bias").min() > 0.3
    assert cell(far, "full", "average_coverage").min() > 0.9
    assert cell(far, "full", "average_relative_bias").max() < 0.1


def test_naive_pooling_is_nearly_right_where_scales_nearly_agree() -> None:
    near = averages("scales_near")
    assert cell(near, "naive", "average_coverage").min() > 0.92
    assert cell(near, "naive", "average_relative_bias").max() < 0.1


def test_internalized_is_worse_than_naive_once_many_controls_are_calibrated_by_a_poor_assay() -> None:
    near = averages("scales_near")
    levels = {"r_squared": 0.7, "calibrators": 250.0}
    assert cell(near, "internalized", "average_coverage", **levels).max() < 0.5
    assert cell(near, "naive", "average_coverage", **levels).min() > 0.9


@pytest.mark.parametrize(
    "study",
    [
        *("scales_near", "scales_far"),
        *("subset_size_two_studies", "subset_size_four_studies", "subset_size_eight_studies"),
    ],
)
def test_internalized_loses_with_every_calibrator_and_full_does_not(study: str) -> None:
    frame = averages(study)
    assert frame["n"].min() >= 1000
    for _, group in frame.groupby(["truth.beta", "studies.r_squared"]):
        internalized = group[group["method"] == "internalized"].sort_values("studies.calibrators")
        steps = np.diff(internalized["average_relative_bias"])
        errors = np.hypot(
            internalized["mcse_average_relative_bias"].to_numpy()[1:],
            internalized["mcse_average_relative_bias"].to_numpy()[:-1],
        )
        assert (steps > -CLEAR * errors).all()
        largest = (
            internalized["average_relative_bias"].iloc[-1] - internalized["average_relative_bias"].iloc[0]
        )
        assert largest > CLEAR * errors.max()
        full = group[group["method"] == "full"].sort_values("studies.calibrators")
        assert full["average_coverage"].min() > 0.9


def test_induced_has_less_bias_than_full_where_the_curve_bends() -> None:
    for study in ("scales_near", "scales_far"):
        bent = averages(study)
        bent = bent[(bent["truth.beta"] == "[-0.02, 0.0266]") & (bent["studies.r_squared"] == 0.7)]
        full, induced = (
            bent[bent["method"] == method]
            .sort_values("studies.calibrators")["average_relative_bias"]
            .to_numpy()
            for method in ("full", "induced")
        )
        assert (induced < full).all()


SUBSET_SIZES = ("subset_size_two_studies", "subset_size_four_studies", "subset_size_eight_studies")
PLATEAU = "[-0.02, 0.0133]"


def test_full_keeps_more_bias_the_poorer_the_assay_and_induced_does_not() -> None:
    bent = pd.concat([averages(study) for study in SUBSET_SIZES])
    bent = bent[bent["truth.beta"] != "[-0.009, 0.0]"]
    good, poor = (
        cell(bent, "full", "average_relative_bias", r_squared=r_squared) for r_squared in (0.9, 0.6)
    )
    assert good.min() > 0.005
    assert good.max() < 0.055
    assert poor.min() > 0.025
    assert poor.max() < 0.185
    assert cell(bent, "induced", "average_relative_bias").max() < 0.06


@pytest.mark.parametrize("study", SUBSET_SIZES[1:])
def test_under_a_plateau_and_a_poor_assay_full_is_no_nearer_than_naive_but_covers(study: str) -> None:
    frame = averages(study)
    frame = frame[frame["truth.beta"] == PLATEAU]
    full, naive = (
        cell(frame, method, "average_relative_bias", r_squared=0.6).to_numpy() for method in ("full", "naive")
    )
    assert (full > naive - CLEAR * 0.015).all()
    assert full.min() > 0.14
    assert full.max() < 0.185
    assert naive.min() > 0.12
    assert naive.max() < 0.155
    assert cell(frame, "full", "average_coverage", r_squared=0.6).min() > 0.93


ALL_STUDIES = ("scales_near", "scales_far", *SUBSET_SIZES)
STRAIGHT = "[-0.009, 0.0]"


def test_naive_is_clearly_better_than_full_on_no_curve() -> None:
    for study in ALL_STUDIES:
        frame = averages(study).set_index(["scenario", "method"])
        naive, full = frame.xs("naive", level="method"), frame.xs("full", level="method")
        for measure, sign in (("average_relative_bias", 1.0), ("average_coverage", -1.0)):
            error = np.hypot(naive[f"mcse_{measure}"], full[f"mcse_{measure}"])
            assert (sign * (naive[measure] - full[measure]) > -2 * error).all(), (study, measure)


def paired_with_full() -> pd.DataFrame:
    frame = pd.concat([read(study, "differences") for study in ALL_STUDIES])
    return frame[(frame["method"] == "induced") & (frame["minus"] == "full")]


def test_induced_varies_more_than_full_under_a_straight_truth() -> None:
    straight = paired_with_full()
    straight = straight[straight["truth.beta"] == STRAIGHT]
    assert len(straight) >= 5 * 40
    ends = straight[straight["exposure"].isin((25.0, 100.0))]
    assert (ends["squared_error_difference"] > 2 * ends["mcse_squared_error_difference"]).mean() > 0.9


def test_the_squared_error_of_induced_is_smaller_at_some_points_of_bent_curves_and_larger_at_others() -> None:
    bent = paired_with_full()
    bent = bent[~bent["truth.beta"].isin((STRAIGHT, "[0.0, 0.0]"))]
    distance = bent["squared_error_difference"] / bent["mcse_squared_error_difference"]
    assert (distance < -2).mean() > 0.3
    assert (distance > 2).mean() > 0.2


def test_the_page_of_results_is_that_of_the_stored_numbers(tmp_path: Path) -> None:
    folder = STUDIES.parent
    before = (folder / "RESULTS.md").read_text()
    source = (folder / "make_results.py").read_text()
    copied = tmp_path / "simulation"
    import shutil
    import subprocess
    import sys

    shutil.copytree(folder, copied)
    subprocess.run([sys.executable, str(copied / "make_results.py")], check=True)
    assert (copied / "RESULTS.md").read_text() == before
    assert "RESULTS.md" in source
