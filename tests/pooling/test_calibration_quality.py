"""The quality gate: each light for its own reason, in words that name the place."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import biocal as bc
from biocal.errors import OptionError
from biocal.pool.pooled import PooledStudies
from biocal.results.calibration.quality_tables import QUALITY_COLUMNS


def study_frame(name, *, pairs=40, sets=80, slope=1.0, sd=3.0, change=None, seed=1):
    """One local study whose calibrators are spread evenly over its range; `change` may spoil the pairs."""
    rng = np.random.default_rng(seed)
    n = 2 * sets
    local = np.linspace(20, 80, n)
    case = np.tile([1, 0, 0, 1], sets // 2)
    controls = np.flatnonzero(case == 0)
    chosen = controls[np.linspace(0, controls.size - 1, pairs).astype(int)]
    noise = rng.normal(size=n)
    reference = 5 + slope * local + sd * noise
    frame = pd.DataFrame({"study": name, "set": np.repeat(np.arange(sets), 2), "case": case, "local": local})
    frame["reference"] = np.nan
    frame.loc[chosen, "reference"] = reference[chosen]
    if change is not None:
        change(frame, chosen, rng)
    return frame


def gate(frame, **options):
    results = bc.calibrate(PooledStudies.from_frame(frame), **options)
    return results, results.quality[0]


def add_curve(frame, chosen, rng):
    frame.loc[chosen, "reference"] += 0.02 * (frame.loc[chosen, "local"] - 50) ** 2


def add_fan(frame, chosen, rng):
    grown = np.exp((frame.loc[chosen, "local"] - 50) / 12)
    frame.loc[chosen, "reference"] += grown * rng.normal(0, 2, chosen.size)


def add_gross_error(frame, chosen, rng):
    frame.loc[chosen[-1], "reference"] += 40


def leave_top(frame, chosen, rng):
    frame.loc[frame["local"] > 70, "reference"] = np.nan


CASES = {
    "nothing": ({}, "green", ""),
    "few": ({"pairs": 15}, "amber", "15 pairs: an uncertain line"),
    "very few": ({"pairs": 8}, "red", "8 pairs: one of them can decide the line"),
    "noisy": ({"sd": 14.0}, "amber", "a noisy assay"),
    "useless": ({"sd": 24.0}, "red", "less than half of what the reference assay sees"),
    "falling": ({"slope": -1.0}, "red", "the slope is not positive"),
    "unrelated": ({"slope": 0.2, "sd": 9.0, "pairs": 20}, "red", "standard errors above 0"),
    "range": ({"change": leave_top}, "amber", "of the local values lie outside the pairs' range 20.4 to"),
    "curve": ({"change": add_curve}, "amber", "curvature (p ="),
    "fan": ({"change": add_fan}, "amber", "at high local values"),
    "gross": (
        {"change": add_gross_error},
        "amber",
        "this pair moves the slope by more than its standard error: row 159",
    ),
    "unit": ({"slope": 2.5}, "amber", "times the local ones: an assay that reads low, or another unit?"),
}


@pytest.mark.parametrize("case", CASES)
def test_each_light_has_its_reason(case):
    options, light, words = CASES[case]
    results, quality = gate(study_frame("A", **options))
    told = {reason: own for own, reason in quality.reasons()}
    if not words:
        assert (quality.light, told) == ("green", {})
        assert "green A" in results.summary()
        return
    assert quality.light == light, told
    assert [own for reason, own in told.items() if words in reason] == [light], told
    assert f"{light:6}A: " in results.summary()


def test_a_third_of_the_range_without_pairs_is_red():
    def leave_more(frame, chosen, rng):
        frame.loc[frame["local"] > 60, "reference"] = np.nan

    _, quality = gate(study_frame("A", change=leave_more, pairs=60))
    assert any(light == "red" and "outside the pairs' range" in reason for light, reason in quality.reasons())


def test_influential_pairs_are_named_by_file_and_line(tmp_path):
    path = tmp_path / "larch.csv"
    study_frame("A", change=add_gross_error).to_csv(path, index=False)
    quality = bc.calibrate(bc.read_studies([str(path)])).quality[0]
    pair = quality.influential[0]
    assert pair.place == f"{path}:160"
    assert pair.change > 1
    # the page of results names no person
    assert all(str(path) not in reason for _, reason in quality.reasons(places=False))


def test_batches_that_differ_are_told_with_their_slopes():
    def add_batches(frame, chosen, rng):
        frame["plate"] = "a"
        frame.loc[chosen[::2], "plate"] = "b"
        frame.loc[chosen[::2], "reference"] += 0.4 * (frame.loc[chosen[::2], "local"] - 50)

    frame = study_frame("A", change=add_batches)
    results, quality = gate(frame, batch="plate")
    assert any("batches differ" in reason and "slopes a 0.9" in reason for _, reason in quality.reasons())
    table = results.tidy_batches()
    assert list(table["batch"]) == ["a", "b"]
    told = results.summary()
    assert "Slopes by batch" in told
    (row,) = (line.split() for line in told.splitlines() if line.split()[:2] == ["A", "a"])
    assert row[2] == str(table["pairs"][0])
    np.testing.assert_allclose(table["slope"], [1.0, 1.4], atol=0.1)
    with pytest.raises(OptionError, match="there is no batch column 'plat'; did you mean 'plate'"):
        gate(frame, batch="plat")


def test_the_table_has_the_laboratory_lines_and_all_columns():
    results, quality = gate(study_frame("A", slope=1.0))
    table = results.tidy_quality()
    assert tuple(table.columns) == QUALITY_COLUMNS
    pairs = results.studies[0]
    np.testing.assert_allclose(table["bias"], np.mean(pairs.pairs_reference - pairs.pairs_local))
    assert quality.deming.slope > pairs.slope
    summary = results.summary()
    assert "Least squares is right here" in summary
    assert "Passing-Bablok" in summary


def test_diagnostics_look_at_the_pairs_with_the_covariates_taken_off():
    frame = study_frame("A")
    rng = np.random.default_rng(0)
    frame["z"] = rng.normal(size=len(frame))
    frame["reference"] += 30 * frame["z"]
    _, without = gate(frame)
    _, with_z = gate(frame, calibration_covariates="z")
    assert without.light == "red"
    assert with_z.light == "green"


@pytest.mark.parametrize("form", ["log-log", "rcs"])
def test_other_forms_have_a_gate_too(form):
    results, quality = gate(study_frame("A", change=add_curve), calibration_form=form)
    if form == "rcs":
        assert np.isnan(quality.p_curved)
    assert results.tidy_quality()["form"][0] == form
    assert results.plot_residuals().axes
    assert results.plot_agreement().axes


def test_a_fit_names_the_lights_that_are_not_green():
    frame = pd.concat([study_frame("A"), study_frame("B", sd=14.0, seed=2)])
    fit = bc.fit(PooledStudies.from_frame(frame), exposure=bc.linear())
    assert any(note.startswith("quality of the calibrations: amber: B") for note in fit.info.notes)
    assert (
        "A"
        not in next(note for note in fit.info.notes if "quality of the" in note).split("(")[0].split(": ")[2]
    )
