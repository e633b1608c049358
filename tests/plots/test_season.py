"""Panels of the season: the curve that was fitted, the months, the reference date; whole as a file."""

from __future__ import annotations

import numpy as np
import pytest

from biocal.errors import OptionError
from biocal.kernels.splines import DAYS_PER_YEAR, harmonic_columns, mid_month_day
from biocal.results.plots.save import figure_bytes
from biocal.results.plots.season import SeasonPanel, draw_season_panels

DRAWN = 1e-9  # a line's data are those given


def panel(study="Fir", months=12, coefficients=(-4.6, -12.0)):
    day = mid_month_day(np.arange(1, months + 1))
    return SeasonPanel(
        study, 47.5, np.array(coefficients), day, 47.5 + 0.1 * day, np.full(day.size, 30, dtype=np.intp)
    )


def test_each_study_has_its_curve_mean_and_months():
    figure = draw_season_panels(
        [panel(), panel("Neem", 7), panel("Oak")], exposure_name="25(OH)D", unit="nmol/L"
    )
    assert len(figure.axes) == 3
    for axes, n_months in zip(figure.axes, (12, 7, 12), strict=True):
        curve = max(axes.lines, key=lambda line: len(line.get_xdata()))
        days = np.asarray(curve.get_xdata())
        expected = 47.5 + np.array([-4.6, -12.0]) @ harmonic_columns(days)
        np.testing.assert_allclose(curve.get_ydata(), expected, rtol=DRAWN)
        assert (days[0], days[-1]) == (0.0, DAYS_PER_YEAR)
        assert len(axes.collections[0].get_offsets()) == n_months
    assert figure.axes[1].get_title().startswith("Neem\nhalf-swing 12.9")
    assert figure.get_supylabel() == "25(OH)D (nmol/L)"


def test_a_reference_date_is_marked_and_the_annual_mean_needs_no_mark():
    def words(figure):
        return [text.get_text() for text in figure.legends[0].get_texts()]

    july = draw_season_panels([panel()], reference_day=182.0)
    assert "reference date" in words(july)
    assert any(list(line.get_xdata()) == [182.0, 182.0] for line in july.axes[0].lines)
    assert "reference date" not in words(draw_season_panels([panel()]))


def test_points_grow_with_the_controls_of_a_month():
    day = mid_month_day(np.arange(1, 4))
    one = SeasonPanel("A", 50.0, np.array([1.0, 2.0]), day, day, np.array([2, 20, 200], dtype=np.intp))
    sizes = draw_season_panels([one]).axes[0].collections[0].get_sizes()
    assert sizes[0] < sizes[1] < sizes[2]


@pytest.mark.parametrize("n", [1, 2, 4, 17])
def test_figures_are_whole_as_files(n):
    panels = [panel(f"Study {k} of a long-named consortium") for k in range(n)]
    figure = draw_season_panels(panels)
    assert len(figure.axes) == n
    assert figure.get_figheight() * 25.4 <= 240.0
    if n == 2:
        assert figure_bytes(figure, "svg").startswith(b"<?xml")


def test_two_harmonics_are_drawn_as_fitted():
    figure = draw_season_panels([panel(coefficients=(-4.6, -12.0, 2.0, 1.0))])
    curve = max(figure.axes[0].lines, key=lambda line: len(line.get_xdata()))
    days = np.asarray(curve.get_xdata())
    expected = 47.5 + np.array([-4.6, -12.0, 2.0, 1.0]) @ harmonic_columns(days, 2)
    np.testing.assert_allclose(curve.get_ydata(), expected, rtol=DRAWN)


def test_no_study_is_refused():
    with pytest.raises(OptionError, match="no study"):
        draw_season_panels([])
