"""Specs: the same words as the options; the command line wins; every mistake told with its line."""

from __future__ import annotations

import inspect
import json

import pandas as pd
import pytest

from biocal.cli.commands import calibrate as calibrate_module
from biocal.cli.commands import check as check_module
from biocal.cli.commands import fit as fit_module
from biocal.cli.options.options import Kind
from biocal.cli.options.spec import read_spec
from biocal.cli.options.table import OPTIONS

pytestmark = pytest.mark.usefixtures("no_figures")


#: Sums in another order, some of them of cancelling terms.
SAME_ARITHMETIC = 1e-9


def options_of(out):
    return json.loads((out / "fit.json").read_text(encoding="utf-8"))["options"]


#: A value that a spec may hold, by the kind of its option.
VALUES = {
    Kind.TEXT: '"bmi"',
    Kind.NUMBER: "0.9",
    Kind.WHOLE: "4",
    Kind.DAY: '"annual"',
    Kind.FLAG: "true",
    Kind.TEXTS: '["pool.csv"]',
    Kind.NUMBERS: "[30, 50]",
    Kind.FACTORS: "{Alder = 2.496}",
}


def test_every_option_of_the_commands_is_a_key_and_every_key_is_an_option_of_fit(folder):
    words = set(inspect.signature(fit_module.fit).parameters) - {"context"}
    assert words == set(OPTIONS)
    for command in (check_module.check, calibrate_module.calibrate):
        assert set(inspect.signature(command).parameters) - {"context"} <= words
    for key, option in OPTIONS.items():
        if key != "spec":
            value = f'"{option.choices[0]}"' if option.choices else VALUES[option.kind]
            (folder / "one.toml").write_text(f"{key} = {value}\n", encoding="utf-8")
            assert set(read_spec("one.toml")) == {key}


def test_a_spec_and_the_same_options_typed_give_the_same_files(folder, biocal):
    assert biocal("fit", "--spec", "spec.toml", "--out", "a").code == 0
    typed = [
        "--method",
        "naive",
        "--method",
        "full",
        "--exposure",
        "rcs",
        "--knots",
        3,
        "--covariates",
        "bmi",
    ]
    typed += ["--matching", "sex", "--ref", 60, "--exposure-name", "25(OH)D", "--unit", "nmol/L"]
    typed += ["--outcome-name", "colorectal cancer"]
    assert biocal("fit", "pool.csv", *typed, "--out", "b").code == 0
    for name in ("coefficients.csv", "covariance.csv", "dose_response.csv", "calibration.csv"):
        assert (folder / "a" / name).read_bytes() == (folder / "b" / name).read_bytes()


def test_options_typed_win_over_the_spec_and_a_list_replaces_its_list(folder, biocal):
    answer = biocal("fit", "--spec", "spec.toml", "--out", "a", "--method", "internalized", "--ref", 50)
    assert answer.code == 0
    options = options_of(folder / "a")
    assert (options["method"], options["ref"], options["covariates"]) == (["internalized"], 50, "bmi")


def test_an_empty_text_typed_takes_the_specs_away(folder, biocal):
    assert biocal("fit", "--spec", "spec.toml", "--out", "a", "--covariates", "").code == 0
    assert options_of(folder / "a")["covariates"] == ""


def test_knots_typed_in_one_way_replace_the_specs_in_another(folder, biocal):
    assert biocal("fit", "--spec", "spec.toml", "--out", "a", "--knot-values", "40,60,80").code == 0
    options = options_of(folder / "a")
    assert options["knot_values"] == [40, 60, 80]
    assert "knots" not in options


def test_a_spec_for_another_exposure_is_told_what_is_not_used(folder, biocal):
    words = ("--exposure", "categories", "--cuts", "50,70")
    answer = biocal("fit", "--spec", "spec.toml", "--out", "a", *words)
    assert answer.code == 0
    assert "note: knots, ref of spec.toml not used: the exposure is categories" in answer.err


def test_files_and_out_of_a_spec_are_relative_to_the_spec(folder, biocal, monkeypatch):
    spec = folder / "spec.toml"
    spec.write_text(
        spec.read_text().replace('["pool.csv"]', '["po*.csv"]\nout = "results"'), encoding="utf-8"
    )
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert biocal("fit", "--spec", "../spec.toml").code == 0
    assert (folder / "results" / "fit.json").is_file()


def test_patterns_are_expanded_in_natural_order_and_typed_files_replace_them(folder, biocal):
    pool = (folder / "pool.csv").read_text().splitlines()
    for number, study in ((2, "North"), (10, "South"), (1, "West")):
        lines = [pool[0], *(line for line in pool if line.startswith(study))]
        (folder / f"study{number}.csv").write_text("\n".join(lines) + "\n")
    spec = folder / "spec.toml"
    spec.write_text(spec.read_text().replace("pool.csv", "study*.csv"), encoding="utf-8")
    assert biocal("fit", "--spec", "spec.toml", "--out", "a").code == 0
    record = json.loads((folder / "a" / "fit.json").read_text())
    assert [file["path"] for file in record["files"]] == ["study1.csv", "study2.csv", "study10.csv"]
    assert biocal("fit", "--spec", "spec.toml", "study1.csv", "--out", "b").code == 0
    record = json.loads((folder / "b" / "fit.json").read_text())
    assert [file["path"] for file in record["files"]] == ["study1.csv"]


