"""Every vignette runs from start to end as a user would run it: alone, in an empty folder, nothing on stderr."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

VIGNETTES = Path(__file__).resolve().parents[2] / "vignettes"


@pytest.mark.parametrize("script", sorted(VIGNETTES.glob("*.py")), ids=lambda script: script.stem)
def test_a_vignette_runs_alone_in_an_empty_folder(script, tmp_path):
    commands = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    answer = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={**os.environ, "PATH": commands},
        capture_output=True,
        encoding="utf-8",
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
