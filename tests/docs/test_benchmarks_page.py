"""The page of the benchmarks: it says what is stored, whatever was installed, and the command that makes it."""

from __future__ import annotations

import copy
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "benchmarks"
# The scripts import each other by name; they are no part of the package.
sys.path.insert(0, str(FOLDER))
try:
    import page
    import page_figures
    import page_tables
    import pool_files
    import processes
    import run
finally:
    sys.path.remove(str(FOLDER))

RESULTS = json.loads((FOLDER / "results.json").read_text("utf-8"))


def test_the_page_says_what_is_stored():
    written = (FOLDER / "README.md").read_text("utf-8")
    assert written == page.page_text(RESULTS), "write it anew: python benchmarks/page.py"


@pytest.mark.parametrize("ending", ["png", "svg"])
@pytest.mark.parametrize("name", page_figures.FIGURES)
def test_each_figure_shows_what_is_stored(name, ending):
    panels = page_figures.panels_of(name, RESULTS["parts"])
    path = FOLDER / "figures" / f"{name}.{ending}"
    assert path.is_file() == bool(panels)
    if panels:
        assert page_figures.digest(panels).encode() in path.read_bytes(), "python benchmarks/page.py"
        assert f"figures/{name}.{ending}" in (FOLDER / "README.md").read_text("utf-8")


def test_every_part_that_is_not_measured_is_named_with_its_command():
    text = page.page_text({"parts": {}})
    for name in run.PARTS:
        assert f"python benchmarks/run.py --only {name}`" in text
    assert "figures/" not in text


def test_rows_of_peers_that_are_not_installed_are_left_out():
    found = copy.deepcopy(RESULTS["parts"]["engine"]["found"])
    everything = page_tables.engine_table(found)
    found["R"], found["lifelines"] = {}, {"pairs": None, "one_to_four": None}
    alone = page_tables.engine_table(found)
    assert "statsmodels" in alone
    assert "R clogit" not in alone
    assert "lifelines" not in alone
    assert "lifelines" in everything or RESULTS["parts"]["engine"]["versions"]["lifelines"] is None


@pytest.mark.parametrize(("seconds", "word"), [(60.0, "met; met"), (60.1, "**NOT met**; met")])
def test_a_gate_that_is_not_met_is_printed_so(seconds, word):
    row = {"run": "biocal fit, full, Parquet", "sets": 1_000_000, "wall_s": seconds, "cpu_s": 1.0}
    found = {"rows": [row | {"peak_MB": 2079.0}], "numeric_MB": {"1000000": 520.0}}
    *_, last = page_tables.fit_table(found).splitlines()
    assert last.endswith(f"| {word} |")


def test_memory_of_four_times_the_numbers_is_too_much():
    row = {
        "run": "biocal fit, full, Parquet",
        "sets": 1_000_000,
        "wall_s": 1.0,
        "cpu_s": 1.0,
        "peak_MB": 2080.0,
    }
    table = page_tables.fit_table({"rows": [row], "numeric_MB": {"1000000": 520.0}})
    assert table.endswith("| met; **NOT met** |")


