"""Detection limits on the command line."""

from __future__ import annotations

import pandas as pd
import pytest
from cli_pool import small_pool

from biocal.cli.main import main
from biocal.pool.checks.limits import RULES


@pytest.mark.usefixtures("no_figures")
def test_the_command_line_compares_the_rules(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = small_pool()
    limit = frame["local"].quantile(0.1)
    frame["local"] = [f"<{limit:.1f}" if value < limit else value for value in frame["local"]]
    frame.to_csv("pool.csv", index=False)
    words = [
        "fit",
        "pool.csv",
        "--exposure",
        "linear",
        "--method",
        "full",
        "--below-limit",
        "censored",
        "--out",
        "o",
    ]
    assert main([*words, "--sensitivity", "below-limit"]) == 0
    shown = capsys.readouterr()
    assert "Values below the detection limit: log OR (SE) by rule" in shown.out
    table = pd.read_csv("o/detection_limits.csv")
    assert list(dict.fromkeys(table["rule"])) == list(RULES)
    assert main([*words, "--force", "--sensitivity", "weather"]) == 2
    assert main(["fit", "pool.csv", "--out", "p"]) == 3
    assert "say how to take such values: --below-limit lod/2" in capsys.readouterr().err


@pytest.mark.usefixtures("no_figures")
def test_the_rules_are_compared_over_imputations_not_in_the_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = small_pool()
    limit = frame["local"].quantile(0.1)
    below = frame["local"] < limit
    parts = []
    for k in (1, 2):  # the same persons, whose other values are 5 % higher in the second data set
        local = frame["local"] * (1 + 0.05 * (k - 1) * (frame.index % 2))
        parts.append(frame.assign(local=local.astype(object).mask(below, f"<{limit:.1f}"), imp=k))
    pd.concat(parts).to_csv("pool.csv", index=False)
    words = [
        "fit",
        "pool.csv",
        "--imputation",
        "imp",
        "--exposure",
        "linear",
        "--method",
        "full",
        "--ref",
        "50",
    ]
    words += ["--at", "75", "--below-limit", "lod/2", "--out", "o", "--sensitivity", "below-limit"]
    assert main(words) == 0
    of_rule = pd.read_csv("o/detection_limits.csv").query("rule == 'lod/2' and exposure == 75")
    of_fit = pd.read_csv("o/dose_response.csv").query("exposure == 75")
    for column in ("log_or", "std_error"):
        assert of_rule[column].item() == pytest.approx(of_fit[column].item(), rel=1e-12)


def test_a_limit_without_its_study_is_a_matter_of_usage(capsys):
    assert main(["check", "pool.csv", "--detection-limit", "5"]) == 2
    assert "'5' is not STUDY=LIMIT, such as Alder=5" in " ".join(capsys.readouterr().err.split())
