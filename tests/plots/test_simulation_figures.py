from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from biocal.errors import OptionError
from biocal.results.plots.save import figure_bytes
from biocal.results.plots.simulation.curves import (
    MOST_SINGLE_CURVES,
    ReplicateCurvesPanel,
    draw_replicate_curves,
)
from biocal.results.plots.simulation.lollipop import LollipopPanel, draw_lollipops
from biocal.results.plots.simulation.measures import LevelsPanel, MeasuredSeries, draw_levels
from biocal.results.plots.simulation.zip import MOST_INTERVALS, ZipPanel, draw_zip
from biocal.simulation.results import SimulationResults

AT, TRUTH = np.array([25.0, 75.0, 100.0]), np.array([0.5, -0.2, -0.1])
METHODS = ("naive", "full")
Z = 1.959963984540054


def texts_of(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def boxes_inside(figure: Figure) -> bool:
    """Tell whether everything drawn lies inside the figure, so that nothing is clipped."""
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    slack = 0.02  # inches: anti-aliasing and the layout's rounding
    return box.x0 >= -slack and box.y0 >= -slack and box.x1 <= width + slack and box.y1 <= height + slack


def zip_panel(n=40, seed=1, column="full", shift=0.0) -> ZipPanel:
    rng = np.random.default_rng(seed)
    estimate = 0.3 + shift + 0.1 * rng.standard_normal(n)
    return ZipPanel("log odds ratio", column, estimate, estimate - 0.196, estimate + 0.196, 0.3)


def segments_of(axes) -> np.ndarray:
    (lines,) = [part for part in axes.collections if isinstance(part, LineCollection)]
    return np.array(lines.get_segments())


def test_zip_ranks_intervals_by_their_distance_from_the_truth():
    panel = zip_panel()
    axes = draw_zip([panel]).axes[0]
    segments = segments_of(axes)
    distance = np.abs(segments[:, :, 0].mean(axis=1) - 0.3)
    assert (np.diff(distance) >= -1e-12).all()  # from the foot to the top
    assert len(segments) == 40
    np.testing.assert_allclose(segments[:, 0, 1], 100 * (np.arange(40) + 0.5) / 40)


def test_zip_colours_what_misses_and_tells_the_coverage():
    panel = zip_panel(200, shift=0.1)
    figure = draw_zip([panel])
    axes = figure.axes[0]
    misses = (panel.low > 0.3) | (panel.high < 0.3)
    (lines,) = [part for part in axes.collections if isinstance(part, LineCollection)]
    colours, count = np.unique(lines.get_colors(), axis=0, return_counts=True)
    assert sorted(count.tolist()) == sorted([misses.sum(), (~misses).sum()])
    assert len(colours) == 2
    assert f"{100 * (1 - misses.mean()):.1f}%" in texts_of(figure)


def test_zip_of_many_intervals_draws_some_and_says_so():
    figure = draw_zip([zip_panel(3 * MOST_INTERVALS)])
    assert len(segments_of(figure.axes[0])) == MOST_INTERVALS
    assert "1 in 3 drawn" in texts_of(figure)


def test_zip_of_no_interval_says_that_all_failed():
    nothing = np.empty(0)
    figure = draw_zip([ZipPanel("a", "full", nothing, nothing, nothing, 0.3), zip_panel(column="naive")])
    assert "every replicate failed" in texts_of(figure)
    figure = draw_zip([ZipPanel("a", "full", nothing, nothing, nothing, 0.3)])
    assert figure_bytes(figure)


def test_one_enormous_interval_does_not_set_the_scale():
    panel = zip_panel()
    panel.high[0] = 1e6
    low, high = draw_zip([panel]).axes[0].get_xlim()
    assert high - low < 5


def test_lollipop_stands_on_the_target_and_has_its_monte_carlo_interval():
    panel = LollipopPanel("", "", METHODS, np.array([0.91, 0.95]), np.array([0.01, 0.005]))
    axes = draw_lollipops([panel], target=0.95, value_name="Coverage").axes[0]
    lines = [line.get_xdata() for line in axes.get_lines()]
    assert any(np.allclose(line, [0.95, 0.91]) for line in lines if len(line) == 2)
    for edge in (0.91 - Z * 0.01, 0.91 + Z * 0.01):
        assert any(np.allclose(line, [edge]) for line in lines if len(line) == 1)
    assert [label.get_text() for label in axes.get_yticklabels()] == list(METHODS)
    low, high = axes.get_ylim()
    assert low > high  # the first method on top


def test_a_blank_value_is_told_and_not_drawn():
    panel = LollipopPanel("", "", METHODS, np.array([np.nan, 0.1]), np.array([np.nan, np.nan]))
    figure = draw_lollipops([panel], target=0.0, value_name="Relative bias")
    assert "blank" in texts_of(figure)


def test_levels_share_their_axes_and_methods_stand_beside_one_another():
    series = [MeasuredSeries(m, np.array([0.1, 0.2, np.nan]), np.full(3, 0.01)) for m in METHODS]
    figure = draw_levels(
        [LevelsPanel("a", "x", series), LevelsPanel("b", "x", series)],
        levels=["29", "100", "250"], key_name="studies.calibrators", value_name="Bias", target=0.0,
    )  # fmt: skip
    first, second = figure.axes
    assert first.get_ylim() == second.get_ylim()
    assert first.get_yticks().tolist() == second.get_yticks().tolist()
    naive, full = (container.lines[0].get_xdata() for container in first.containers)
    assert (naive < full).all()
    assert [label.get_text() for label in second.get_xticklabels()] == ["29", "100", "250"]


@pytest.mark.parametrize(("levels", "joined"), [(["0.7", "0.9"], True), (["flat", "bent"], False)])
def test_levels_are_joined_by_lines_where_they_are_numbers_alone(levels, joined):
    series = [MeasuredSeries(m, np.array([0.1, 0.2]), np.full(2, 0.01)) for m in METHODS]
    figure = draw_levels(
        [LevelsPanel("a", "x", series)], levels=levels, key_name="truth", value_name="Bias", target=0.0
    )
    drawn = [container.lines[0].get_linestyle() for container in figure.axes[0].containers]
    assert all((line != "None") == joined for line in drawn)


def test_curves_draw_the_truth_the_mean_and_single_replicates():
    rng = np.random.default_rng(1)
    log_or = TRUTH + 0.1 * rng.standard_normal((300, 3))
    panel = ReplicateCurvesPanel.of_replicates(("", "full"), AT, log_or, (AT, TRUTH), 55.0)
    axes = draw_replicate_curves([panel]).axes[0]
    drawn = [line.get_ydata() for line in axes.get_lines()]
    for curve in (TRUTH, log_or.mean(axis=0), *np.percentile(log_or, [2.5, 97.5], axis=0)):
        assert any(len(line) == 3 and np.allclose(line, np.exp(curve)) for line in drawn)
    assert len(segments_of(axes)) == MOST_SINGLE_CURVES
    assert axes.get_yscale() == "log"


def test_curves_of_a_method_that_always_fails_show_the_truth():
    panel = ReplicateCurvesPanel.of_replicates(("", "full"), AT, np.empty((0, 3)), (AT, TRUTH))
    figure = draw_replicate_curves([panel])
    assert "every replicate failed" in texts_of(figure)
    assert any(
        np.allclose(line.get_ydata(), np.exp(TRUTH))
        for line in figure.axes[0].get_lines()
        if len(line.get_ydata()) == 3
    )


def test_nothing_to_draw_is_an_error():
    with pytest.raises(OptionError):
        draw_zip([])
    with pytest.raises(OptionError):
        draw_lollipops([], target=0, value_name="Bias")
    with pytest.raises(OptionError):
        draw_replicate_curves([])


@pytest.fixture(scope="module")
def study() -> SimulationResults:
    rng = np.random.default_rng(2)
    levels = pd.DataFrame(
        itertools.product([29, 250], ["J", "$null$"]), columns=["studies.calibrators", "truth.shape"]
    )
    levels.insert(0, "scenario", range(4))
    batch, k, m = 30, 2, 3
    parts = []
    for scenario in range(4):
        estimate = TRUTH + np.array([[-0.1], [0.0]]) + 0.1 * rng.standard_normal((batch, k, m))
        frame = pd.DataFrame(
            {
                "scenario": scenario,
                "replicate": np.repeat(np.arange(batch), k * m),
                "method": np.tile(np.repeat(METHODS, m), batch),
                "exposure": np.tile(AT, batch * k),
                "estimate": estimate.reshape(-1),
                "std_error": 0.1,
                "truth": np.tile(TRUTH, batch * k),
                "converged": True,
            }
        )
        parts.append(frame.assign(conf_low=frame["estimate"] - 0.196, conf_high=frame["estimate"] + 0.196))
    return SimulationResults(pd.concat(parts), levels, references=dict.fromkeys(range(4), 55.0))


@pytest.mark.parametrize(
    ("draw", "n_panels"),
    [
        (lambda study: study.plot_zip(), 6),
        (lambda study: study.plot_zip(3, exposures=[25.0]), 2),
        (lambda study: study.plot_lollipop(), 12),
        (lambda study: study.plot_lollipop("average_coverage", scenarios=[1, 0]), 2),
        (lambda study: study.plot_bias(), 6),
        (
            lambda study: study.plot_coverage(
                "truth.shape", where={"studies.calibrators": 29}, exposures=[75.0]
            ),
            1,
        ),
        (lambda study: study.plot_against("truth.shape", "weighted_absolute_error"), 2),
        (lambda study: study.plot_curves(), 8),
    ],
)
def test_figures_of_a_study_have_a_panel_each_and_nothing_is_clipped(study, draw, n_panels):
    figure = draw(study)
    assert len(figure.axes) == n_panels
    assert boxes_inside(figure)


def test_the_same_study_gives_the_same_bytes(study):
    for draw in (study.plot_zip, study.plot_bias):
        assert figure_bytes(draw(), "svg") == figure_bytes(draw(), "svg")


def test_headings_name_the_scenario_and_dollars_are_letters(study):
    words = texts_of(study.plot_curves([1]))
    assert r"scenario 1 (studies.calibrators = 29, truth.shape = \$null\$)" in words


def test_curves_go_through_the_reference(study):
    axes = study.plot_curves([0]).axes[0]
    assert all(np.isclose(segment[segment[:, 0] == 55.0, 1], 1.0).all() for segment in segments_of(axes))
    assert len(segments_of(axes)[0]) == 4


def test_points_of_a_level_figure_are_those_of_the_table(study):
    axes = study.plot_bias("studies.calibrators", where={"truth.shape": "J"}, exposures=[75.0]).axes[0]
    table = study.performance().tidy()
    rows = table[(table["truth.shape"] == "J") & (table["exposure"] == 75.0) & (table["method"] == "full")]
    drawn = next(container for container in axes.containers if container.get_label() == "full")
    np.testing.assert_allclose(drawn.lines[0].get_ydata(), rows["bias"])


@pytest.mark.parametrize(
    ("draw", "option"),
    [
        (lambda study: study.plot_zip(9), "scenarios"),
        (lambda study: study.plot_zip(exposures=[26.0]), "exposures"),
        (lambda study: study.plot_lollipop("precision"), "measure"),
        (lambda study: study.plot_bias("studies.slope"), "key"),
        (lambda study: study.plot_bias(where={"truth.shape": "U"}), "where"),
        (lambda study: study.plot_bias(where={"slope": 1}), "where"),
        (lambda study: study.plot_curves([]), "scenarios"),
    ],
)
def test_what_is_not_there_is_told_by_its_option(study, draw, option):
    with pytest.raises(OptionError) as caught:
        draw(study)
    assert caught.value.option == option


def test_a_study_in_which_nothing_was_varied_has_no_levels(study):
    alone = SimulationResults(study.replicates[study.replicates["scenario"] == 0])
    with pytest.raises(OptionError, match="nothing was varied"):
        alone.plot_bias()
    assert boxes_inside(alone.plot_lollipop())
