"""Values below their detection limit: read, told, taken by each rule, and compared."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import biocal as bc
from biocal.errors import DataProblemsError, OptionError
from biocal.pool.checks.limits import RULES, with_below_limit
from biocal.pool.pooled import PooledStudies

SAME = 1e-12
LIMIT, REFERENCE_LIMIT = 30.0, 32.0


def draw_frame(sets=120, seed=4):
    """A reference study and two local ones, lognormal exposures, some 60 calibrators in each."""
    rng = np.random.default_rng(seed)
    parts = []
    for name in ("A", "B", "R"):
        n = 2 * sets
        case = np.tile([1, 0], sets)
        reference = rng.lognormal(3.9, 0.35, n) * np.where(case == 1, 0.95, 1.0)
        local = np.maximum(4 + 0.9 * reference + rng.normal(0, 5, n), 2.0)
        controls = np.flatnonzero(case == 0)
        shown = np.full(n, np.nan)
        shown[controls[:60]] = reference[controls[:60]]
        if name == "R":
            local, shown = np.full(n, np.nan), reference
        parts.append(
            pd.DataFrame(
                {
                    "study": name, "set": np.repeat(np.arange(sets), 2), "case": case, "local": local,
                    "reference": shown,
                }
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def written(frame, *, local_word="<30", reference_word="<32"):
    """The same with words where values are below their limit, and which rows those are."""
    texts = frame.copy()
    below = {}
    for column, limit, word in (("local", LIMIT, local_word), ("reference", REFERENCE_LIMIT, reference_word)):
        below[column] = (frame[column] < limit).to_numpy()
        texts[column] = [
            "" if np.isnan(value) else word if under else repr(float(value))
            for value, under in zip(frame[column], below[column], strict=True)
        ]
    return texts, below


@pytest.fixture(scope="module")
def frame():
    return draw_frame()


@pytest.mark.parametrize(("rule", "share"), [("lod", 1.0), ("lod/2", 0.5), ("lod/sqrt2", 0.5**0.5)])
def test_a_rule_puts_its_share_of_the_limit_in_the_place_of_the_cell(frame, rule, share):
    texts, below = written(frame)
    pool = PooledStudies.from_frame(texts, below_limit=rule)
    assert below["local"].sum() > 10
    np.testing.assert_allclose(pool.local_assay[below["local"]], share * LIMIT, rtol=SAME)
    np.testing.assert_allclose(pool.reference_assay[below["reference"]], share * REFERENCE_LIMIT, rtol=SAME)
    above = ~below["local"] & np.isfinite(frame["local"].to_numpy())
    np.testing.assert_array_equal(pool.local_assay[above], frame["local"].to_numpy()[above])
    # covariate formulas see the same values
    np.testing.assert_allclose(pool.frame["local"][below["local"]], share * LIMIT, rtol=SAME)


def test_limits_are_scaled_with_the_local_values(frame):
    texts, below = written(frame)
    pool = PooledStudies.from_frame(texts, below_limit="lod/2", scale_local={"A": 2.5})
    of_a = below["local"] & (frame["study"] == "A").to_numpy()
    of_b = below["local"] & (frame["study"] == "B").to_numpy()
    np.testing.assert_allclose(pool.local_assay[of_a], 2.5 * LIMIT / 2, rtol=SAME)
    np.testing.assert_allclose(pool.local_assay[of_b], LIMIT / 2, rtol=SAME)
    np.testing.assert_allclose(pool.frame["local"][of_a], LIMIT / 2, rtol=SAME)
    # the law of values below the limit goes with the unit
    plain = PooledStudies.from_frame(texts, below_limit="censored")
    scaled = PooledStudies.from_frame(texts, below_limit="censored", scale_local={"A": 2.5})
    np.testing.assert_allclose(scaled.local_assay[of_a], 2.5 * plain.local_assay[of_a], rtol=1e-7)


@pytest.mark.parametrize("word", ["LOD", "<LOD", "< lod", "BLQ", "below LOD"])
def test_words_take_the_limit_that_was_stated(frame, word):
    texts, _ = written(frame, local_word=word, reference_word=word)
    options = {
        "below_limit": "lod",
        "detection_limit": {"A": 30.0, "B": 30.0},
        "reference_detection_limit": 32.0,
    }
    pool = PooledStudies.from_frame(texts, **options)
    cells, _ = written(frame)
    same = PooledStudies.from_frame(cells, below_limit="lod")
    np.testing.assert_array_equal(pool.local_assay, same.local_assay)
    np.testing.assert_array_equal(pool.reference_assay, same.reference_assay)
    with pytest.raises(
        DataProblemsError, match=r"which neither the cell nor an option tells; give --detection"
    ):
        PooledStudies.from_frame(texts, **{**options, "detection_limit": {"A": 30.0}})
    with pytest.raises(DataProblemsError, match="give --reference-detection-limit 5"):
        PooledStudies.from_frame(texts, **{**options, "reference_detection_limit": None})


@pytest.mark.parametrize("held", ["", "21.2"])
def test_flagged_values_are_below_the_stated_limit_whatever_their_cell_holds(frame, held):
    cells, below = written(frame, local_word=held)
    cells["flag"] = np.where(below["local"], "1", "0")
    options = {"below_limit": "lod", "detection_limit": {"A": 30.0, "B": 30.0}, "local_flag": "flag"}
    pool = PooledStudies.from_frame(cells, **options)
    np.testing.assert_allclose(pool.local_assay[below["local"]], LIMIT)
    cells.loc[5, "flag"] = "perhaps"
    with pytest.raises(DataProblemsError, match="'perhaps' is neither 1"):
        PooledStudies.from_frame(cells, **options)
    with pytest.raises(DataProblemsError, match="did you mean 'flag'"):
        PooledStudies.from_frame(cells, **{**options, "local_flag": "flog"})


def test_nothing_is_taken_by_a_rule_that_was_not_named(frame):
    texts, _ = written(frame)
    with pytest.raises(DataProblemsError) as caught:
        PooledStudies.from_frame(texts)
    assert {problem.code for problem in caught.value.problems} == {"below-limit"}
    with pytest.raises(OptionError, match="lod, lod/2, lod/sqrt2, censored, not 'half'"):
        PooledStudies.from_frame(texts, below_limit="half")
    with pytest.raises(OptionError, match="detection_limit of study 'A' must be a number above 0"):
        PooledStudies.from_frame(texts, below_limit="lod", detection_limit={"A": 0})
    with pytest.raises(OptionError, match="detection_limit names study 'C'"):
        PooledStudies.from_frame(texts, below_limit="lod", detection_limit={"C": 5})


def test_every_study_is_told_with_its_share_among_cases_and_controls(frame):
    texts, below = written(frame)
    pool = PooledStudies.from_frame(texts, below_limit="lod/2")
    (of_a,) = (p for p in pool.problems if p.code == "below-limit" and p.study == "A" and p.column == "local")
    mine = below["local"] & (frame["study"] == "A").to_numpy()
    cases = int((mine & (frame["case"] == 1)).sum())
    assert of_a.count == mine.sum()
    assert f"local values of {mine.sum()} of 240 rows ({100 * mine.sum() / 240:.1f} %" in of_a.message
    assert f"cases {cases}, controls {mine.sum() - cases}" in of_a.message
    assert of_a.message.endswith("below the detection limit 30, taken as half the limit")
    fit = bc.fit(pool, exposure=bc.linear())
    assert of_a.message in fit.info.notes


def test_a_number_below_the_stated_limit_is_used_as_measured_and_told(frame):
    pool = PooledStudies.from_frame(frame, detection_limit={"A": 30.0}, below_limit="lod")
    (note,) = (p for p in pool.problems if p.code == "measured-below-limit")
    mine = (frame["study"] == "A") & (frame["local"] < 30)
    assert note.count == mine.sum()
    np.testing.assert_array_equal(pool.local_assay, frame["local"])
    assert pool.below_limit is None


def test_censored_local_values_become_their_mean_below_the_limit(frame):
    texts, below = written(frame)
    pool = PooledStudies.from_frame(texts, below_limit="censored")
    laws = {(one.study, one.assay): one for one in pool.below_limit.laws}
    assert set(laws) == {("A", "local"), ("B", "local"), ("R", "reference")}
    of_a = below["local"] & (frame["study"] == "A").to_numpy()
    law = laws["A", "local"]
    np.testing.assert_allclose(pool.local_assay[of_a], law.law.mean_below(np.array([LIMIT]))[0])
    assert law.n_controls == 120
    truth = frame["local"].to_numpy()[of_a]
    # about 20 values of SD some 3
    np.testing.assert_allclose(
        pool.local_assay[of_a][0], truth.mean(), atol=4 * truth.std() / np.sqrt(truth.size)
    )


def test_calibrators_below_the_reference_limit_are_fitted_by_censored_regression(frame):
    texts, _ = written(frame)
    pool = PooledStudies.from_frame(texts, below_limit="censored")
    calibration = bc.calibrate(pool)
    assert calibration.estimator == "tobit"
    assert "censored regression" in calibration.summary()
    assert (
        sum(quality.below for quality in calibration.quality)
        == pool.below_limit.reference[pool.in_calibration].sum()
    )
    substituted = bc.calibrate(PooledStudies.from_frame(texts, below_limit="lod/2"))
    assert substituted.estimator == "least-squares"
    fits = bc.fit(pool, method=["internalized", "full", "induced", "two-stage"], exposure=bc.linear())
    assert all(np.isfinite(fit.vcov).all() for fit in fits.values())
    with pytest.raises(OptionError, match="smearing needs every calibrator's reference value"):
        bc.fit(pool, method="induced", residual_law="smearing")
    with pytest.raises(OptionError, match="Huber's estimator cannot take"):
        bc.fit(pool, calibration_estimator="huber")


def test_internalized_takes_no_limit_for_an_observed_value(frame):
    from biocal.fitting.methods.plug_in import plug_in_exposure
    from biocal.fitting.problem.prepare import ModelFormulas, prepare

    texts, below = written(frame)
    problem = prepare(PooledStudies.from_frame(texts, below_limit="censored"), ModelFormulas()).problem
    calibration = problem.calibrators.fit(problem.local_names)
    exposure = plug_in_exposure(problem, "internalized", calibration)
    full = plug_in_exposure(problem, "full", calibration)
    censored = below["reference"] & (frame["study"] != "R").to_numpy()
    assert censored.any()
    assert exposure.calibrated[censored].all()
    np.testing.assert_array_equal(exposure.value[censored], full.value[censored])


def test_the_rules_side_by_side_are_fits_of_their_own(frame):
    texts, _ = written(frame)
    pool = PooledStudies.from_frame(texts, below_limit="lod/2")
    options = {"method": ["naive", "full"], "exposure": bc.rcs(3)}
    main = bc.fit(pool, **options)
    found = bc.sensitivity_to_below_limit(pool, main, **options)
    assert tuple(found.comparisons) == RULES
    assert found.rule == "lod/2"
    np.testing.assert_allclose(found.comparisons["lod/2"]["full"].params, main["full"].params, rtol=1e-9)
    alone = bc.fit(PooledStudies.from_frame(texts, below_limit="censored"), exposure=bc.rcs(3))
    np.testing.assert_allclose(found.comparisons["censored"]["full"].params, alone.params, rtol=1e-9)
    table = found.tidy()
    assert list(table.columns[:3]) == ["rule", "method", "exposure"]
    assert len(table) == len(RULES) * len(main.dose_response())
    assert "lod/2 *" in found.summary()
    with pytest.raises(OptionError, match="nothing to compare"):
        bc.sensitivity_to_below_limit(PooledStudies.from_frame(frame), main, **options)


def test_changing_the_rule_twice_comes_back(frame):
    texts, _ = written(frame)
    pool = PooledStudies.from_frame(texts, below_limit="lod/2", scale_local={"A": 2.5})
    back = with_below_limit(with_below_limit(pool, "censored"), "lod/2")
    np.testing.assert_allclose(back.local_assay, pool.local_assay, rtol=SAME)
    np.testing.assert_allclose(back.reference_assay, pool.reference_assay, rtol=SAME)
    np.testing.assert_allclose(back.frame["local"], pool.frame["local"], rtol=SAME)


def test_too_few_measured_values_for_a_law_are_refused_by_name():
    frame = draw_frame(sets=70)
    texts, _ = written(frame)
    of_b = (frame["study"] == "B") & (frame["reference"].isna())
    texts.loc[of_b & (frame["case"] == 0), "local"] = "<30"
    texts.loc[(frame["study"] == "B") & (frame["case"] == 0), "local"] = "<30"
    with pytest.raises(
        OptionError, match="study B: 0 different measured local values in controls are too few"
    ):
        PooledStudies.from_frame(texts, below_limit="censored")
