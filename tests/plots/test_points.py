"""Large clouds are drawn by some of their points, outliers among them, and the panel says so."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from biocal.results.plots.calibration.agreement import LevelPanel, LevelWords, draw_level_panels
from biocal.results.plots.calibration.calibration import CalibrationPanel, draw_calibration_panels
from biocal.results.plots.style import MOST_POINTS, drawn_words, shown_points

#: Kolmogorov's distance between the points drawn and all of them; the outermost tenth moves it a little.
ALIKE = 0.02


def cloud(n):
    rng = np.random.default_rng(3)
    local = rng.gamma(4.0, 10.0, n)
    return local, 5 + 0.8 * local + rng.normal(0, 6, n)


def panel_of(n):
    local, reference = cloud(n)
    return CalibrationPanel("A", local, reference, 5.0, 0.8, 0.9, 6.0)


def drawn_points(figure: Figure) -> int:
    return max(line.get_xdata().size for line in figure.axes[0].lines if line.get_marker() == "o")


def test_small_clouds_are_drawn_whole():
    local, reference = cloud(MOST_POINTS)
    np.testing.assert_array_equal(shown_points(local, reference), np.arange(MOST_POINTS))
    figure = draw_calibration_panels([panel_of(60)])
    assert drawn_points(figure) == 60
    assert "drawn" not in "".join(text.get_text() for text in figure.axes[0].texts)


def test_large_clouds_keep_their_shape_their_ends_and_their_outliers():
    local, reference = cloud(50_000)
    off = reference - 5 - 0.8 * local
    shown = shown_points(local, off)
    assert 0.9 * MOST_POINTS <= shown.size <= MOST_POINTS
    assert (np.diff(shown) > 0).all()
    assert {local.argmin(), local.argmax(), off.argmin(), off.argmax()} <= set(shown.tolist())
    at = np.sort(local)
    below = np.searchsorted(np.sort(local[shown]), at, side="right") / shown.size
    assert np.abs(below - np.arange(1, at.size + 1) / at.size).max() < ALIKE


def test_panels_of_large_clouds_say_how_many_points_are_drawn():
    figure = draw_calibration_panels([panel_of(20_000)])
    drawn = drawn_points(figure)
    assert drawn <= MOST_POINTS
    assert any(f"n = 20000 ({drawn:,} drawn)" in text.get_text() for text in figure.axes[0].texts)
    local, reference = cloud(20_000)
    residual = reference - 5 - 0.8 * local
    levels = LevelPanel("A", local, residual, 0.0, (), residual > 20, "SD 6")
    figure = draw_level_panels([levels], LevelWords("local", "residual", "pair", "", "2 SD", "marked"))
    assert drawn_points(figure) <= MOST_POINTS
    assert any("SD 6 (" in text.get_text() for text in figure.axes[0].texts)
    assert drawn_words(10, 10) == ""
