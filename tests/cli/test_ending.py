"""What a command ends with is its own: no library's ending changes the exit code."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="calls the C library by its name on Linux")

#: A destructor that aborts, as Arrow's does now and then, registered with the C library.
_RUN = """
import atexit, ctypes, sys
from biocal.cli import main
library = ctypes.CDLL(None)
library.__cxa_atexit(library.abort, None, None)
def command(arguments=None):
    import pyarrow
    atexit.register(print, "what was to be done at exit")
    print("results")
    {ending}
main._command = command
main.run()
"""


@pytest.mark.parametrize(("ending", "code"), [("pass", 0), ("raise SystemExit(3)", 3)])
def test_a_library_that_aborts_at_exit_does_not_change_the_exit_code(tmp_path, ending, code):
    words = [sys.executable, "-c", _RUN.format(ending=ending)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.splitlines() == ["results", "what was to be done at exit"]
