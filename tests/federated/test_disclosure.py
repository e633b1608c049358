"""No message tells of single persons: counts, cells, points of evaluation, and differences between sessions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from federated_pool import FEW_SITES, few_studies, make_pool
from federated_session import Session

import biocal as bc
from biocal.errors import DisclosureError, InputError, OptionError
from biocal.remote.sites.agreed import Agreed
from biocal.remote.sites.plan import plan_of
from biocal.remote.sites.site.guard import (
    require_cells,
    require_columns_carried,
    require_spread_weight,
    require_varying_sets,
)
from biocal.remote.sites.site.ledger import read_ledger, smallest_group
from biocal.remote.sites.site.site import SiteSettings, create_site, prepare_answer
from biocal.remote.sites.site.site_problem import site_problem
from biocal.remote.sites.site.site_sums import calibration_sums


def few_pool() -> pd.DataFrame:
    return few_studies(make_pool())


def test_no_value_of_a_person_stands_in_any_message(tmp_path: Path):
    pool = few_pool()
    rng = np.random.default_rng(3)
    for name in ("local", "reference", "bmi"):  # so many digits that a value found is no coincidence
        pool[name] += rng.normal(0, 1e-3, len(pool))
    session = Session(tmp_path, pool, {"method": ["internalized", "induced"]}, sites=FEW_SITES)
    session.play()
    values = pool[["local", "reference", "bmi"]].to_numpy().ravel()
    forbidden = {repr(float(value)) for value in values[np.isfinite(values)]}
    messages = [*session.centre.glob("request_*.json"), *session.centre.glob("answers/*.json")]
    assert len(messages) > 30
    for path in messages:
        numbers = set(re.findall(r"-?\d+\.\d+(?:e-?\d+)?", path.read_text()))
        assert not numbers & forbidden, path


def test_every_bin_holds_the_least_number_of_persons(tmp_path: Path):
    session = Session(tmp_path, few_pool(), {"covariates": "bmi"}, minimum=12, sites=FEW_SITES)
    session.go_to("scores")
    for path in session.centre.glob("answers/002_*.json"):
        counts = json.loads(path.read_text())["content"]["counts"]
        assert min(counts) >= 12
        assert len(counts) > 5


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (
            lambda f: f[~((f["study"] == "Ash") & (f["set"] > 3))],
            {},
            "study 'Ash': matched sets .*: 3, fewer than the 5",
        ),
        (
            lambda f: f.assign(smoking=f["smoking"].where(f.index != f.index[0], "pipe")),
            {},
            "column 'smoking': fewer than 5 persons here have pipe",
        ),
        (
            lambda f: f.assign(month=np.arange(len(f)) % 40 + 1.0),
            {"matching": "C(month)"},
            "study '.*', persons measured in both laboratories",
        ),
        (
            lambda f: f.assign(rare=(np.arange(len(f)) % 70 == 0).astype(float)),
            {"covariates": "rare", "calibration_covariates": "none"},
            "'rare' varies within . matched sets here, fewer than 5",
        ),
        (
            lambda f: f,
            {"exposure": "categories", "cuts": [60, 100], "knot_values": []},
            r"'exposure\[100, inf\)'",
        ),
        (
            lambda f: f.assign(reference=f["reference"].where((f["study"] != "Beech") | (f["set"] < 8))),
            {"covariates": "", "matching": ""},
            "study 'Beech', persons measured in both laboratories: ., fewer than",
        ),
        (
            lambda f: f[(f["study"] != "Ash") | (f["set"] <= 8)],
            {"covariates": "bmi"},
            "full: matched sets: . for 3 columns",
        ),
    ],
    ids=["sets", "level", "cells", "varying sets", "category", "pairs", "columns"],
)
def test_a_site_refuses_sums_over_few(tmp_path: Path, change: Any, options: dict[str, Any], words: str):
    pool = change(few_pool()).reset_index(drop=True)
    session = Session(tmp_path, pool, options, sites=FEW_SITES)
    with pytest.raises(DisclosureError, match=f"is refused, nothing is written: .*{words}"):
        session.play()


def test_cells_and_columns_are_guarded_at_their_limits():
    half = np.repeat([0.0, 1.0], 20)
    require_cells(np.vstack([half, np.tile([0.0, 1.0], 20)]), ["a", "b"], 10, "here")
    with pytest.raises(DisclosureError, match="'a' is other than 0 for 4, fewer than 5"):
        require_cells(np.repeat([0.0, 1.0], [36, 4])[None], ["a"], 5, "here")
    with pytest.raises(DisclosureError, match="'a' is 0 for 4, fewer than 5"):
        require_cells(np.repeat([0.0, 1.0], [4, 36])[None], ["a"], 5, "here")
    with pytest.raises(DisclosureError, match="a cell of 'a' by 'b' holds 2"):
        require_cells(np.vstack([half, np.roll(half, 2)]), ["a", "b"], 5, "here")
    require_columns_carried(10, 30, "here")
    with pytest.raises(DisclosureError, match="29 for 10 columns"):
        require_columns_carried(10, 29, "here")
    varies = np.zeros((2, 30), dtype=bool)
    varies[0, :10] = varies[1, 7:20] = True
    with pytest.raises(DisclosureError, match="'a' and 'b' both vary within 3 matched sets"):
        require_varying_sets(varies, ["a", "b"], 5)
    require_spread_weight(np.ones(50), 5, "full")
    with pytest.raises(DisclosureError, match=r"7\.0 of 50 sets would carry the sums, and 10 must"):
        require_spread_weight(np.repeat([1.0, 0.0], [7, 43]), 5, "full")


def test_coefficients_chosen_to_single_out_sets_are_refused(tmp_path: Path):
    """Far out along a column only sets in which it hardly differs keep weight: in the end a single one."""
    session = Session(tmp_path, few_pool(), {"exposure": "linear", "knot_values": []}, sites=FEW_SITES)
    session.go_to("scores")

    def far_out(message: dict[str, Any]) -> None:
        message["tasks"]["full"] = [5.0, 0.0, 0.0, 0.0]

    path = session.tampered(session.request, far_out)
    with pytest.raises(DisclosureError, match=r"full: at the coefficients asked for, .* of \d+ sets"):
        session.prepared("a", path)


def _sums(pool: pd.DataFrame) -> dict[str, Any]:
    """Round 1's sums of the study Beech, made without ledger: what the attack works on."""
    plan = plan_of({"sites": ["b", "x"], "covariates": "bmi", "exposure": "linear"})
    site = site_problem(bc.PooledStudies.from_frame(pool), plan, Agreed(levels={"covariates": {}}))
    return calibration_sums(site, 5)["studies"]["Beech"]


