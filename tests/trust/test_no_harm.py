"""Data and options are never run: not as code, not as pickles, not as formulas of a spreadsheet, not as paths."""

from __future__ import annotations

import csv
import io
import sys
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from cli_pool import small_pool
from corpus.hostile_designs import DESIGNS
from corpus.hostile_specs import SPECS
from fuzz_profile import examples
from hypothesis import example, given
from hypothesis import strategies as st

import biocal as bc
from biocal.cli.main import main
from biocal.errors import BiocalError
from biocal.pool.conditions.expression import read_condition
from biocal.pool.formulas.covariates import design_columns
from biocal.results.text import csv_bytes
from biocal.simulation.design.truth import evaluate_formula

ATTACKS = (
    "__import__('os').system('true')",
    "().__class__.__bases__[0].__subclasses__()",
    "bmi.__class__.__mro__",
    "(lambda: __import__('os'))()",
    "[c for c in ().__class__.__base__.__subclasses__()]",
    "{**globals()}",
    "(bmi := __import__('os'))",
    "f'{__import__(\"os\")}'",
    "'{0.__class__}'.format(bmi)",
    "getattr(bmi, 'to_pickle')('x')",
    "eval('1')",
    "exec('1')",
    "open('x', 'w')",
    "log(bmi, where=open('x'))",
    "Q(__import__('os').name)",
    "C(bmi, levels=[print(1)])",
    "C(bmi, Treatment(open('x')))",
    "bs(bmi, knots=[__import__('os').getpid()])",
    "I(bmi if open('x') else 1)",
    "I(bmi)(1)",
    "I(await bmi)",
    "I((yield))",
    "__builtins__",
    "__loader__",
    "self",
    "bmi.values",
    "bmi[0]",
    "bmi @ bmi",
    "~open",
    "case(__import__('os'))",
    "missing(open('x'))",
    "bmi == open('x')",
    "bmi in open('x')",
    "bmi in [print(1)]",
    # beside a column that is in order
    "bmi + I(bmi.values)",
    "bmi + I(bmi * [open('x') for _ in (1,)][0].fileno())",
    "bmi + I(bmi if open('x') else 1)",
)


TRIED = {
    "covariates": lambda text, pool: design_columns(pool, text),
    "truth": lambda text, pool: evaluate_formula(text.replace("bmi", "x"), np.ones(2)),
    "condition": lambda text, pool: read_condition(text, tuple(pool.frame.columns)),
}


@pytest.fixture(scope="module")
def pool():
    return bc.PooledStudies.from_frame(small_pool(10))


class Watch:
    """Counts opened files and run programs while it is on; an audit hook cannot be taken out again."""

    on = False
    seen: list[str] = []  # noqa: RUF012

    @classmethod
    def hook(cls, event, arguments):
        if cls.on and event in (
            "os.system",
            "subprocess.Popen",
            "os.exec",
            "os.posix_spawn",
            "pickle.find_class",
        ):
            cls.seen.append(event)
        if cls.on and event == "open" and arguments[0] == "x":
            cls.seen.append(event)


@pytest.fixture(scope="module", autouse=True)
def watched():
    sys.addaudithook(Watch.hook)
    yield
    Watch.on = False


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("where", TRIED)
def test_code_in_a_formula_is_refused_and_not_run(attack, where, pool):
    Watch.seen.clear()
    Watch.on = True
    try:
        with pytest.raises(BiocalError) as refusal:
            TRIED[where](attack, pool)
    finally:
        Watch.on = False
    assert Watch.seen == []
    assert "cannot be evaluated" not in str(refusal.value), "refused when read, before anything was evaluated"


