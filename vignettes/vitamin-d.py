# %% [markdown]
# # Vitamin D and colorectal cancer: from 17 files to one curve
#
# **Nobody in these data exists.** Seventeen made-up cohorts have the size, the laboratories and the risks of a
# published pooling project ([how they were made](../data/vitamin_d/README.md)), and since they are made up, the
# true curve is known: it was planted, from published relative risks. No number here is evidence about vitamin D.
# What can be learned is what each method makes of such data, and how far to trust it.
#
# You need to know conditional logistic regression (`clogit`, PROC LOGISTIC with STRATA). Everything else is
# explained where it first appears. Reading takes about twenty minutes.
#
# ## 1. The question, and why one call of clogit does not answer it
#
# Does the risk of colorectal cancer fall as circulating vitamin D, 25(OH)D, rises, and where does it stop
# falling? Each cohort kept blood samples. When members fell ill, it took each *case* and one or two *controls*
# who were still well, of the same sex, race and age, with blood drawn in the same month: a *matched set*. Then
# the samples were thawed and 25(OH)D was measured. This is a *nested case-control study*, and with one laboratory
# it is a matter for `clogit`.
#
# But there were many laboratories. Each cohort chose its own, over twenty years, and laboratories differ: the
# same blood is 40 nmol/L in one and 55 in the next. So one *reference laboratory* was chosen. Five cohorts had
# everybody measured there. In each of the other twelve it measured a few controls again, the *calibration
# subset*, to learn how that cohort's *local* values translate.

# %%
import tomllib

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import biocal as bc

people = bc.datasets.load_vitamin_d()
people[["study", "set", "case", "local", "reference", "sex", "month", "bmi", "years_to_diagnosis"]].iloc[
    [0, 1, 6, 7, 830]
]

# %% [markdown]
# A row is a person in a set. `local` is the value of the cohort's own laboratory, `reference` that of the
# reference laboratory, blank for most. One cohort, Ginkgo, reported ng/mL; its factor to nmol/L is given once,
# here:

# %%
pool = bc.PooledStudies.from_frame(people, scale_local={"Ginkgo": 2.496})
print(bc.check_pool(pool).to_text())

# %% [markdown]
# ## 2. Look at the assays
#
# The first thing to see is not the curve but the laboratories. `calibrate` fits, for each local cohort, the line
#
# $$ \text{reference} = a + b \times \text{local} + \text{error} $$
#
# among the controls who were measured in both.

# %% alt="Twelve panels, one a local study: reference against local values, the fitted line, and the line of identity"
lines = bc.calibrate(pool, unit="nmol/L")
lines.plot()

# %%
table = lines.tidy().set_index("study")
local = table[table["kind"] == "local"]
local[["n", "n_calibration", "intercept", "slope", "residual_sd", "r_squared", "outside"]].round(2)

# %% tags=["text"]
at_60 = ((60 - local["intercept"]) / local["slope"]).round(0)
low, high = at_60.idxmin(), at_60.idxmax()
worst, best = local["r_squared"].idxmin(), local["r_squared"].idxmax()
explained = local["r_squared"]
print(
    f"What the reference laboratory calls 60 nmol/L is {at_60[low]:.0f} in {low} and {at_60[high]:.0f} in {high}: "
    f"pooled as they are, a person of {high} with low vitamin D passes for one of {low} with plenty. R², the share of "
    f"the reference values' variance that the line explains, goes from {explained[worst]:.2f} in {worst} to "
    f"{explained[best]:.2f} in {best}; what is not explained is the error of a calibrated value."
)

# %% [markdown]
# ## 3. Calibrate: with what, and why
#
# To *calibrate* is to put, for each person of a local cohort, the reference value that is expected given the
# local one: the line above, read off. But expected given what else? Take two persons with a local value of 40,
# one drawn in March and one in September. Part of a low value is chance, and the September person's true level is
# likely to be higher, since everybody's is. A line on the local value alone ignores it, and what it ignores goes
# into the curve if the outcome model, or the matching, knows of it.
#
# So the calibration gets, beside the local value, the covariates of the outcome model and the matching factors.
# That is the default; `calibration_covariates="none"` is the rule of the published programs. Only *controls* are
# used: cases' blood is precious, and the law of the level is that of people without the disease.
#
# The outcome model is `clogit`'s: within a matched set, who is the case? Its exposure is a *restricted cubic
# spline*: a curve made of cubic pieces that join smoothly at *knots*, straight beyond the outer two. With four
# knots it may bend twice.

