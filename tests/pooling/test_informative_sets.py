"""Sets that say something, told from slopes that pass by block by block, or from those of all persons."""

from __future__ import annotations

import numpy as np
from outcome_fits import fit_conditional_logistic
from pools import StudyPlan, draw_pool

from biocal.fitting.methods.plug_in import fit_plug_in, plug_in_exposure
from biocal.fitting.problem.model_columns import lay_out_columns
from biocal.fitting.problem.prepare import ModelFormulas, prepare
from biocal.fitting.soundness.fits import InformativeSets, informative_units
from biocal.model.exposure import LinearBasis
from biocal.pool.pooled import PooledStudies


def test_slopes_of_rounding_beside_the_largest_say_nothing():
    sets = InformativeSets(2, 5)
    sets.add(np.array([0, 1]), np.array([[1e-16, 2.0], [0.0, 0.0]]))
    sets.add(np.array([2, 3]), np.array([[1e-9, 1e-14], [0.0, 1e-300]]))
    # Of the second column 1e-300 is the largest; nothing has come of the last set.
    assert sets.found().tolist() == [False, True, True, True, False]


def test_sets_of_one_exposure_are_not_counted_either_way():
    frame = draw_pool(np.random.default_rng(6), (StudyPlan("R", 40, (1, 2)), StudyPlan("S", 20, (2, 3))))
    same = frame["set"] % 4 == 0
    frame.loc[same, "reference"] = 55.0
    problem = prepare(PooledStudies.from_frame(frame), ModelFormulas()).problem
    basis, exposure = LinearBasis(), plug_in_exposure(problem, "full", None)
    model, streamed, _ = fit_plug_in(problem, exposure, basis, None)
    columns = lay_out_columns(basis, problem).build(basis.columns(exposure.value), problem)
    whole = fit_conditional_logistic(problem.layout, columns, model.terms)
    expected = frame.loc[~same, ["study", "set"]].drop_duplicates().shape[0]
    assert informative_units(problem, streamed) == informative_units(problem, whole) == expected < 60
