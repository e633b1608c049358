# %% [markdown]
# # The methods, with the algebra
#
# What is solved, where the standard errors come from, why internalized calibration is biased, and how the induced
# likelihood arises. After each derivation the result is computed by hand, in a few lines of NumPy that know
# nothing of biocal, and set beside what biocal gives.
#
# ## 1. Data
#
# Studies $s$, matched sets $j$, persons $i$. $Y$ is case status, $Z$ covariates, $X$ the value of the reference
# laboratory, $W$ that of the study's own. In a *local* study everybody has $W$, and some controls, its
# *calibration subset*, have $X$ too; in a *reference* study everybody has $X$. $V$ stands for the covariates of
# the calibration: by default $Z$ and the matching factors.
#
# The example has two local studies of matched pairs and one reference study. Among controls $X$ has a gamma law
# with mean 60 and SD 20; the true log odds ratio is $-0.02\,x$, so that the law of $X$ among cases is again
# gamma. All of it is drawn.

# %%
import numpy as np
import pandas as pd

import biocal as bc

rng = np.random.default_rng(5)
LABORATORIES = {"A": None, "B": (12, 0.75), "C": (-8, 1.3)}  # X = a + b W + error


def drawn(study, line, pairs=300, calibrators=60):
    case = np.tile([1, 0], pairs)
    x = rng.gamma(9, 1 / (0.15 + 0.02 * case))
    table = pd.DataFrame({"study": study, "set": np.repeat(np.arange(pairs), 2), "case": case})
    if line is None:
        return table.assign(local=np.nan, reference=x)
    table["local"] = (x + rng.normal(0, 10, x.size) - line[0]) / line[1]
    measured_again = rng.choice(np.flatnonzero(case == 0), calibrators, replace=False)
    table.loc[measured_again, "reference"] = x[measured_again]
    return table


people = pd.concat([drawn(name, line) for name, line in LABORATORIES.items()], ignore_index=True)
pool = bc.PooledStudies.from_frame(people)
KNOTS = (34.0, 58.0, 87.0)
options = {"exposure": bc.rcs(knots=KNOTS), "calibration_covariates": "none", "reference": 60.0}
full = bc.fit(pool, method="full", **options)
full.params

# %% [markdown]
# ## 2. The estimating equations
#
# **Calibration.** In the controls of a calibration subset
#
# $$ X = a_s + b_s W + c^\top V + e, \qquad \mathrm{E}(e \mid W, V, Y=0) = 0 . $$
#
# Least squares solves $\sum_i r_i C_i = 0$, with $r_i$ the residual and $C_i = (1, W_i, V_i)$, the first two in
# the columns of study $s$. Write $\gamma$ for all of $a_s, b_s, c$, and $\mu_i(\gamma) = a_s + b_s W_i + c^\top
# V_i$.
#
# **Outcome.** Let $x_i(\gamma)$ be the exposure that a method gives to person $i$. Full calibration takes $X_i$
# in reference studies and $\mu_i(\gamma)$ for *everybody* in local ones. With $f$ the exposure's columns (here
# those of a restricted cubic spline) and $q_i = (f(x_i), Z_i)$, the conditional likelihood of set $j$, which has
# $m$ cases, is
#
# $$ L_j(\beta) = \frac{\exp\left(\sum_{i \in \mathrm{cases}} q_i^\top \beta\right)}
# {\sum_{R \in \mathcal{R}_j} \exp\left(\sum_{i \in R} q_i^\top \beta\right)}, $$
#
# $\mathcal{R}_j$ all the subsets of $m$ persons of the set. Write $T_R = \sum_{i \in R} q_i$, and $T_0$ for the
# cases' own. Under the probabilities $p_R \propto \exp(T_R^\top \beta)$ the score and the information are
#
# $$ U_j = T_0 - \mathrm{E}(T), \qquad \mathrm{Cov}(T) . $$
#
# **Together.** $\theta = (\gamma, \beta)$ solves $\sum_j \psi_j(\theta) = 0$ with
#
# $$ \psi_j(\theta) = \left( \sum_{i \in j,\ \mathrm{calibrated}} r_i C_i ,\ U_j \right) . $$
#
# By hand, for pairs, where $U_j = d_j\,(1 - \mathrm{expit}(d_j^\top \beta))$, $d_j$ the difference of case and
# control:


