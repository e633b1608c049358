"""Outlying pairs, flat, falling and exact calibration lines: told with their numbers, or refused by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from troubled_pools import METHODS, errors_against_80_digits, fit, is_calibrator, pool_frame, told

import biocal as bc
from biocal.errors import FitError


def spoiled(reference, *, seed=5):
    """The larger pool, the calibrators' reference values a function of (frame, random generator)."""
    frame = pool_frame(larger=True)
    pairs = is_calibrator(frame)
    frame.loc[pairs, "reference"] = reference(frame[pairs], np.random.default_rng(seed))
    return frame


def unrelated(pairs, rng):
    """Reference values whose slope on the local value is 0 to rounding, in each study."""
    values = pd.Series(rng.normal(5, 1, len(pairs)), index=pairs.index)
    for study in ("A", "B"):
        mine = pairs["study"] == study
        design = np.column_stack([np.ones(mine.sum()), pairs.loc[mine, "local"]])
        fitted = design @ np.linalg.lstsq(design, values[mine], rcond=None)[0]
        values[mine] = 5 + values[mine] - fitted
    return values


def quality_of(frame, study="B"):
    results = bc.calibrate(bc.PooledStudies.from_frame(frame))
    table = results.tidy_quality().set_index("study")
    return table.loc[study], results


def test_an_outlying_pair_is_told_with_place_leverage_cooks_distance_and_hubers_slope():
    frame = pool_frame(larger=True)
    rows = np.flatnonzero(is_calibrator(frame) & (frame["study"] == "B"))
    frame.loc[rows[0], "local"] += 50.0
    row, _ = quality_of(frame)
    pairs = frame.loc[rows]
    # by hand: hat matrix, and least squares without the pair
    design = np.column_stack([np.ones(len(rows)), pairs["local"]])
    hat = design @ np.linalg.inv(design.T @ design) @ design.T
    slope = np.polyfit(pairs["local"], pairs["reference"], 1)[0]
    without = np.polyfit(pairs["local"][1:], pairs["reference"][1:], 1)[0]
    residuals = pairs["reference"] - hat @ pairs["reference"]
    variance = (residuals**2).sum() / (len(rows) - 2)
    moved = (
        hat @ pairs["reference"] - design @ np.polyfit(pairs["local"][1:], pairs["reference"][1:], 1)[::-1]
    )
    np.testing.assert_allclose(row["largest_leverage"], hat[0, 0], rtol=1e-9)
    np.testing.assert_allclose(row["largest_cook_distance"], (moved**2).sum() / (2 * variance), rtol=1e-6)
    np.testing.assert_allclose(row["slope"], slope, rtol=1e-9)
    assert row["most_influential"] == f"row {rows[0] + 1}"
    assert f"row {rows[0] + 1} (local" in row["reasons"]
    assert f"slope without it {without:.3g}"[:20] in row["reasons"]
    assert "not against outlying local ones" in row["reasons"]
    assert abs(row["huber_slope"] - slope) < abs(row["huber_slope"] - without), "leverage deceives Huber too"


def test_hubers_slope_shows_what_a_gross_reference_value_does():
    frame = pool_frame(larger=True)
    rows = np.flatnonzero(is_calibrator(frame) & (frame["study"] == "B"))
    clean, _ = quality_of(frame)
    top = rows[np.argsort(frame.loc[rows, "local"].to_numpy())[-3]]
    frame.loc[top, "reference"] += 30.0
    row, _ = quality_of(frame)
    assert abs(row["huber_slope"] - clean["slope"]) < abs(row["slope"] - clean["slope"]) / 2
    assert f"row {top + 1} (local" in row["reasons"]
    assert "compare with the calibration estimator huber (slope" in row["reasons"]


def test_file_and_line_of_an_outlying_pair_are_told(tmp_path):
    frame = pool_frame(larger=True)
    rows = np.flatnonzero(is_calibrator(frame) & (frame["study"] == "B"))
    frame.loc[rows[0], "local"] += 50.0
    path = tmp_path / "pool.csv"
    frame.to_csv(path, index=False)
    table = bc.calibrate(bc.read_studies([path])).tidy_quality().set_index("study")
    assert table.loc["B", "most_influential"].endswith(f"pool.csv:{rows[0] + 2}")
    assert f"pool.csv:{rows[0] + 2} (local" in table.loc["B", "reasons"]


@pytest.mark.parametrize("method", METHODS)
def test_slopes_of_0_and_of_1e_minus_9_are_told_and_not_made_effects_of(method):
    for slope in (0.0, 1e-9):
        frame = spoiled(lambda pairs, rng, slope=slope: unrelated(pairs, rng) + slope * pairs["local"])
        row, results = quality_of(frame)
        assert row["light"] == "red"
        assert "slope" in row["reasons"]
        local_only = frame[frame["study"] != "R"]
        if method == "naive":
            assert np.isfinite(fit(local_only, method).params).all()
        elif method != "internalized":  # observed values differ, whatever the line says
            with pytest.raises(
                FitError, match=r"calibrated values hardly differ|constant within every matched set"
            ):
                fit(local_only, method, calibration_covariates="none")
        assert results.notes


def test_a_calibration_that_tells_nothing_leaves_the_reference_study_its_say():
    frame = spoiled(unrelated)
    found = fit(frame, "full", calibration_covariates="none")
    alone = fit(frame[frame["study"] == "R"], "full")
    np.testing.assert_allclose(found.params, alone.params, rtol=1e-6)
    assert any("quality of the calibrations: red: A, B" in note for note in told(found))


def test_a_falling_line_is_told_and_its_fit_is_that_of_80_digits():
    frame = pool_frame()
    pairs = is_calibrator(frame)
    noise = np.random.default_rng(1).normal(0, 0.1, pairs.sum())
    frame.loc[pairs, "reference"] = 10 - 0.7 * frame.loc[pairs, "local"] + noise
    beta, vcov, found = errors_against_80_digits(frame, "full")
    assert beta < 1e-9
    assert vcov < 1e-9
    assert any(note.startswith("slope not positive: A, B") for note in told(found))


def exact_line(pairs, rng):
    return 1 + 0.7 * pairs["local"]


@pytest.mark.parametrize("method", METHODS[1:4])
def test_a_calibration_without_error_is_fitted_and_told_to_look_calculated(method):
    frame = spoiled(exact_line)
    row, _ = quality_of(frame)
    assert "were they measured, or calculated?" in row["reasons"]
    assert np.isnan(row["p_unequal_variance"])  # of rounding nothing is tested
    assert row["influential"] == 0
    found = fit(frame, method)
    known = frame.assign(
        reference=np.where(frame["study"] == "R", frame["reference"], exact_line(frame, None))
    )
    known["local"] = np.nan
    plain = fit(known, "naive")
    np.testing.assert_allclose(found.params, plain.params, rtol=1e-9)
    np.testing.assert_allclose(found.cov_params(), plain.cov_params(), rtol=1e-7)


def test_a_constant_reference_value_is_told_as_such():
    row, results = quality_of(spoiled(lambda pairs, rng: 5.0))
    assert row["light"] == "red"
    assert "all pairs have the same reference value" in row["reasons"]
    assert any(note.startswith("slope not positive: A, B") for note in results.notes)
    assert "nan" not in results.summary().lower().split()
