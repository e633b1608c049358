"""The conditional likelihood of a matched set with every subset written out: slow, and plainly right."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np


@dataclass(frozen=True)
class Enumerated:
    """loglik, score (p,), information (p, p), probability (n,), slope (p, n) of one set or of several."""

    loglik: float
    score: np.ndarray
    information: np.ndarray
    probability: np.ndarray
    slope: np.ndarray


def enumerate_set(eta, columns, is_case) -> Enumerated:
    """One set: eta (n,) log relative risks, columns (p, n) their derivatives, is_case (n,).

    Sums in extended precision, so that the reference is not the less exact of the two.
    """
    eta, columns = np.asarray(eta, dtype=np.longdouble), np.asarray(columns, dtype=np.longdouble)
    n, m = eta.size, int(is_case.sum())
    member = np.zeros((0, n), dtype=np.longdouble)
    subsets = list(combinations(range(n), m))
    member = np.zeros((len(subsets), n), dtype=np.longdouble)
    for row, subset in enumerate(subsets):
        member[row, list(subset)] = 1
    exponent = member @ eta
    top = exponent.max()
    weight = np.exp(exponent - top)
    log_total = top + np.log(weight.sum())
    weight /= weight.sum()
    totals = member @ columns.T
    mean = weight @ totals
    centred = totals - mean
    probability = weight @ member
    observed = is_case.astype(np.longdouble)
    return Enumerated(
        float(observed @ eta - log_total),
        (columns @ observed - mean).astype(float),
        ((weight[:, None] * centred).T @ centred).astype(float),
        probability.astype(float),
        ((weight[:, None] * centred).T @ (member - probability)).astype(float),
    )


def enumerate_sets(eta, columns, is_case, set_code) -> Enumerated:
    """Several sets in any row order: score (p, n_sets), probability (n,), slope (p, n); the others summed.

    Sets without a case or without a control count nothing.
    """
    p, n = columns.shape
    n_sets = int(set_code.max()) + 1
    loglik, score, information = 0.0, np.zeros((p, n_sets)), np.zeros((p, p))
    probability, slope = is_case.astype(float), np.zeros((p, n))
    for code in range(n_sets):
        rows = np.flatnonzero(set_code == code)
        if rows.size == 0 or is_case[rows].all() or not is_case[rows].any():
            continue
        one = enumerate_set(eta[rows], columns[:, rows], is_case[rows])
        loglik += one.loglik
        score[:, code] = one.score
        information += one.information
        probability[rows], slope[:, rows] = one.probability, one.slope
    return Enumerated(loglik, score, information, probability, slope)
