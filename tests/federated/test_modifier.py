"""Effect modification in a federated fit is that of the pooled fit; levels that few persons have are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from federated_pool import FEW_SITES, few_studies, make_pool
from federated_session import Session, pooled, require_same

import biocal as bc
from biocal.errors import DisclosureError, MessageError, OptionError
from biocal.results.fit.comparison import Comparison
from biocal.results.fit.tables import fit_tables


def pool_with_modifiers():
    """Sex of the person, stage matched on, doses of three values; every study has pairs enough at each level."""
    pool = few_studies(make_pool(60, matched=2))
    rng = np.random.default_rng(11)
    pool["sex"] = rng.choice(["f", "m"], len(pool))
    pool["stage"] = np.where(pool["set"] % 2 == 0, "late", "early")
    pool["dose"] = rng.choice([0.0, 1.0, 2.5], len(pool))
    return pool


POOL = pool_with_modifiers()
COMMON = {"covariates": "bmi", "matching": "age", "exposure": "linear", "knot_values": []}


def require_same_levels(found: Comparison, expected: Comparison) -> None:
    for method, fit in expected.items():
        levels = found[method].info.modifier_levels
        assert levels.labels == fit.info.modifier_levels.labels
        np.testing.assert_array_equal(levels.values, fit.info.modifier_levels.values)
        assert found[method].info.modifier_effects == fit.info.modifier_effects
        assert found[method].info.calibration_names == fit.info.calibration_names


@pytest.mark.parametrize(
    ("options", "exposure"),
    [
        (
            {"modifier": "sex", "exposure": "rcs", "knot_values": [35.0, 60.0, 85.0]},
            bc.rcs(knots=[35, 60, 85]),
        ),
        ({"modifier": "C(stage)", "matching": "age + C(stage)"}, bc.linear()),
        ({"modifier": "sex", "covariates": "bmi + C(sex)", "calibration_variance": "hc3"}, bc.linear()),
        pytest.param(
            {"modifier": "dose", "calibration_covariates": "none"}, bc.linear(), marks=pytest.mark.slow
        ),
    ],
    ids=["within sets", "matched on", "among the covariates", "few numbers"],
)
def test_a_modifier_agrees_with_the_pooled_fit(tmp_path: Path, options, exposure):
    options = COMMON | {"method": ["full", "induced"]} | options
    found = Session(tmp_path, POOL, options, sites=FEW_SITES).play()
    call = {key: one for key, one in options.items() if key not in ("exposure", "knot_values")}
    expected = pooled(POOL, exposure=exposure, **call)
    require_same(found, expected)
    require_same_levels(found, expected)


def test_curves_of_a_number_are_shown_where_the_plan_says(tmp_path: Path):
    session = Session(tmp_path / "without", POOL, COMMON | {"modifier": "bmi"}, sites=FEW_SITES)
    session.step()
    with pytest.raises(OptionError, match=r"modifier 'bmi' is a number, .* modifier_at = \[20, 30\]"):
        session.step()
    options = COMMON | {"modifier": "bmi", "modifier_at": [22.0, 32.0]}
    session = Session(tmp_path / "with", POOL, options, sites=FEW_SITES)
    found = session.play()["full"]
    answers = [json.loads(path.read_text()) for path in session.centre.glob("answers/001_*.json")]
    assert [answer["content"]["modifier"]["levels"] for answer in answers] == [None] * 3
    expected = pooled(POOL, exposure=bc.linear(), covariates="bmi", modifier="bmi")["full"]
    assert found.info.modifier_levels.labels == ("22", "32")
    np.testing.assert_allclose(found.vcov, expected.vcov, rtol=1e-8)


def test_increments_and_joint_curves_agree_with_the_pooled_fit(tmp_path: Path):
    options = COMMON | {"modifier": "sex", "joint": "f", "per": [10.0], "per_sd": True}
    found = fit_tables(Session(tmp_path, POOL, options, sites=FEW_SITES).play())
    call = {"modifier": "sex", "joint": "f", "per": 10, "per_sd": True, "covariates": "bmi"}
    expected = fit_tables(pooled(POOL, exposure=bc.linear(), **call))
    for name in ("joint", "per_unit"):
        numbers = expected[name].select_dtypes("number").columns
        np.testing.assert_allclose(found[name][numbers], expected[name][numbers], rtol=1e-8, atol=1e-12)
        words = expected[name].columns.difference(numbers)
        assert found[name][words].equals(expected[name][words])


def test_a_level_that_few_persons_have_is_refused_at_the_site(tmp_path: Path):
    options = COMMON | {"modifier": "group"}
    beech = POOL["study"] == "Beech"
    rows = {
        "odd": POOL.index[beech & POOL["reference"].isna()][:3],  # three persons in all
        "pairs": [
            *POOL.index[beech & POOL["reference"].isna()][:20],
            *POOL.index[beech & POOL["reference"].notna()][:2],
        ],
    }
    pools = {
        name: POOL.assign(group=np.where(POOL.index.isin(those), "other", "usual"))
        for name, those in rows.items()
    }
    session = Session(tmp_path / "odd", pools["odd"], options, sites=FEW_SITES)
    with pytest.raises(DisclosureError, match="fewer than 5 persons here have other"):
        session.step()
    session = Session(tmp_path / "pairs", pools["pairs"], options, sites=FEW_SITES)
    session.go_to("calibration")
    with pytest.raises(DisclosureError, match=r"'group\[T.usual\]' is 0 for 2"):
        session.step()


def test_what_is_agreed_on_the_modifier_must_fit_the_plan_and_the_site(tmp_path: Path):
    session = Session(tmp_path, POOL, COMMON | {"modifier": "sex", "method": ["induced"]}, sites=FEW_SITES)
    session.go_to("scores")

    def other(value):
        def change(message):
            message["agreed"]["modifier"] |= value

        return change

    for value, words in (
        ({"n_columns": 0, "main": [], "own_variances": {}}, "not that of the plan"),
        ({"n_columns": 2}, "2 columns, but the modifier has 1 here"),
        ({"main": [3]}, "not between 0 and 0"),
        ({"own_variances": {"Beech": [1, 1]}}, "not increasing|not between"),
        ({"own_variances": {}}, "expected 1 residual variances"),
    ):
        request = session.tampered(session.request, other(value))
        with pytest.raises(MessageError, match=words):
            session.prepared("b", request)


def test_what_a_site_tells_of_the_modifier_must_be_possible(tmp_path: Path):
    session = Session(tmp_path, POOL, COMMON | {"modifier": "sex"}, sites=FEW_SITES)
    session.go_to("calibration")
    answer = session.answer("b")

    def other(key, value):
        def change(message):
            message["content"]["modifier"][key] = value

        return change

    from biocal.remote.sites.centre.coordinator import take_answers

    for key, value, words in (
        ("names", [], "names: none"),
        ("levels", [], "1 to 200 levels"),
        ("studies", {"Beech": {"used": [0, 9], "pairs": []}}, "not between 0 and 1"),
        ("indicator", False, "studies"),
    ):
        with pytest.raises(MessageError, match=words):
            take_answers(session.centre, [str(session.tampered(answer, other(key, value)))])
