from __future__ import annotations

import io

import pytest
from matplotlib.figure import Figure

from biocal.errors import OptionError
from biocal.results.plots import draw_dose_response, figure_bytes, save_figure
from biocal.results.plots.save import laid_out


@pytest.mark.parametrize("file_format", ["png", "svg", "pdf"])
def test_the_same_figure_gives_the_same_bytes(make_curve, file_format):
    def draw():
        return draw_dose_response([make_curve("naive"), make_curve("full")], reference=50).figure

    assert figure_bytes(draw(), file_format) == figure_bytes(draw(), file_format)


def test_svg_bears_no_date(make_curve):
    content = figure_bytes(draw_dose_response([make_curve("full")], reference=50).figure, "svg")
    assert b"<dc:date>" not in content


def test_png_has_two_hundred_dots_per_inch(make_curve, tmp_path):
    import matplotlib.image

    figure = draw_dose_response([make_curve("full")], reference=50, width_mm=127.0).figure
    path = save_figure(figure, tmp_path / "curve.png")
    assert matplotlib.image.imread(path).shape[1] == 1000  # 127 mm are 5 inches


def test_an_unknown_format_is_refused_and_names_those_allowed(make_curve, tmp_path):
    figure = draw_dose_response([make_curve("full")], reference=50).figure
    with pytest.raises(OptionError, match="png, svg, pdf") as caught:
        save_figure(figure, tmp_path / "curve.bmp")
    assert caught.value.allowed == ("png", "svg", "pdf")
    assert not (tmp_path / "curve.bmp").exists()


def test_a_figure_laid_out_once_is_the_picture_that_matplotlib_makes_and_can_be_laid_out_again(make_curve):
    def draw():
        return draw_dose_response([make_curve("naive"), make_curve("full")], reference=50).figure

    alone = io.BytesIO()
    draw().savefig(alone, format="png", dpi=200, metadata={"Software": None})
    figure = draw()
    engine, dots = figure.get_layout_engine(), figure.dpi
    with laid_out(figure):
        pictures = [figure_bytes(figure, "svg"), figure_bytes(figure, "png")]
    assert pictures[1] == alone.getvalue()
    assert pictures[0] == figure_bytes(draw(), "svg")
    assert (figure.get_layout_engine(), figure.dpi) == (engine, dots)


def test_a_figure_without_layout_of_its_own_is_written_as_it_stands():
    figure = Figure(figsize=(2, 1))
    axes = figure.add_axes((0.2, 0.3, 0.5, 0.5))
    figure_bytes(figure)
    assert axes.get_position().bounds == pytest.approx((0.2, 0.3, 0.5, 0.5))
