"""Numbers and words as people read them."""

from __future__ import annotations

import math

import pytest

from biocal.results.text import (
    WIDTH,
    count,
    exact,
    labelled,
    number,
    p_value,
    paragraph,
    percent,
    table,
    terms_of_columns,
)


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (0.0, 4, "0"),
        (1.0, 4, "1.000"),
        (-0.0090214, 4, "-0.009021"),
        (12345.678, 4, "12346"),
        (3.2e-7, 3, "3.20e-07"),
        (4.5e9, 3, "4.50e+09"),
        (math.nan, 4, ""),
        (math.inf, 4, "inf"),
    ],
)
def test_numbers_have_their_significant_digits(value, digits, shown):
    assert number(value, digits) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0423, "0.042"), (0.001, "0.001"), (0.00042, "4.2e-04"), (0.0, "0.0e+00"), (math.nan, "")],
)
def test_small_p_values_keep_their_order_of_magnitude(value, shown):
    assert p_value(value) == shown


def test_chosen_numbers_have_no_trailing_zeros():
    assert [exact(value) for value in (56.25, 50.0, 0.1)] == ["56.25", "50", "0.1"]


def test_counts_have_thousands_and_the_right_number():
    assert [count(1, "set"), count(5706, "case"), count(2, "study", "studies")] == [
        "1 set",
        "5,706 cases",
        "2 studies",
    ]
    assert percent(0.0834) == "8.3 %"
    assert percent(math.nan) == ""


def test_a_table_aligns_names_left_and_numbers_right():
    text = table(("study", "n"), [("A", "7"), ("Birch", "1,200")])
    assert text.splitlines() == ["  study      n", "  ------------", "  A          7", "  Birch  1,200"]
    assert table(("study", "n"), []).splitlines()[0] == "  study  n"


def test_long_text_folds_to_the_page_beneath_itself():
    words = "word " * 60
    for text in (labelled("Left out", words), paragraph(words, bullet="- ")):
        lines = text.splitlines()
        assert len(lines) > 2
        assert max(map(len, lines)) <= WIDTH
    assert labelled("Left out", words).splitlines()[1].startswith(" " * 12 + "word")


def test_dummy_columns_are_shown_as_the_term_they_come_from():
    names = ("bmi", "C(sex)[T.male]", "C(month)[T.2]", "C(month)[T.3]", "C(sex)[T.male]:bmi")
    assert terms_of_columns(names) == "bmi, C(sex), C(month) (2 columns), C(sex):bmi"
