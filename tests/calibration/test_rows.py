"""Persons column by column against the same persons in one array."""

from __future__ import annotations

import numpy as np
import pytest

from biocal.model.calibration import rows as rows_module
from biocal.model.calibration.lines import fit_calibration, lay_out_parameters
from biocal.model.calibration.rows import CalibrationRows, PersonRows, chunks_of

# The same sums, taken in another order.
SAME_ARITHMETIC = 1e-13


@pytest.fixture
def persons():
    rng = np.random.default_rng(8)
    n = 203
    study = rng.integers(-1, 2, n).astype(np.int32)
    return PersonRows(study, tuple(rng.normal(50, 10, (3, n))), np.maximum(study, 0))


def test_persons_are_stacked_below_a_row_of_ones(persons):
    np.testing.assert_array_equal(persons.columns, np.vstack([np.ones(203), *persons.parts]))
    for chosen in (np.array([5, 0, 5]), slice(20, 31)):
        some = persons.take(chosen)
        np.testing.assert_array_equal(some.columns, persons.columns[:, chosen])
        np.testing.assert_array_equal(some.columns, persons.part(chosen).columns)
        np.testing.assert_array_equal(some.study, persons.study[chosen])
        np.testing.assert_array_equal(some.group, persons.group[chosen])
    for k in range(4):
        np.testing.assert_array_equal(persons.column(k), persons.columns[k])
        np.testing.assert_array_equal(persons.take(slice(None)).column(k), persons.columns[k])


def test_neighbours_are_not_copied(persons):
    assert all(
        np.shares_memory(some, whole)
        for some, whole in zip(persons.part(slice(3, 90)).parts, persons.parts, strict=True)
    )


@pytest.mark.parametrize("size", [1, 13, 1000])
def test_means_and_folded_weights_are_the_same_chunk_by_chunk(persons, monkeypatch, size):
    monkeypatch.setattr(rows_module, "_CHUNK", size)
    whole = CalibrationRows(persons.study, persons.columns, persons.group)
    local = np.flatnonzero(persons.study >= 0)
    layout = lay_out_parameters(2, 4, np.arange(2), by_study=False)
    fitted = fit_calibration(whole.take(local), np.sin(local), layout, ("A", "B"))
    dense = fitted.coefficients()[persons.study]
    expected = np.where(persons.study >= 0, (dense * persons.columns.T).sum(axis=1), np.nan)
    chunks = list(chunks_of(persons, size))
    assert len(chunks) == -(-203 // size)
    for rows in (persons, whole):
        np.testing.assert_allclose(fitted.predict(rows), expected, rtol=SAME_ARITHMETIC)
    weights = np.random.default_rng(2).normal(size=(2, 203))
    folded = sum(fitted.fold(weights[:, part], some) for part, some in chunks)
    np.testing.assert_allclose(folded, fitted.fold(weights, whole), rtol=1e-11)
