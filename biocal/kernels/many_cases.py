r"""Exact conditional likelihood of sets with several persons in the rarer role.

The denominator of an n:m set is an elementary symmetric polynomial, built by the recursion of Gail,
Lubin and Rubinstein (Biometrika 1981;68:703-707) and Howard (1972):
``B(d, k) = B(d, k-1) + u_k B(d-1, k-1)``, u = exp(eta).  It is not differentiated.  Each cell is
a mixture: the k-th person is among the d drawn from the first k with probability
``b = u_k B(d-1, k-1) / B(d, k)``, else (``a = 1 - b``) not.  Hence the conditional mean of
T is carried along, and by the law of total variance along the path from the last cell back,

``Cov(T) = sum over cells P(path visits cell) a b delta delta'``,
``delta = mean(d-1, k-1) + x_k - mean(d, k-1)``:

a sum of outer products with non-negative weights, positive semi-definite by construction.

The cells are held as (d, j), j = k - d = 0..n-m, so that a whole row d is one cumulative sum.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.set_terms import PersonTerms, SetTerms

FloatArray = NDArray[np.float64]

#: Products of m weights stay above exp(-500), and their sums below overflow up to 900 persons.
_LINEAR_EXPONENT = 500.0
_LINEAR_SIZE = 900


def many_case_terms(
    eta: FloatArray, columns: FloatArray, n_first: int, *, information: bool = True, persons: bool = False
) -> SetTerms:
    """Log-likelihood, score and information of n:m sets.

    Parameters
    ----------
    eta : ndarray, shape (..., n_rows, n_sets)
        Linear predictors, the `n_first` persons of the rarer role first; -inf for padding.
    columns : ndarray, shape (..., p, n_rows, n_sets)
        Score columns, best centred within the set; 0 for padding.
    n_first : int
        m, persons in the rarer role.
    """
    top = eta.max(axis=-2, keepdims=True)
    eta = eta - top
    observed = columns[..., :n_first, :].sum(axis=-2)
    drawn = eta[..., :n_first, :].sum(axis=-2)
    lead = np.broadcast_shapes(eta.shape[:-2], columns.shape[:-3])
    finite = np.where(np.isfinite(eta), eta, 0.0)
    width = -float(finite.min(initial=0.0))
    if n_first * width < _LINEAR_EXPONENT and eta.shape[-2] < _LINEAR_SIZE:
        table = _linear_table(np.exp(eta), columns, n_first, lead)
    else:
        table = _log_table(eta, columns, n_first, lead)
    log_total, mean, weight, delta, chosen, before, after = table
    gram: FloatArray | None = None
    p = columns.shape[-3]
    if information:
        flat = delta.reshape(*lead, p, -1)
        weighted = (delta * weight[..., None, :, :, :]).reshape(*lead, p, -1)
        gram = np.matmul(weighted, np.swapaxes(flat, -1, -2))
    detail = _person_terms(chosen, before, after, mean, columns, n_first) if persons else None
    return SetTerms(drawn - log_total, observed - mean, gram, detail)


_Table = tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]


def _linear_table(u: FloatArray, columns: FloatArray, m: int, lead: tuple[int, ...]) -> _Table:
    """Cells of the recursion in plain numbers.

    Returns log B(m, n) (..., s); the mean of T (..., p, s); and for the cells (..., m, n-m+1, s):
    P(visit) a b, delta (with p), P(k drawn as the d-th), and the means of T before and after it (with p).
    """
    n_rows, n_sets = u.shape[-2:]
    p, width = columns.shape[-3], n_rows - m + 1
    poly = np.ones((*lead, m + 1, width, n_sets))
    mean = np.zeros((*lead, p, m + 1, width, n_sets))
    add = np.empty((*lead, m, width, n_sets))
    for d in range(1, m + 1):
        rows = slice(d - 1, d - 1 + width)
        np.multiply(u[..., rows, :], poly[..., d - 1, :, :], out=add[..., d - 1, :, :])
        np.cumsum(add[..., d - 1, :, :], axis=-2, out=poly[..., d, :, :])
        moment = mean[..., d - 1, :, :] + columns[..., rows, :]
        moment *= add[..., None, d - 1, :, :]
        np.cumsum(moment, axis=-2, out=mean[..., d, :, :])
        mean[..., d, :, :] /= poly[..., None, d, :, :]
    # share = P(path visits the cell) / B(cell): the same recursion from the other end.
    share = np.empty((*lead, m, width, n_sets))
    share[..., m - 1, :, :] = 1.0 / poly[..., m, -1:, :]
    suffix = np.zeros((*lead, p, m, width, n_sets))
    for d in range(m - 1, 0, -1):
        inflow = u[..., d : d + width, :] * share[..., d, :, :]
        _reverse_cumsum(inflow, share[..., d - 1, :, :])
        moment = suffix[..., d, :, :] + columns[..., d : d + width, :]
        moment *= inflow[..., None, :, :]
        _reverse_cumsum(moment, suffix[..., d - 1, :, :])
        # Behind the last real row of a padded set nothing can be drawn: 0 / 0, and never visited.
        some = share[..., None, d - 1, :, :] > 0
        np.divide(suffix[..., d - 1, :, :], share[..., None, d - 1, :, :], out=suffix[..., d - 1, :, :], where=some)
    chosen = add * share
    before = mean[..., :-1, :, :]
    delta = np.zeros((*lead, p, m, width, n_sets))
    for d in range(m):
        delta[..., d, 1:, :] = before[..., d, 1:, :] + columns[..., d + 1 : d + width, :]
        delta[..., d, 1:, :] -= mean[..., d + 1, :-1, :]
    weight = np.zeros_like(chosen)
    weight[..., 1:, :] = chosen[..., 1:, :] * (poly[..., 1:, :-1, :] / poly[..., 1:, 1:, :])
    return np.log(poly[..., m, -1, :]), mean[..., m, -1, :], weight, delta, chosen, before, suffix


def _reverse_cumsum(values: FloatArray, out: FloatArray) -> None:
    np.cumsum(values[..., ::-1, :], axis=-2, out=out[..., ::-1, :])


def _log_table(eta: FloatArray, columns: FloatArray, m: int, lead: tuple[int, ...]) -> _Table:
    """The same cells with log B, for predictors whose range would overflow plain numbers."""
    n_rows, n_sets = eta.shape[-2:]
    p, width = columns.shape[-3], n_rows - m + 1
    logs = np.zeros((*lead, m + 1, width, n_sets))
    mean = np.zeros((*lead, p, m + 1, width, n_sets))
    log_add = np.empty((*lead, m, width, n_sets))
    stay = np.zeros((*lead, m, width, n_sets))  # a: k not drawn
    draw = np.ones((*lead, m, width, n_sets))  # b: k drawn
    for d in range(1, m + 1):
        rows = slice(d - 1, d - 1 + width)
        log_add[..., d - 1, :, :] = eta[..., rows, :] + logs[..., d - 1, :, :]
        np.logaddexp.accumulate(log_add[..., d - 1, :, :], axis=-2, out=logs[..., d, :, :])
        stay[..., d - 1, 1:, :] = _ratio(logs[..., d, :-1, :], logs[..., d, 1:, :])
        draw[..., d - 1, 1:, :] = _ratio(log_add[..., d - 1, 1:, :], logs[..., d, 1:, :])
        moment = mean[..., d - 1, :, :] + columns[..., rows, :]
        mean[..., d, 0, :] = moment[..., 0, :]
        for j in range(1, width):
            mean[..., d, j, :] = (
                stay[..., None, d - 1, j, :] * mean[..., d, j - 1, :]
                + draw[..., None, d - 1, j, :] * moment[..., j, :]
            )
    visit = np.zeros((*lead, m, width, n_sets))
    suffix = np.zeros((*lead, p, m, width, n_sets))  # sum of what is drawn later, times P(visit)
    for d in range(m, 0, -1):
        for j in range(width - 1, -1, -1):
            reach = visit[..., d - 1, j, :]
            later = suffix[..., d - 1, j, :]
            if d == m and j == width - 1:
                reach[...] = 1.0
            if j + 1 < width:
                reach += stay[..., d - 1, j + 1, :] * visit[..., d - 1, j + 1, :]
                later += stay[..., None, d - 1, j + 1, :] * suffix[..., d - 1, j + 1, :]
            if d < m:
                reach += draw[..., d, j, :] * visit[..., d, j, :]
                later += draw[..., None, d, j, :] * (
                    suffix[..., d, j, :] + visit[..., None, d, j, :] * columns[..., d + j, :]
                )
    suffix = np.divide(suffix, visit[..., None, :, :, :], out=np.zeros_like(suffix), where=visit[..., None, :, :, :] > 0)
    before = mean[..., :-1, :, :]
    delta = np.zeros((*lead, p, m, width, n_sets))
    for d in range(m):
        delta[..., d, 1:, :] = before[..., d, 1:, :] + columns[..., d + 1 : d + width, :]
        delta[..., d, 1:, :] -= mean[..., d + 1, :-1, :]
    chosen = visit * draw
    return logs[..., m, -1, :], mean[..., m, -1, :], chosen * stay, delta, chosen, before, suffix


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """exp(numerator - denominator), 0 where the numerator is log 0."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isneginf(numerator), 0.0, np.exp(numerator - denominator))


def _person_terms(
    chosen: FloatArray, before: FloatArray, after: FloatArray, mean: FloatArray, columns: FloatArray, m: int
) -> PersonTerms:
    """Sum over d of P(k drawn as the d-th), and of that times E(T | so drawn) - E(T)."""
    n_rows = columns.shape[-2]
    width = n_rows - m + 1
    probability = np.zeros((*chosen.shape[:-3], n_rows, chosen.shape[-1]))
    slope = np.zeros((*before.shape[:-3], n_rows, chosen.shape[-1]))
    for d in range(m):
        rows = slice(d, d + width)
        probability[..., rows, :] += chosen[..., d, :, :]
        given = before[..., d, :, :] + columns[..., rows, :] + after[..., d, :, :] - mean[..., None, :]
        slope[..., rows, :] += chosen[..., None, d, :, :] * given
    return PersonTerms(probability, slope)
