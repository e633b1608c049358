"""The infertility study is R's infert, described."""

from __future__ import annotations

import tomllib

import numpy as np
import pandas as pd
import pytest
from statsmodels.discrete.conditional_models import ConditionalLogit

from biocal.datasets import data_root, load_infertility

FOLDER = data_root() / "infertility"
# survival::clogit(case ~ spontaneous + induced + strata(stratum), infert), R 4.2.2, survival 3.5-3
R_COEFFICIENTS = [1.98587551667772, 1.40901163187514]
R_VARIANCES = [0.124216448751808, 0.130113461664634]
TWO_OPTIMISERS = 1e-5  # statsmodels stops at a loose gradient


@pytest.fixture(scope="module")
def women() -> pd.DataFrame:
    return load_infertility()


def test_83_sets_hold_one_case_and_two_controls_but_for_set_74(women: pd.DataFrame) -> None:
    sets = women.groupby("set")["case"].agg(["size", "sum"])
    assert len(women) == 248
    assert (sets["sum"] == 1).all()
    assert sets.index[sets["size"] != 3].tolist() == [74]
    assert sets.loc[74, "size"] == 2


def test_conditional_logistic_regression_gives_the_numbers_of_r(women: pd.DataFrame) -> None:
    design = women[["spontaneous", "induced"]].to_numpy(dtype=float)
    sets_that_vary = women.groupby("set")["case"].transform("nunique") > 1
    assert sets_that_vary.all()
    fitted = ConditionalLogit(women["case"].to_numpy(), design, groups=women["set"].to_numpy()).fit(disp=0)
    np.testing.assert_allclose(fitted.params, R_COEFFICIENTS, rtol=TWO_OPTIMISERS)
    np.testing.assert_allclose(fitted.bse**2, R_VARIANCES, rtol=1e-3)  # statsmodels' is numerical


def test_readme_and_spec_name_what_is_analysed(women: pd.DataFrame) -> None:
    spec = tomllib.loads((FOLDER / "analysis.toml").read_text(encoding="utf-8"))
    assert spec["reference"] == "spontaneous"
    assert spec["exposure"] == "linear"
    assert spec["covariates"] == "induced"
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    for number in (1.98588, 0.35244, 1.40901, 0.36071):
        assert f"{number:.5f}" in readme
    np.testing.assert_allclose(np.sqrt(R_VARIANCES), [0.35244, 0.36071], atol=5e-6)
    assert "Trichopoulos" in women.attrs["source"]
    assert women.attrs["synthetic"] is False


def test_dictionary_describes_every_column(women: pd.DataFrame) -> None:
    assert pd.read_csv(FOLDER / "dictionary.csv")["column"].tolist() == women.columns.tolist()
