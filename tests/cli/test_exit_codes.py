"""Every exit code, and the one line that tells why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

import biocal as bc
from biocal.errors import SeparationError

pytestmark = pytest.mark.usefixtures("no_figures")


def test_version_and_help_are_fine(biocal):
    assert biocal("--version") == (0, f"biocal {bc.__version__}\n", "")
    for command in ((), ("fit",), ("check",), ("calibrate",), ("example",)):
        answer = biocal(*command, "--help")
        assert answer.code == 0
        assert "Usage: biocal" in answer.out
        assert "biocal example" in answer.out or "Example:" in answer.out
    assert biocal().code == 0, "without a command the help is shown"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("fitt",), "No such command 'fitt'"),
        (("fit", "--bogus"), "No such option: --bogus"),
        (("fit",), "No data: name at least one FILE"),
        (("fit", "pool.csv"), "Missing option '--out'"),
        (("check",), "No data"),
        (("fit", "pool.csv", "--out", "o", "--knots", "four"), "--knots takes a whole number"),
        (("fit", "pool.csv", "--out", "o", "--knots", 3, "--knot-probs", ".1,.5,.9"), "give one of them"),
        (("fit", "pool.csv", "--out", "o", "--knots", 3, "--knot-values", "1,2,3"), "give one of them"),
        (("fit", "pool.csv", "--out", "o", "--at", "25;50"), "'--at': '25;50' is not a number"),
        (("fit", "pool.csv", "--out", "o", "--at", "25,inf"), "'inf' is not a finite number"),
        (("fit", "pool.csv", "--out", "o", "--exposure", "spline"), "'spline' is not one of rcs, linear"),
        (("fit", "pool.csv", "--out", "o", "--method", "ful"), "did you mean 'full'"),
        (("fit", "pool.csv", "--out", "o", "--cuts", "30,50"), "--cuts needs --exposure categories"),
        (("fit", "pool.csv", "--out", "o", "--knot-rule", "mine"), "not one of common, published"),
        (("fit", "pool.csv", "--out", "o", "--scale-local", "North"), "is not STUDY=FACTOR"),
        (("fit", "pool.csv", "--out", "o", "--scale-local", "North=x"), "is not a number"),
        (("calibrate", "pool.csv", "--force"), "--force has no meaning without --out"),
    ],
)
def test_usage_errors_are_one_line_with_exit_code_2(folder, biocal, words, message):
    answer = biocal(*words)
    assert answer.code == 2
    assert answer.out == ""
    (line,) = answer.err.splitlines()
    assert message in line
    assert "--help')" in line
    assert not (folder / "o").exists()


def test_bad_options_of_the_right_form_are_bad_input(folder, biocal):
    for words, message in (
        (("--level", 1.5), "between 0 and 1"),
        (("--ref", "nan"), "finite"),
        (("--exposure", "categories"), "give --cuts"),
        (("--exposure", "categories", "--cuts", "60,50"), "increasing"),
        (("--exposure", "categories", "--cuts", "50,60", "--reference-category", "[1, 2)"), "not one of"),
    ):
        answer = biocal("fit", "pool.csv", "--out", "o", *words)
        assert answer.code == 3, words
        assert message in answer.errors[0]
        assert not (folder / "o").exists()


def test_a_fit_that_fails_has_exit_code_4_names_the_method_and_writes_nothing(folder, biocal, monkeypatch):
    fail_for(monkeypatch, "full")
    answer = biocal("fit", "--spec", "spec.toml", "--out", "o")
    assert answer.code == 4
    assert answer.errors == ["error: method full: separation: no finite estimate"]
    assert not (folder / "o").exists()


def test_keep_going_records_the_method_that_failed_and_goes_on(folder, biocal, monkeypatch):
    fail_for(monkeypatch, "full")
    answer = biocal("fit", "--spec", "spec.toml", "--out", "o", "--keep-going")
    assert answer.code == 0
    assert answer.errors == ["error: full failed and is left out: separation: no finite estimate"]
    assert "FAILED: separation: no finite estimate" in answer.out
    record = (folder / "o" / "fit.json").read_text()
    assert '"full": "separation: no finite estimate"' in record
    assert "full" not in (folder / "o" / "coefficients.csv").read_text()


def test_all_methods_imply_keep_going(folder, biocal, monkeypatch):
    fail_for(monkeypatch, "induced")
    answer = biocal("fit", "--spec", "spec.toml", "--method", "all", "--out", "o", "--quiet")
    assert answer.code == 0
    assert answer.err == "error: induced failed and is left out: separation: no finite estimate\n"


def test_when_every_method_fails_so_does_the_command(folder, biocal, monkeypatch):
    fail_for(monkeypatch, "naive", "full")
    answer = biocal("fit", "--spec", "spec.toml", "--out", "o", "--keep-going")
    assert answer.code == 4
    assert not (folder / "o").exists()


def fail_for(monkeypatch, *methods):
    from biocal.fitting import api

    original = api.estimate_method

    def estimate(problem, method, *rest, **options):
        if method in methods:
            raise SeparationError("separation: no finite estimate")
        return original(problem, method, *rest, **options)

    monkeypatch.setattr(api, "estimate_method", estimate)


def test_an_unforeseen_error_is_one_line_that_asks_for_a_report(folder, biocal, monkeypatch):
    def break_down(*_, **__):
        raise ZeroDivisionError("a thing\nof two lines")

    monkeypatch.setattr("biocal.pool.reading.read_studies", break_down)
    monkeypatch.delenv("BIOCAL_DEBUG", raising=False)
    answer = biocal("check", "pool.csv")
    assert answer.code == 1
    (line,) = answer.err.splitlines()
    assert "internal error, ZeroDivisionError: a thing of two lines at test_exit_codes.py:" in line
    assert "please report it" in line
    monkeypatch.setenv("BIOCAL_DEBUG", "1")
    assert "Traceback" in biocal("check", "pool.csv").err


def test_ctrl_c_has_exit_code_130_and_writes_nothing(folder, biocal, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("biocal.fitting.api.fit", interrupt)
    monkeypatch.setattr(bc, "fit", interrupt, raising=False)
    answer = biocal("fit", "--spec", "spec.toml", "--out", "o")
    assert answer.code == 130
    assert answer.errors == ["error: interrupted; files are written whole or not at all"]
    assert not (folder / "o").exists()


# the command, with a file that takes its time
AT_WORK = """
import time
import biocal.pool.reading as reading

