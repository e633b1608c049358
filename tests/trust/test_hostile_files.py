"""Whatever file, spec or design is handed over: an exit code, a line that names the place, and nothing left."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest
from corpus.hostile_input import FINE
from corpus.make_corpus import ALL, folder_name
from limited_commands import MEMORY, SECONDS, LimitedCommands

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="runs commands in forked processes")

#: Counted in docs/trust.md; what is taken out must be taken out there too.
AT_LEAST = 730
#: A command takes a tenth of a second: one in so many is in every run of the tests, all are in make test-fuzz.
ONE_IN = 6
#: Inputs that once ended in an internal error, took all time or memory, or killed the process; in every run.
MENDED = {
    *("text after a closing quote", "a single line of 10 MB", "100,000 columns", "an id of 5,000 digits"),
    *("the largest number there is", "the smallest numbers of all persons", "a factor that overflows"),
    *("a CSV table packed as .xz", "a named pipe", "a device without end", "a pipe for a spec"),
    *("a spec of lists in lists", "a spec of tables in tables", "a spec with 20,000 unknown keys"),
    *("a spec with a number of 5,000 digits", "a spec with a NUL in a file name"),
    *("a spec with a NUL in the output's name", "a spec with a terminal's escape in a file name"),
    *(
        "100,000 exposures",
        "100,000 knots",
        "10,000 categories",
        "a bootstrap of 10^15",
        "a billion processes",
    ),
    *("a reference exposure beyond all bounds", "formula: powers of powers", "formula: a million characters"),
    *(
        "formula: crossed terms without end",
        "formula: a power of a sum",
        "formula: a spline of a huge degree",
    ),
    *("formula: a spline of a billion columns", "a design of tables in tables", "a design with 10^12 sets"),
    *("a factorial of 2.5 million scenarios", "a design with 10^9 copies of a study"),
    *("a design with 10^18 replicates", "a record of lists in lists", "a record of wrong types"),
    *("a design with a mean beyond all bounds", "a name that is blank", "results to a name longer than any"),
    *("a request: a pipe", "an answer: a pipe", "a request: a plan with crossed terms without end"),
    *("a request: a calibration of huge coefficients", "a request: knots beyond all bounds"),
    *("a request: a plan with a terminal's escape", "a request: a basis that the plan does not have"),
    *(
        "an answer to a name longer than any",
        "an answer: means of huge numbers",
        "an answer: a billion controls",
    ),
    *(
        "an answer: a study twice",
        "an answer: more sets than cases",
        "an answer: a matrix that is indefinite",
    ),
    *("an answer: a sandwich whose sums contradict one another", "an answer: a residual sum above the total"),
    *("an answer: a study with a name of later control characters", "a plan with calibrators of 1e308"),
    *("a plan with 100,000 numbers of calibrators", "a plan with a slope next to nothing"),
    *(
        "a plan with exposures beyond all bounds",
        "a site's settings in a pipe",
        "a site's settings of wrong types",
    ),
    *("a spec of a centre: a formula without end", "a spec of a site: a secret in a pipe"),
    *("a folder of a centre: a name longer than any", "a spec whose files are a pattern for the whole disk"),
    *("a spec whose files are a pattern for a folder that links to itself", "a file of the kernel"),
}
#: Bytes of a file whose content is looked at, before and after.
SMALL = 1_000_000
#: Those that go through a process of their own, started like a user's.
INSTALLED = (
    "a named pipe",
    "a device without end",
    "a spec of lists in lists",
    "formula: import",
    "NUL byte in a cell",
    "truth: import",
)


@pytest.fixture(scope="module")
def commands():
    with LimitedCommands() as running:
        yield running


def is_in_every_run(number, one):
    return one.name in MENDED or (number % ONE_IN == 0 and not one.heavy)


def listing(folder):
    """What is in a folder, and what the small files of it hold."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        if path.is_file() and path.stat().st_size < SMALL
        else b""
        for path in folder.rglob("*")
        if not path.is_symlink()
    }


def assert_told(one, code, err):
    """The code is right, one line of stderr has all that must be told, and no traceback is there."""
    assert code == one.code, err[-2000:]
    assert "Traceback" not in err
    assert "internal error" not in err
    lines = err.splitlines()
    assert all(line.isprintable() for line in lines), "nothing that a terminal would obey"
    if one.told:
        assert any(all(part in line for part in one.told) for line in lines), err[:2000]
    if one.code != FINE:
        assert any(line.startswith("error: ") for line in lines)


def test_the_corpus_is_as_large_as_is_said():
    assert len(ALL) >= AT_LEAST
    assert {one.name for one in ALL} >= MENDED
    assert [name for name, times in Counter(folder_name(one.name) for one in ALL).items() if times > 1] == []


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(one, id=one.name, marks=() if is_in_every_run(k, one) else pytest.mark.slow)
        for k, one in enumerate(ALL)
    ],
)
def test_a_hostile_input_is_told_at_its_place_and_leaves_nothing(one, commands, tmp_path):
    one.write(tmp_path)
    before = listing(tmp_path)
    ended = commands.run(one.words, tmp_path)
    assert_told(one, ended.code, ended.err)
    assert ended.seconds < SECONDS
    assert ended.memory < MEMORY
    assert listing(tmp_path) == before


@pytest.mark.parametrize("name", INSTALLED)
def test_the_installed_command_does_the_same(name, tmp_path):
    (one,) = [one for one in ALL if one.name == name]
    one.write(tmp_path)
    before = listing(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", "from biocal.cli.main import run; run()", *one.words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert_told(one, done.returncode, done.stderr)
    assert listing(tmp_path) == before
