# %% [markdown]
# # A simulation study with ADEMP
#
# How large should a calibration subset be, and which method should be trusted with it? A simulation study answers
# for a design of your own. This page plans one, runs it, and reads it, in the order of Morris, White and Crowther
# (2019): **A**ims, **D**ata-generating mechanisms, **E**stimands, **M**ethods, **P**erformance measures. All data
# are drawn, none is real.
#
# ## Aims
#
# With a local assay whose line has an R² of .7, (1) are internalized and full calibration unbiased, and (2) does
# it matter whether 40 or 160 of a study's 400 controls are measured again?
#
# Say it before running, with what would count as an answer: a bias of more than .03 in the log odds ratio at the
# low end.
#
# ## Data-generating mechanisms, estimands and methods
#
# A design is a TOML file or, here, the same as a dictionary. Two studies of 400 matched pairs each: A measured
# everybody at the reference laboratory, B at its own. Exposure is normal among controls; cases are drawn from its
# law tilted by the odds ratio, as for a rare disease. The curve bends: steep below 40, flat above 60. The
# estimand is the log odds ratio at 30 and 45 against 60 nmol/L; the methods fit a spline with the curve's own
# knots.

# %%
import biocal as bc

design = {
    "title": "How many calibrators?",
    "replicates": 200,
    "seed": 20261122,
    "methods": ["reference", "naive", "internalized", "full"],
    "exposure": {"mean": 60, "sd": 20},
    "truth": {"type": "rcs", "knots": [34.35, 60.02, 85.64], "beta": [-0.02, 0.015]},
    "fit": {"exposure": "rcs", "knots": [34.35, 60.02, 85.64], "calibration_covariates": "none"},
    "estimand": {"at": [30, 45], "reference": 60},
    "studies": [
        {"name": "A", "sets": 400, "laboratory": "reference"},
        {
            "name": "B",
            "sets": 400,
            "laboratory": "local",
            "intercept": 12,  # reference = intercept + slope * local + error
            "slope": 0.75,
            "r_squared": 0.7,
            "calibrators": 40,
        },
    ],
    "vary": {"studies.calibrators": [40, 160]},
}

# %% [markdown]
# `reference` is not a method that anyone could use: it has the reference value of everybody, and shows what is
# lost by not having it. What is under `vary` is crossed in full; here it makes two scenarios.
#
# ## Performance measures, and how many replicates
#
# Bias, the spread of the estimates (empirical standard error), the standard errors that the method reports (model
# standard error), and coverage: the share of 95 % intervals that contain the truth. Each is estimated from
# finitely many replicates, so each has a **Monte Carlo standard error**. It is chosen, not suffered: for a
# coverage near .95 known to within .005 one needs

# %%
print(bc.replicates_needed(measure="coverage", mcse=0.005), "replicates for coverage,")
print(
    bc.replicates_needed(measure="bias", mcse=0.005, empirical_se=0.14),
    "for bias, with an empirical SE of .14",
)

# %% [markdown]
# The 200 of this page keep it short; they tell coverage to about .015, and a bias of .03 from none.
#
# ## Run
#
# From the shell it is `biocal simulate design.toml --out results --jobs 2`: then it can be interrupted and
# resumed, and divided over [an array job](../docs/how-to/array-jobs.md); the numbers are the same, bit for bit.

# %%
study = bc.simulate(design)
print(study.summary())

# %% [markdown]
# ## Read
#
# One row a scenario, method and exposure; Monte Carlo standard errors in brackets.

# %%
shown = ["bias", "empirical_se", "model_se", "rmse", "coverage"]
print(study.performance().to_text(measures=shown))

# %% alt="Bias of each method with Monte Carlo intervals at 30 and 45: internalized away from 0, the more so with 160"
study.plot_lollipop("bias")

# %% [markdown]
# Intervals that miss the truth can miss it because they are too short or because they are in the wrong place. The
# zip plot tells: each line is an interval, ranked by how far it is from the truth, those that miss it are marked.
# A method that is right has five in a hundred of them, evenly to both sides.

# %% alt="Zip plot of the scenario with 160 calibrators: the intervals of internalized that miss lie to one side"
study.plot_zip(scenario=1)

# %% [markdown]
# ## Answers, with their uncertainty
#
# Differences between methods are taken replicate by replicate: both saw the same data, so that much of the chance
# cancels.

# %%
differences = study.differences("full", minus="internalized").tidy()
differences[differences["exposure"] == 30].round(4)

# %% tags=["text"]
table = study.performance().tidy().set_index(["studies.calibrators", "method", "exposure"])


def told(method, n, measure="bias"):
    row = table.loc[(n, method, 30.0)]
    return f"{row[measure]:.3f} ({row[f'mcse_{measure}']:.3f})"


truth = table.loc[(40, "full", 30.0), "truth"]
print(
    f"At 30 against 60 nmol/L, where the true log odds ratio is {truth:.2f}: the bias of **internalized** is "
    f"{told('internalized', 40)} with 40 calibrators and {told('internalized', 160)} with 160: more measurements, "
    f"more bias. That of **full** is {told('full', 40)} and {told('full', 160)}, and of **naive** "
    f"{told('naive', 40)} and {told('naive', 160)}. Coverage with 160: internalized "
    f"{told('internalized', 160, 'coverage')}, full {told('full', 160, 'coverage')}."
)

# %% [markdown]
# Why internalized fails is not obvious, and the simulation does not explain it: only controls are measured again,
# so that the observed reference value, in place of the calibrated mean, makes the exposures of controls more
# spread out than those of cases. [The algebra](algebra.py) shows it.
#
# ## A design that took longer
#
# The same questions with four studies, a bent curve, three assays and up to 1,000 replicates a cell are answered
# by [stored studies](../data/simulation/RESULTS.md), under a [protocol](../data/simulation/PROTOCOL.md) that was
# fixed before they were run. For instance the bias at 100 against 55, by the number of calibrators of 500
# controls, where the scales of the laboratories nearly agree:

# %%
import pandas as pd

stored = bc.datasets.data_root() / "simulation" / "studies" / "scales_near" / "performance.csv"
cells = pd.read_csv(stored)
bent = cells[(cells["truth.beta"] == "[-0.02, 0.0266]") & (cells["studies.r_squared"] == 0.7)]
at_100 = bent[bent["exposure"] == 100]
at_100.pivot_table(index="method", columns="studies.calibrators", values="bias").round(3)

# %% [markdown]
# ## Limits
#
# A simulation says what happens under what it draws. Here the assay errs as the calibration supposes, cases
# differ from controls by the exposure alone, and nobody is missing. Draw what you fear: `measurement.model =
# "classical"`, covariates and matching factors, an error of the reference assay, curves that differ between
# studies.
