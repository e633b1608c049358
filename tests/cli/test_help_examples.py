"""The example at the end of each command's help can be typed as it stands, in the folder of a bundled example."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from biocal import datasets

COMMANDS = {
    **os.environ,
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    "COLUMNS": "300",
}


def example_of(*command: str) -> str:
    shown = subprocess.run(
        ["biocal", *command, "--help"], env=COMMANDS, capture_output=True, encoding="utf-8"
    )
    [example] = re.findall(r"Example: (biocal .*?)\s*$", shown.stdout, flags=re.MULTILINE)
    return example


@pytest.mark.parametrize(
    ("command", "data", "more"),
    [
        ((), "vitamin-d", ""),
        (("check",), "vitamin-d", ""),
        (("calibrate",), "vitamin-d", ""),
        (("fit",), "vitamin-d", " --scale-local Ginkgo=2.496"),
        (("simulate",), "simulation", " --replicates 2 --shard 1/9"),  # the whole takes too long for a test
        (("plan",), "planning", ""),
        (("example",), "vitamin-d", ""),
    ],
)
def test_the_example_of_the_help_runs(command, data, more, tmp_path):
    datasets.copy_example(data, tmp_path)
    line = example_of(*command)
    answer = subprocess.run(
        ["bash", "-uc", line + more], cwd=tmp_path, env=COMMANDS, capture_output=True, encoding="utf-8"
    )
    assert answer.returncode == 0, answer.stderr