def test_a_chosen_formula_tells_of_one_person_as_the_pages_say(tmp_path: Path):
    pool = few_pool()
    complete = (pool["study"] == "Beech") & pool["reference"].notna() & pool["bmi"].notna()
    victim = int(np.flatnonzero(complete)[7])
    pool.loc[victim, "bmi"] = 23.0
    pool.loc[(pool["bmi"] == 23.0) & (pool.index != victim), "bmi"] = 23.1
    formula = "bmi + I(bmi + 1000*(bmi == 23.0))"
    session = Session(tmp_path, pool, {"covariates": formula, "matching": ""}, sites=FEW_SITES)
    session.go_to("residuals")
    [path] = session.centre.glob("answers/001_b.json")
    sums = json.loads(path.read_text())["content"]["studies"]["Beech"]
    # columns: 1, local, bmi, bmi + 1000 (is the victim); means and centred products give back the sums of products
    n, means = sums["n"], np.array(sums["means"])
    products = np.array(sums["products"]) + n * np.outer(means, means)
    response = np.array(sums["response_products"]) + n * means * sums["response_mean"]
    with_local = (products[-1] - products[-2])[:-2] / 1000
    reference = (response[-1] - response[-2]) / 1000
    row = pool.loc[victim, ["local", "reference"]].to_numpy(dtype=float)
    np.testing.assert_allclose(
        [with_local[-1], reference], row, rtol=1e-6
    )  # 12 digits less those of 1000 and n


def test_the_attack_by_one_person_works_without_the_ledger_and_is_refused_with_it(tmp_path: Path):
    pool = few_pool()
    beech = pool[pool["study"] == "Beech"].reset_index(drop=True)
    complete = beech["reference"].notna() & beech["bmi"].notna()
    victim = int(np.flatnonzero(complete)[7])
    # The same study with the victim's reference value gone: everybody else is as before.
    without = beech.assign(reference=beech["reference"].where(beech.index != victim))

    all_of_them, but_one = _sums(beech), _sums(without)
    total = all_of_them["n"] * np.array([*all_of_them["means"], all_of_them["response_mean"]])
    rest = but_one["n"] * np.array([*but_one["means"], but_one["response_mean"]])
    row = beech.loc[victim, ["local", "bmi", "reference"]].to_numpy(dtype=float)
    np.testing.assert_allclose(total - rest, row, rtol=1e-9)  # local value, BMI and reference value, exactly

    first = Session(tmp_path / "first", pool, sites=FEW_SITES)
    first.go_to("residuals")
    second = Session(tmp_path / "second", pool, sites=FEW_SITES)
    second.sites = first.sites  # the same site with the same ledger is asked once more
    second.pools["b"] = bc.PooledStudies.from_frame(without)
    ledger = (first.sites["b"] / "ledger.json").read_bytes()
    with pytest.raises(DisclosureError, match=r"Beech: .* would tell 1 row apart") as refusal:
        second.answer("b")
    assert "their values would follow by subtraction" in str(refusal.value)
    assert (first.sites["b"] / "ledger.json").read_bytes() == ledger
    assert not list(second.folder.glob("site_b/answer_*"))
    second.pools["b"] = first.pools["b"]
    second.answer("b")  # the same persons: nothing can be subtracted