@examples(60)
@example(text="b,<+>o@4.i4")
@example(text='"""=)1!8+/\n1\n,[|~xsé')
@given(
    text=st.text(st.sampled_from("bmisexlogCI()[]{}+-*/:,.=<>'\"_ 0123456789\\\n#@!%&|~^é"), max_size=40)
    | st.lists(
        st.sampled_from(
            ["bmi", "sex", "log(", "C(", ")", "+", "*", ":", "**", "2", "~", "-", "(", "I(", "1", "sex)"]
        ),
        max_size=10,
    ).map(" ".join)
)
def test_any_text_is_a_formula_or_told_to_be_none(pool, text):
    found = columns_or_error(pool, text)
    if isinstance(found, BiocalError):
        assert str(found)
    else:
        used = ~np.isnan(found.values).any(axis=1)
        assert np.isfinite(found.values[used]).all()


def columns_or_error(pool, text):
    try:
        return design_columns(pool, text)
    except BiocalError as error:
        return error


def test_the_corpus_holds_attacks_on_both_kinds_of_formulas():
    assert sum(one.name.startswith("formula: ") for one in SPECS) >= 50
    assert sum(one.name.startswith("truth: ") for one in DESIGNS) >= 20


@pytest.mark.parametrize("module", ["pickle", "joblib", "dill", "cloudpickle", "marshal", "shelve"])
def test_no_module_that_reads_data_or_specs_knows_pickles(module):
    for name in ("reading", "tables.delimited", "tables.statistical", "tables.frame_table", "tables.cells"):
        assert module not in vars(import_module(f"biocal.pool.{name}"))


# spreadsheets ------------------------------------------------------------------------------------

FORMULAS = (
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "=cmd|' /C calc'!A0",
    "＝1+1",
    "-",
    "-5",
    "+3.5e-2",
)


def test_text_that_a_spreadsheet_would_run_gets_an_apostrophe_and_numbers_stay():
    table = pd.DataFrame({"=name": list(FORMULAS), "value": np.linspace(-5, 5, len(FORMULAS))})
    header, *rows = csv.reader(io.StringIO(csv_bytes(table).decode(), newline=""))
    assert header == ["'=name", "value"]
    harmless = {"-", "-5", "+3.5e-2"}
    assert [row[0] for row in rows] == [one if one in harmless else f"'{one}" for one in FORMULAS]
    assert [float(row[1]) for row in rows] == table["value"].tolist()


@examples(40)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=6))
def test_any_name_comes_back_from_a_csv_file(names):
    names = [name for name in names if ("\0" not in name and name.isprintable()) or name in "\r\n\t"]
    table = pd.DataFrame({"study": names, "estimate": np.arange(len(names)) - 0.5})
    back = list(csv.reader(io.StringIO(csv_bytes(table).decode(), newline="")))[1:]
    assert [row[0] for row in back] in (names, [cell for cell in (row[0] for row in back)])
    for row, name in zip(back, names, strict=True):
        assert row[0] in (name, f"'{name}")
        assert not row[0].startswith(("=", "@"))


def test_names_of_studies_reach_no_path_no_markup_and_no_formula(tmp_path, monkeypatch, capsys):
    names = {"North": "../../../North", "South": "=HYPERLINK(1)", "West": "<script>alert(1)</script>"}
    monkeypatch.chdir(tmp_path)
    small_pool(30).replace({"study": names}).to_csv("pool.csv", index=False)
    words = [
        "fit",
        "pool.csv",
        "--exposure",
        "linear",
        "--method",
        "full",
        "--method",
        "two-stage",
        "--out",
        "a/b/c/o",
    ]
    assert main(words) == 0, capsys.readouterr().err
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert {path for path in written if not path.startswith("a/b/c/o/")} == {"pool.csv"}
    out = tmp_path / "a/b/c/o"
    assert "<script>alert" not in (out / "report.html").read_text(encoding="utf-8")
    for path in out.glob("*.csv"):
        for row in csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")):
            assert not any(cell.startswith(("=", "@")) for cell in row), path.name
    assert "'=HYPERLINK(1)" in (out / "studies.csv").read_text(encoding="utf-8")
