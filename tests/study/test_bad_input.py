"""Every numbered bad input: told with file, line and column, all in one run."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from biocal.errors import DataProblemsError, MatchedSetError, OptionError
from biocal.pool.checks.notices import LISTED_PLACES
from biocal.pool.checks.report import calibration_problems, check_pool
from biocal.pool.matched_sets import select_outcome_rows
from biocal.pool.pooled import PooledStudies
from biocal.pool.reading import read_studies


def only(problems, code):
    return [problem for problem in problems if problem.code == code]


def test_the_pool_that_the_tests_spoil_is_well_formed(write, lines):
    pool = read_studies(write(lines))
    assert pool.problems == ()
    assert pool.study_names == ("L", "R")
    assert calibration_problems(pool) == ()


# (1) missing columns ---------------------------------------------------------------------------


def test_a_missing_column_is_told_with_near_names(write, lines, problems_of):
    lines[0] = "study,set_id,Case,local,reference,bmi"
    path = write(lines)
    found = only(problems_of(path), "missing-column")
    assert [(problem.column, problem.file) for problem in found] == [("set", path), ("case", path)]
    assert "did you mean 'set_id'" in found[0].message
    assert "did you mean 'Case'" in found[1].message


def test_columns_named_by_option_must_be_somewhere(write, lines, problems_of):
    found = only(problems_of(write(lines), reference="refrence", person="id"), "missing-column")
    assert {problem.column for problem in found} == {"refrence", "id"}
    assert "did you mean 'reference'" in next(p for p in found if p.column == "refrence").message


def test_a_misspelt_reference_column_is_told_although_nothing_needs_it(write, lines):
    lines = [lines[0].replace("reference", "Reference"), *[line for line in lines[1:] if line[0] == "L"]]
    (problem,) = only(read_studies(write(lines)).problems, "near-column")
    assert problem.column == "reference"
    assert problem.level == "warning"
    assert "'Reference'" in problem.message


def test_a_study_without_either_assay_column_is_told_what_there_is(write, problems_of):
    path = write(["study,set,case,Local_value", "L,1,1,3", "L,1,0,4"])
    (problem,) = only(problems_of(path), "no-measurements")
    assert problem.study == "L"
    assert problem.file == path
    assert "no column 'local' and none 'reference', but there is 'Local_value'" in problem.message


# (2) case --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "advice"),
    [
        ("yes", "instead of words"),
        ("TRUE", "instead of words"),
        ("2", "recode 1/2 to 0/1"),
        ("", "fill it in"),
        ("NA", "fill it in"),
        ("0.5", "1 for cases"),
    ],
)
def test_case_that_is_not_0_or_1_is_told_with_its_line(write, lines, problems_of, cell, advice):
    lines[4] = f"L,1,{cell},45,52,31"
    (problem,) = problems_of(write(lines))
    assert (problem.code, problem.line, problem.column) == ("case-not-binary", 5, "case")
    assert advice in problem.message
    assert str(problem).startswith(f"{problem.file}:5: column 'case': ")


def test_case_may_be_spelt_as_a_decimal(write, lines):
    lines[3] = "L,1,1.0,40,,24"
    lines[4] = "L,1, 0 ,45,52,31"
    assert read_studies(write(lines)).is_case.tolist() == [True, False] * 4


# (3) concentrations ----------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["local", "reference"])
@pytest.mark.parametrize(
    ("cell", "advice"),
    [
        ('"12,5"', "write 12.5"),
        ("inf", "infinite"),
        ("-Infinity", "infinite"),
        ("1e400", "infinite"),
        ("abc", "give a number"),
        ("1_000", "give a number"),
        ("0x1F", "give a number"),
    ],
)
def test_a_concentration_that_is_no_finite_number_is_told_with_its_line(
    write, lines, problems_of, column, cell, advice
):
    lines[6] = f"L,2,0,{cell},60,23" if column == "local" else f"L,2,0,51,{cell},23"
    (problem,) = problems_of(write(lines))
    assert (problem.code, problem.line, problem.column) == ("not-a-number", 7, column)
    assert cell.strip('"') in problem.message
    assert advice in problem.message


@pytest.mark.parametrize("cell", ["<5", "< 5.0", "≤5", "<=5"])
@pytest.mark.parametrize("column", ["local", "reference"])
def test_a_value_below_its_limit_needs_a_rule(write, lines, problems_of, column, cell):
    lines[6] = f"L,2,0,{cell},60,23" if column == "local" else f"L,2,0,51,{cell},23"
    (problem,) = problems_of(write(lines))
    assert (problem.code, problem.line, problem.column) == ("below-limit", 7, column)
    assert "detection limit (<5); say how to take such values: --below-limit lod/2" in problem.message


def test_text_where_a_declared_reference_study_needs_no_local_value_is_ignored_and_told(write, lines):
    lines[1] = "R,1,1,<5,50.5,22.5"
    pool = read_studies(write(lines), reference_study="R")
    (problem,) = pool.problems
    assert (problem.level, problem.code, problem.line) == ("warning", "not-a-number", 2)


def test_negative_values_are_counted_told_and_used(write, lines):
    lines[3], lines[4] = "L,1,1,-40,,24", "L,1,0,-.5,52,31"
    pool = read_studies(write(lines))
    (problem,) = pool.problems
    assert (problem.code, problem.line, problem.column, problem.count) == ("negative-value", 4, "local", 2)
    np.testing.assert_array_equal(pool.local_assay[2:4], [-40, -0.5])


def test_a_column_named_person_is_used_without_being_asked_for(write, lines):
    spoiled = [f"{line},{'person' if k == 0 else k}" for k, line in enumerate(lines)]
    spoiled[4] = spoiled[4].rsplit(",", 1)[0] + ",1"
    pool = read_studies(write(spoiled))
    assert pool.person_code is not None
    assert pool.roles.person == "person"
    assert read_studies(write(spoiled), person=None).person_code is None
    assert read_studies(write(lines)).person_code is None
    with pytest.raises(DataProblemsError, match="no such column"):
        read_studies(write(lines), person="patient")


def test_a_column_named_person_may_play_another_part(write, lines):
    lines[0] = lines[0].replace("set", "person")
    assert read_studies(write(lines), set="person").person_code is None


@pytest.mark.parametrize(("restart", "level"), [(False, "note"), (True, "warning")])
def test_persons_in_several_sets_are_counted_and_ids_that_restart_are_suspected(restart, level):
    n_sets = 20
    frame = pd.DataFrame({"study": "R", "set": np.repeat(np.arange(n_sets), 2), "case": [1, 0] * n_sets})
    frame["reference"] = np.linspace(20, 90, 2 * n_sets)
    frame["person"] = [1, 2] * n_sets if restart else np.r_[np.arange(2 * n_sets - 1), 0]
    (told,) = only(PooledStudies.from_frame(frame).problems, "person-in-several-sets")
    assert (told.level, told.column, told.count) == (level, "person", 2 if restart else 1)


def test_a_factor_for_a_study_without_local_values_is_told(write, lines):
    pool = read_studies(write(lines), scale_local={"R": 2.496})
    (told,) = only(pool.problems, "nothing-to-scale")
    assert (told.level, told.study, told.column) == ("warning", "R", "local")
    assert "changes nothing" in told.message


@pytest.mark.parametrize("cell", ["", " ", "NA", "n/a", "NaN", ".", "null", "NULL", "<NA>", " na ", '""'])
def test_the_usual_spellings_of_missing_are_missing(write, lines, cell):
    lines[4] = f"L,1,0,45,{cell},31"
    pool = read_studies(write(lines))
    assert np.isnan(pool.reference_assay[3])
    assert pool.in_calibration.sum() == 2


# (4) sets without information ------------------------------------------------------------------


def test_sets_of_only_cases_or_only_controls_are_told_and_dropped(write, lines):
    lines[6] = "L,2,1,51,,23"  # set 2: two cases
    lines[7] = "L,3,0,47,,29"  # set 3: two controls
    path = write(lines)
    used = select_outcome_rows(read_studies(path), {})
    cases_only, controls_only = (
        only(used.problems, "set-without-control"),
        only(used.problems, "set-without-case"),
    )
    assert [(p.file, p.line, p.study, p.count) for p in cases_only] == [(path, 6, "L", 1)]
    assert [(p.file, p.line, p.study, p.count) for p in controls_only] == [(path, 8, "L", 1)]
    assert used.rows.tolist() == [2, 3, 0, 1]


def test_it_is_an_error_when_no_set_is_left(write, lines):
    for i in range(1, 9):
        lines[i] = lines[i].replace(",0,", ",1,")
    pool = read_studies(write(lines))
    with pytest.raises(MatchedSetError, match="none of the 4 matched sets has both") as refused:
        select_outcome_rows(pool, {})
    assert refused.value.set_ids == (("L", "1"), ("L", "2"), ("L", "3"), ("R", "1"))
    report = check_pool(pool)
    assert "no-usable-set" in [problem.code for problem in report.errors]


# (5) calibration subsets -----------------------------------------------------------------------


def test_fewer_than_three_pairs_forbid_calibration_but_not_reading(write, lines):
    lines[8] = "L,3,0,58,,21"
    pool = read_studies(write(lines))
    (problem,) = calibration_problems(pool)
    assert (problem.level, problem.code, problem.study, problem.count) == ("error", "too-few-pairs", "L", 2)
    assert "at least 3" in problem.message
    assert problem in check_pool(pool).errors


def test_constant_local_values_forbid_calibration(write, lines):
    for i in (4, 6, 8):
        lines[i] = f"L,{i // 2 - 1},0,45.1,{50 + i},31"
    (problem,) = calibration_problems(read_studies(write(lines)))
    assert (problem.code, problem.study, problem.line, problem.count) == ("constant-local", "L", 5, 3)
    assert "45.1" in problem.message


# (6) cases with reference values ---------------------------------------------------------------


def test_reference_values_of_cases_in_local_studies_are_ignored_and_told(write, lines):
    lines[3] = "L,1,1,40,47,24"
    pool = read_studies(write(lines))
    (problem,) = pool.problems
    assert (problem.level, problem.code) == ("warning", "case-with-reference")
    assert (problem.line, problem.column, problem.study, problem.count) == (4, "reference", "L", 1)
    assert np.isnan(pool.reference_assay[2])
    assert pool.in_calibration.sum() == 3
    assert pool.frame["reference"][2] == 47


def test_an_option_makes_such_cases_calibrators(write, lines):
    lines[3] = "L,1,1,40,47,24"
    pool = read_studies(write(lines), calibrate_with_cases=True)
    assert pool.reference_assay[2] == 47
    assert pool.in_calibration[2]
    assert [problem.level for problem in pool.problems] == ["note"]


# (11) files that are hardly tables -------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", b" \r\n"])
def test_an_empty_file_is_told(write, problems_of, content):
    problem = problems_of(write(content))[0]
    assert problem.code == "empty-file"


@pytest.mark.parametrize("rows", [[], ["", "  "], [",,,,,"]])
def test_a_header_without_rows_is_told(write, lines, problems_of, rows):
    problem = problems_of(write([lines[0], *rows]))[0]
    assert (problem.code, problem.line) == ("header-only", 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04" + bytes(200), "Excel"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1" + bytes(50), "Excel"),
        (b"\x1f\x8b\x08\x00" + bytes(20), "gzip"),
        (b"PAR1" + bytes(20), ".parquet"),
        (bytes(range(256)) * 20, "no text has"),
        (b"study,set\n1,\x001\n", "no text has"),
    ],
)
def test_binary_junk_is_told(write, problems_of, content, words):
    problem = next(p for p in problems_of(write(content)) if p.level == "error")
    assert problem.code == "not-text"
    assert words in problem.message


@pytest.mark.parametrize(("mark", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")])
def test_other_delimiters_are_read_and_told(write, lines, mark, name):
    plain = read_studies(write(lines))
    pool = read_studies(write([line.replace(",", mark) for line in lines], "other.csv"))
    np.testing.assert_array_equal(pool.reference_assay, plain.reference_assay)
    (problem,) = pool.problems
    assert (problem.level, problem.code) == ("note", "delimiter")
    assert name in problem.message


def test_a_header_of_one_column_is_told(write, lines, problems_of):
    problems = problems_of(write([line.replace(",", " ") for line in lines]))
    assert [problem.code for problem in problems] == ["delimiter"]


def test_decimal_commas_between_semicolons_are_read_and_told(write, lines):
    plain = read_studies(write(lines))
    path = write([line.replace(",", ";").replace(".", ",") for line in lines], "decimal.csv")
    pool = read_studies(path)
    np.testing.assert_array_equal(pool.reference_assay, plain.reference_assay)
    np.testing.assert_array_equal(pool.frame["bmi"], plain.frame["bmi"])
    told = only(pool.problems, "decimal-comma")
    assert {(p.file, p.column, p.count) for p in told} == {(path, "reference", 3), (path, "bmi", 2)}


def test_decimal_commas_and_points_in_one_column_are_not_guessed(write, lines, problems_of):
    lines = [line.replace(",", ";") for line in lines]
    lines[4] = "L;1;0;45;1,234;31"
    (problem,) = only(problems_of(write(lines)), "not-a-number")
    assert (problem.line, problem.column) == (5, "reference")


def test_a_byte_order_mark_is_skipped_and_told(write, lines):
    pool = read_studies(write(b"\xef\xbb\xbf" + "\n".join(lines).encode()))
    assert pool.n_rows == 8
    assert [problem.code for problem in pool.problems] == ["byte-order-mark"]


@pytest.mark.parametrize(("encoding", "line"), [("latin-1", 4), ("utf-16", None)])
def test_other_encodings_are_read_and_told(write, lines, encoding, line):
    lines = [line.replace("L,", "Malmö,", 1) if line.startswith("L") else line for line in lines]
    pool = read_studies(write("\n".join(lines).encode(encoding)))
    assert pool.study_names == ("Malmö", "R")
    (problem,) = pool.problems
    assert (problem.level, problem.code, problem.line) == ("note", "encoding", line)


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_of_other_systems_make_no_difference(write, lines, end):
    lines[6] = "L,2,9,51,60,23"
    with pytest.raises(DataProblemsError) as refused:
        read_studies(write(end.join(lines).encode()))
    assert [problem.line for problem in refused.value.problems] == [7]


def test_ragged_rows_are_told_with_their_lines(write, lines, problems_of):
    lines[2] = "R,1,0,,61.25,27,9"
    lines[4] = "L,1,0,45"
    found = only(problems_of(write(lines)), "ragged-row")
    assert [problem.line for problem in found] == [3, 5]
    assert "7 cells where the header has 6" in found[0].message


def test_an_unclosed_quote_is_told_with_its_line(write, lines, problems_of):
    lines[5] = 'L,2,1,38,,"26.5'
    (problem,) = problems_of(write(lines))
    assert (problem.code, problem.line) == ("quotes", 6)


def test_lines_are_true_behind_quoted_line_breaks_and_blank_lines(write, lines, problems_of):
    header = '"study",set,case,local,reference,"remark\nof two lines"'
    rows = ['R,1,1,,50,"a\nb\nc"', "", "R,1,0,,61,x", "   ", ",,,,,", "R,2,7,,61,x", "R,2,0,,oops,x"]
    problems = problems_of(write([header, *rows]))
    assert [(p.code, p.line) for p in problems if p.level == "error"] == [
        ("case-not-binary", 10),
        ("not-a-number", 11),
    ]
    assert [(p.code, p.line, p.count) for p in problems if p.level == "note"] == [("blank-row", 9, 1)]


# (12) duplicate columns ------------------------------------------------------------------------


def test_duplicate_columns_are_told(write, lines, problems_of):
    lines[0] = "study,set,case,local,reference,local"
    (problem,) = problems_of(write(lines))
    assert (problem.code, problem.line, problem.column, problem.count) == ("duplicate-column", 1, "local", 2)
    assert "columns 4, 6" in problem.message


def test_columns_without_a_name_are_left_out_and_told(write, lines):
    pool = read_studies(write([f"{',' if i == 0 else f'{i},'}{line}" for i, line in enumerate(lines)]))
    assert [problem.code for problem in pool.problems] == ["unnamed-column"]
    assert pool.n_rows == 8


# (13) kinds of studies -------------------------------------------------------------------------


def test_a_listed_reference_study_with_missing_values_is_refused_line_by_line(write, lines, problems_of):
    path = write(lines)
    found = problems_of(path, reference_study=["L"])
    assert [(p.code, p.line, p.study) for p in found] == [
        ("reference-missing", line, "L") for line in (4, 6, 8)
    ]


def test_a_study_without_local_values_needs_all_reference_values(write, lines, problems_of):
    lines[2] = "R,1,0,,,27"
    (problem,) = problems_of(write(lines))
    assert (problem.code, problem.line, problem.column) == ("reference-missing", 3, "reference")


def test_a_study_with_neither_assay_is_refused(write, lines, problems_of):
    path = write([*lines, "N,1,1,,,20", "N,1,0,,,21"])
    (problem,) = problems_of(path)
    assert (problem.code, problem.study, problem.file) == ("no-measurements", "N", path)


@pytest.mark.parametrize("second", ["R,1,0,60,61.25,27", "R,1,0,,61.25,27"])
def test_a_study_with_all_reference_and_some_local_values_must_be_declared(write, lines, problems_of, second):
    lines[1:3] = ["R,1,1,52,50.5,22.5", second]
    path = write(lines)
    (problem,) = problems_of(path)
    assert (problem.code, problem.study) == ("kind-undecided", "R")
    assert "--reference-study R" in problem.message
    assert "--local-study R" in problem.message
    as_reference = read_studies(path, reference_study="R")
    assert as_reference.is_reference_study.tolist() == [False, True]
    assert not as_reference.in_calibration[:2].any()
    assert "local-ignored" in [problem.code for problem in as_reference.problems]
    as_local = read_studies(path, local_study=["R"])
    assert as_local.is_reference_study.tolist() == [False, False]
    assert as_local.in_calibration[:2].tolist() == [False, not second.startswith("R,1,0,,")]


def test_a_declared_local_study_needs_local_values(write, lines, problems_of):
    (problem,) = problems_of(write(lines), local_study="R")
    assert (problem.code, problem.study, problem.column) == ("local-study-without-local", "R", "local")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reference_study": ["RR"]}, "did you mean 'R'"),
        ({"local_study": "L2"}, "did you mean 'L'"),
        ({"scale_local": {"X": 2.0}}, "the studies are L, R"),
        ({"scale_local": {"L": 0.0}}, "above 0"),
        ({"scale_local": {"L": float("inf")}}, "finite"),
        ({"scale_local": {"L": "2"}}, "number"),
        ({"reference_study": "R", "local_study": "R"}, "both"),
        ({"local": "reference"}, "name two columns"),
    ],
)
def test_options_that_cannot_hold_are_refused(write, lines, options, words):
    with pytest.raises(OptionError, match=words):
        read_studies(write(lines), **options)


def test_an_unknown_study_is_listed_beside_the_errors_of_the_data(write, lines, problems_of):
    lines[3] = "L,1,x,40,,24"
    codes = [problem.code for problem in problems_of(write(lines), scale_local={"Q": 2.0})]
    assert codes == ["case-not-binary", "unknown-study"]


# (14) files ------------------------------------------------------------------------------------


def test_the_same_file_twice_is_told_by_path_and_by_content(write, lines, problems_of, tmp_path):
    path = write(lines)
    roundabout = str(tmp_path / ".." / tmp_path.name / "pool.csv")
    copy = write(lines, "copy.csv")
    found = problems_of([path, roundabout, copy])
    assert [(problem.code, problem.file) for problem in found] == [
        ("file-twice", roundabout),
        ("file-twice", copy),
    ]


def test_files_that_are_not_there_are_told_with_the_others(write, lines, problems_of, tmp_path):
    lines[3] = "L,1,x,40,,24"
    found = problems_of([str(tmp_path / "none.csv"), str(tmp_path), write(lines)])
    assert [problem.code for problem in found] == ["no-file", "no-file", "case-not-binary"]


def test_no_files_at_all_is_a_usage_error():
    with pytest.raises(OptionError, match="no files"):
        read_studies([])


def test_two_files_that_would_be_one_study_are_refused(write, lines, problems_of, tmp_path):
    (tmp_path / "other").mkdir()
    rows = [line.split(",", 1)[1] for line in lines]
    one = write(rows, "A.csv")
    two = write(rows[:5], "other/A.csv")
    assert [problem.code for problem in problems_of([one, two])] == ["study-twice"]


# All in one run --------------------------------------------------------------------------------


def test_all_problems_are_listed_in_one_run(write, lines, problems_of):
    spoilt = [line.replace(",0,", ",no,", 1) if line.startswith("R") else line for line in lines]
    spoilt[3] = ",1,1,<4,,24"
    one = write(spoilt, "one.csv")
    two = write(["study,sett,case,local", "B,1,1,x", "B,1,0,3"], "two.csv")
    problems = problems_of([one, two, write(b"", "three.csv")])
    found = {(p.code, p.file.rsplit("/")[-1], p.line) for p in problems if p.level == "error"}
    assert found == {
        ("empty-file", "three.csv", None),
        ("missing-column", "two.csv", None),
        ("study-blank", "one.csv", 4),
        ("case-not-binary", "one.csv", 3),
        ("below-limit", "one.csv", 4),
        ("not-a-number", "two.csv", 2),
    }


def test_many_of_one_kind_are_grouped_after_the_first_few(write, problems_of):
    rows = [f"L,{i // 2},{i % 2},bad{i},5" for i in range(42)]
    problems = problems_of(write(["study,set,case,local,reference", *rows, "L,99,1,4,", "L,99,0,4,"]))
    listed = only(problems, "not-a-number")
    assert len(listed) == LISTED_PLACES + 1
    assert [problem.line for problem in listed[:-1]] == [2, 3, 4, 5, 6]
    assert "... and 37 more" in listed[-1].message
    assert listed[-1].count == 37


def test_persons_entered_twice_are_refused_and_left_out_when_asked(write, problems_of):
    rows = [f"L,{i // 2},{1 - i % 2},{40 + i}.5,,p{i}" for i in range(60)]
    rows += [rows[4], "L,0,0,77.5,,p1"]
    path = write(["study,set,case,local,reference,pid", *rows])
    told = problems_of(path, person="pid")
    assert {(problem.code, problem.line) for problem in told} == {("person-twice", 62), ("person-twice", 63)}
    assert f"{path}:6" in told[0].message
    assert read_studies(path, person="pid", duplicates="first").n_rows == 60


def test_equal_rows_of_a_scale_with_few_values_are_counted(write):
    rows = [f"R,{i // 3},{int(i % 3 == 0)},,{i % 2}" for i in range(90)] + ["R,0,0,,1"]
    (problem,) = read_studies(write(["study,set,case,local,reference", *rows])).problems
    assert (problem.code, problem.level, problem.count) == ("row-twice", "note", 1)


def test_stacked_imputations_are_not_taken_for_more_persons(write, lines, problems_of):
    stacked = [lines[0] + ",.imp", *[f"{line},{k}" for k in (0, 1, 2) for line in lines[1:]]]
    (problem,) = only(problems_of(write(stacked)), "stacked-imputations")
    assert "numbers 3 data sets" in problem.message
    assert "--imputation .imp" in problem.message
    one = [stacked[0], *[f"{line},1" for line in lines[1:]]]
    assert read_studies(write(one)).problems == ()
