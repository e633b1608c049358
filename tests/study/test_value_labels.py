"""Labels of Stata files and categories: which codes are missing, and who is a case."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from biocal.errors import DataProblemsError
from biocal.pool.pooled import PooledStudies
from biocal.pool.reading import read_studies

IS_CASE = np.tile([True, False, False], 20)


def people(codes):
    """Rows of one reference study whose case column holds some codes for case and control."""
    rng = np.random.default_rng(2)
    case, control = codes
    return pd.DataFrame(
        {
            "set": np.repeat(np.arange(20), 3),
            "ca": np.where(IS_CASE, case, control),
            "reference": rng.normal(50, 10, 60).round(1),
            "smoking": np.tile([0, 1, 9], 20),
        }
    )


def stata(folder, codes, labels, name="one", **more):
    path = folder / f"{name}.dta"
    frame = people(codes).assign(**more)
    frame.to_stata(path, write_index=False, value_labels=labels, version=118)
    return str(path)


def codes_of(problems):
    return [one.code for one in problems]


@pytest.mark.parametrize(
    ("codes", "labels"),
    [
        ((0, 1), {0: "case", 1: "control"}),
        ((0, 1), {0: "0. Cases", 1: "1. Controls"}),
        ((0, 1), {0: "Case", 1: "Non-case"}),
        ((2, 1), {1: "control", 2: "case"}),
        ((1, 2), {1: "incident case", 2: "matched control"}),
    ],
)
def test_labels_that_name_cases_and_controls_decide_and_are_told(tmp_path, codes, labels):
    pool = read_studies(stata(tmp_path, codes, {"ca": labels}), case="ca")
    assert pool.is_case.tolist() == IS_CASE.tolist()
    note = next(one for one in pool.problems if one.code == "case-by-labels")
    assert f"{codes[0]} is a case" in note.message
    assert f"{codes[1]} is a control" in note.message


@pytest.mark.parametrize("labels", [{}, {"ca": {1: "case", 0: "control"}}, {"ca": {1: "yes", 0: "no"}}])
def test_labels_that_agree_with_the_codes_change_nothing(tmp_path, labels):
    pool = read_studies(stata(tmp_path, (1, 0), labels), case="ca")
    assert pool.is_case.tolist() == IS_CASE.tolist()
    assert "case-by-labels" not in codes_of(pool.problems)


@pytest.mark.parametrize(
    "labels",
    [{0: "case"}, {1: "control"}, {1: "case"}, {0: "case", 1: "other"}, {0: "yes", 1: "no"}, {1: "healthy"}],
)
def test_partial_and_contradicting_labels_are_refused(tmp_path, labels):
    path = stata(tmp_path, (1, 0), {"ca": labels})
    with pytest.raises(DataProblemsError) as refused:
        read_studies(path, case="ca")
    found = [one for one in refused.value.problems if one.code == "case-labels-unclear"]
    assert [(one.file, one.column) for one in found] == [(path, "ca")]


@pytest.mark.parametrize("other", [{1: "case", 0: "control"}, None])
def test_files_in_which_one_code_means_both_are_refused(tmp_path, other):
    first = stata(tmp_path, (0, 1), {"ca": {0: "case", 1: "control"}})
    second = stata(tmp_path, (1, 0), {"ca": other} if other else {}, name="two")
    with pytest.raises(DataProblemsError) as refused:
        read_studies([first, second], case="ca")
    found = [one for one in refused.value.problems if one.code == "case-labels-disagree"]
    assert [one.file for one in found] == [second]
    assert first in found[0].message


def test_a_code_that_no_label_names_is_refused_by_row(tmp_path):
    codes = np.where(IS_CASE, 2, 1)
    codes[7] = 3
    path = stata(tmp_path, (2, 1), {"ca": {1: "control", 2: "case"}}, ca=codes)
    with pytest.raises(DataProblemsError) as refused:
        read_studies(path, case="ca")
    assert [(one.line, one.code) for one in refused.value.problems if one.level == "error"] == [
        (8, "case-not-binary")
    ]


@pytest.mark.parametrize("order", [["control", "case"], ["case", "control"]])
def test_categories_that_name_both_are_read_alike(order):
    frame = people((1, 0)).assign(
        study="A", case=pd.Categorical(np.where(IS_CASE, "case", "control"), categories=order)
    )
    pool = PooledStudies.from_frame(frame)
    assert pool.is_case.tolist() == IS_CASE.tolist()
    assert "case-by-labels" in codes_of(pool.problems)


def test_a_labelled_frame_and_its_parquet_file_give_the_cases_of_the_stata_file(tmp_path):
    path = stata(tmp_path, (0, 1), {"ca": {0: "case", 1: "control"}})
    frame = pd.read_stata(path).assign(study="A")
    parquet = tmp_path / "one.parquet"
    frame.to_parquet(parquet)
    for pool in (PooledStudies.from_frame(frame, case="ca"), read_studies(parquet, case="ca")):
        assert pool.is_case.tolist() == IS_CASE.tolist()


@pytest.mark.parametrize("label", ["missing", "Unknown", "9. refused", "Don't know", "not applicable"])
def test_codes_labelled_as_missing_are_blank_and_told(tmp_path, label):
    path = stata(tmp_path, (1, 0), {"smoking": {0: "never", 1: "ever", 9: label}})
    pool = read_studies(path, case="ca")
    assert pool.frame["smoking"].isna().tolist() == [False, False, True] * 20
    found = [one for one in pool.problems if one.code == "missing-label"]
    assert [(one.file, one.column, one.count) for one in found] == [(path, "smoking", 20)]
    assert f"9, which the file labels '{label}'" in found[0].message


def test_other_labels_leave_their_codes(tmp_path):
    path = stata(tmp_path, (1, 0), {"smoking": {0: "never", 1: "former", 9: "current"}})
    assert sorted(read_studies(path, case="ca").frame["smoking"].unique()) == [0, 1, 9]


def test_extended_missing_values_of_stata_are_missing(tmp_path):
    # .a is the byte 102 of a one-byte variable, 100 its largest number
    codes = np.tile([0, 1, 100], 20).astype(np.int8)
    path = Path(stata(tmp_path, (1, 0), {}, smoking=codes, age=np.int8(99)))
    content = path.read_bytes()
    start = content.index(b"<data>")
    end = content.index(b"</data>")
    data = content[start:end].replace(b"\x64\x63", b"\x66\x63")
    path.write_bytes(content[:start] + data + content[end:])
    found = read_studies(path, case="ca").frame["smoking"]
    assert found.isna().tolist() == [False, False, True] * 20


def transport_file(names: list[str], rows: list[list[bytes]]) -> bytes:
    """A SAS transport file (version 5) of numbers, each 8 bytes as SAS writes it."""

    def lines(*parts: str) -> bytes:
        return b"".join(part.ljust(80).encode() for part in parts)

    stamp = "01JAN26:00:00:00"
    head = lines(
        f"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!{'0' * 30}",
        "SAS     SAS     SASLIB  9.4     X       " + " " * 24 + stamp,
        stamp,
        f"HEADER RECORD*******MEMBER  HEADER RECORD!!!!!!!{'0' * 16}01600000000140",
        f"HEADER RECORD*******DSCRPTR HEADER RECORD!!!!!!!{'0' * 30}",
        "SAS     POOL    SASDATA 9.4     X       " + " " * 24 + stamp,
        stamp,
        f"HEADER RECORD*******NAMESTR HEADER RECORD!!!!!!!000000{len(names):04d}{'0' * 20}",
    )
    of_names = b"".join(
        struct.pack(
            ">hhhh8s40s8shhh2s8shhl52s",
            *(1, 0, 8, k + 1, name.encode().ljust(8), b" " * 40, b" " * 8),
            *(0, 0, 0, b"  ", b" " * 8, 0, 0, 8 * k, bytes(52)),
        )
        for k, name in enumerate(names)
    )
    of_names += b" " * (-len(of_names) % 80)
    data = b"".join(cell for row in rows for cell in row)
    observations = lines(f"HEADER RECORD*******OBS     HEADER RECORD!!!!!!!{'0' * 30}")
    return head + of_names + observations + data + b" " * (-len(data) % 80)


def test_special_missing_values_of_sas_are_missing(tmp_path):
    def number(value: float) -> bytes:  # IBM's format of whole numbers below 256
        whole = int(value)
        return bytes([*([0x41, whole << 4] if 0 < whole < 16 else [0x42 * (whole > 0), whole]), *bytes(6)])

    special = [bytes([mark, 0, 0, 0, 0, 0, 0, 0]) for mark in b".AZ_"]
    rows = [
        [
            number(k // 3 + 1),
            number(k % 3 == 0),
            number(40 + 3 * k),
            special[k % 4] if k < 8 else number(20 + k),
        ]
        for k in range(30)
    ]
    path = tmp_path / "pool.xpt"
    path.write_bytes(transport_file(["set", "case", "refer", "bmi"], rows))
    pool = read_studies(path, reference="refer")
    assert pool.reference_assay[:3].tolist() == [40.0, 43.0, 46.0]
    assert pool.frame["bmi"].isna().tolist() == [k < 8 for k in range(30)]
    assert pool.frame["bmi"].dropna().tolist() == [float(20 + k) for k in range(8, 30)]
