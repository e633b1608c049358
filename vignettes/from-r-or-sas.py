# %% [markdown]
# # Coming from R or SAS
#
# Old call, new call. Every new call below is run when this page is built, and where R gave a number, the code
# asserts that biocal gives the same. The numbers of R are from R 4.2.2 with survival 3.5-3, rms 6.5-0, Hmisc
# 4.8-0 and metafor 3.8-1.
#
# | you wrote | you write | section |
# |---|---|---|
# | `clogit(case ~ x + z + strata(set))` | `bc.fit(pool, exposure=bc.linear(), covariates="z")` | 1 |
# | PROC LOGISTIC or PROC PHREG with STRATA | the same | 1 |
# | `ConditionalLogit(...).fit()` (statsmodels) | the same | 1 |
# | `rcs(x, 4)`, `rcspline.eval(x, knots=)`, `%RCSPLINE` | `exposure=bc.rcs(knots=4)` or `bc.rcs(knots=[...])` | 2 |
# | `contrast()`, `Predict()`, ESTIMATE statements | `fit.dose_response(at=, reference=)` | 2 |
# | `anova()` of an rms fit, TEST statements | `fit.tests()` | 2 |
# | `cluster()`, COVS(AGGREGATE) | nothing: the sandwich over matched sets is the default | 2 |
# | `lm(reference ~ local)` by study | `bc.calibrate(pool)` | 3 |
# | `mecor()`, `%BLINPLUS`, the published R programs | `bc.fit(pool, method="full")` or `"internalized"` | 3 |
# | `rma(yi, vi, method = "REML", test = "knha")` | `fit.studies.contrast(..., standard_error="hartung-knapp")` | 4 |
# | `simsum()` | `bc.performance(...)` | 5 |
#
# From R itself nothing has to be typed in Python: the [R package](../R-compat/README.md) has `biocal_fit()`.

# %%
from dataclasses import asdict

import numpy as np
import pandas as pd

import biocal as bc

# %% [markdown]
# ## 1. Conditional logistic regression
#
# ```r
# clogit(case ~ spontaneous + induced + strata(set), data = infert)
# #              coef  se(coef)
# # spontaneous 1.985876 0.3524435
# # induced     1.409012 0.3607124
# ```
#
# ```sas
# proc logistic data=infert;
#   model case(event='1') = spontaneous induced;
#   strata set;
# run;
# ```
#
# In biocal one variable is *the exposure*: the one that may need calibration, whose column is named by
# `reference`. The others are covariates. Sets may be 1:m or n:m; the likelihood is always the exact one, as R's
# `method = "exact"` and SAS's `ties=discrete`.

# %%
women = bc.datasets.load_infertility()
pool = bc.PooledStudies.from_frame(women, set="set", case="case", reference="spontaneous")
fit = bc.fit(pool, exposure=bc.linear(), covariates="induced")

np.testing.assert_allclose(fit.params, [1.985876, 1.409012], atol=1e-6)
np.testing.assert_allclose(fit.tidy()["std_error_uncorrected"], [0.3524435, 0.3607124], atol=1e-7)
fit.tidy()[["term", "estimate", "std_error", "std_error_uncorrected"]].round(5)

# %% [markdown]
# `std_error_uncorrected` is the standard error of R and SAS, from the information matrix. `std_error` is the
# sandwich over matched sets, which `clogit` refuses with the exact method.
#
# statsmodels stops where its optimiser is content, here at the same place to five digits:

# %%
from statsmodels.discrete.conditional_models import ConditionalLogit

old = ConditionalLogit(women["case"], women[["spontaneous", "induced"]], groups=women["set"]).fit()
both = pd.DataFrame({"statsmodels": old.params.to_numpy(), "biocal": fit.params.to_numpy()}, index=fit.terms)
both.round(7)

# %% [markdown]
# ## 2. Splines, contrasts, tests
#
# The five cohorts of the bundled consortium (synthetic) that were measured at the reference laboratory need no
# calibration.
#
# ```r
# knots <- c(30, 50, 65, 95)
# g <- clogit(case ~ rcspline.eval(reference, knots = knots, inclx = TRUE) + bmi + strata(study, set), data = people)
# coef(g)   # -0.0097757978 -0.0108400272  0.0731657292  0.0104004882
# x <- rcspline.eval(c(40, 56.25), knots = knots, inclx = TRUE); d <- x[1, ] - x[2, ]
# sum(d * coef(g)[1:3])   # 0.19847103
# ```
#
# Columns are scaled as `rcspline.eval(norm = 2)` does, which is also the default of `rms::rcs`; so does Harrell's
# SAS macro `%RCSPLINE` with norm=2. Coefficients can be compared number by number. A number instead of a list
# gives Harrell's quantiles; `covariates="rcs(bmi, 4)"` makes a spline of a covariate.