# %%
model = {
    "exposure": bc.rcs(knots=4),
    "covariates": "bmi + physical_activity",
    "matching": "age + C(sex) + C(race) + C(month)",
    "reference": 56.25,  # nmol/L: odds ratios are against this level
    "exposure_name": "25(OH)D",
    "unit": "nmol/L",
    "outcome_name": "colorectal cancer",
}

# %% [markdown]
# ## 4. Standardise for season
#
# Vitamin D is made by the sun. A person's level swings by 20 nmol/L and more from March to September, but a
# cancer grows for years: what matters is the level of the year, not that of the day of blood draw. (In these data
# this is so by construction: the risk was planted on the annual mean.) Matching on the month does not mend it.
# Two persons who are 50 and 60 the year round are a set of 40 and 50 when drawn in March, and one of 60 and 70
# when drawn in September; on a curve that bends these are different comparisons.
#
# `season="month"` fits, in each cohort's controls, a wave with the period of a year, and takes it off everybody's
# value.

# %% alt="Seventeen panels, one a cohort: monthly means and the fitted yearly wave, reversed in Australia"
methods = ["naive", "internalized", "full", "induced"]
fits = bc.fit(pool, method=methods, season="month", **model)
fits["full"].info.season.plot()

# %% [markdown]
# The waves are alike, low in March; Juniper, in Australia, has its summer in February.
#
# ## 5. What naive pooling does
#
# *Naive* pooling takes local values as if all laboratories were one. *Full* calibration gives everybody of a
# local cohort the calibrated value. The knots are the same for both, so that the curves differ by the values
# alone.

# %% alt="Odds ratio against 25(OH)D: naive and full calibration, with 95 % bands"
bc.Comparison({name: fits[name] for name in ("naive", "full")}, failures={}).plot()

# %% [markdown]
# Here are odds ratios against 56.25 nmol/L at four levels: three stand for published categories (below 30, 75 to
# 87.5, 87.5 to 100), the last for the flat part beyond. The brackets are 95 % intervals.

# %%
AT = [24.0, 81.25, 93.75, 110.0]


def told(fit):
    """Odds ratios with their intervals, as text."""
    rows = fit.dose_response(at=AT).tidy()
    return [f"{row['or']:.2f} ({row['or_low']:.2f} to {row['or_high']:.2f})" for _, row in rows.iterrows()]


pd.DataFrame({name: told(fit) for name, fit in fits.items()}, index=pd.Index(AT, name="nmol/L"))

# %% tags=["text"]
naive, full = (fits[name].dose_response(at=AT) for name in ("naive", "full"))
apart = np.abs(naive.log_or - full.log_or)
alike = int((np.abs(at_60 - 60) <= 10).sum())
print(
    f"Two things to notice. The odds ratios of naive and full differ by {100 * np.expm1(apart.min()):.0f} to "
    f"{100 * np.expm1(apart.max()):.0f} %, less than their intervals are wide, although some laboratories are far off: "
    f"{alike} of the {len(local)} read within 10 nmol/L of the reference laboratory at 60, and five cohorts are the "
    "reference. And full's intervals are wider, by a factor of "
    f"{(full.std_error / naive.std_error).min():.2f} to {(full.std_error / naive.std_error).max():.2f}. Naive's are "
    "too narrow, for it takes everybody's level as known."
)

# %% [markdown]
# Each interval of full, internalized and induced carries the calibration: had other controls been measured again,
# the lines would be others, and so would everybody's values. How much of the variance is that?

# %%
curve = fits["full"].dose_response(at=AT)
shares = curve.variance_shares().groupby("exposure")["share"].sum()
shares.rename("share of the variance of the log odds ratio that the calibrations add").to_frame().round(3)

# %% [markdown]
# Little: with 557 persons measured twice, the matched sets are what is scarce.
#
# ## 6. Internalized, and why it differs
#
# Some controls have the reference value itself. Why put a prediction in its place? *Internalized* calibration
# does not: it uses the value where there is one, and the calibrated value elsewhere. It sounds like using all
# that is known, and earlier projects did so. But only controls were measured again. A measured value is more
# spread out than a predicted one, and so, in the extremes, where the curve is decided, there are too many
# controls. That bends the curve, the more so the more controls were calibrated and the poorer the assay ([the
# algebra](algebra.py)).

