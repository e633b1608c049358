"""Levels of factors in partitions: the order that files declare, categories that are numbers, and the reference."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from federated_pool import few_studies, make_pool
from partitioned_pool import assert_same_fit

import biocal as bc
from biocal.remote.partitions.writing import streaming

SMOKING = ["never", "former", "current"]
#: Both maximise the same likelihood; the sums over partitions are in another order.
ROUNDING = 1e-10


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    monkeypatch.setattr(streaming, "PIECE_BYTES", 2_000)
    monkeypatch.setattr(streaming, "PIECE_ROWS", 37)


def _frame(levels=SMOKING):
    """Each study lacks a level, so that no partition of a study has them all."""
    frame = few_studies(make_pool(40)).drop(columns="region")
    rng = np.random.default_rng(5)
    lacking = {"Ash": "former", "Beech": "never", "Damson": "current", "Ebony": "former"}
    words = np.empty(len(frame), dtype=object)
    for study, level in lacking.items():
        own = (frame["study"] == study).to_numpy()
        words[own] = rng.choice([one for one in SMOKING if one != level], own.sum())
    stage = pd.Categorical(rng.choice([1, 2, 3], len(frame)))
    return frame.assign(smoking=pd.Categorical(words, levels), stage=stage)


def _partitioned_and_in_memory(folder, files, **model):
    written = bc.partition_studies(files, folder / "out", rows=60)
    model = {"exposure": bc.linear(), "matching": "age"} | model
    return written, bc.fit_partitioned(folder / "out", **model), bc.fit(bc.read_studies(files), **model)


@pytest.mark.parametrize(
    ("covariates", "terms"),
    [
        ("smoking", ["smoking[T.former]", "smoking[T.current]"]),
        ("C(smoking, Poly)", ["C(smoking, Poly).Linear", "C(smoking, Poly).Quadratic"]),
        ("C(smoking, Sum)", ["C(smoking, Sum)[S.never]", "C(smoking, Sum)[S.former]"]),
        (
            "stage",
            ["stage[T.2]", "stage[T.3]"],
        ),  # Parquet does not keep the order of categories that are numbers
    ],
)
def test_partitions_keep_the_order_that_a_file_declares(tmp_path, covariates, terms):
    _frame().to_parquet(tmp_path / "pool.parquet", index=False)
    _, found, expected = _partitioned_and_in_memory(
        tmp_path, [str(tmp_path / "pool.parquet")], covariates=covariates
    )
    assert list(found.terms[1:]) == terms
    assert_same_fit(found, expected)
    np.testing.assert_allclose(found.estimates, expected.estimates, rtol=ROUNDING)
    assert found.info.factors == expected.info.factors != ()


def test_a_declared_order_holds_for_text_files_read_before_it(tmp_path):
    frame = _frame()
    frame = frame.assign(smoking=frame["smoking"].cat.add_categories(["a pipe"]))
    frame.loc[frame.index[frame["study"] == "Ash"][::4], "smoking"] = "a pipe"
    text, parquet = str(tmp_path / "a.csv"), str(tmp_path / "b.parquet")
    frame[frame["study"] == "Ash"].to_csv(text, index=False)
    rest = frame[frame["study"] != "Ash"]
    rest.assign(smoking=rest["smoking"].cat.set_categories(SMOKING)).to_parquet(parquet, index=False)
    written, found, expected = _partitioned_and_in_memory(
        tmp_path, [text, parquet], covariates="smoking + C(stage)"
    )
    assert list(found.terms[1:4]) == [f"smoking[T.{level}]" for level in ("former", "current", "a pipe")]
    assert list(found.terms[4:]) == ["C(stage)[T.2]", "C(stage)[T.3]"]
    assert_same_fit(found, expected)
    assert [one.code for one in written.problems if one.column == "smoking"] == ["levels-added"]


def test_orders_that_contradict_each_other_are_told_when_partitions_are_made(tmp_path):
    frame = _frame()
    first, second = str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")
    ash = frame["study"] == "Ash"
    frame[ash].to_parquet(first, index=False)
    turned = frame[~ash]
    turned.assign(smoking=turned["smoking"].cat.set_categories(["former", "never", "current"])).to_parquet(
        second, index=False
    )
    written, found, expected = _partitioned_and_in_memory(tmp_path, [first, second], covariates="smoking")
    assert list(found.terms[1:]) == ["smoking[T.former]", "smoking[T.never]"] == list(expected.terms[1:])
    assert [(one.code, one.level) for one in written.problems if one.column == "smoking"] == [
        ("levels-contradict", "warning")
    ]


def test_numerals_in_categories_keep_their_order_and_are_no_slope(tmp_path):
    frame = _frame()
    stage = pd.Categorical(frame["stage"].astype(str), ["3", "1", "2"])
    frame.assign(stage=stage).to_parquet(tmp_path / "pool.parquet")
    _, found, expected = _partitioned_and_in_memory(
        tmp_path, [str(tmp_path / "pool.parquet")], covariates="stage"
    )
    assert list(found.terms[1:]) == ["stage[T.1]", "stage[T.2]"]
    assert_same_fit(found, expected)


def test_a_dictionary_that_only_stores_words_declares_no_order(tmp_path):
    import pyarrow as pa

    frame = _frame()
    plain = pa.Table.from_pandas(frame.assign(smoking=frame["smoking"].astype(object)), preserve_index=False)
    i = plain.column_names.index("smoking")
    stored = plain.set_column(i, "smoking", plain.column(i).dictionary_encode())
    pq.write_table(stored, tmp_path / "pool.parquet")
    _, found, expected = _partitioned_and_in_memory(
        tmp_path, [str(tmp_path / "pool.parquet")], covariates="smoking"
    )
    assert list(found.terms[1:]) == ["smoking[T.former]", "smoking[T.never]"] == list(expected.terms[1:])


def test_partitions_written_elsewhere_are_coded_in_the_order_that_each_declares(tmp_path):
    """No partition has both never and former; only the declared levels tell which comes first."""
    frame = _frame()
    frame = frame[frame["study"].isin(["Ash", "Beech"])]
    for study, rows in frame.groupby("study"):
        rows.to_parquet(tmp_path / f"{study}.parquet", index=False)
    found = bc.fit_partitioned(tmp_path, exposure=bc.linear(), covariates="smoking", matching="age")
    assert list(found.terms[1:]) == ["smoking[T.former]", "smoking[T.current]"]
    assert [one.reference for one in found.info.factors] == ["never"]
