"""Every numbered bad input through the commands: file, line, column; nothing written; no traceback."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from cli_pool import small_pool

pytestmark = pytest.mark.usefixtures("no_figures")


@pytest.fixture
def spoil(folder, biocal):
    """Write the pool after a change and fit it; words come after the file."""

    def run(change=None, *words, text=None, command="fit"):
        pool = small_pool()
        if change is not None:
            changed = change(pool)
            pool = pool if changed is None else changed
        content = pool.to_csv(index=False)
        (folder / "pool.csv").write_bytes((content if text is None else text(content)).encode())
        out = [] if command == "check" else ["--out", "o"]
        words = (*words, "--method", "naive", "--method", "full") if command == "fit" else words
        answer = biocal("fit" if command == "naive" else command, "pool.csv", *out, *words)
        assert "Traceback" not in answer.err
        if answer.code:
            assert not (folder / "o").exists()
        return answer

    return run


def as_text(pool, column):
    pool[column] = pool[column].astype(object)


def put(column, row, value):
    """A change of one cell; `row` counts data rows from 0, so that its line is row + 2."""

    def change(pool):
        as_text(pool, column)
        pool.loc[row, column] = value

    return change


def test_1_a_missing_column_is_told_with_near_names(spoil):
    answer = spoil(lambda pool: pool.rename(columns={"case": "Case_status", "set": "set_id"}))
    assert answer.code == 3
    assert len(answer.errors) == 2
    assert answer.errors[0].startswith("error: pool.csv: column 'set': there is no such column")
    assert "did you mean 'set_id'" in answer.errors[0]


@pytest.mark.parametrize("value", ["yes", "2", ""])
def test_2_a_case_that_is_not_0_or_1_is_told_with_its_line(spoil, value):
    answer = spoil(put("case", 10, value))
    assert answer.code == 3
    assert answer.errors[0].startswith("error: pool.csv:12: column 'case': ")


@pytest.mark.parametrize("value", ["<10", "high", "inf"])
def test_3_a_concentration_that_is_no_number_is_told_with_its_line(spoil, value):
    answer = spoil(put("local", 10, value))
    assert answer.code == 3
    assert answer.errors[0].startswith("error: pool.csv:12: column 'local': ")
    assert value in answer.errors[0]


def test_3_negative_values_are_told_and_used(spoil):
    answer = spoil(put("local", 10, -3.0))
    assert answer.code == 0
    assert "column 'local'" in answer.err
    assert "negative" in answer.err


def test_4_sets_of_one_kind_are_told_and_dropped_unless_all_are(spoil):
    def only_cases(pool):
        pool.loc[pool["set"] == 3, "case"] = 1

    answer = spoil(only_cases, command="check")
    assert answer.code == 0
    assert "study 'North': 1 matched set holds only cases; dropped (3)" in answer.err
    assert "3 sets left without a control" in spoil(only_cases).out


def test_4_when_no_set_has_both_it_is_an_error(spoil):
    answer = spoil(lambda pool: pool.assign(case=0))
    assert answer.code == 3
    assert "none of the 180 matched sets has both a case and a control" in answer.err


def test_5_too_few_calibration_pairs_name_the_study(spoil):
    def few(pool):
        mine = pool.index[(pool["study"] == "North") & pool["reference"].notna()]
        pool.loc[mine[2:], "reference"] = np.nan

    for command in ("fit", "calibrate", "check"):
        answer = spoil(few, command=command)
        assert answer.code == 3, command
        assert answer.errors[0].startswith(
            "error: pool.csv: column 'reference': study 'North' has 2 calibration pairs"
        )
        assert "at least 3" in answer.errors[0]
    assert spoil(few, "--method", "naive", command="naive").code == 0, "naive needs no calibration"


def test_5_constant_local_values_among_the_calibrators_name_the_study(spoil):
    def constant(pool):
        pool.loc[(pool["study"] == "North") & pool["reference"].notna(), "local"] = 40.0

    for command in ("fit", "calibrate", "check"):
        answer = spoil(constant, command=command)
        assert answer.code == 3
        assert answer.errors[0].startswith(
            "error: pool.csv:3: column 'local': study 'North': the local values of"
        )
        assert "are 40" in answer.errors[0]


def test_6_a_case_with_a_reference_value_is_told_and_ignored_unless_asked_for(spoil):
    answer = spoil(put("reference", 0, 55.0))
    assert answer.code == 0
    assert "pool.csv:2: column 'reference': " in answer.err
    assert "--calibrate-with-cases" in answer.err or "calibrate_with_cases" in answer.err
    with_cases = spoil(put("reference", 0, 55.0), "--calibrate-with-cases", "--force")
    assert with_cases.code == 0
    assert "51 persons measured in both laboratories" in with_cases.out


def test_7_separation_is_told_with_exit_code_4(spoil):
    def separate(pool):
        pool["marker"] = pool["case"] * 2.0 + np.linspace(0, 0.5, len(pool))

    answer = spoil(separate, "--covariates", "marker")
    assert answer.code == 4
    assert "separation" in answer.errors[0]
    assert "marker" in answer.errors[0]


def test_8_collinear_covariates_are_named(spoil):
    answer = spoil(lambda pool: pool.assign(bmi2=2 * pool["bmi"] + 1), "--covariates", "bmi + bmi2")
    assert answer.code == 4
    assert "bmi2" in answer.errors[0]
    assert "collinear" in answer.errors[0]


def test_8_covariates_constant_within_sets_are_omitted_and_told(spoil):
    answer = spoil(None, "--covariates", "bmi + sex")
    assert answer.code == 0
    assert "Omitted     sex[T.m] (constant within every matched set)" in answer.out


@pytest.mark.parametrize(
    ("knots", "message"),
    [("60,40,80", "increasing"), ("40,40,80", "40"), ("40,80", "3"), ("10,60,900", "outside")],
)
def test_9_knots_that_cannot_be_used_are_told(spoil, knots, message):
    answer = spoil(None, "--knot-values", knots)
    assert answer.code == 3
    assert message in answer.errors[0]


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("bmj", "did you mean 'bmi'"),
        ("bmi +", "bmi +"),
        ("__import__('os').system('true')", "__import__"),
        ("foo(bmi)", "foo"),
    ],
)
def test_10_a_formula_that_cannot_be_used_is_told(spoil, formula, message):
    for option in ("--covariates", "--matching", "--calibration-covariates"):
        answer = spoil(None, option, formula)
        assert answer.code == 3, option
        assert message in answer.errors[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"study,set,case,local,reference\n", "header"),
        (bytes(range(256)) * 8, "pool.csv"),
    ],
)
def test_11_files_without_data_are_told(folder, biocal, content, message):
    (folder / "pool.csv").write_bytes(content)
    for words in (("fit", "pool.csv", "--out", "o"), ("check", "pool.csv")):
        answer = biocal(*words)
        assert answer.code == 3
        assert answer.errors[0].startswith("error: pool.csv")
        assert message in answer.errors[0]
    assert not (folder / "o").exists()


@pytest.mark.parametrize(
    "text",
    [
        lambda content: content.replace(",", ";"),
        lambda content: content.replace(",", "\t"),
        lambda content: content.replace(",", ";").replace(".", ","),
    ],
)
def test_11_other_delimiters_and_decimal_commas_are_read_and_told(spoil, text):
    answer = spoil(text=text)
    assert answer.code == 0
    assert "note: pool.csv" in answer.err
    assert spoil(None, "--force").out == answer.out


def test_11_byte_order_marks_and_latin_1_are_read(folder, biocal):
    pool = small_pool().assign(study=lambda frame: frame["study"].replace("West", "Åbo"))
    (folder / "pool.csv").write_bytes(pool.to_csv(index=False).encode("latin-1"))
    answer = biocal("check", "pool.csv")
    assert answer.code == 0
    assert "Åbo" in answer.out
    (folder / "pool.csv").write_bytes(pool.to_csv(index=False).encode("utf-8-sig"))
    assert "Åbo" in biocal("check", "pool.csv").out


def test_12_duplicate_columns_are_told(spoil):
    answer = spoil(text=lambda content: content.replace("bmi,sex", "bmi,bmi", 1))
    assert answer.code == 3
    assert answer.errors[0].startswith("error: pool.csv:1: column 'bmi': the name occurs 2 times")


def test_13_a_reference_study_with_missing_reference_values_is_told(spoil):
    answer = spoil(None, "--reference-study", "North")
    assert answer.code == 3
    assert "North" in answer.errors[0]


def test_13_a_study_without_any_measurement_is_told(spoil):
    def nothing(pool):
        pool.loc[pool["study"] == "West", "reference"] = np.nan

    answer = spoil(nothing)
    assert answer.code == 3
    assert "West" in answer.errors[0]


def test_13_reference_values_for_all_and_local_for_some_need_a_decision(spoil):
    def half(pool):
        pool.loc[(pool["study"] == "West") & (pool["set"] < 9), "local"] = 50.0

    answer = spoil(half)
    assert answer.code == 3
    assert "West" in answer.errors[0]
    assert "reference_study" in answer.errors[0] or "--reference-study" in answer.errors[0]
    assert spoil(half, "--reference-study", "West").code == 0


def test_14_the_same_file_twice_is_told(folder, biocal):
    answer = biocal("fit", "pool.csv", "./pool.csv", "--out", "o")
    assert answer.code == 3
    assert "twice" in answer.errors[0]
    (folder / "copy.csv").write_bytes((folder / "pool.csv").read_bytes())
    assert "byte for byte" in biocal("check", "pool.csv", "copy.csv").errors[0]


def test_all_problems_are_told_in_one_run(spoil):
    def many(pool):
        for column, row, value in (("case", 4, "maybe"), ("local", 7, "n.d."), ("reference", 200, "x")):
            put(column, row, value)(pool)

    for command in ("check", "fit"):
        answer = spoil(many, command=command)
        assert answer.code == 3
        assert [line.split(": ")[1] for line in answer.errors[:3]] == [
            "pool.csv:6",
            "pool.csv:9",
            "pool.csv:202",
        ]


def test_check_tells_beside_bad_cells_what_else_is_wrong(spoil):
    def many(pool):
        put("case", 3, 2)(pool)  # set 2 of North: what is left of it is no finding
        put("local", 125, -4.0)(pool)
        put("reference", 140, 51.0)(pool)
        pairs = pool.index[(pool["study"] == "South") & pool["reference"].notna() & (pool["case"] == 0)]
        pool.loc[pairs[2:], "reference"] = np.nan
        pool.loc[(pool["study"] == "West") & (pool["set"] == 7), "case"] = 0

    answer = spoil(many, command="check")
    assert answer.code == 3
    assert answer.out.startswith("without 1 line that has errors:\n3 studies, 359 rows from 1 file\n")
    starts = [
        "error: pool.csv:5: column 'case': '2'",
        "error: pool.csv: column 'reference': study 'South' has 2 calibration pairs",
        "warning: pool.csv:127: column 'local': study 'South': negative values",
        "warning: pool.csv:142: column 'reference': study 'South': cases of a local study",
        "warning: pool.csv:254: column 'set': study 'West': 1 matched set holds only controls; dropped (7)",
    ]
    lines = answer.err.splitlines()
    assert [line[: len(start)] for line, start in zip(lines, starts, strict=True)] == starts


def test_check_finds_no_fault_that_a_bad_cell_may_have_caused(spoil):
    def few(pool):
        pairs = pool.index[(pool["study"] == "South") & pool["reference"].notna()]
        pool.loc[pairs[3:], "reference"] = np.nan
        put("local", int(pairs[0]), "n.d.")(pool)  # with this cell mended there are three pairs

    answer = spoil(few, command="check")
    assert answer.code == 3
    (line,) = answer.err.splitlines()
    assert "'n.d.' may mean not detected or not done" in line


def test_check_stops_at_what_concerns_more_than_lines(spoil):
    def many(pool):
        put("local", 7, "n.d.")(pool)
        return pool.drop(columns="case")

    answer = spoil(many, command="check")
    assert (answer.code, answer.out) == (3, "")
    assert len(answer.errors) == 2


def test_names_that_a_terminal_cannot_show_are_escaped(folder):
    frame = small_pool().assign(study=lambda one: one["study"].replace("West", "Łódź"))
    frame.to_csv(folder / "pool.csv", index=False)
    done = subprocess.run(
        [sys.executable, "-c", "from biocal.cli.main import run; run()", "check", "pool.csv"],
        cwd=folder, capture_output=True, env={"PYTHONIOENCODING": "latin-1", "PATH": ""}, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"\\u0141\xf3d\\u017a" in done.stdout


def test_the_pool_that_the_tests_spoil_is_well_formed(spoil):
    answer = spoil()
    assert (answer.code, answer.err) == (0, "note: 11 files are in o\n")
    assert isinstance(small_pool(), pd.DataFrame)
