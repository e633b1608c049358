from __future__ import annotations

import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from biocal.errors import OptionError
from biocal.results.plots import Curve, DoseResponsePanel, draw_dose_response, draw_dose_response_panels
from biocal.results.plots.curves import DISTRIBUTION_AXES

CONTROLS = np.linspace(0.0, 125.0, 126)


def texts_of(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def boxes_inside(figure: Figure) -> bool:
    """Tell whether everything drawn lies inside the figure, so that nothing is clipped."""
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    slack = 0.02  # inches: anti-aliasing and the layout's rounding
    return box.x0 >= -slack and box.y0 >= -slack and box.x1 <= width + slack and box.y1 <= height + slack


def line_named(axes, label: str):
    return next(line for line in axes.get_lines() if line.get_label() == label)


def test_curve_is_drawn_as_odds_ratio_on_a_log_axis(make_curve):
    axes = draw_dose_response([make_curve("full")], reference=50)
    line = line_named(axes, "full")
    np.testing.assert_allclose(line.get_ydata(), np.exp(-0.005 * (line.get_xdata() - 50)), rtol=1e-12)
    assert axes.get_yscale() == "log"


def test_the_band_is_the_interval(make_curve):
    curve = make_curve("full")
    axes = draw_dose_response([curve], reference=50)
    (band,) = axes.collections
    corners = band.get_paths()[0].vertices
    for exposure, low, high in zip(curve.exposure, curve.low, curve.high, strict=True):
        here = corners[np.isclose(corners[:, 0], exposure), 1]
        np.testing.assert_allclose([here.min(), here.max()], np.exp([low, high]), rtol=1e-12)


def test_reference_is_marked_at_odds_ratio_one(make_curve):
    axes = draw_dose_response([make_curve("full")], reference=50)
    marks = [tuple(map(float, line.get_xydata()[0])) for line in axes.get_lines() if line.get_marker() == "o"]
    assert marks == [(50.0, 1.0)]


def test_labels_tell_exposure_unit_outcome_reference_and_level(make_curve):
    axes = draw_dose_response(
        [make_curve("full")], reference=56.25, exposure_name="25(OH)D", unit="nmol/L",
        outcome_name="colorectal cancer", level=0.9,
    )  # fmt: skip
    assert axes.get_xlabel() == "25(OH)D (nmol/L)"
    for part in ("Odds ratio of colorectal cancer", "56.25 nmol/L", "90%"):
        assert part in axes.get_ylabel().replace("\n", " ")


def test_controls_are_counted_beneath_and_those_not_shown_are_told(make_curve):
    axes = draw_dose_response([make_curve("full")], reference=50, control_exposure=CONTROLS)
    beneath = next(each for each in axes.figure.axes if each.get_label() == DISTRIBUTION_AXES)
    low, high = axes.get_xlim()
    inside = int(((low <= CONTROLS) & (high >= CONTROLS)).sum())
    assert sum(bar.get_height() for bar in beneath.patches) == inside
    assert f"{100 * (1 - inside / CONTROLS.size):.1f}% not shown" in texts_of(axes.figure)
    assert beneath.get_xlim() == axes.get_xlim()
    assert beneath.get_xlabel() == "exposure"


def test_weights_of_controls_are_used(make_curve):
    axes = draw_dose_response(
        [make_curve("full")], reference=50, control_exposure=[40.0, 60.0], control_weights=[2.0, 3.0]
    )
    beneath = axes.figure.axes[-1]
    assert sorted(bar.get_height() for bar in beneath.patches)[-2:] == [2.0, 3.0]
    assert "not shown" not in texts_of(axes.figure)


def test_every_method_has_its_own_colour_and_line_style(make_curve):
    methods = ["naive", "internalized", "full", "induced", "two-stage"]
    axes = draw_dose_response([make_curve(name) for name in methods], reference=50)
    lines = [line_named(axes, name) for name in methods]
    assert len({line.get_color() for line in lines}) == len(methods)
    assert len({str(line._unscaled_dash_pattern) for line in lines}) == len(methods)


def test_a_method_looks_the_same_alone_and_in_company(make_curve):
    alone = draw_dose_response([make_curve("full")], reference=50)
    company = draw_dose_response([make_curve("cohort A"), make_curve("full")], reference=50)
    assert line_named(alone, "full").get_color() == line_named(company, "full").get_color()
    assert line_named(company, "cohort A").get_color() != line_named(company, "full").get_color()


@pytest.mark.parametrize("width_mm", [89.0, 120.0, 180.0])
@pytest.mark.parametrize("methods", [["full"], ["naive", "internalized", "full", "induced", "two-stage"]])
def test_nothing_is_clipped_at_print_widths(make_curve, width_mm, methods):
    axes = draw_dose_response(
        [make_curve(name) for name in methods], reference=50, control_exposure=CONTROLS,
        exposure_name="25-hydroxyvitamin D, season-standardised", unit="nmol/L", knots=[30, 50, 70],
        outcome_name="colorectal cancer", width_mm=width_mm,
    )  # fmt: skip
    assert boxes_inside(axes.figure)
    box = axes.yaxis.label.get_window_extent()
    assert box.y0 >= 0
    assert box.y1 <= axes.figure.bbox.height


def test_knots_beyond_the_curves_are_counted_and_not_drawn_beside_them(make_curve):
    axes = draw_dose_response([make_curve("full")], reference=50, knots=[-500.0, 50.0, 70.0, 900.0])
    (marks,) = [line for line in axes.lines if line.get_marker() == "^"]
    assert list(marks.get_xdata()) == [50.0, 70.0]
    assert "knots (2 not shown)" in [text.get_text() for text in axes.figure.legends[0].get_texts()]


def test_a_band_without_end_is_cut_and_told(make_curve):
    axes = draw_dose_response([make_curve("full", se_slope=30.0)], reference=50)
    assert "cut at the edge" in axes.get_ylabel().replace("\n", " ")
    assert axes.get_ylim()[1] < 20
    axes.figure.draw_without_rendering()


def test_missing_points_leave_a_gap(make_curve):
    curve = make_curve("full", log_or=lambda x: np.where(x > 90, np.nan, 0.0))
    axes = draw_dose_response([curve], reference=50)
    axes.figure.draw_without_rendering()
    assert np.isnan(line_named(axes, "full").get_ydata()).any()


def test_drawing_on_given_axes_keeps_the_users_figure_and_size(make_curve):
    figure = Figure(figsize=(7, 3))
    left, right = figure.subplots(1, 2)
    returned = draw_dose_response([make_curve("full")], reference=50, control_exposure=CONTROLS, ax=right)
    assert returned is right
    assert figure.axes[0] is left
    assert tuple(figure.get_size_inches()) == (7, 3)
    assert len(figure.axes) == 3
    figure.draw_without_rendering()


def test_given_axes_without_a_grid_are_split_in_place(make_curve):
    figure = Figure()
    axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))
    draw_dose_response([make_curve("full")], reference=50, control_exposure=CONTROLS, ax=axes)
    assert axes.get_position().y0 > figure.axes[1].get_position().y1
    assert figure.axes[1].get_position().y0 == pytest.approx(0.1)


