"""A federated fit is the pooled fit: the same coefficients, covariances, tests and curves from sums alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from federated_pool import FEW_SITES, few_studies, make_pool
from federated_session import Session, pooled, require_same

import biocal as bc
from biocal.errors import CalibrationDesignError, InputError, SeparationError, SingularInformationError

METHODS = ["naive", "internalized", "full", "induced"]


def test_all_methods_agree_with_the_pooled_fit(tmp_path: Path):
    pool = make_pool()
    federated = Session(tmp_path, pool, {"method": METHODS}).play()
    require_same(federated, pooled(pool, method=METHODS))


@pytest.mark.parametrize(
    ("spec", "call"),
    [
        (
            {"calibration_variance": "hc3", "method": ["full", "induced"]},
            {"calibration_variance": "hc3", "method": ["full", "induced"]},
        ),
        pytest.param(
            {"calibration_coefficients": "by-study"},
            {"calibration_coefficients": "by-study"},
            marks=pytest.mark.slow,
        ),
        ({"calibration_covariates": "none"}, {"calibration_covariates": "none"}),
        ({"calibration_covariates": "rcs(age, knots=[55, 62, 70])"},) * 2,
        pytest.param(
            {"covariates": "", "matching": ""},
            {"covariates": None, "matching": None},
            marks=pytest.mark.slow,
        ),
    ],
    ids=["hc3", "by study", "published", "formula", "no covariates"],
)
def test_every_calibration_agrees_with_the_pooled_fit(tmp_path: Path, spec, call):
    pool = few_studies(make_pool())
    call = {"method": ["full"], **call}
    require_same(Session(tmp_path, pool, spec, sites=FEW_SITES).play(), pooled(pool, **call))


def test_linear_and_categorical_exposures_agree_with_the_pooled_fit(tmp_path: Path):
    pool = few_studies(make_pool())
    both = {"method": ["full", "induced"]}
    linear = Session(tmp_path / "linear", pool, {"exposure": "linear"}, sites=FEW_SITES).play()
    require_same(linear, pooled(pool, exposure=bc.linear()))
    cuts = {"exposure": "categories", "cuts": [45, 60, 75], "reference_category": "[45, 60)"}
    categories = Session(tmp_path / "categories", pool, cuts | both, sites=FEW_SITES).play()
    exposure = bc.categories([45, 60, 75], reference="[45, 60)")
    require_same(categories, pooled(pool, exposure=exposure, **both))


def test_sets_with_several_cases_and_shared_persons_agree_with_the_pooled_fit(tmp_path: Path):
    pool = few_studies(make_pool(matched=2))
    first = pool.groupby(["study", "set"]).cumcount()
    pool.loc[(first == 1) & (pool["set"] % 7 == 0), "case"] = 1
    pool.loc[(pool["case"] == 1) & ~pool["study"].isin(["Ash"]), "reference"] = np.nan
    pool["person"] = pool["study"] + np.arange(len(pool)).astype(str)
    # The first control of every ninth set serves in the next set too, with the same measurements.
    same = ["person", "local", "reference", "bmi", "age", "smoking"]
    control = pool[pool["case"] == 0].groupby(["study", "set"]).head(1)
    for row in control.index[control["set"] % 9 == 0]:
        following = control.index[(control["study"] == pool.loc[row, "study"])]
        after = following[pool.loc[following, "set"] == pool.loc[row, "set"] + 1]
        if after.size:
            pool.loc[after[0], same] = pool.loc[row, same].to_numpy()
    federated = Session(tmp_path, pool, {"method": METHODS}, sites=FEW_SITES).play()
    require_same(federated, pooled(pool, method=METHODS))


def test_reference_studies_alone_need_no_calibration(tmp_path: Path):
    pool = make_pool()
    pool = pool[pool["study"].isin(["Ash", "Elder"])].reset_index(drop=True)
    sites = {"a": ["Ash"], "e": ["Elder"]}
    both = {"method": ["full", "induced"]}
    federated = Session(tmp_path, pool, both, sites=sites).play()
    require_same(federated, pooled(pool, **both))
    assert federated["full"].variance == "sandwich over matched sets"


def test_quantile_knots_lie_within_the_limits_that_are_told(tmp_path: Path):
    pool = few_studies(make_pool())
    session = Session(tmp_path, pool, {"knot_values": [], "knots": 4, "at": []}, sites=FEW_SITES)
    federated = session.play()["full"]
    expected = pooled(pool, exposure=bc.rcs(4), at=None, reference=None)["full"]
    distribution = session.progress().centre.distribution
    assert distribution is not None
    for knot, exact, probability in zip(
        federated.basis.knots, expected.basis.knots, (0.05, 0.35, 0.65, 0.95), strict=True
    ):
        low, high = distribution.bounds(probability)
        assert low <= exact <= high
        assert low <= knot <= high
        # A twentieth of the exposure's SD (20): what 420 controls in bins of 5 and more leave.
        assert abs(knot - exact) < 1.0
    assert "the pooled ones lie within the limits in brackets" in federated.summary()


def test_a_level_that_a_site_lacks_is_coded_there_too(tmp_path: Path):
    pool = few_studies(make_pool())
    assert "never" not in set(pool.loc[pool["study"] == "Damson", "smoking"])
    session = Session(tmp_path, pool, sites=FEW_SITES)
    progress = session.go_to("calibration")
    assert progress.centre.agreed.levels["covariates"]["smoking"] == ("current", "former", "never")
    assert session.play()["full"].terms[2:4] == ("C(smoking)[T.former]", "C(smoking)[T.never]")


def test_a_column_constant_within_all_sets_is_omitted_and_told(tmp_path: Path):
    pool = few_studies(make_pool())
    federated = Session(tmp_path, pool, {"covariates": "bmi + age", "matching": ""}, sites=FEW_SITES).play()
    assert federated["full"].info.omitted == ("age",)
    require_same(federated, pooled(pool, covariates="bmi + age", matching=None))


def test_collinear_columns_are_named_by_the_centre(tmp_path: Path):
    pool = few_studies(make_pool()).assign(weight=lambda frame: 2 * frame["bmi"] + 1)
    session = Session(tmp_path, pool, {"covariates": "bmi + weight"}, sites=FEW_SITES)
    with pytest.raises(SingularInformationError, match="weight cannot be told apart from bmi"):
        session.play()


def test_separation_is_named_by_the_centre(tmp_path: Path):
    pool = few_studies(make_pool())
    rng = np.random.default_rng(1)
    exposed = (pool["case"] == 1) & (rng.random(len(pool)) < 0.3)
    pool["exposed"] = exposed.astype(int)
    session = Session(
        tmp_path, pool, {"covariates": "exposed", "calibration_covariates": "none"}, sites=FEW_SITES
    )
    with pytest.raises(SeparationError, match="exposed"):
        session.play()


def test_columns_of_different_kinds_are_refused_with_the_sites(tmp_path: Path):
    pool = few_studies(make_pool())
    session = Session(tmp_path, pool, sites=FEW_SITES)
    frame = pool[pool["study"] == "Beech"].assign(smoking=1.0).reset_index(drop=True)
    session.pools["b"] = bc.PooledStudies.from_frame(frame)
    with pytest.raises(InputError, match="column 'smoking' is words at site a and number at site b"):
        session.step()


def test_a_study_at_two_sites_is_refused(tmp_path: Path):
    sites = {**FEW_SITES, "a": ["Ash", "Beech"]}
    with pytest.raises(InputError, match="study 'Beech' is at site a and at site b"):
        Session(tmp_path, few_studies(make_pool()), sites=sites).step()


def test_constant_local_values_are_named(tmp_path: Path):
    pool = few_studies(make_pool())
    pool.loc[(pool["study"] == "Beech") & pool["reference"].notna(), "local"] = 50.0
    with pytest.raises(CalibrationDesignError, match=r"study Beech: all .* have the same local value"):
        Session(tmp_path, pool, sites=FEW_SITES).play()