# %% tags=["text"]
odds = {name: np.exp(fit.dose_response(at=[24.0]).log_or[0]) for name, fit in fits.items()}
sample = fits["full"].sample
print(
    f"Here {sample.calibrated_controls} of the {sample.local_controls:,} controls of local cohorts were calibrated, "
    f"{100 * sample.calibrated_controls / sample.local_controls:.0f} %. In the table above, the odds ratio at 24 "
    f"nmol/L is {odds['internalized']:.2f} by internalized and {odds['full']:.2f} by full."
)

# %% [markdown]
# ## 7. Induced
#
# Full calibration puts the *expected* level into a curve, where what is wanted is the curve's *expected value*.
# On a straight line the two are one; where the line bends they are not. *Induced* averages
# the odds over the levels that a person may have, given the local value. It is the last column of the table
# above.
#
# ## 8. Women and men
#
# In the published project the association was stronger in women, and so it was planted. Each of the two curves is
# a curve of its own; one curve for both would be of nobody. `by="sex"` fits both under one calibration and tests
# whether they differ:

# %%
by_sex = bc.fit(pool, method="full", season="month", by="sex", at=AT, **model)
print(by_sex.subgroups[0].summary())

# %% [markdown]
# From here on we keep them apart, and set each beside the curve that was planted.

# %% alt="Two panels, women and men: estimated curves of naive, full and induced, and the planted curve in black"
truth = tomllib.loads((bc.datasets.data_root() / "vitamin_d" / "truth.toml").read_text())["truth"]
planted = bc.rcs(knots=truth["knots"]).learn()


def true_log_or(sex, at):
    """Planted log odds ratios against 56.25 nmol/L."""
    return np.array(truth[sex]["beta"]) @ (
        planted.columns(np.asarray(at)) - planted.columns(np.array([56.25]))
    )


of_sex = {
    sex: bc.fit(
        pool,
        method=["naive", "internalized", "full", "induced"],
        season="month",
        where=f"sex == '{sex}'",
        **model,
    )
    for sex in ("female", "male")
}
figure = Figure(figsize=(7.4, 3.4), layout="constrained")
axes = figure.subplots(1, 2, sharey=True)
for axis, (sex, methods) in zip(axes, of_sex.items(), strict=True):
    grid = np.linspace(20, 110, 181)
    for name, line in (("naive", "C1--"), ("full", "C0-"), ("induced", "C4:")):
        axis.plot(grid, np.exp(methods[name].dose_response(at=grid).log_or), line, label=name)
    axis.plot(grid, np.exp(true_log_or(sex, grid)), "k-", linewidth=2.5, alpha=0.55, label="planted")
    axis.set(title={"female": "women", "male": "men"}[sex], xlabel="25(OH)D (nmol/L)", yscale="log")
    axis.set_yticks([0.8, 0.9, 1, 1.2, 1.4], ["0.8", "0.9", "1", "1.2", "1.4"])
    axis.set_yticks([], minor=True)
axes[0].set_ylabel("odds ratio against 56.25")
axes[0].legend(frameon=False)
figure

# %%
pd.concat(
    {
        sex: pd.DataFrame(
            {
                "planted": np.exp(true_log_or(sex, AT)).round(2),
                **{name: told(fit) for name, fit in methods.items()},
            },
            index=pd.Index(AT, name="nmol/L"),
        )
        for sex, methods in of_sex.items()
    },
    names=["sex"],
)

# %% tags=["text"]
missed = []
for sex, methods_of_sex in of_sex.items():
    rows = methods_of_sex["full"].dose_response(at=AT).tidy().assign(planted=np.exp(true_log_or(sex, AT)))
    outside = rows[(rows["planted"] < rows["or_low"]) | (rows["planted"] > rows["or_high"])]
    missed += [
        f"{'women' if sex == 'female' else 'men'} at {level:g} nmol/L" for level in outside["exposure"]
    ]
print(
    f"Of these eight intervals of full calibration, {len(missed)} miss what was planted"
    + (f" ({', '.join(missed)}). " if missed else ". ")
    + "Neighbouring levels share their data and miss together. Is it chance, or the method? One data set cannot "
    "say; section 12 can."
)

# %% [markdown]
# ## 9. Lag years
#
# A cancer that is there already, undiagnosed, may keep people indoors and so lower their vitamin D. Then low
# levels would follow from the disease. The usual check leaves out cases of the first years after blood draw, each
# with its set:

# %%
later = {
    "everybody": of_sex["female"]["full"],
    "2 years or more": bc.fit(
        pool, season="month", where="sex == 'female' and years_to_diagnosis >= 2", **model
    ),
    "5 years or more": bc.fit(
        pool, season="month", where="sex == 'female' and years_to_diagnosis >= 5", **model
    ),
}
pd.DataFrame({name: told(fit) for name, fit in later.items()}, index=pd.Index(AT, name="nmol/L, women"))