@pytest.mark.parametrize(("rows", "judged"), [(2_000_000, False), (20_000_000, True)])
def test_the_memory_of_workers_is_judged_on_20_million_rows_only(rows, judged):
    found = {"rows": rows, "sets": rows // 5, "rounds": 13, "seconds_fitting": 100.0}
    table = page_tables.distributed_table(found | {"memory_met": False, "peak_over_data": 0.5})
    assert ("NOT met" in table) == judged


def test_a_run_that_failed_keeps_its_row_and_reason():
    row = {"run": "R by hand, CSV", "sets": 1000, "failed": "not done after 600 s"}
    assert "not done after 600 s" in page_tables.fit_table({"rows": [row], "numeric_MB": {}})


def test_parts_of_two_machines_stand_in_columns_of_their_own():
    def part(cores: int) -> dict:
        return {"machine": {"cores": cores}, "versions": {"numpy": "2", "lifelines": None}}

    table = page.machines_table({"engine": part(2), "fit": part(8), "induced": part(2)})
    head, _, cores, *_, lifelines = table.splitlines()
    assert head == "|  | engine, induced | fit |"
    assert cores == "| cores | 2 | 8 |"
    assert lifelines == "| lifelines | not installed | not installed |"


def test_peak_memory_is_the_child_s_and_not_that_of_who_started_it():
    held = np.ones(25_000_000)  # 200 MB here, which a child begun from here would inherit as its peak
    small = processes.cost_of([sys.executable, "-I", "-S", "-c", "print('done')"])
    large = processes.cost_of([sys.executable, "-I", "-S", "-c", "x = bytearray(b'1' * 60_000_000)"])
    assert small.out == "done\n"
    assert small.peak < 60e6 < large.peak
    assert large.peak < held.nbytes


def test_cpu_time_of_a_process_that_sleeps_is_less_than_its_wall_time():
    asleep = processes.cost_of([sys.executable, "-I", "-S", "-c", "import time; time.sleep(0.3)"])
    assert asleep.wall >= 0.3
    assert asleep.cpu < asleep.wall


def test_a_process_that_fails_or_takes_too_long_is_told_with_the_reason():
    with pytest.raises(processes.ProcessFailed, match=r"exit status 1.*ZeroDivisionError"):
        processes.cost_of([sys.executable, "-c", "1 / 0"])
    with pytest.raises(processes.ProcessFailed, match=r"not done after 0\.2 s"):
        processes.cost_of([sys.executable, "-c", "import time; time.sleep(30)"], limit_s=0.2)


def test_the_pool_has_one_case_a_set_and_calibrators_in_local_studies_only():
    table = pool_files.pool_table(2000).to_pandas()
    assert table.shape == (10_000, pool_files.COLUMNS)
    by_set = table.groupby(["study", "set"])["case"].agg(["sum", "size"])
    assert (by_set["sum"] == 1).all()
    assert (by_set["size"] == 5).all()
    local = table[table["local"].notna()]
    pairs = local[local["reference"].notna()]
    assert local["study"].nunique() == 7
    assert (pairs.groupby("study").size() == 100).all()
    assert (pairs["case"] == 0).all()
    # cases are drawn by the model, so that they stand at no place of their own
    assert 300 < table["case"].iloc[::5].sum() < 500


def test_both_files_hold_the_same_pool(tmp_path):
    import pandas as pd

    paths = pool_files.write_pool(tmp_path, 1000)
    pd.testing.assert_frame_equal(
        pd.read_csv(paths["csv"]), pd.read_parquet(paths["parquet"]), check_dtype=False, rtol=0, atol=0
    )


@pytest.fixture
def two_parts(tmp_path, monkeypatch):
    """Benchmarks of two small scripts; the second fails where there is a file named broken."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    write = "import json, sys; json.dump({'options': sys.argv[1:-2], 'n': 1}, open(sys.argv[-1], 'w'))\n"
    (scripts / "one.py").write_text(write)
    check = f"import os\nif os.path.exists({str(tmp_path / 'broken')!r}): raise SystemExit(3)\n"
    (scripts / "two.py").write_text(check + write)
    monkeypatch.setattr(run, "HERE", scripts)
    monkeypatch.setattr(
        run, "PARTS", {"one": ("one.py", ["--quick"], [], []), "two": ("two.py", [], None, ["--big"])}
    )
    monkeypatch.setattr(run, "write_page", lambda folder: None)
    monkeypatch.setattr(run.environment, "_answer", lambda command: "")  # as where git and R are missing

    def command(*arguments: str) -> tuple[int, dict]:
        monkeypatch.setattr(sys, "argv", ["run.py", *arguments, "--out", str(tmp_path / "out")])
        with pytest.raises(SystemExit) as ended:
            run.main()
        file = tmp_path / "out" / "results.json"
        return ended.value.code, json.loads(file.read_text())["parts"] if file.exists() else {}

    return command


def test_the_command_runs_each_part_with_its_options_and_records_where(two_parts):
    status, parts = two_parts("--quick")
    assert status == 0
    assert parts["one"]["found"]["options"] == ["--quick"]
    assert parts["one"]["versions"]["numpy"] == np.__version__
    assert parts["one"]["machine"]["cores"] >= 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", parts["one"]["date"])
    assert {"load_before", "load_after", "seconds"} <= parts["one"].keys()
    assert parts["one"]["commit"] is None
    assert parts["one"]["versions"]["R"] is None


def test_a_part_left_out_of_usual_runs_is_run_when_asked_for(two_parts):
    assert list(two_parts()[1]) == ["one"]
    _, parts = two_parts("--only", "two")
    assert parts["two"]["found"]["options"] == ["--big"]
    assert list(parts) == ["one", "two"]


def test_a_part_that_fails_is_told_and_what_it_measured_before_is_kept(two_parts, tmp_path, capfd):
    two_parts("--long")
    (tmp_path / "broken").touch()
    status, parts = two_parts("--long")
    assert status == 1
    assert parts["two"]["found"]["n"] == 1
    assert "two failed with exit status 3" in capfd.readouterr().out


def test_a_part_that_never_worked_is_stored_as_failed(two_parts, tmp_path):
    (tmp_path / "broken").touch()
    status, parts = two_parts("--long")
    assert status == 1
    assert parts["two"]["failed"] == "failed with exit status 3"
    assert "found" in parts["one"]


def test_a_part_that_does_not_exist_is_a_fault_of_use(two_parts, capfd):
    assert two_parts("--only", "three")[0] == 2
    assert "there is no part three" in capfd.readouterr().err
