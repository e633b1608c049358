"""A term means the same whatever the order of the rows, and in each part of a pool; else it is told or refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from federated_pool import few_studies, make_pool

import biocal as bc
from biocal.errors import OptionError

SMOKING = ["never", "former", "current"]
#: One likelihood, its rows added up in another order.
ROUNDING = 1e-9


@pytest.fixture(scope="module")
def frame():
    """Only the study Ash has the level never."""
    found = few_studies(make_pool(40)).drop(columns="region")
    rng = np.random.default_rng(5)
    words = rng.choice(SMOKING[1:], len(found)).astype(object)
    ash = (found["study"] == "Ash").to_numpy()
    words[ash] = rng.choice(SMOKING, ash.sum())
    return found.assign(smoking=pd.Categorical(words, SMOKING))


def _fit(frame, **model):
    pool = bc.PooledStudies.from_frame(frame)
    return bc.fit(pool, exposure=bc.linear(), matching="age", **model)


MODELS = [
    {"covariates": "smoking"},
    {"modifier": "smoking"},
    {"covariates": "C(smoking, Poly)"},
    {"covariates": "C(smoking, Sum)"},
    {"modifier": "C(smoking, Poly)"},
]


@pytest.mark.parametrize("model", MODELS)
def test_a_declared_order_codes_as_words_do_that_sort_in_that_order(frame, model):
    plain = {"never": "a", "former": "b", "current": "c"}
    found = _fit(frame.sample(frac=1, random_state=3), **model)
    expected = _fit(frame.assign(smoking=frame["smoking"].astype(str).map(plain)), **model)
    renamed = [term.replace("[T.former]", "[T.b]").replace("[T.current]", "[T.c]") for term in found.terms]
    renamed = [term.replace("[S.never]", "[S.a]").replace("[S.former]", "[S.b]") for term in renamed]
    assert renamed == list(expected.terms)
    np.testing.assert_allclose(found.estimates, expected.estimates, rtol=ROUNDING, atol=ROUNDING)


def test_a_reference_level_that_a_study_takes_with_it_is_told(frame):
    fit = _fit(frame, covariates="smoking", leave_one_out=True)
    without = {group.name: group.fit for group in fit.left_out.groups}
    assert [one.reference for one in without["Ash"].info.factors] == ["former"]
    told = "smoking: nobody has never; its terms are against former, not never"
    assert without["Ash"].info.notes == (told,)
    assert without["Beech"].info.notes == ()
    assert f"without Ash: {told}" in " ".join(fit.summary().split())


def test_other_codings_of_a_part_are_told(frame):
    fit = _fit(frame, covariates="C(smoking, Poly)", by="study", calibrate_within=True)
    notes = [note for note in fit.subgroups[0].notes if "its terms" in note]
    told = "C(smoking, Poly): nobody has never; its terms are coded for the levels former, current"
    assert notes == [f"study {name}: {told}" for name in ("Beech", "Damson", "Ebony")]


def test_a_part_without_a_level_of_the_modifier_is_not_fitted_and_says_why(frame):
    fit = _fit(frame, modifier="smoking", leave_one_out=True)
    reasons = {group.name: group.reason for group in fit.left_out.groups if group.fit is None}
    assert reasons == {"Ash": "nobody has the level never of the modifier smoking"}


def test_a_subgroup_without_the_reference_level_is_not_fitted_against_another(frame):
    fit = _fit(frame, covariates="smoking", by="study")
    fitted = {group.name: group.fit for group in fit.subgroups[0].groups}
    assert [one.reference for one in fitted["Ash"].info.factors] == ["never"]
    assert {fitted[name] for name in ("Beech", "Damson", "Ebony")} == {None}


def test_imputations_with_other_references_under_the_same_terms_are_refused(frame):
    other = frame.assign(
        smoking=frame["smoking"]
        .cat.rename_categories({"never": "no"})
        .cat.set_categories(["no", *SMOKING[1:]])
    )
    pools = [bc.PooledStudies.from_frame(one) for one in (frame, other)]
    with pytest.raises(OptionError, match="imputation 2 codes smoking otherwise"):
        bc.fit_imputations(pools, exposure=bc.linear(), covariates="smoking", matching="age")


def test_imputations_may_lack_a_level_of_a_term_that_is_omitted(frame):
    other = frame.assign(smoking=frame["study"].where(frame["study"] != "Ash", "Beech"))
    pools = [bc.PooledStudies.from_frame(one) for one in (frame.assign(smoking=frame["study"]), other)]
    fit = bc.fit_imputations(pools, exposure=bc.linear(), covariates="smoking + age", matching="age")
    assert list(fit.terms) == ["exposure"]
