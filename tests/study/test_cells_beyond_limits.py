"""Cells such as ">150", "<5,0" and "ND": advice that can be followed."""

from __future__ import annotations

from pathlib import Path

import pytest

from biocal.pool.reading import read_studies

CASES = Path(__file__).parents[1] / "data" / "cases" / "cells"


def advice(found):
    return next(one.message for one in found if one.code == "not-a-number")


def test_a_value_above_a_limit_gets_no_advice_of_detection_limits(problems_of):
    message = advice(problems_of(CASES / "gt.csv", reference_study="A"))
    assert "detection limit" not in message
    assert "'>150' says only that the value is above a limit" in message


def test_a_decimal_comma_below_a_limit_points_to_the_decimal_point_and_the_rule(problems_of):
    message = advice(problems_of(CASES / "comma.csv", reference_study="A"))
    assert "write <5.0 and choose a --below-limit rule" in message
    assert "half" not in message


def test_the_advice_can_be_followed(tmp_path):
    path = tmp_path / "mended.csv"
    path.write_text((CASES / "comma.csv").read_text().replace('"<5,0"', "<5.0"))
    pool = read_studies(path, below_limit="lod/2")
    assert 2.5 in pool.local_assay


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (">LOQ", "above a limit"),
        ("≥ 200", "above a limit"),
        ("ND", "not detected or not done"),
        ("n.d.", "not detected or not done"),
        ("<-", "write it as <5.0"),
        ("<abc", "write it as <5.0"),
    ],
)
def test_neighbours_get_advice_that_fits(write, lines, problems_of, cell, words):
    lines[3] = lines[3].replace("L,1,1,40,", f"L,1,1,{cell},")
    message = advice(problems_of(write(lines)))
    assert words in message
    assert "half" not in message
