"""Estimating functions of calibrations in any form by any estimator, written out anew."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from biocal.model.calibration.huber import TUNING, normal_expectation
from biocal.model.calibration.lines import dense_rows


def estimating_functions(one, rows, response, theta):
    """Scores of every pair at any theta = (gamma, variances), written out anew: (n_pairs, G + 2)."""
    design = dense_rows(one.form.columns(rows), one.layout)
    size = design.shape[1]
    gamma, variance = theta[:size], theta[size:][rows.group]
    residual = response - design @ gamma
    share = np.array([one.freedom[g] / (rows.group == g).sum() for g in (0, 1)])[rows.group]
    if one.estimator == "least-squares":
        of_mean, of_variance = residual, residual**2 - variance * share
    elif one.estimator == "huber":
        limit = TUNING * np.sqrt(variance)
        of_mean = np.clip(residual, -limit, limit)
        of_variance = of_mean**2 - normal_expectation(TUNING) * variance * share
    else:
        sigma = np.sqrt(variance * share)  # the maximum-likelihood one
        z = residual / sigma
        ratio = norm.pdf(z) / norm.cdf(z)
        of_mean = np.where(one.censored, -ratio, z) / sigma
        of_variance = np.where(one.censored, -ratio * z, z * z - 1) / (2 * variance)
    own = np.zeros((rows.study.size, 2))
    own[np.arange(rows.study.size), rows.group] = of_variance
    return np.hstack([of_mean[:, None] * design, own])
