"""What people type wrongly every day is answered with the value they typed and what to write instead."""

from __future__ import annotations

import pytest

FIT = ("fit", "pool.csv", "--exposure", "linear", "--out", "o")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--ref", "abc"), 2, "--ref takes a number, such as 0.5, not 'abc'"),
        (("--ref", "50,5"), 2, "not '50,5'; write 50.5, with a point"),
        (("--ref=50,5",), 2, "not '50,5'; write 50.5, with a point"),
        (("--level", "95%"), 2, "not '95%'; write 0.95"),
        (("--level", "95"), 3, "not 95.0; write 0.95 for 95 %"),
        (("--seed", "1.5"), 2, "--seed takes a whole number, such as 4, not '1.5'"),
        (("--suppress", "-3"), 2, "--suppress takes a whole number, 0 or more, not '-3'"),
        (("--method", "naive,full"), 2, "write --method once for each: --method naive --method full"),
        (
            ("--scale-local", "South=2,496"),
            2,
            "'2,496' of 'South=2,496' is not a number; write 2.496, with a point",
        ),
        (("--covariates", "bmi, sex"), 3, "terms joined by +, as in 'bmi + C(sex)'; no commas"),
        (
            ("--imputation", "age"),
            3,
            "imputation names the column that numbers the completed copies of the data",
        ),
        (("--joint", "sex"), 3, "needs an effect modifier: name its column (modifier, --modifier)"),
        (("--season", "mnoth"), 3, "there is no column 'mnoth' for the season; the columns are study, set"),
    ],
)
def test_a_slip_of_the_hand_is_answered_with_what_to_write(words, code, told, folder, biocal):
    answer = biocal(*FIT, *words)
    assert answer.code == code
    assert told in answer.errors[0]
    assert not (folder / "o").exists()


def test_lines_of_a_title_above_the_header_are_guessed(folder, biocal):
    text = (folder / "pool.csv").read_text(encoding="utf-8")
    (folder / "titled.csv").write_text("Vitamin D, export\n\n" + text, encoding="utf-8")
    answer = biocal("check", "titled.csv")
    assert answer.code == 3
    assert "do lines of a title stand above the names of the columns?" in answer.errors[0]
