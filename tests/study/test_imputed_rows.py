"""Rows of several imputations are the same persons in the same sets, and any other is refused by file and line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import biocal as bc
from biocal.errors import DataProblemsError, OptionError

CASES = Path(__file__).parents[1] / "data/cases/imputations"
#: First lines of imputation 2 in the stacked files.
SECOND = 62


def stacked(name="flip"):
    """The case's rows, with the case status of imputation 2 as in the others."""
    frame = pd.read_csv(CASES / f"{name}.csv")
    frame["case"] = np.tile(frame["case"][frame["imp"] == 1], 3)
    frame["person"] = np.tile(np.arange(60), 3)
    return frame


def read(frame, folder, **options):
    file = folder / "stacked.csv"
    frame.to_csv(file, index=False)
    return bc.read_imputations(file, imputation="imp", **options)


@pytest.mark.parametrize(("name", "lines"), [("flip", [SECOND]), ("swap", [SECOND, SECOND + 14])])
def test_case_status_that_differs_is_refused_by_line(name, lines):
    with pytest.raises(DataProblemsError) as caught:
        bc.read_imputations(CASES / f"{name}.csv", imputation="imp")
    found = caught.value.problems
    assert [(one.line, one.column, one.level) for one in found] == [(line, "case", "error") for line in lines]
    assert "imputation 2 has '0' where imputation 1 has '1'" in str(found[0])
    assert "flip.csv:2)" in str(found[0]) or name == "swap"


@pytest.mark.parametrize("name", ["flip", "swap"])
def test_a_file_an_imputation_is_looked_at_too(name, tmp_path):
    frame = pd.read_csv(CASES / f"{name}.csv")
    files = []
    for k, part in frame.groupby("imp"):
        files.append(tmp_path / f"imputed_{k}.csv")
        part.drop(columns="imp").to_csv(files[-1], index=False)
    with pytest.raises(DataProblemsError) as caught:
        bc.read_imputations(files, imputation=None)
    assert (caught.value.problems[0].file, caught.value.problems[0].line) == (str(files[1]), 2)


def test_frames_in_python_are_looked_at_too():
    frame = pd.read_csv(CASES / "flip.csv")
    pools = [bc.PooledStudies.from_frame(part.drop(columns="imp")) for _, part in frame.groupby("imp")]
    with pytest.raises(DataProblemsError, match="row 1: column 'case': imputation 2 has '0'"):
        bc.fit_imputations(pools, method="naive", reference=60, at=[40, 80])


@pytest.mark.parametrize("column", ["set", "study", "case"])
@pytest.mark.parametrize("persons", [False, True])
def test_each_of_set_study_and_case_status_is_refused(column, persons, tmp_path):
    frame = stacked()
    if not persons:
        frame = frame.drop(columns="person")
    row = frame.index[(frame["imp"] == 3) & (frame["study"] == "A") & (frame["case"] == 0)][2]
    frame.loc[row, column] = {"set": 1, "study": "B", "case": 1}[column]
    if column == "study":
        frame.loc[row, ["local", "reference"]] = [50.0, np.nan]
    with pytest.raises(DataProblemsError) as caught:
        read(frame, tmp_path)
    errors = [one for one in caught.value.problems if one.level == "error"]
    wanted = "person" if column == "study" and persons else column
    assert [(one.line, one.column) for one in errors] == [(row + 2, wanted)]


def test_persons_are_followed_where_rows_are_in_another_order(tmp_path):
    frame = stacked()
    rng = np.random.default_rng(3)
    shuffled = pd.concat(
        [part.sample(frac=1, random_state=int(rng.integers(99))) for _, part in frame.groupby("imp")]
    )
    one, other = read(frame, tmp_path), read(shuffled, tmp_path)
    fits = [bc.fit_imputations(pools, method="naive", reference=60, at=[40, 80]) for pools in (one, other)]
    np.testing.assert_allclose(fits[0].estimates, fits[1].estimates, rtol=1e-9)
    with pytest.raises(DataProblemsError, match="name the person column"):
        read(shuffled.drop(columns="person"), tmp_path)


def test_two_persons_of_a_set_who_change_places_are_refused_by_person(tmp_path):
    frame = stacked()
    swapped = frame.index[(frame["imp"] == 2) & (frame["study"] == "A") & (frame["set"] == 1)]
    frame.loc[swapped, "case"] = 1 - frame.loc[swapped, "case"]
    with pytest.raises(DataProblemsError) as caught:
        read(frame, tmp_path)
    assert [one.line for one in caught.value.problems if one.level == "error"] == (swapped + 2).tolist()


def test_measurements_may_differ_and_are_counted():
    frame = stacked()
    pools = [bc.PooledStudies.from_frame(part.drop(columns="imp")) for _, part in frame.groupby("imp")]
    fit = bc.fit_imputations(pools, method="naive", reference=60, at=[40, 80])
    first = frame[frame["imp"] == 1].reset_index(drop=True)
    counts = {}
    for column in ("local", "reference"):
        parts = [part[column].reset_index(drop=True) for k, part in frame.groupby("imp") if k > 1]
        counts[column] = int(np.any([~part.eq(first[column]) & part.notna() for part in parts], axis=0).sum())
    told = (
        f"local values of {counts['local']} rows and reference values of {counts['reference']} rows differ between "
        "the imputations, and are taken as imputed"
    )
    assert min(counts.values()) > 0
    assert told in fit.info.notes


def test_a_study_measured_elsewhere_in_one_imputation_is_refused_by_name():
    frame = stacked()
    parts = [part.drop(columns="imp") for _, part in frame.groupby("imp")]
    parts[1] = parts[1].assign(
        local=parts[1]["local"].where(parts[1]["study"] == "A"),
        reference=parts[1]["reference"].fillna(50.0),
    )
    pools = [bc.PooledStudies.from_frame(part) for part in parts]
    with pytest.raises(DataProblemsError, match="study 'B' is a local study in imputation 1 and a reference"):
        bc.fit_imputations(pools, method="naive", reference=60, at=[40, 80])


def test_imputations_of_another_size_are_refused(tmp_path):
    frame = stacked()
    with pytest.raises(OptionError, match="imputation 3 has 59 rows, the first 60"):
        read(frame.iloc[:-1], tmp_path)
