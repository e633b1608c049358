"""A small pool in files, and the command run inside the process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from cli_pool import SPEC, small_pool

from biocal.cli.main import main


class Answer(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """Lines of stderr that tell an error."""
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder that holds the pool, pool.csv, and a spec for it, spec.toml."""
    small_pool().to_csv(tmp_path / "pool.csv", index=False)
    (tmp_path / "spec.toml").write_text(SPEC, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def biocal(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run ``biocal`` with these words."""

    def run(*words: object) -> Answer:
        code = main([str(word) for word in words])
        shown = capsys.readouterr()
        return Answer(code, shown.out, shown.err)

    return run


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures out, which take most of the time."""
    monkeypatch.setattr("biocal.cli.files.figures._rendered", lambda name, figure: {f"{name}.png": b"png"})
    monkeypatch.setattr("biocal.results.fit.comparison.Comparison.plot", lambda self: None)
    monkeypatch.setattr("biocal.report.api.report_html", lambda comparison, **options: "<!DOCTYPE html>")
    monkeypatch.setattr("biocal.results.calibration.results.CalibrationResults.plot", lambda self: None)
    monkeypatch.setattr("biocal.results.season.SeasonResults.plot", lambda self: None)
