from __future__ import annotations

import itertools

import numpy as np
import pytest

from biocal.errors import OptionError
from biocal.results.plots import CategoryEstimates, draw_category_odds_ratios

CATEGORIES = ["<30", "[30, 50)", "[50, 75)", ">=75"]


def estimates(label: str) -> CategoryEstimates:
    log_or = np.array([0.3, 0.1, 0.0, -0.2])
    half = np.array([0.2, 0.15, 0.0, 0.2])
    return CategoryEstimates(label, log_or, log_or - half, log_or + half)


def test_categories_are_named_in_order_with_their_controls():
    axes = draw_category_odds_ratios(
        [estimates("full")], categories=CATEGORIES, reference_category="[50, 75)", unit="nmol/L",
        control_counts=[10, 2000, 30, 40],
    )  # fmt: skip
    assert [text.get_text() for text in axes.get_xticklabels()] == [
        "<30\n10", "[30, 50)\n2,000", "[50, 75)\n30", ">=75\n40",
    ]  # fmt: skip
    assert "nmol/L" in axes.get_xlabel()
    assert "against [50, 75), 95% interval" in axes.get_ylabel().replace("\n", " ")


def test_points_are_odds_ratios_and_the_reference_has_no_bar():
    axes = draw_category_odds_ratios(
        [estimates("full")], categories=CATEGORIES, reference_category="[50, 75)"
    )
    points = axes.containers[0].lines[0]
    np.testing.assert_allclose(points.get_ydata(), np.exp([0.3, 0.1, -0.2]), rtol=1e-12)
    bars = axes.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose(bars[0][:, 1], np.exp([0.1, 0.5]), rtol=1e-12)
    assert len(bars) == 3


def test_methods_stand_side_by_side_with_their_own_markers():
    axes = draw_category_odds_ratios(
        [estimates("naive"), estimates("full"), estimates("induced")],
        categories=CATEGORIES, reference_category="[50, 75)",
    )  # fmt: skip
    points = [container.lines[0] for container in axes.containers]
    assert len({line.get_marker() for line in points}) == 3
    assert points[0].get_xdata()[0] < points[1].get_xdata()[0] < points[2].get_xdata()[0] < 0.5
    axes.figure.draw_without_rendering()


def test_a_category_without_estimate_is_left_blank():
    given = CategoryEstimates("full", [np.nan, 0.1, 0.0, 0.2], [np.nan, 0, 0, 0], [np.nan, 0.2, 0, 0.4])
    axes = draw_category_odds_ratios([given], categories=CATEGORIES, reference_category="[50, 75)")
    axes.figure.draw_without_rendering()
    assert np.isfinite(axes.get_ylim()).all()


def test_pieces_that_do_not_fit_are_refused():
    with pytest.raises(OptionError, match="not among") as caught:
        draw_category_odds_ratios([estimates("full")], categories=CATEGORIES, reference_category="none")
    assert caught.value.allowed == tuple(CATEGORIES)
    with pytest.raises(OptionError, match="3 categories"):
        draw_category_odds_ratios([estimates("full")], categories=CATEGORIES[:3], reference_category="<30")
    with pytest.raises(OptionError, match="no method"):
        draw_category_odds_ratios([], categories=CATEGORIES, reference_category="<30")
    with pytest.raises(OptionError, match="counts of controls"):
        draw_category_odds_ratios(
            [estimates("full")], categories=CATEGORIES, reference_category="<30", control_counts=[1]
        )


def test_names_of_many_categories_do_not_run_into_each_other():
    names = [f"[{k}.5, {k + 12}.5)" for k in range(10, 90, 10)]
    given = CategoryEstimates("full", np.zeros(8), np.full(8, -0.1), np.full(8, 0.1))
    for width_mm in (89.0, 120.0, 180.0):
        axes = draw_category_odds_ratios(
            [given], categories=names, reference_category=names[3], width_mm=width_mm
        )
        axes.figure.draw_without_rendering()
        texts = axes.get_xticklabels()
        boxes = [text.get_window_extent() for text in texts]
        turned = texts[0].get_rotation() != 0
        assert turned or all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
        assert turned or width_mm > 100