def test_settings_of_the_user_are_left_alone(make_curve):
    import matplotlib

    before = dict(matplotlib.rcParams)
    draw_dose_response([make_curve("full")], reference=50)
    assert dict(matplotlib.rcParams) == before


def test_no_interactive_backend_is_loaded():
    import subprocess

    code = "import sys, biocal.results.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_panels_share_axes_and_have_a_title_each(make_curve):
    panels = [
        DoseResponsePanel(
            f"sex: {sex}", [make_curve("naive", slope), make_curve("full", 2 * slope)], CONTROLS
        )
        for sex, slope in (("women", -0.01), ("men", -0.001))
    ]
    figure = draw_dose_response_panels(panels, reference=50, unit="nmol/L", outcome_name="colorectal cancer")
    women, men = figure.axes[:2]
    assert women.get_ylim() == men.get_ylim()
    assert [women.get_title(), men.get_title()] == ["sex: women", "sex: men"]
    assert boxes_inside(figure)
    label = figure.get_supylabel()
    assert "against 50 nmol/L" in label


@pytest.mark.parametrize("n_levels", [1, 2, 3, 4, 5, 7])
def test_any_number_of_levels_can_be_drawn(make_curve, n_levels):
    panels = [DoseResponsePanel(f"level {k}", [make_curve("full")], CONTROLS) for k in range(n_levels)]
    figure = draw_dose_response_panels(panels, reference=50)
    assert [axes.get_title() for axes in figure.axes[:n_levels]] == [panel.title for panel in panels]
    assert boxes_inside(figure)


def test_a_dollar_sign_in_a_name_is_printed(make_curve):
    axes = draw_dose_response([make_curve("a$_{b$")], reference=50, exposure_name="c$^{d$", outcome_name="$$")
    axes.figure.draw_without_rendering()


@pytest.mark.parametrize(
    "arrays",
    [
        ([1.0, 2.0], [0.0], [0.0], [0.0]),
        ([1.0], [0.0], [0.0], [0.0]),
        ([1.0, 2.0], [np.nan, np.nan], [0.0, 0.0], [0.0, 0.0]),
        ([1.0, np.nan], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]),
    ],
)
def test_a_curve_that_cannot_be_drawn_is_refused_by_name(arrays):
    with pytest.raises(OptionError, match="'full'") as caught:
        Curve("full", *map(np.array, arrays))
    assert caught.value.curve == "full"


def test_no_curve_is_an_error():
    with pytest.raises(OptionError):
        draw_dose_response([], reference=50)
    with pytest.raises(OptionError):
        draw_dose_response_panels([], reference=50)


def test_weights_for_some_controls_only_are_refused(make_curve):
    with pytest.raises(OptionError, match="2 controls but 1 weights"):
        draw_dose_response(
            [make_curve("full")], reference=50, control_exposure=[1.0, 2.0], control_weights=[1.0]
        )