def test_a_corrected_covariate_of_one_person_is_refused_too(tmp_path: Path):
    pool = few_pool()
    first = Session(tmp_path / "first", pool, sites=FEW_SITES)
    first.step()
    changed = pool.copy()
    row = np.flatnonzero((pool["study"] == "Beech") & pool["bmi"].notna())[3]
    changed.loc[row, "bmi"] += 1.0
    second = Session(tmp_path / "second", changed, sites=FEW_SITES)
    second.sites = first.sites
    with pytest.raises(DisclosureError, match="column 'bmi'"):
        second.answer("b")


def test_several_sessions_together_may_not_tell_few_apart():
    everybody = frozenset(map(str, range(30)))
    assert smallest_group([everybody]) == 30
    assert smallest_group([everybody, everybody - {"3"}]) == 1
    # Each pair differs by six and more; the three together single out person 5.
    first, second = everybody - set("012345"), everybody - {"5", "6", "7", "8", "9", "10"}
    assert smallest_group([everybody, first]) == 6
    assert smallest_group([everybody, second]) == 6
    assert smallest_group([everybody, first, second]) == 1


def test_data_may_not_change_within_a_session(tmp_path: Path):
    session = Session(tmp_path, few_pool(), sites=FEW_SITES)
    session.step()
    fewer = few_pool()
    fewer = fewer[(fewer["study"] == "Beech") & (fewer["set"] > 20)].reset_index(drop=True)
    session.pools["b"] = bc.PooledStudies.from_frame(fewer)
    with pytest.raises(DisclosureError, match="the data are not those from which this session was answered"):
        session.answer("b")


def test_the_ledger_holds_hashes_that_cannot_be_tried_without_the_key(tmp_path: Path):
    pool = few_pool()
    sessions = [Session(tmp_path / name, pool, sites=FEW_SITES) for name in ("one", "two")]
    for session in sessions:
        session.answer("b")
    populations = [read_ledger(s.sites["b"] / "ledger.json").sessions[0].population for s in sessions]
    place = "Beech: outcome model"
    assert len(populations[0][place]) == len(populations[1][place]) > 100
    assert not populations[0][place] & populations[1][place]
    assert (sessions[0].sites["b"] / "site.key").stat().st_mode & 0o077 == 0


def test_without_a_readable_ledger_nothing_is_answered(tmp_path: Path):
    session = Session(tmp_path, few_pool(), sites=FEW_SITES)
    (session.sites["a"] / "ledger.json").write_text("{")
    with pytest.raises(InputError, match="ledger cannot be read"):
        session.answer("a")
    (session.sites["a"] / "ledger.json").unlink()
    (session.sites["a"] / "site.key").unlink()
    with pytest.raises(InputError, match="key cannot be read"):
        session.answer("a")


def test_a_minimum_below_three_is_refused(tmp_path: Path):
    with pytest.raises(OptionError, match="fewer than 3 persons protects nobody"):
        create_site(tmp_path / "site", SiteSettings("a", 2, 40, {}))


def test_small_losses_are_withheld(tmp_path: Path):
    session = Session(tmp_path, few_pool(), sites=FEW_SITES)
    content = session.prepared("b").answer.content
    flow = site_problem(session.pools["b"], plan_of(session.options), Agreed()).prepared.outcome_rows.flow[0]
    assert flow.sets_without_control == 1
    assert content["studies"][0]["losses"] is None
    assert content["studies"][0]["measured"] is None


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("modifier_at", [20, 30], "name it: modifier"),
        ("bootstrap", 100, "the bootstrap would redraw"),
        ("files", ["a.csv"], "in each site's own spec"),
        ("knot_rule", "published", "knows 'common' only"),
        ("residual_law", "smearing", "knows 'normal' only"),
        ("method", ["two-stage"], "not 'two-stage'"),
        ("sites", ["a"], "two sites or more"),
        ("sites", ["a", "../b"], "for it names files"),
        ("covariates", "center(bmi)", "learns from the rows"),
        ("covariates", "rcs(bmi, 4)", "give them, as in"),
    ],
)
def test_what_a_federated_fit_cannot_do_is_refused_at_the_start(key: str, value: Any, words: str):
    with pytest.raises(InputError, match=words):
        plan_of({"sites": ["a", "b"], key: value})


def test_a_request_is_refused_before_the_data_are_read(tmp_path: Path):
    session = Session(tmp_path, few_pool(), sites=FEW_SITES)

    def never(reading: Any) -> Any:
        raise AssertionError("the data were read for a request out of turn")

    path = session.tampered(session.request, lambda message: message.update(round=2))
    with pytest.raises(InputError, match="has answered nothing"):
        prepare_answer(session.sites["a"], str(path), never)
