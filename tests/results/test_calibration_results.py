"""The calibrations as users see them: table, summary, warnings, panels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from cli_pool import small_pool

import biocal as bc
from biocal.results.calibration.results import calibration_notes
from biocal.results.text import WIDTH


def calibrate(**options):
    return bc.calibrate(bc.PooledStudies.from_frame(small_pool()), unit="nmol/L", **options)


def test_the_table_agrees_with_least_squares_by_study():
    results = calibrate()
    frame = small_pool()
    for one in results.studies[:2]:
        pairs = frame[(frame["study"] == one.study) & frame["reference"].notna()]
        slope, intercept = np.polyfit(pairs["local"], pairs["reference"], 1)
        np.testing.assert_allclose(
            [one.intercept, one.slope], [intercept, slope], rtol=1e-9
        )  # same arithmetic
        residuals = pairs["reference"] - intercept - slope * pairs["local"]
        np.testing.assert_allclose(one.residual_sd, np.sqrt((residuals**2).sum() / 23), rtol=1e-9)
        local = frame.loc[frame["study"] == one.study, "local"]
        outside = (local < pairs["local"].min()) | (local > pairs["local"].max())
        assert one.outside == pytest.approx(outside.mean())
    west = results.studies[2]
    assert (west.kind, west.intercept, west.slope, west.n) == ("reference", 0, 1, 120)


def test_the_summary_shows_terms_and_not_dummies_and_fits_the_page():
    text = calibrate(calibration_covariates="bmi + C(sex)").summary()
    assert "calibration covariates: C(sex), bmi" in text
    assert "reference = intercept + slope * local + covariates" in text
    assert max(len(line) for line in text.splitlines()) <= WIDTH
    assert "reference studies (need none): West" in text
    plain = calibrate().summary()
    assert "calibration covariates: none" in plain
    assert "+ covariates" not in plain


def test_doubtful_calibrations_are_told_by_name():
    (north, south, west) = calibrate().studies
    spoilt = dataclasses.replace(north, n_calibration=12, r_squared=0.3, outside=0.2, slope=-0.1)
    notes = calibration_notes((spoilt, south, west))
    assert [note.split(":")[0] for note in notes] == [
        "fewer than 20 calibration pairs",
        "R2 below 0.5",
        "local values beyond the range of the calibrators, where the line is extrapolated",
        "slope not positive",
    ]
    assert all("North" in note and "West" not in note for note in notes)


def test_the_panels_tell_when_lines_are_those_at_mean_covariates():
    def words(figure):
        return " ".join(
            text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))
        )

    adjusted, plain = calibrate(calibration_covariates="bmi").plot(), calibrate().plot()
    assert "mean covariates" in words(adjusted)
    assert "mean covariates" not in words(plain)
    assert len(plain.axes) == 2, "a panel for each local study, none for the reference study"
