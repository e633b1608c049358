# %% [markdown]
# # From a messy folder to a report
#
# Three studies sent their files. This page takes them as they come, finds what is wrong, mends it, calibrates,
# fits, and ends with a report to show around. Everything here is typed in a shell; the last section does the same
# from Python.
#
# **The data are made up** by the next cell, faults included: three nested case-control studies of a biomarker,
# the log odds ratio falling by 0.015 per nmol/L. (Nobody needs to read that cell.)

# %%
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd

rng = np.random.default_rng(20261122)


def made_up(study, pairs, first_age):
    """Matched pairs: a gamma law among controls, and what a log odds ratio of -0.015 per nmol/L makes of it."""
    case = np.tile([1, 0], pairs)
    truth = rng.gamma(9, 1 / (0.15 + 0.015 * case))  # controls: mean 60, SD 20
    table = pd.DataFrame({"study": study, "set": np.repeat(np.arange(1, pairs + 1), 2), "case": case})
    table["bmi"] = rng.normal(26, 4, 2 * pairs).round(1)
    table["age"] = np.repeat(rng.integers(first_age, first_age + 20, pairs), 2)
    return table, truth


def some_controls(table, n):
    return rng.choice(table.index[table["case"] == 0], n, replace=False)


north, truth = made_up("North", 400, 50)  # measured at the reference laboratory
north["local"], north["reference"] = np.nan, truth.round(1)
north.to_csv("north.csv", index=False)

south, truth = made_up("South", 350, 45)  # own laboratory; 40 controls measured again
south["local"] = ((truth + 10) / 1.2 + rng.normal(0, 7, truth.size)).round(1)
chosen = some_controls(south, 40)
south.loc[chosen, "reference"] = truth[chosen].round(1)
south["local"] = south["local"].astype(str)
south.loc[[17, 230], "local"] = "QNS"  # quantity not sufficient
south["case"] = south["case"].map({1: 1, 0: 2})  # as in many SAS files
south.rename(columns={"reference": "Reference"}).to_csv("south.csv", index=False)

west, truth = made_up("West", 300, 60)  # own laboratory, in ng/mL, with decimal commas
west["local"] = ((truth + rng.normal(0, 6, truth.size)) / 2.496).round(2)
chosen = some_controls(west, 35)
west.loc[chosen, "reference"] = truth[chosen].round(1)
west = west.drop(index=11)  # a control is gone, its case is alone
west.to_csv("west.csv", index=False, sep=";", decimal=",")


def shell(command):
    """Run a line as typed in a shell, and show what a person would see."""
    answer = subprocess.run(command, shell=True, capture_output=True, encoding="utf-8")
    print(f"$ {command}\n{answer.stdout}{answer.stderr}[exit code {answer.returncode}]")


# %% [markdown]
# ## Look, before anything else
#
# `biocal check` reads all files, tells everything that is wrong in one run, by file, line and column, and changes
# nothing.

# %%
shell("biocal check north.csv south.csv west.csv")

# %% [markdown]
# Each line is a thing to mend, and says how. Exit code 3 means that the data cannot be used yet; a script can
# stop there.
#
# ## Mend
#
# In the file, or better in a few lines that stay with the analysis, so that the file from the study remains as it
# came. What the laboratory wrote as QNS is missing; status 2 is a control.

# %%
mended = pd.read_csv("south.csv").rename(columns={"Reference": "reference"})
mended["local"] = pd.to_numeric(mended["local"].replace("QNS", None))
mended["case"] = mended["case"].replace(2, 0)
Path("mended").mkdir()
mended.to_csv("mended/south.csv", index=False)

shell("biocal check north.csv mended/south.csv west.csv --scale-local West=2.496")

# %% [markdown]
# It passes, and says what it will leave out: two rows without a local value, and sets that have lost their case
# or their only control. West's values in ng/mL are multiplied by 2.496 ([why](../docs/how-to/units.md)).
#
# ## Write it down once
#
# Rather than repeating options, put them into a spec. The keys are the options' names, with underscores.

# %%
Path("analysis.toml").write_text(
    """\
files = ["north.csv", "mended/south.csv", "west.csv"]
covariates = "bmi"
matching = "age"
method = ["naive", "full"]
exposure = "rcs"
knots = 3
ref = 60
exposure_name = "biomarker"
unit = "nmol/L"
outcome_name = "disease"

[scale_local]
West = 2.496   # its file is in ng/mL
""",
    encoding="utf-8",
)

# %% [markdown]
# ## Calibrate, and look at it
#
# For each study with its own laboratory, a line from local to reference values, from the controls measured in
# both.

# %%
shell("biocal calibrate --spec analysis.toml --out calibration --quiet")
pd.read_csv("calibration/calibration.csv")[
    ["study", "kind", "n", "n_calibration", "intercept", "slope", "residual_sd", "r_squared", "outside"]
].round(2)

# %% [markdown]
# What to look for: enough pairs (30 is common, fewer than 20 is told); slopes that make sense, since a slope near
# 2.5 or 0.4 would be a unit; an R² that says how much of the exposure the assay sees; few values outside the
# range of the pairs, where the line is extrapolated. `calibration/calibration.png` shows the same.
#
# ## Fit

# %%
shell("biocal fit --spec analysis.toml --out results")

# %% [markdown]
# ## What is there now

# %%
for file in sorted(Path("results").iterdir()):
    print(f"{file.stat().st_size:>9,}  {file.name}")

# %% [markdown]
# `report.html` is the page for colleagues: the flow of participants, the calibration, the curve with its table,
# the tests, and a methods paragraph. It shows no row of data; with `--suppress 5` it hides counts under five as
# well. `dose_response.csv` has what a figure of your own needs:

# %%
curves = pd.read_csv("results/dose_response.csv")
near = curves.loc[curves["exposure"].sub(40).abs().groupby(curves["method"]).idxmin()]
near[["method", "exposure", "or", "or_low", "or_high"]].round(3)

# %% tags=["text"]
full = near.set_index("method").loc["full"]
truth = np.exp(-0.015 * (full["exposure"] - 60))
inside = "contains" if full["or_low"] <= truth <= full["or_high"] else "does not contain"
print(
    f"Planted was an odds ratio of {truth:.2f} at {full['exposure']:.1f} against 60 nmol/L; the 95 % interval of full "
    f"calibration, {full['or_low']:.2f} to {full['or_high']:.2f}, {inside} it."
)

# %% [markdown]
# ## The same from Python

# %%
import biocal as bc

pool = bc.read_studies(["north.csv", "mended/south.csv", "west.csv"], scale_local={"West": 2.496})
fit = bc.fit(pool, exposure=bc.rcs(knots=3), covariates="bmi", matching="age", reference=60, unit="nmol/L")
fit.dose_response(at=[30, 40, 50, 60, 75, 90]).tidy()[["exposure", "or", "or_low", "or_high"]].round(3)

# %% [markdown]
# ## What this did not do
#
# The calibration rests on controls only, and on controls like those who were measured again. The reference
# laboratory defines the scale: its own error is not corrected. If values swing with the season, calibration does
# not remove that. The page on [the methods](../docs/methods.md) says what each estimator assumes.