# %%
people = bc.datasets.load_vitamin_d()
reference_cohorts = people[people["study"].isin(["Birch", "Fir", "Juniper", "Maple", "Pine"])]
pool = bc.PooledStudies.from_frame(reference_cohorts)
fit = bc.fit(pool, exposure=bc.rcs(knots=[30, 50, 65, 95]), covariates="bmi", reference=56.25)

np.testing.assert_allclose(fit.params, [-0.0097757978, -0.0108400272, 0.0731657292, 0.0104004882], atol=1e-9)
curve = fit.dose_response(at=[40, 75])
np.testing.assert_allclose(curve.log_or[0], 0.19847103, atol=1e-8)
curve.tidy().round(4)

# %% [markdown]
# `strata(study, set)` needs no thought: set numbers may restart in each study. Tests are Wald tests from the
# sandwich:

# %%
pd.DataFrame([asdict(test) for test in fit.tests()]).round(4)

# %% [markdown]
# ## 3. Calibration and measurement error
#
# By hand one fits `lm(reference ~ local)` among the calibrated controls of each study, predicts everybody, and
# fits `clogit` to the predictions; then the standard errors take the lines as known. mecor does it in one call,
# for one study and linear regression (`mecor(y ~ MeasError(local, reference = reference) + z)`); the published R
# programs do it for matched sets.

# %%
pool = bc.PooledStudies.from_frame(people, scale_local={"Ginkgo": 2.496})
lines = bc.calibrate(pool).tidy().set_index("study")

alder = people[(people["study"] == "Alder") & (people["case"] == 0)].dropna(subset=["local", "reference"])
slope, intercept = np.polyfit(alder["local"], alder["reference"], 1)  # lm(reference ~ local)
np.testing.assert_allclose(
    lines.loc["Alder", ["intercept", "slope"]].astype(float), [intercept, slope], rtol=1e-9
)
lines.loc[
    ["Alder", "Hazel", "Ilex"], ["n_calibration", "intercept", "slope", "residual_sd", "r_squared"]
].round(3)

# %% [markdown]
# All in one call. `calibration_covariates="none"` is the rule of the published programs; without it the outcome's
# covariates and the matching factors are in the calibration too
# ([why](../docs/notes/0003-calibration-covariates.md)).

# %%
fits = bc.fit(
    pool,
    method=["internalized", "full"],
    exposure=bc.rcs(knots=[30, 50, 65, 95]),
    covariates="bmi",
    calibration_covariates="none",
    reference=56.25,
)
fits.tidy()[["method", "term", "estimate", "std_error", "std_error_uncorrected"]].round(5)

# %% [markdown]
# ## 4. Two stages and meta-analysis
#
# ```r
# rma(yi = c(.10, .40, -.20, .50, .30), vi = c(.02, .03, .01, .05, .04), method = "REML", test = "knha")
# # estimate 0.183038  se 0.128270  tau^2 0.061902  Q(df = 4) = 15.985401
# ```
#
# With studies' files the first stage is done too:

# %%
two_stage = bc.fit(pool, method="two-stage", exposure=bc.linear(), covariates="bmi", reference=50)
print(two_stage.studies.contrast(75, 50, standard_error="hartung-knapp").summary())

# %% [markdown]
# The function behind it takes `rma`'s arguments:

# %%
from biocal.kernels.meta.numbers import combine_estimates

pooled = combine_estimates(
    [0.10, 0.40, -0.20, 0.50, 0.30], [0.02, 0.03, 0.01, 0.05, 0.04], standard_error="hartung-knapp"
)
np.testing.assert_allclose(
    [pooled.estimate, pooled.std_error, pooled.tau_squared], [0.183038, 0.128270, 0.061902], atol=1e-6
)
print(f"{pooled.estimate:.6f} ({pooled.std_error:.6f}), tau^2 {pooled.tau_squared:.6f}")

# %% [markdown]
# ## 5. Performance of estimators
#
# ```r
# s <- simsum(data = drawn, estvarname = "b", se = "se", true = 0.5, methodvar = "method")
# tidy(summary(s))
# ```

# %%
rng = np.random.default_rng(1)
drawn = pd.DataFrame({"method": np.repeat(["one", "two"], 500), "b": rng.normal(0.5, 0.1, 1000), "se": 0.1})
table = bc.performance(drawn, estimate="b", std_error="se", truth=0.5, by="method")
table.long().query("stat in ['bias', 'empse', 'modelse', 'cover']").round(4)

# %% [markdown]
# `long()` has rsimsum's names; `tidy()` a row a method with all measures and their Monte Carlo errors.
#
# ## What has no counterpart here
#
# Weights, frailties, time-dependent covariates, unmatched studies, penalised fits. For these keep what you use.