def file_bytes(path):
    print("at work", flush=True)
    time.sleep(60)

reading.file_bytes = file_bytes
from biocal.cli.main import run
run()
"""


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_running_command_ends_cleanly_when_told_to(folder, sent, code):
    running = subprocess.Popen(
        [sys.executable, "-c", AT_WORK, "fit", "pool.csv", "--out", "o"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "at work\n"
    running.send_signal(sent)
    _, err = running.communicate(timeout=30)
    assert running.returncode == code
    assert "Traceback" not in err
    assert not (folder / "o").exists()


@pytest.mark.parametrize("words", [("check", "pool.csv"), ("fit", "--help"), ("--version",)])
def test_a_reader_that_has_seen_enough_is_no_error(folder, words):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", "from biocal.cli.main import run; run()", *words],
        cwd=folder, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux")
def test_output_that_cannot_be_shown_is_told(folder):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", "from biocal.cli.main import run; run()", "check", "pool.csv"],
            cwd=folder, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr.startswith("error: the results cannot be written: No space left")
    assert "Traceback" not in done.stderr


def test_only_the_version_is_needed_to_tell_the_version():
    code = "import sys; from biocal.cli.main import main; main(['--version']); print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"numpy", "pandas", "typer", "rich"} & set(shown.split())


def test_nothing_heavy_is_loaded_before_data_are_read():
    code = (
        "import sys, biocal.pool.reading as reading\n"
        "def stop(*_): print(*sys.modules); raise SystemExit\n"
        "reading._content = stop\n"
        "from biocal.cli.main import main\nmain(['fit', 'pool.csv', '--out', 'o'])\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = set(shown.split())
    assert "pandas" in loaded
    assert not {"matplotlib", "scipy.stats", "statsmodels", "patsy", "joblib", "rich.progress"} & loaded
    # nor a method: which there are is known without
    assert not [
        name
        for name in loaded
        if name.startswith(("biocal.model.outcome.", "biocal.fitting.methods.estimate"))
    ]