# %% [markdown]
# Nothing of the kind was planted, and what moves here is chance: fewer sets, wider intervals. In real data a
# curve that flattens as early cases go is a warning.
#
# ## 10. Do the cohorts agree? Two stages
#
# So far one curve was fitted to all cohorts, as if it were the same everywhere. *Two-stage* fits every cohort on
# its own, with its own calibration, and pools the curves by *random effects*: it allows the cohorts' true curves
# to differ, and its interval is one for their mean.

# %% alt="Forest plot: odds ratio at 81.25 against 56.25 nmol/L among women, by cohort and pooled"
two_stage = bc.fit(pool, method="two-stage", season="month", where="sex == 'female'", **model)
agreement = two_stage.studies.contrast(81.25, 56.25)
agreement.plot()

# %% tags=["text"]
one = of_sex["female"]["full"].dose_response(at=[81.25]).tidy().iloc[0]
two = two_stage.dose_response(at=[81.25]).tidy().iloc[0]
pooled = agreement.pooled
print(
    f"One curve for all gives {one['or']:.2f} ({one['or_low']:.2f} to {one['or_high']:.2f}), two stages "
    f"{two['or']:.2f} ({two['or_low']:.2f} to {two['or_high']:.2f}). I², the share of the cohorts' spread that is "
    f"more than chance, is {100 * pooled.heterogeneity.i_squared:.0f} %. No difference between cohorts was planted."
)

# %% [markdown]
# ## 11. What if ...
#
# ... one cohort were left out, with its calibration; the curve had three knots or five; the reference level were
# another?

# %% alt="Odds ratios at two levels with each cohort left out in turn, beside that of all"
women = {"season": "month", "where": "sex == 'female'"}
without = bc.fit(pool, leave_one_out=True, at=AT, **women, **model)
without.left_out.plot(at=[24.0, 81.25])

# %%
knots = {f"{k} knots": bc.fit(pool, **women, **{**model, "exposure": bc.rcs(knots=k)}) for k in (3, 5)}
knots = {"3 knots": knots["3 knots"], "4 knots": of_sex["female"]["full"], "5 knots": knots["5 knots"]}
pd.DataFrame({name: told(fit) for name, fit in knots.items()}, index=pd.Index(AT, name="nmol/L, women"))

# %% [markdown]
# The reference level is a choice of words, not of model: all odds ratios are divided by one number. Intervals
# change, being of another comparison; the test of the curve does not.

# %%
at_40 = of_sex["female"]["full"].dose_response(at=AT, reference=40.0).tidy()
at_40[["exposure", "reference_exposure", "or", "or_low", "or_high"]].round(2)

# %% [markdown]
# ## 12. How wrong is each method here?
#
# One data set cannot say: its curve is the truth and chance together. So the whole consortium was drawn 500
# times, with the same cohorts, laboratories, sets and planted curves, and every draw was analysed as above, women
# and men apart (`python data/vitamin_d/redraws/redraw.py --redraws 500`). *Bias* is the mean of the estimated log
# odds ratios less the planted one: -0.05 means odds ratios 5 % too low on average. *Coverage* is the share of 95
# % intervals that contain the planted value. In brackets, the *Monte Carlo standard error*: how far 500 draws may
# be from infinitely many. `reference` is the analysis that nobody can do, with everybody's reference value: its
# bias is no laboratory's.

# %%
stored = pd.read_csv(bc.datasets.data_root() / "vitamin_d" / "redraws" / "performance.csv")
METHODS = ["reference", "naive", "internalized", "full", "induced", "two-stage"]
standardised = stored[stored["season"] == "standardised"]


def cells(measure, digits):
    """A measure with its Monte Carlo standard error: a row a sex and level, a column a method."""
    pairs = zip(standardised[measure], standardised[f"mcse_{measure}"], strict=True)
    texts = standardised.assign(told=[f"{value:.{digits}f} ({error:.{digits}f})" for value, error in pairs])
    return texts.pivot(index=["sex", "exposure"], columns="method", values="told")[METHODS]


cells("bias", 3)

# %%
cells("coverage", 2)

