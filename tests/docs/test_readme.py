"""What the README tells people to type works as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = {
    **os.environ,
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    answer = subprocess.run(command, cwd=folder, env=COMMANDS, capture_output=True, encoding="utf-8")
    assert answer.returncode == 0, answer.stderr
    return answer


def test_ten_lines_of_python_run_as_they_stand(tmp_path):
    [lines] = blocks("python")
    assert len([line for line in lines.splitlines() if line]) == 10
    script = tmp_path / "readme.py"
    script.write_text(lines, encoding="utf-8")
    answer = run([sys.executable, str(script)], tmp_path)
    assert answer.stderr == ""
    assert "Odds ratio" in answer.stdout
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    assert "</html>" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_commands_run_as_they_stand(tmp_path):
    [lines] = [block for block in blocks("sh") if block.startswith("biocal")]
    run(["bash", "-euc", lines], tmp_path)
    results = tmp_path / "my-folder" / "results"
    assert {"report.html", "dose_response.csv", "fit.json"} <= {path.name for path in results.iterdir()}


def test_the_two_commands_are_those_of_the_makefile_and_end_where_it_is_said():
    [lines] = [block for block in blocks("sh") if block.startswith("make")]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\S+)", lines, flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
    assert "out/vitamin_d/report.html" in lines
    assert "--out out/vitamin_d" in makefile


def test_every_link_and_picture_is_there():
    targets = re.findall(r"\]\(([^)#]+)", README)
    assert targets
    for target in targets:
        assert target.startswith("https://") or (ROOT / target).exists(), target
