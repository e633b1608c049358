from __future__ import annotations

import numpy as np
import pytest

from biocal.errors import OptionError
from biocal.results.plots import CalibrationPanel, draw_calibration_panels


def panel(study: str, *, scale: float = 1.0, local_range=(5.0, 150.0), slope: float = 0.8):
    local = np.linspace(20, 100, 30)
    reference = 8 + slope * local + 5 * np.sin(np.arange(30))
    ends = None if local_range is None else (scale * local_range[0], scale * local_range[1])
    return CalibrationPanel(study, scale * local, reference, 8.0, slope / scale, 0.87, 5.2, ends)


def labels_of(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("n_studies", [1, 2, 3, 4, 5, 9, 17, 30])
def test_one_panel_a_study_in_the_order_given(n_studies):
    names = [f"study {k}" for k in range(n_studies)]
    figure = draw_calibration_panels([panel(name) for name in names], local_unit="nmol/L")
    assert [axes.get_title() for axes in figure.axes] == names
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    figure.draw_without_rendering()
    assert figure.get_size_inches()[0] * 25.4 <= 180.01
    assert figure.get_size_inches()[1] * 25.4 <= 250  # an A4 page with margins
    smallest = min(axes.get_window_extent().width / figure.dpi * 25.4 for axes in figure.axes)
    assert smallest > 24  # mm, else points and numbers blur in print


def test_count_and_fit_are_told_in_each_panel():
    figure = draw_calibration_panels([panel("A")])
    assert "n = 30, R² 0.87, SD 5.2" in labels_of(figure.axes[0])


def test_fitted_line_is_solid_over_the_subset_and_dotted_beyond():
    axes = draw_calibration_panels([panel("A")]).axes[0]
    solid = next(line for line in axes.get_lines() if list(line.get_xdata()) == [20.0, 100.0])
    np.testing.assert_allclose(solid.get_ydata(), [24.0, 88.0], rtol=1e-12)
    assert any(list(line.get_xdata()) == [5.0, 150.0] for line in axes.get_lines())


def test_a_wild_local_value_does_not_press_the_pairs_together_but_is_told():
    axes = draw_calibration_panels([panel("A", local_range=(5.0, 4000.0))]).axes[0]
    assert axes.get_xlim()[1] < 200
    assert "local to 4000" in labels_of(axes)


def test_unlike_scales_get_their_own_axes():
    figure = draw_calibration_panels([panel("A"), panel("B", scale=0.1)])
    assert figure.axes[1].get_xlim()[1] < 20 < figure.axes[0].get_xlim()[1]


def test_identity_line_is_left_out_when_the_units_differ():
    def names(figure):
        return [text.get_text() for text in figure.legends[0].get_texts()]

    assert "identity" in names(draw_calibration_panels([panel("A")], local_unit="nmol/L"))
    differing = draw_calibration_panels([panel("A")], local_unit="ng/mL", reference_unit="nmol/L")
    assert "identity" not in names(differing)


def test_adjusted_lines_are_named_so():
    figure = draw_calibration_panels([panel("A")], adjusted=True)
    assert "fitted line at mean covariates" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_odd_panels_draw_without_warning():
    single = CalibrationPanel("one pair", [5.0], [7.0], 7.0, 0.0, float("nan"), float("nan"), None)
    long_name = panel("A study with a name that will not fit into one line, $ signs $ and all")
    draw_calibration_panels([single]).draw_without_rendering()
    draw_calibration_panels([long_name, panel("falling", slope=-0.5)]).draw_without_rendering()


def test_nothing_to_draw_is_an_error():
    with pytest.raises(OptionError):
        draw_calibration_panels([])
    with pytest.raises(OptionError) as caught:
        CalibrationPanel("A", np.ones(2), np.ones(3), 0.0, 1.0, 1.0, 1.0)
    assert caught.value.study == "A"