def test_scale_local_is_a_table_in_the_spec_and_repeated_words_when_typed(folder, biocal):
    spec = folder / "spec.toml"
    spec.write_text(spec.read_text() + "[scale_local]\nNorth = 2.5\nSouth = 2\n", encoding="utf-8")
    assert biocal("fit", "--spec", "spec.toml", "--out", "a").code == 0
    assert options_of(folder / "a")["scale_local"] == {"North": 2.5, "South": 2}
    words = ("--scale-local", "North=4")
    assert biocal("fit", "--spec", "spec.toml", "--out", "b", *words).code == 0
    assert options_of(folder / "b")["scale_local"] == {"North": 4.0}


def test_studies_of_a_spec_may_be_numbers(folder, biocal):
    pool = pd.read_csv("pool.csv")
    pool["study"] = pool["study"].map({"North": 1, "South": 2, "West": 3.0})
    pool.to_csv("numbers.csv", index=False)
    for reference in ("3", "3.0", '"3"', "[3.0]"):
        (folder / "ids.toml").write_text(
            f'files = "numbers.csv"\nreference_study = {reference}\n[scale_local]\n1 = 2.5\n',
            encoding="utf-8",
        )
        answer = biocal("calibrate", "--spec", "ids.toml")
        assert (answer.code, answer.err) == (0, ""), reference
        assert "reference studies (need none): 3" in answer.out


def test_the_spec_of_a_fit_serves_check_and_calibrate(folder, biocal):
    assert biocal("check", "--spec", "spec.toml").code == 0
    answer = biocal("calibrate", "--spec", "spec.toml", "--out", "c")
    assert answer.code == 0
    assert not (folder / "c" / "calibration_covariates.csv").exists()
    assert "--calibration-covariates outcome" in answer.err, "fit would calibrate with covariates"


def test_calibrate_can_take_the_covariates_of_the_specs_outcome_model(folder, biocal):
    answer = biocal("calibrate", "--spec", "spec.toml", "--calibration-covariates", "outcome", "--out", "c")
    assert answer.code == 0
    assert biocal("fit", "--spec", "spec.toml", "--out", "f").code == 0
    for name, key in (("calibration.csv", "study"), ("calibration_covariates.csv", "term")):
        mine, theirs = (pd.read_csv(folder / out / name).sort_values(key) for out in ("c", "f"))
        # the same least squares with its columns in another order
        pd.testing.assert_frame_equal(
            mine.reset_index(drop=True), theirs.reset_index(drop=True), rtol=SAME_ARITHMETIC
        )


def test_calibrate_without_a_model_cannot_take_its_covariates(folder, biocal):
    answer = biocal("calibrate", "pool.csv", "--calibration-covariates", "outcome")
    assert answer.code == 3
    assert "there is none here" in answer.err


def test_every_mistake_of_a_spec_is_told_in_one_run_with_its_line(folder, biocal):
    (folder / "bad.toml").write_text(
        'files = ["pool.csv"]\ncovariats = "bmi"\nknots = "four"\nlevel = true\nexposure = "spline"\n'
        'knot_values = [30, "x", 60]\nmethod = ["full", 3]\n[scale_local]\nNorth = "two"\n[fit]\na = 1\n',
        encoding="utf-8",
    )
    answer = biocal("fit", "--spec", "bad.toml", "--out", "out")
    assert answer.code == 3
    assert answer.errors == [
        "error: bad.toml:2: 'covariats' is not an option; did you mean 'covariates' or 'calibration_covariates'?",
        "error: bad.toml:3: knots: expected a whole number, such as 4, found 'four'",
        "error: bad.toml:4: level: expected a number, such as 0.95, found True",
        "error: bad.toml:5: exposure: 'spline' is not one of rcs, linear, categories",
        "error: bad.toml:6: knot_values: expected a list of numbers, such as [30, 50, 70], found [30, 'x', 60]",
        'error: bad.toml:7: method: expected a list of texts, such as ["naive", "full"], found [\'full\', 3]',
        "error: bad.toml:8: scale_local: expected a table of numbers, such as [scale_local] with the line "
        "Alder = 2.496, found {'North': 'two'}",
        "error: bad.toml:10: 'fit' is not an option; see biocal fit --help",
    ]
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'files = ["pool.csv"\n', "bad.toml"),
        (b'files = ["pool.csv"]\nref = 50 60\n', "bad.toml:2: not valid TOML"),
        (b'files = ["pool.csv"]\nmethod = "ful"\n', "method: 'ful' is not one of naive"),
        (b'files = ["none*.csv"]\n', "bad.toml:1: files: no file matches 'none*.csv'"),
        (
            b'files = ["pool.csv"]\nknots = 4\nknot_probs = [0.1, 0.5, 0.9]\n',
            "bad.toml:3: knots and knot_probs",
        ),
        (b'outcome_name = "K\xf6rper"\n', "not UTF-8 text"),
    ],
)
def test_a_spec_that_cannot_be_used_is_told(folder, biocal, content, message):
    (folder / "bad.toml").write_bytes(content)
    answer = biocal("fit", "--spec", "bad.toml", "--out", "out")
    assert answer.code == 3
    (line,) = answer.errors
    assert message in line
    assert not (folder / "out").exists()


def test_a_byte_order_mark_and_windows_line_ends_do_not_matter(folder, biocal):
    content = (folder / "spec.toml").read_text().replace("\n", "\r\n").encode("utf-8-sig")
    (folder / "spec.toml").write_bytes(content)
    assert biocal("fit", "--spec", "spec.toml", "--out", "a").code == 0


def test_a_spec_that_is_not_there_or_a_folder_is_told(folder, biocal):
    assert biocal("fit", "--spec", "no.toml", "--out", "a").errors == [
        "error: no.toml: there is no such file"
    ]
    answer = biocal("fit", "--spec", folder, "--out", "a")
    assert answer.code == 3
    assert "this is a folder" in answer.err
