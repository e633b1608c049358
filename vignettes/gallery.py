# %% [markdown]
# # Gallery
#
# The figures that biocal draws, each with the code that makes it. All are plain matplotlib: what comes back can
# be changed, resized and saved. The data are the bundled consortium, which is synthetic.

# %%

import biocal as bc

people = bc.datasets.load_vitamin_d()
pool = bc.PooledStudies.from_frame(people, scale_local={"Ginkgo": 2.496})
model = {
    "covariates": "bmi + physical_activity",
    "matching": "age + C(sex) + C(race) + C(month)",
    "reference": 56.25,
    "exposure_name": "25(OH)D",
    "unit": "nmol/L",
    "outcome_name": "colorectal cancer",
}

# %% [markdown]
# ## One curve
#
# The band is the 95 % interval, the dot the reference exposure; the histogram shows where the controls are.

# %% alt="Odds ratio against 25(OH)D by full calibration: falling to about 80 nmol/L, then flat, with a 95 % band"
full = bc.fit(pool, method="full", **model)
full.dose_response().plot()

# %% [markdown]
# ## Several methods
#
# They share their knots, the triangles on the axis.

# %% alt="Curves of naive, full and induced calibration over each other"
several = bc.fit(pool, method=["naive", "full", "induced"], **model)
several.plot()

# %% [markdown]
# ## A curve at each level of an effect modifier

# %% alt="Two panels, women and men: the curve falls among women and is nearly flat among men"
bc.fit(pool, method=["naive", "full"], modifier="sex", **model).plot()

# %% [markdown]
# ## Categories

# %% alt="Odds ratios of four categories of 25(OH)D with intervals, naive and induced"
four = bc.categories([30, 50, 75], reference="[50, 75)")
bc.fit(pool, method=["naive", "induced"], exposure=four, **model).plot()

# %% [markdown]
# ## Calibration
#
# A panel a study: the pairs, the fitted line, the line of identity (dashed) and the range of the study's local
# values.

# %% alt="A panel for each of twelve local studies: reference against local values with the fitted line"
bc.calibrate(pool).plot()

# %% [markdown]
# ## Studies side by side
#
# Two-stage fits each study on its own; the forest plot shows one contrast of the curves.

# %% alt="Forest plot of the log odds ratio at 87.5 against 56.25 nmol/L by study, and pooled"
two_stage = bc.fit(pool, method="two-stage", **model)
two_stage.studies.contrast(87.5, 56.25).plot()

# %% [markdown]
# ## Simulation studies
#
# Every confidence interval of a small study, ranked by its distance from the truth (a zip plot), and bias with
# its Monte Carlo interval.

# %%
design = {
    "title": "A small study for the gallery",
    "replicates": 60,
    "seed": 1,
    "methods": ["naive", "internalized", "full"],
    "exposure": {"mean": 60, "sd": 20},
    "truth": {"type": "linear", "beta": [-0.015]},
    "fit": {"exposure": "linear"},
    "estimand": {"at": [40, 80], "reference": 60},
    "studies": [
        {"name": "A", "sets": 300, "laboratory": "reference"},
        {"name": "B", "sets": 300, "laboratory": "local", "intercept": 12, "slope": 0.75, "r_squared": 0.7,
         "calibrators": 100},
    ],
    "vary": {"studies.calibrators": [30, 100]},
}  # fmt: skip
study = bc.simulate(design)

# %% alt="Zip plot: intervals of each method at 40 and 80, those that miss the truth marked"
study.plot_zip(scenario=1)

# %% alt="Bias of each method with Monte Carlo intervals at 40 and 80, by scenario"
study.plot_lollipop("bias")
