"""The worked example of the page on federated fits runs as printed, and finds what the pooled fit finds."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import biocal as bc
from biocal.cli.main import main
from biocal.datasets import data_root

_PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "federated.md"
#: Largest difference promised of coefficients, in standard errors.
AGREEMENT = 1e-8


def test_the_worked_example_of_the_page_runs_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("biocal.cli.files.figures._rendered", lambda name, figure: {f"{name}.png": b"png"})
    monkeypatch.setattr("biocal.results.fit.comparison.Comparison.plot", lambda self: Figure())
    monkeypatch.chdir(tmp_path)
    *sites, analysis = re.findall(r"```toml\n(.*?)```", _PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    Path("analysis.toml").write_text(analysis, encoding="utf-8")
    names, files = [], []
    for spec in sites:
        name = re.findall(r'site = "(\w+)"', spec)[0]
        Path(name).mkdir()
        Path(name, "site.toml").write_text(spec, encoding="utf-8")
        for file in re.findall(r"(\w+\.csv)", spec):
            files.append(shutil.copy(data_root() / "vitamin_d" / "cohorts" / file, Path(name, file)))
        assert main(["site", "init", "--spec", f"{name}/site.toml", "--dir", f"{name}/site", "--quiet"]) == 0
        names.append(name)
    assert main(["coordinate", "init", "analysis.toml", "--dir", "centre", "--quiet"]) == 0
    rounds = 0
    while not Path("centre/results").exists():
        answers = [f"answer_{name}_{rounds:03d}.json" for name in names]
        for name, answer in zip(names, answers, strict=True):
            request = f"centre/request_{rounds:03d}.json"
            words = ["site", "answer", request, "--dir", f"{name}/site", "--out", answer, "--quiet"]
            assert main(words) == 0
        assert main(["coordinate", "step", *answers, "--dir", "centre", "--quiet"]) == 0
        rounds += 1
    assert 8 <= rounds <= 15, "as the page says"
    found = pd.read_csv("centre/results/coefficients.csv")
    expected = bc.fit(
        bc.read_studies(files),
        method=["full", "induced"],
        exposure=bc.rcs(knots=[25, 45, 62, 98]),
        covariates="bmi + physical_activity",
        matching="age + rcs(month, knots=[2, 5, 8, 11])",
        reference=56.25,
    ).tidy()
    apart = (found["estimate"] - expected["estimate"]) / expected["std_error"]
    assert np.abs(apart).max() < AGREEMENT
    np.testing.assert_allclose(found["std_error"], expected["std_error"], rtol=AGREEMENT)


@pytest.mark.parametrize(
    "page", ["README.md", "SECURITY.md", "docs/federated-disclosure.md", "docs/how-to/federated.md"]
)
def test_each_page_says_that_a_chosen_formula_tells_of_single_persons(page: str):
    text = " ".join((_PAGE.parents[2] / page).read_text(encoding="utf-8").split())
    assert "A centre that chooses the formula can learn single persons' values" in text
    assert re.search(r"read and approve each plan|read each plan before the first answer", text)


def test_the_command_of_a_site_says_so_too(capsys: pytest.CaptureFixture[str]):
    main(["site", "--help"])
    text = " ".join(re.sub("[^\\w' ]", " ", capsys.readouterr().out).split())
    assert "A centre that chooses the formula can learn single persons' values" in text