# %% alt="Bias of each method by level, women and men, with Monte Carlo intervals"
figure = Figure(figsize=(7.4, 3.2), layout="constrained")
axes = figure.subplots(1, 2, sharey=True)
for axis, sex in zip(axes, ("female", "male"), strict=True):
    for shift, name in zip(np.linspace(-4, 4, len(METHODS)), METHODS, strict=True):
        rows = standardised[(standardised["sex"] == sex) & (standardised["method"] == name)]
        error = 1.96 * rows["mcse_bias"]
        axis.errorbar(
            rows["exposure"] + shift, rows["bias"], error, fmt="o", markersize=4, linewidth=1, label=name
        )
    axis.axhline(0, color="black", linewidth=0.8)
    axis.set(title={"female": "women", "male": "men"}[sex], xlabel="25(OH)D (nmol/L)")
axes[0].set_ylabel("bias of the log odds ratio")
axes[1].legend(frameon=False, fontsize=8)
figure

# %% tags=["text"]
bias = standardised.set_index(["method", "sex", "exposure"])["bias"]
covered = standardised.set_index(["method", "sex", "exposure"])["coverage"]
ignored = stored[stored["season"] == "ignored"].set_index(["method", "sex", "exposure"])["bias"]


def place(cell):
    """A sex and level in words."""
    return f"{'women' if cell[0] == 'female' else 'men'} at {cell[1]:g} nmol/L"


def how_wrong(method):
    """Mean and largest bias over the eight points, and where intervals cover least, in words."""
    own, least = bias[method], covered[method].idxmin()
    worst = own.abs().idxmax()
    return (
        f"off by {own.abs().mean():.3f} on average, the most by {own[worst]:+.3f}, in {place(worst)}; its intervals "
        f"cover {covered[method].min():.2f} (in {place(least)}) to {covered[method].max():.2f}"
    )


ideal = bias["reference"].abs().mean()
word = "nearly right" if bias["naive"].abs().mean() < ideal + 0.01 else "wrong"
print(
    f"**naive is {word} here**: {how_wrong('naive')}. Everybody's reference values are off by {ideal:.3f} "
    f"on average. The reasons were in section 2: {alike} of {len(local)} laboratories read much as the reference "
    "laboratory does, and five cohorts are the reference. Where scales differ widely it is "
    "[another story](../data/simulation/RESULTS.md): there its intervals mostly miss. Without measuring again, nobody "
    "could have known which case this is."
)
for method in METHODS[2:]:
    print(f"\n**{method}**: {how_wrong(method)}.")
upper = [covered["full", "female", level] for level in (93.75, 110.0)]
print(
    f"\nSo what section 8 showed in women above 90 nmol/L is mostly chance: full's intervals there contain the planted "
    f"value in {upper[0]:.2f} and {upper[1]:.2f} of all draws. This draw is one of the others."
)
print(
    f"\n**reference**, without any laboratory, is {how_wrong('reference')}. No laboratory can mend what is seen "
    "here: the planted curve has a sharp bend, which a spline with four knots rounds off. And **internalized** is "
    f"pulled down at both ends, to {bias['internalized', 'female', 110.0]:+.3f} in women at 110 nmol/L, since the "
    "controls of the calibration subset keep values that vary more than everybody else's."
)
print(
    f"\n**Season**: with the level of the day instead of that of the year, full calibration is off by "
    f"{ignored['full'].abs().mean():.3f} on average and {ignored['full'].abs().max():.3f} at most; standardised, by "
    f"{bias['full'].abs().mean():.3f} and {bias['full'].abs().max():.3f}. Standardising finds more of the flat part of "
    f"the women's curve: at 110 nmol/L the bias is {ignored['full', 'female', 110.0]:+.3f} without and "
    f"{bias['full', 'female', 110.0]:+.3f} with it, and with everybody's reference values "
    f"{ignored['reference', 'female', 110.0]:+.3f} and {bias['reference', 'female', 110.0]:+.3f}."
)

# %% [markdown]
# ## 13. What these data cannot say
#
# - **Whether vitamin D prevents cancer.** They are made up. And were they real: people with high vitamin D are outdoors
#   more, slimmer and more active; a model holds constant what it has, as well as it was measured.
# - **What the reference laboratory itself gets wrong.** It defines the scale. If it reads 10 % high, so does every
#   number here.
# - **Whether the calibrated controls stand for the others**, and their lines for the cases. In these data they do, by
#   construction.
# - **Much above 100 nmol/L**, where one control in 25 is: the intervals say so.
# - **The curve of a lifetime.** It is one blood draw, moved to the middle of its year.
#
# On your own files: [from a messy folder to a report](own-files.py). Why the methods do what they do: [the
# algebra](algebra.py), [the methods in words](../docs/methods.md).
