"""``biocal partition`` and ``biocal fit --partitioned``: the files of a fit in memory, from partitions."""

from __future__ import annotations

import csv
import json

import pytest
from federated_pool import few_studies, make_pool
from partitioned_pool import close

from biocal.cli.main import main as run

OPTIONS = ["--method", "full", "--knots", "3", "--covariates", "bmi + C(smoking)", "--matching", "age"]
COMPARED = ("coefficients", "covariance", "dose_response", "variance_shares", "calibration", "per_unit")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A data file and its partitions."""
    folder = tmp_path_factory.mktemp("partitioned")
    few_studies(make_pool(40)).to_csv(folder / "pool.csv", index=False)
    assert run(["partition", str(folder / "pool.csv"), "--out", str(folder / "pool"), "--rows", "100"]) == 0
    return folder


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def number(cell):
    try:
        return float(cell)
    except ValueError:
        return None


def test_files_from_partitions_are_those_of_a_fit_in_memory(place, tmp_path, capsys):
    whole = ["fit", str(place / "pool.csv"), *OPTIONS, "--per", "10", "--out", str(tmp_path / "whole")]
    parts = [
        "fit",
        str(place / "pool"),
        "--partitioned",
        *OPTIONS,
        "--per",
        "10",
        "--out",
        str(tmp_path / "parts"),
    ]
    assert run(whole) == 0
    capsys.readouterr()
    assert run(parts) == 0
    told = capsys.readouterr()
    assert "full calibration" in told.out
    assert "rows in 4 partitions" in told.err
    for name in COMPARED:
        found, expected = rows(tmp_path / "parts" / f"{name}.csv"), rows(tmp_path / "whole" / f"{name}.csv")
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            numeric = [number(cell) is not None for cell in other]
            assert [c for c, n in zip(one, numeric, strict=True) if not n] == [
                c for c, n in zip(other, numeric, strict=True) if not n
            ]
            pairs = [(number(c), number(o)) for c, o, n in zip(one, other, numeric, strict=True) if n]
            close([c for c, _ in pairs], [o for _, o in pairs])
    record = json.loads((tmp_path / "parts" / "fit.json").read_text())
    expected = json.loads((tmp_path / "whole" / "fit.json").read_text())
    assert record["partitioned"]["partitions"] == 4
    assert record["flow"] == expected["flow"]
    assert record["counts"] == expected["counts"]
    close(record["model"]["exposure_sd"], expected["model"]["exposure_sd"])
    written = {file.name for file in (tmp_path / "parts").iterdir()}
    missing = {file.name for file in (tmp_path / "whole").iterdir()} - written
    assert missing == {"calibration.png", "calibration.svg", "calibration_quality.csv"}


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--season", "bmi"], 2, "--season is not for --partitioned"),
        (["--bootstrap", "10"], 2, "--bootstrap is not for --partitioned"),
        (["--knot-rule", "published"], 2, "knows common only"),
        (["--method", "two-stage"], 3, "not 'two-stage'"),
        (["--covariates", "waist"], 3, "waist"),
        (["--covariates", "bmi + I(3 * bmi)"], 4, "collinear"),
        (["--scheduler", "tcp://127.0.0.1:1", "--jobs", "2"], 3, "give one of them"),
    ],
    ids=["season", "bootstrap", "knot rule", "two-stage", "no column", "collinear", "two ways"],
)
def test_what_partitions_cannot_give_is_refused_and_nothing_written(
    place, tmp_path, capsys, words, code, told
):
    out = tmp_path / "out"
    assert run(["fit", str(place / "pool"), "--partitioned", *words, "--out", str(out)]) == code
    assert told in capsys.readouterr().err
    assert not out.exists()


def test_a_scheduler_without_partitions_and_a_folder_that_is_full_are_refused(place, tmp_path, capsys):
    assert (
        run(["fit", str(place / "pool.csv"), "--scheduler", "tcp://x:1", "--out", str(tmp_path / "o")]) == 2
    )
    assert "--scheduler needs --partitioned" in capsys.readouterr().err
    assert run(["partition", str(place / "pool.csv"), "--out", str(place / "pool")]) == 3
    assert "is not empty" in capsys.readouterr().err
    assert run(["partition", str(place / "pool.csv")]) == 2
    assert "--out" in capsys.readouterr().err
