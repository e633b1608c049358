"""Columns made block by block, and sums taken block by block, against arrays that hold everybody."""

from __future__ import annotations

import numpy as np
import pytest
from matched_rows import draw_matched_rows

from biocal.kernels.sets import layout as set_layout
from biocal.kernels.sets.layout import largest_values, lay_out_sets
from biocal.kernels.sets.likelihood import ConditionalLikelihood

# The same sums, taken in another order.
SAME_ARITHMETIC = 1e-12

#: Sets that are uninformative, 1:m, n:1 and n:m, of common and of rare shapes.
SHAPES = [(1, 4)] * 30 + [(1, 1)] * 7 + [(3, 1)] * 4 + [(2, 3), (4, 2), (1, 6), (0, 2), (2, 0)] * 3


class Made:
    """Columns that a person's number asks for."""

    def __init__(self, columns):
        self._columns = columns
        self.asked = 0

    @property
    def shape(self):
        return self._columns.shape

    def take(self, rows, out):
        self.asked = max(self.asked, rows.size)
        out[:] = self._columns[:, rows]

    def largest(self):
        return np.abs(self._columns).max(axis=1)


@pytest.fixture(params=[1, 97, 10**9], ids=["smallest", "odd", "all"])
def rows(request, monkeypatch):
    """Persons in blocks of the fewest sets, of an odd number of them, and of all of a shape."""
    monkeypatch.setattr(set_layout, "_BLOCK_NUMBERS", request.param)
    monkeypatch.setattr(set_layout, "_RECURSION_NUMBERS", request.param)
    return draw_matched_rows(np.random.default_rng(5), SHAPES, n_columns=3)


def test_columns_made_for_a_block_are_those_of_an_array(rows):
    layout, beta = lay_out_sets(rows.set_code, rows.is_case), np.array([[0.4, -0.7, 0.2]])
    made = Made(rows.columns)
    whole, own = ConditionalLikelihood(layout, rows.columns), ConditionalLikelihood(layout, made)
    for expected, found in zip(
        (whole.evaluate(beta), whole.details(beta)), (own.evaluate(beta), own.details(beta)), strict=True
    ):
        for name in expected.__slots__:
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    assert made.asked <= max(block.n_rows * (block.n_sets + 8) for block in layout.blocks)
    np.testing.assert_array_equal(own.constant_columns(made), whole.constant_columns(rows.columns))


def test_a_sweep_adds_up_to_what_is_held_for_everybody(rows):
    layout, beta = lay_out_sets(rows.set_code, rows.is_case), np.array([[0.4, -0.7, 0.2]])
    likelihood = ConditionalLikelihood(layout, rows.columns)
    whole = likelihood.details(beta)
    loglik, information, seen = 0.0, 0.0, []
    for part in likelihood.sweep(beta):
        loglik, information = loglik + part.loglik.sum(), information + part.information
        np.testing.assert_array_equal(part.score, whole.set_scores[..., part.block.sets])
        np.testing.assert_array_equal(part.residual, whole.residual[..., part.persons])
        np.testing.assert_array_equal(part.slope, whole.slope[..., part.persons])
        seen.append(part.persons)
    np.testing.assert_allclose(loglik, whole.loglik[0], rtol=SAME_ARITHMETIC)
    np.testing.assert_allclose(information, whole.information, rtol=SAME_ARITHMETIC, atol=SAME_ARITHMETIC)
    informative = np.isin(rows.set_code, np.concatenate([block.sets for block in layout.blocks]))
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.flatnonzero(informative))


def test_largest_values_are_absolute_and_those_of_nobody_are_zero():
    np.testing.assert_array_equal(largest_values(np.array([[1.0, -3.0], [2.0, 0.5]])), [3.0, 2.0])
    np.testing.assert_array_equal(largest_values(np.empty((2, 0))), [0.0, 0.0])