# %%
def spline(x):
    """Columns of a restricted cubic spline with three knots, shape (n, 2)."""
    t1, t2, t3 = KNOTS

    def cube(t):
        return np.maximum(x - t, 0) ** 3

    bend = cube(t1) - cube(t2) * (t3 - t1) / (t3 - t2) + cube(t3) * (t2 - t1) / (t3 - t2)
    return np.column_stack([x, bend / (t3 - t1) ** 2])


study, case = people["study"].to_numpy(), people["case"].to_numpy() == 1
W, X = people["local"].to_numpy(), people["reference"].to_numpy()
local = {name: study == name for name in ("B", "C")}


def psi(theta):
    """Scores, a row a matched pair: (a_B, b_B, a_C, b_C, beta_1, beta_2)."""
    exposure = X.copy()
    scores = np.zeros((people.shape[0] // 2, 6))
    for k, rows in enumerate(local.values()):
        a, b = theta[2 * k : 2 * k + 2]
        both = rows & np.isfinite(X)
        residual = np.where(both, X - a - b * W, 0.0)
        by_person = np.column_stack([residual, residual * np.where(both, W, 0.0)])
        scores[:, 2 * k : 2 * k + 2] = by_person[case] + by_person[~case]
        exposure[rows] = a + b * W[rows]
    f = spline(exposure)
    difference = f[case] - f[~case]
    scores[:, 4:] = difference * (1 / (1 + np.exp(difference @ theta[4:])))[:, None]
    return scores


lines = full.calibration.tidy().set_index("study")
theta = np.array(
    [*lines.loc["B", ["intercept", "slope"]], *lines.loc["C", ["intercept", "slope"]], *full.params]
)
psi(theta).sum(axis=0).round(6)

# %% [markdown]
# biocal's estimates solve the equations.
#
# ## 3. The sandwich
#
# Expand $0 = \sum_j \psi_j(\hat\theta)$ about the true $\theta$:
#
# $$ \hat\theta - \theta \approx B^{-1} \sum_j \psi_j(\theta), \qquad
# B = -\frac{\partial}{\partial\theta} \sum_j \psi_j , $$
#
# and since sets are independent
#
# $$ \widehat{\mathrm{Cov}}(\hat\theta) = B^{-1} M B^{-\top}, \qquad M = \sum_j \psi_j \psi_j^\top . $$
#
# The calibration does not depend on $\beta$, so that $B$ is block triangular,
#
# $$ B = \begin{pmatrix} B_{11} & 0 \\ B_{21} & B_{22} \end{pmatrix}, \qquad
# B_{11} = \sum C_i C_i^\top, \qquad B_{22} = \sum_j \mathrm{Cov}(T), $$
#
# and the part of $\hat\beta$ is
#
# $$ \hat\beta - \beta \approx B_{22}^{-1} \sum_j \left( U_j - B_{21} B_{11}^{-1} \psi_{1j} \right) : $$
#
# each set has its own score, and through $B_{21}$ what its calibrators did to everybody's exposure. Leave the
# second term out and the interval takes the laboratories as known.
#
# **The cross block** is the derivative of $U_j$ with respect to a parameter $c$ of the calibration. A dot is that
# derivative: $\dot{q}_i = f'(x_i)\, \partial \mu_i / \partial c$ for persons whose exposure is calibrated, 0 for
# others; $\dot{T}_R$ its sum over $R$. The weights change too, $\partial p_R / \partial c = p_R \left( \beta^\top
# \dot{T}_R - \mathrm{E}(\beta^\top \dot{T}) \right)$, hence
#
# $$ \frac{\partial U_j}{\partial c} = {\dot{T}}_0 - \mathrm{E}(\dot{T}) - \mathrm{Cov}(T, \beta^\top \dot{T}) . $$
#
# By hand, with $B$ by central differences instead of this formula:

# %%
steps = 1e-4 * np.array([1, 0.01, 1, 0.01, 0.01, 0.01])
columns = [
    -(psi(theta + step).sum(axis=0) - psi(theta - step).sum(axis=0)) / (2 * step.max())
    for step in np.diag(steps)
]
B = np.column_stack(columns)
M = psi(theta).T @ psi(theta)
covariance = np.linalg.solve(B, np.linalg.solve(B, M).T)
by_hand, biocals = covariance[4:, 4:], full.cov_params().to_numpy()
pd.DataFrame(
    {
        "by hand": np.sqrt(np.diag(by_hand)),
        "biocal": full.bse.to_numpy(),
        "calibration taken as known": np.sqrt(np.diag(full.vcov_uncorrected)),
    },
    index=full.terms,
)

# %%
print(f"largest relative difference of the two matrices: {np.abs(by_hand / biocals - 1).max():.1e}")

# %% [markdown]
# **Shares.** For a contrast $l$, such as the log odds ratio at 40 against 60, $l = f(40) - f(60)$, the part of
# the variance that the calibration of study $s$ adds is $l^\top A M_{11,s} A^\top l$ with $A = B_{22}^{-1} B_{21}
# B_{11}^{-1}$ and $M_{11,s}$ that study's block of $M$. The cross terms with $U$ stand apart, so that shares need
# not add to the whole.

# %%
contrast = (spline(np.array([40.0])) - spline(np.array([60.0])))[0]
A = np.linalg.solve(B[4:, 4:], B[4:, :4]) @ np.linalg.inv(B[:4, :4])
shares = {}
for k, name in enumerate(local):
    block = np.zeros((4, 4))
    block[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = M[2 * k : 2 * k + 2, 2 * k : 2 * k + 2]
    shares[name] = contrast @ A @ block @ A.T @ contrast / (contrast @ by_hand @ contrast)
full.dose_response(at=[40.0]).variance_shares().assign(by_hand=list(shares.values())).round(6)

# %% [markdown]
# ## 4. Why internalized calibration is biased
#
# Internalized calibration uses $X_i$ itself where it was measured. Let nobody's risk depend on the exposure, so
# that $\beta = 0$ and a pair's score is $f(\mathrm{case}) - f(\mathrm{control})$ over 2. The case has $\mu$; the
# control has $X = \mu + e$ with probability $\pi$, the share of controls that were calibrated. To second order in
# $e$, whose variance is $\sigma^2$,
#
# $$ \mathrm{E}(U) = -\frac{\pi}{2} \left\{ \mathrm{E} f(\mu + e) - \mathrm{E} f(\mu) \right\}
# \approx -\frac{\pi}{4}\, \sigma^2\, \mathrm{E} f''(\mu) . $$
#
# For a column that bends this is not 0, at any number of sets: the curve is bent to make up for it. The bias
# grows with the share $\pi$ and with the assay's variance. A straight line has $f'' = 0$ and escapes at $\beta =
# 0$, though not elsewhere. Full calibration gives cases and controls exposures of one kind and has $\mathrm{E}(U)
# = 0$.
#
# In numbers, 40,000 pairs without any effect, half of the controls calibrated:

# %%
mu = rng.normal(60, 17, (40_000, 2))  # case, control
error = rng.normal(0, 10, 40_000)
chosen = rng.random(40_000) < 0.5
seen = np.where(chosen, mu[:, 1] + error, mu[:, 1])
score = (spline(mu[:, 0]) - spline(seen)) / 2
curvature = (spline(mu[:, 1] + 0.5) - 2 * spline(mu[:, 1]) + spline(mu[:, 1] - 0.5)) / 0.25
pd.DataFrame(
    {
        "mean score": score.mean(axis=0),
        "(standard error)": score.std(axis=0) / 200,
        "formula": -0.5 / 4 * 100 * curvature.mean(axis=0),
    },
    index=full.terms,
).round(4)

# %% [markdown]
# ## 5. The induced likelihood
#
# Full calibration puts $\mu = \mathrm{E}(X \mid W, V)$ into a curve, where the curve's own mean is wanted. There
# is no need to approximate. Let the odds of disease be $\exp(\alpha(V) + \beta^\top f(X))$, and the measurement
# *non-differential*: given $X$ and $V$, $W$ says nothing of $Y$. Then
#
# $$ \begin{aligned}
# P(Y=1, W=w \mid V) &= \int P(Y=1 \mid x, V)\, p(x, w \mid V)\, dx \\
# &= \int \frac{P(Y=1 \mid x, V)}{P(Y=0 \mid x, V)}\; p(x, w, Y=0 \mid V)\, dx \\
# &= P(Y=0, W=w \mid V) \int e^{\alpha(V) + \beta^\top f(x)}\, p(x \mid w, V, Y=0)\, dx ,
# \end{aligned} $$
#
# and so, with no assumption that the disease is rare,
#
# $$ \mathrm{odds}(Y=1 \mid W, V) = e^{\alpha(V)} M(\beta), \qquad
# M(\beta) = \mathrm{E}\left[ e^{\beta^\top f(X)} \mid W, V, Y=0 \right] . $$
#
# This is Prentice's (1982) induced relative risk. $\alpha(V)$ is the same for all of a matched set and cancels,
# so that the conditional likelihood of section 2 holds with $M_i$ in place of $\exp(f(x_i)^\top \beta)$. The law
# of $X$ given $W, V$ *among controls* is just what a calibration subset of controls estimates. Persons of
# reference studies keep $M_i = \exp(f(X_i)^\top \beta)$; calibrated controls enter with their $W$, as in full
# calibration, for being calibrated tells that they are controls.
#
# **What is averaged matters.** It is the odds. To average the conditional *probability* of the set over the same
# law is another thing, and not consistent when the law is that of controls.
#
# **Straight lines.** For $f(x) = x$ and a normal law, $\log M = \beta \mu + \beta^2 \sigma_s^2 / 2$; the second
# term is the same for all of a set and cancels, unless a modifier differs within it. Induced and full are then one
# estimator:

# %%
straight = bc.fit(pool, method=["full", "induced"], exposure=bc.linear(), calibration_covariates="none")
straight.tidy()[["method", "estimate", "std_error"]]

# %% [markdown]
# **Curves.** The expectation is a Gauss-Hermite sum over 20 nodes $x_{ik} = \mu_i + \sqrt{2}\, \sigma_s z_k$ with
# weights $w_k$; the score of a person is the mean of $f$ under the weights $w_k \exp(f(x_{ik})^\top \beta)$:
#
# $$ \frac{\partial \log M_i}{\partial \beta} =
# \frac{\sum_k w_k\, e^{f(x_{ik})^\top \beta} f(x_{ik})}{\sum_k w_k\, e^{f(x_{ik})^\top \beta}} . $$
#
# By hand, the log-likelihood of the pairs as a function of $\beta$, and its slope at biocal's estimate:

# %%
induced = bc.fit(pool, method="induced", **options)
nodes, weights = np.polynomial.hermite.hermgauss(20)
mean, spread = X.copy(), np.zeros(len(X))
for name, rows in local.items():
    a, b = lines.loc[name, ["intercept", "slope"]]
    pairs = rows & np.isfinite(X)
    mean[rows] = a + b * W[rows]
    spread[rows] = np.sqrt(((X - a - b * W)[pairs] ** 2).sum() / (pairs.sum() - 2))
at_nodes = np.stack([spline(mean + np.sqrt(2) * spread * z) for z in nodes])  # (20, persons, 2)


def loglik(beta):
    log_m = np.log(np.einsum("k,kn->n", weights / np.sqrt(np.pi), np.exp(at_nodes @ beta)))
    return -np.log1p(np.exp(log_m[~case] - log_m[case])).sum()


best = induced.params.to_numpy()
slope = [(loglik(best + step) - loglik(best - step)) / 2e-6 for step in 1e-6 * np.eye(2)]
print(f"log-likelihood by hand {loglik(best):.8f}, biocal {induced.loglik:.8f}")
print("standardised slope at the estimate:", (np.array(slope) * induced.bse.to_numpy()).round(5))

# %% [markdown]
# **Its sandwich** is that of section 3 with three changes: $B_{22}$ is the observed Hessian of this likelihood,
# since the information identity does not hold for it; $B_{21}$ has the derivatives of $\log M_i$; and the
# residual variances join $\theta$, with the estimating functions $r_i^2 - \sigma_s^2 (1 - h)$, $h$ the mean
# leverage of the study's pairs.
#
# ## 6. Two stages
#
# Each study has its own calibration, its own $\hat\beta_s$ over common knots, and its own sandwich $V_s$. With
# $\hat\beta_s \sim N(\beta_s, V_s)$ and $\beta_s \sim N(\beta, T)$ the pooled estimate is
#
# $$ \hat\beta = \left\{ \sum_s (V_s + \hat{T})^{-1} \right\}^{-1} \sum_s (V_s + \hat{T})^{-1} \hat\beta_s , $$
#
# $\hat{T}$ by restricted maximum likelihood; $T = 0$ is the fixed effect. One reference exposure and one set of
# knots are needed for the $\beta_s$ to be coefficients of the same columns.
#
# ## 7. What the algebra assumes, and cannot see
#
# $\mathrm{E}(e \mid W, V, Y=0) = 0$ with the right $V$; controls measured again that stand for the others; a
# measurement that does not know who is a case; one curve for all studies, except in section 6; knots taken as
# known; many sets; for induced the law of $e$, normal with one variance a study. None of it can be read off the
# interval. Full calibration of a bent curve is an approximation even where all of it holds. The reference laboratory's
# own error is not in it: what is estimated is the curve in what *that laboratory* measures.
