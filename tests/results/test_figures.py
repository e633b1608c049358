"""Results turned into figures: the right kind for curves, categories and levels of a modifier."""

from __future__ import annotations

import numpy as np
import pytest
from cli_pool import small_pool

import biocal as bc

CATEGORIES = bc.categories([50, 70], reference="[50, 70)")


def fit(**options):
    pool = bc.PooledStudies.from_frame(small_pool())
    chosen = {"method": ["naive", "full"], "exposure": bc.rcs(3), "reference": 60, "unit": "nmol/L"}
    return bc.fit(pool, **(chosen | options))


def test_a_comparison_draws_every_methods_curve_on_one_axes():
    both = fit()
    axes = both.plot()
    curve = both["full"].dose_response()
    drawn = [line.get_ydata() for line in axes.get_lines()]
    assert any(len(y) == len(curve.log_or) and np.allclose(y, np.exp(curve.log_or)) for y in drawn)


@pytest.mark.parametrize("exposure", [bc.rcs(3), bc.linear()])
@pytest.mark.parametrize("at", [(75.0, 40.0), (40.0,)])
def test_a_curve_asked_at_few_exposures_is_drawn_smooth_and_closes_at_the_reference(exposure, at):
    full = fit(exposure=exposure)["full"]
    few = full.dose_response(at=at, reference=60)
    assert few.exposure.tolist() == list(at), "the table has what was asked for"
    axes = few.plot()
    longest = max(axes.get_lines(), key=lambda line: len(line.get_xdata()))
    drawn = np.asarray(longest.get_xdata(), dtype=float)
    assert len(drawn) > 100
    assert (drawn.min(), drawn.max()) == (min(*at, 60), max(*at, 60))
    exact = full.dose_response(at=drawn, reference=60)
    lines = [np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()]
    assert any(len(y) == len(drawn) and np.allclose(y, np.exp(exact.log_or)) for y in lines)
    assert exact.half_width[drawn == 60] == [0.0]


def test_a_modifier_gets_a_panel_a_level():
    figure = fit(modifier="sex").plot()
    titles = [axes.get_title() for axes in figure.axes]
    assert [title for title in titles if title] == ["sex = f", "sex = m"]


@pytest.mark.parametrize("modifier", [None, "sex"])
def test_categories_are_points_and_not_curves(modifier):
    both = fit(exposure=CATEGORIES, modifier=modifier, reference=None)
    drawn = both.plot()
    panels = [drawn] if modifier is None else drawn.axes
    responses = both["full"].dose_responses()
    assert len(panels) == len(responses)
    for axes, response in zip(panels, responses, strict=True):
        names = [label.get_text() for label in axes.get_xticklabels()]
        assert names == ["(-inf, 50)", "[50, 70)", "[70, inf)"]
        points = np.concatenate([line.get_ydata() for line in axes.get_lines()])
        for log_or in response.log_or:
            assert np.isclose(points, np.exp(log_or)).any()
    assert len({axes.get_ylim() for axes in panels}) == 1, "levels compare on common axes"
