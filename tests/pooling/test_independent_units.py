"""Sets that share a person are one unit of the sandwich."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pooled_fits import fit_frame
from pools import LOCAL_A, REFERENCE, draw_pool
from stacked_by_hand import StackedByHand

from biocal.fitting.api import fit
from biocal.fitting.problem.units import count_units, unit_codes
from biocal.model.exposure import LinearBasis, linear
from biocal.pool.matched_sets import select_outcome_rows
from biocal.pool.pooled import PooledStudies


def units_of(rows, person="person"):
    """Units of sets and calibrators of a small pool, from (study, set, case, local, reference, person) rows."""
    frame = pd.DataFrame(rows, columns=["study", "set", "case", "local", "reference", "person"])
    pool = PooledStudies.from_frame(frame, person=person)
    calibrating = np.flatnonzero(pool.in_calibration)
    return unit_codes(pool, select_outcome_rows(pool, {}), calibrating)


SETS = [
    *[("R", 1, 1, None, 1.0, "a"), ("R", 1, 0, None, 2.0, "b")],
    *[("R", 2, 1, None, 1.0, "c"), ("R", 2, 0, None, 2.0, "a")],
    *[("R", 3, 1, None, 1.0, "b"), ("R", 3, 0, None, 2.0, "d")],
    *[("R", 4, 1, None, 1.0, None), ("R", 4, 0, None, 2.0, None)],
    *[("R", 5, 1, None, 1.0, None), ("R", 5, 0, None, 2.0, "e")],
]


def test_without_a_person_column_each_set_is_a_unit():
    set_unit, pair_unit, n_units = units_of(SETS, person=None)
    assert set_unit.tolist() == [0, 1, 2, 3, 4]
    assert pair_unit.size == 0
    assert n_units == 5


def test_sets_that_share_a_person_are_joined_also_by_way_of_others():
    # a joins sets 1 and 2, b joins 1 and 3; blank persons join nothing.
    set_unit, _, n_units = units_of(SETS)
    assert n_units == 3
    assert set_unit[0] == set_unit[1] == set_unit[2]
    assert len({set_unit[0], set_unit[3], set_unit[4]}) == 3
    assert set(set_unit.tolist()) == {0, 1, 2}


LOCAL = [
    *[("L", 1, 1, 1.0, None, "a"), ("L", 1, 0, 2.0, 2.2, "b")],
    *[("L", 2, 1, 3.0, None, "c"), ("L", 2, 0, 4.0, 4.1, "d")],
    *[("L", 3, 1, 3.0, None, "e"), ("L", 3, 0, 1.0, None, "f")],
    ("L", None, 0, 5.0, 5.3, "e"),
    ("L", None, 0, 6.0, 6.3, "g"),
    ("L", 4, 0, 7.0, 7.1, "h"),  # in a set without a case: it calibrates all the same
]


def test_calibrators_belong_to_their_set_to_their_person_or_to_themselves():
    set_unit, pair_unit, n_units = units_of(LOCAL)
    assert n_units == 5
    assert len(set(set_unit.tolist())) == 3
    in_first, in_second, same_person, alone, setless = pair_unit
    assert (in_first, in_second, same_person) == (set_unit[0], set_unit[1], set_unit[2])
    assert len({*set_unit.tolist(), alone, setless}) == 5


def test_without_persons_a_calibrator_without_a_set_is_alone():
    _, pair_unit, n_units = units_of(LOCAL, person=None)
    assert n_units == 6
    assert len(set(pair_unit.tolist())) == 5


@pytest.mark.parametrize("method", ["naive", "internalized", "full"])
def test_the_sandwich_adds_scores_over_persons_sets(method):
    frame = draw_pool(np.random.default_rng(5), [REFERENCE, LOCAL_A])
    # Persons number 1, 2, ...; in every third set a person is the last person of the set before.
    frame = frame.sort_values(["study", "set", "case"], ignore_index=True)
    frame["person"] = np.arange(len(frame))
    first = frame.groupby(["study", "set"], sort=False).head(1).index
    for before, row in zip(first[1::3], first[2::3], strict=False):
        if frame.at[before, "study"] == frame.at[row, "study"]:
            frame.at[row, "person"] = frame.at[before, "person"]
    frame["cluster"] = [str(value) for value in clusters_by_hand(frame)]
    fit = fit_frame(frame, method, LinearBasis(), columns={"person": "person"})
    plain = fit_frame(frame, method, LinearBasis(), columns={"person": None})
    equations = StackedByHand(frame, method, cluster="cluster")
    gamma = np.zeros(0) if method == "naive" else fit.calibration.gamma
    theta = np.concatenate([gamma, fit.beta])
    np.testing.assert_allclose(fit.vcov, equations.covariance(theta), rtol=1e-5)
    np.testing.assert_array_equal(fit.beta, plain.beta)
    np.testing.assert_array_equal(fit.uncorrected, plain.uncorrected)
    assert abs(fit.vcov[0, 0] / plain.vcov[0, 0] - 1) > 1e-3


def test_the_summary_says_how_many_units_the_sets_make():
    frame = draw_pool(np.random.default_rng(5), (REFERENCE, LOCAL_A))
    frame["person"] = [f"p{i}" for i in range(len(frame))]
    assert "independent units" not in fit(PooledStudies.from_frame(frame), exposure=linear()).summary()
    first, second = frame.index[(frame["study"] == "R") & (frame["case"] == 0)][:2]
    assert frame.loc[first, "set"] != frame.loc[second, "set"]
    frame.loc[second, "person"] = frame.loc[first, "person"]
    found = fit(PooledStudies.from_frame(frame), exposure=linear())
    n = found.sample.n_sets
    told = " ".join(found.summary().split())
    assert f"the {n:,} sets make {n - 1:,} independent units" in told


def clusters_by_hand(frame):
    """Label of each row's cluster, by giving sets that share a person the smaller label until nothing changes."""
    label = frame.groupby(["study", "set"]).ngroup()
    while True:
        new = label.groupby(frame["person"]).transform("min")
        new = new.groupby([frame["study"], frame["set"]]).transform("min")
        if (new == label).all():
            return label
        label = new


def test_units_are_counted_whatever_codes_are_missing_between():
    assert count_units(np.array([], dtype=np.intp)) == 0
    assert count_units(np.array([7, 2, 7, 7, 0], dtype=np.intp)) == 3
