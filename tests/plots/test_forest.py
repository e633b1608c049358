from __future__ import annotations

import numpy as np
import pytest

from biocal.errors import OptionError
from biocal.results.plots import ForestRow, ForestSummary, Heterogeneity, draw_forest

NOT_A_NUMBER = float("nan")
ROWS = [
    ForestRow("A", -0.2, -0.5, 0.1, 0.25),
    ForestRow("B", 0.1, -0.4, 0.6, 0.75, "few sets"),
]


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def squares(axes):
    return [line for line in axes.get_lines() if line.get_marker() == "s"]


def test_numbers_beside_the_plot_are_odds_ratios():
    figure = draw_forest(ROWS, level=0.9)
    for expected in ("0.82 (0.61 to 1.11)", "1.11 (0.67 to 1.82)", "25.0%", "75.0%", "OR (90% interval)"):
        assert expected in texts(figure)
    assert "B (few sets)" in texts(figure)


def test_area_of_a_square_is_proportional_to_the_weight():
    light, heavy = squares(draw_forest(ROWS).axes[0])
    assert (heavy.get_markersize() / light.get_markersize()) ** 2 == pytest.approx(3.0)


def test_diamond_and_prediction_interval_stand_where_they_should():
    figure = draw_forest(
        ROWS, pooled=ForestSummary("Random effects", -0.1, -0.3, 0.1), prediction=(-0.6, 0.4)
    )
    axes = figure.axes[0]
    corners = axes.patches[0].get_xy()[:, 0]
    np.testing.assert_allclose([corners.min(), corners.max()], np.exp([-0.3, 0.1]), rtol=1e-12)
    assert any(np.allclose(line.get_xdata(), np.exp([-0.6, 0.4])) for line in axes.get_lines())
    assert "(0.55 to 1.49)" in texts(figure)


def test_heterogeneity_and_contrast_are_told():
    figure = draw_forest(
        ROWS, heterogeneity=Heterogeneity(23.14, 16, 0.11, 0.31, 0.0123), contrast="75 against 50 nmol/L",
        outcome_name="colorectal cancer",
    )  # fmt: skip
    foot = figure.get_supxlabel()
    for part in ("Q = 23.1 on 16 df", "p = 0.110", "= 31%", "0.0123"):
        assert part in foot
    assert figure.axes[0].get_xlabel() == "Odds ratio of colorectal cancer, 75 against 50 nmol/L"
    assert "p < 0.001" in Heterogeneity(90, 3, 1e-9, 0.9).text()


def test_a_study_that_was_not_fitted_is_listed_with_its_reason():
    lost = ForestRow("C", NOT_A_NUMBER, NOT_A_NUMBER, NOT_A_NUMBER, NOT_A_NUMBER, "separation")
    figure = draw_forest([*ROWS, lost])
    assert "C" in texts(figure)
    assert "separation" in texts(figure)
    assert len(squares(figure.axes[0])) == 2


def test_a_wild_study_does_not_squeeze_the_others_and_its_numbers_stay():
    wild = ForestRow("C", 3.1, -1.2, 7.4, 0.01)
    figure = draw_forest([*ROWS, wild])
    assert figure.axes[0].get_xlim()[1] < 10
    assert "22.20 (0.30 to 1636)" in texts(figure)
    assert any(line.get_marker() == ">" for line in figure.axes[0].get_lines())


@pytest.mark.parametrize("n_studies", [1, 17, 40])
def test_nothing_is_clipped(n_studies):
    rows = [
        ForestRow(f"Cohort with a rather long name {k}", 0.1, -0.2, 0.4, 1 / n_studies)
        for k in range(n_studies)
    ]
    figure = draw_forest(
        rows, pooled=[ForestSummary("Fixed", 0.1, 0.0, 0.2), ForestSummary("Random", 0.1, 0.0, 0.2)],
        prediction=(-0.1, 0.3), heterogeneity=Heterogeneity(1.0, 1, 0.3, 0.0),
    )  # fmt: skip
    figure.draw_without_rendering()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    slack = 0.02  # inches: the layout's rounding
    assert box.x0 >= -slack
    assert box.y0 >= -slack
    assert box.x1 <= width + slack
    assert box.y1 <= height + slack


def test_infinite_intervals_draw_without_warning():
    draw_forest([*ROWS, ForestRow("C", 0.0, -np.inf, np.inf, 0.0)]).draw_without_rendering()


def test_nothing_to_draw_is_an_error():
    with pytest.raises(OptionError):
        draw_forest([])
    with pytest.raises(OptionError):
        draw_forest([ForestRow("A", NOT_A_NUMBER, NOT_A_NUMBER, NOT_A_NUMBER)])


def test_long_names_and_reasons_are_broken_not_run_together():
    name = "The Prospective Investigation with the Longest Name of All Cohorts, Second Follow-Up"
    reason = "not fitted: its calibration subset holds fewer than three pairs, and no line can be drawn"
    lost = ForestRow(name, NOT_A_NUMBER, NOT_A_NUMBER, NOT_A_NUMBER, NOT_A_NUMBER, reason)
    figure = draw_forest([*ROWS, ForestRow(name, 0.1, 0.0, 0.2, 0.1), lost])
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert axes.get_window_extent().width > 0.3 * figure.bbox.width
    names = sorted(
        (text.get_window_extent() for text in axes.texts if text.get_text().startswith("The Prospective")),
        key=lambda box: box.y0,
    )
    assert names[0].y1 <= names[1].y0
