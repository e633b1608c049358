"""The induced relative risk person by person, written as the formula reads; and small pools to try it on."""

from __future__ import annotations

import numpy as np
import pandas as pd
from enumeration import enumerate_set
from numpy.polynomial.hermite_e import hermegauss
from scipy.stats import norm


def log_risk_and_gradient(b, mean, sd, basis, nodes=20, residuals=None):
    """log M and the mean of f under the tilted law, for one person; sd None: the exposure is known."""
    if sd is None:
        column = basis.columns(np.array([mean]))[:, 0]
        return float(b @ column), column
    if basis.kind == "categories" and residuals is None:
        low, high = np.array([-np.inf, *basis.cuts]), np.array([*basis.cuts, np.inf])
        probability = norm.cdf((high - mean) / sd) - norm.cdf((low - mean) / sd)
        others = [k for k in range(low.size) if k != basis.reference]
        odds = np.ones(low.size)
        odds[others] = np.exp(b)
        risk = float(probability @ odds)
        return np.log(risk), (probability * odds)[others] / risk
    if residuals is None:
        points, weights = hermegauss(nodes)
        points, weights = mean + sd * points, weights / np.sqrt(2 * np.pi)
    else:
        points, weights = mean + residuals, np.full(residuals.size, 1 / residuals.size)
    columns = basis.columns(points)
    terms = weights * np.exp(b @ columns)
    return float(np.log(terms.sum())), columns @ terms / terms.sum()


def set_terms(beta, persons, positions, other_positions, basis, *, nodes=20):
    """Enumeration of one set: persons are dicts with mean, sd, A (1 + km,), z, case."""
    eta, columns = [], np.zeros((beta.size, len(persons)))
    for i, person in enumerate(persons):
        own = beta[positions].T @ person["A"]
        log_risk, gradient = log_risk_and_gradient(own, person["mean"], person["sd"], basis, nodes)
        eta.append(log_risk + beta[other_positions] @ person["z"])
        columns[positions, i] = np.outer(person["A"], gradient)
        columns[other_positions, i] = person["z"]
    return enumerate_set(np.array(eta), columns, np.array([person["case"] for person in persons]))


def induced_frame(
    seed, *, shapes, calibrators, sd=0.5, studies=3, covariate=True, modifier=None, residual_sd=0.6
):
    """A pool in which study 1 is a reference study: a DataFrame with study, set, case, local, reference, z, m.

    `shapes` are the (cases, controls) of each study's sets; `modifier` is None, "levels" or "continuous".
    """
    rng = np.random.default_rng(seed)
    rows = []
    for study in range(1, studies + 1):
        for j, (m, c) in enumerate(shapes):
            for k in range(m + c):
                z = rng.normal()
                level = float(rng.integers(0, 2)) if modifier == "levels" else rng.normal()
                x = 4 + 0.3 * z + rng.normal() + (0.4 if k < m else 0.0)
                local = (x - 0.3 * study + residual_sd * rng.normal()) / (0.7 + 0.2 * study)
                rows.append([study, j, int(k < m), local, x, z, level])
    frame = pd.DataFrame(rows, columns=["study", "set", "case", "local", "reference", "z", "m"])
    frame.loc[frame.study == 1, "local"] = np.nan
    keep = frame.study == 1
    for study in range(2, studies + 1):
        controls = frame.index[(frame.study == study) & (frame.case == 0)]
        keep |= frame.index.isin(rng.choice(controls, calibrators, replace=False))
    frame["reference"] = frame["reference"].where(keep)
    frame = frame.drop(columns=[name for name, used in (("z", covariate), ("m", modifier)) if not used])
    return frame.sample(frac=1, random_state=seed).reset_index(drop=True)
