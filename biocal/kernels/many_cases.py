r"""Exact conditional likelihood of sets with several persons in the rarer role.

The denominator of an n:m set is an elementary symmetric polynomial, built by the recursion of Gail,
Lubin and Rubinstein (Biometrika 1981;68:703-707) and Howard (1972):
``B(d, k) = B(d, k-1) + u_k B(d-1, k-1)``, u = exp(eta).  It is not differentiated.  Each cell is
a mixture: the k-th person is among the d drawn from the first k with probability
``b = u_k B(d-1, k-1) / B(d, k)``, else (``a = 1 - b``) not.  Hence the conditional mean of
T is carried along, ``mean(d, k) = mean(d, k-1) + b delta``, and by the law of total variance along
the path from the last cell back,

``Cov(T) = sum over cells P(path visits cell) a b delta delta'``,
``delta = mean(d-1, k-1) + x_k - mean(d, k-1)``:

a sum of outer products with non-negative weights, positive semi-definite by construction.

Cells are stored as (d, j), d = 1..m, j = k - d = 0..n-m, where row d of B is one cumulative sum, and
the cells of one k are a slice with a constant stride in the flattened table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.set_terms import PersonTerms, SetTerms

FloatArray = NDArray[np.float64]

#: Products of m weights stay above exp(-500), and their sums below overflow up to 900 persons.
_LINEAR_EXPONENT = 500.0
_LINEAR_SIZE = 900


@dataclass(frozen=True, slots=True)
class _Paths:
    """Probabilities of the backward path, for the cells (..., m, n-m+1, s).

    `log_total` is log B(m, n), (..., s); `draw` is b; `chosen` is P(visit) b, the probability that person
    k is drawn as the d-th; `weight` is P(visit) a b.
    """

    log_total: FloatArray
    draw: FloatArray
    chosen: FloatArray
    weight: FloatArray


def many_case_terms(
    eta: FloatArray,
    columns: FloatArray,
    n_first: int,
    *,
    active: NDArray[np.intp] | None = None,
    information: bool = True,
    persons: bool = False,
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
    active : ndarray of int, shape (n_rows,), optional
        For padded sets, sorted by falling size: how many of them have a k-th person.
    information, persons : bool
        What else is wanted.
    """
    eta = eta - eta.max(axis=-2, keepdims=True)
    observed = columns[..., :n_first, :].sum(axis=-2)
    drawn = eta[..., :n_first, :].sum(axis=-2)
    width = -float(np.where(np.isfinite(eta), eta, 0.0).min(initial=0.0))
    linear = n_first * width < _LINEAR_EXPONENT and eta.shape[-2] < _LINEAR_SIZE
    paths = _linear_paths(np.exp(eta), n_first) if linear else _log_paths(eta, n_first)
    before = np.empty((*_lead(paths, columns), columns.shape[-3], *_flat(paths))) if persons else None
    if active is None:
        active = np.full(eta.shape[-2], eta.shape[-1])
    mean, gram = _mean_sweep(paths, columns, n_first, active, information, before)
    detail = None if before is None else _person_terms(paths, before, mean, columns, n_first)
    return SetTerms(drawn - paths.log_total, observed - mean, gram, detail)


def _lead(paths: _Paths, columns: FloatArray) -> tuple[int, ...]:
    return np.broadcast_shapes(paths.draw.shape[:-3], columns.shape[:-3])


def _flat(paths: _Paths) -> tuple[int, int]:
    """Cells and sets."""
    *_, m, width, n_sets = paths.draw.shape
    return m * width, n_sets


def null_terms(columns: FloatArray, n_first: int, sizes: NDArray[np.intp]) -> SetTerms:
    """The same at eta = 0, where every subset is as likely: moments of sampling without replacement.

    Parameters
    ----------
    columns : ndarray, shape (..., p, n_rows, n_sets)
        Columns centred within the set; 0 for padding.
    n_first : int
        m.
    sizes : ndarray of int, shape (n_sets,)
        Persons of each set, padding not counted.
    """
    size = sizes.astype(float)
    log_subsets = np.zeros_like(size)
    for i in range(n_first):
        log_subsets += np.log((size - i) / (i + 1))
    factor = n_first * (size - n_first) / (size * (size - 1))
    weighted = (columns * factor).reshape(*columns.shape[:-2], -1)
    flat = columns.reshape(*columns.shape[:-2], -1)
    loglik = np.broadcast_to(-log_subsets, (*columns.shape[:-3], size.size))
    return SetTerms(
        loglik, columns[..., :n_first, :].sum(axis=-2), np.matmul(weighted, np.swapaxes(flat, -1, -2)), None
    )


def _linear_paths(u: FloatArray, m: int) -> _Paths:
    """Paths in plain numbers; u (..., n_rows, s)."""
    lead, n_sets = u.shape[:-2], u.shape[-1]
    width = u.shape[-2] - m + 1
    poly = np.empty((*lead, m + 1, width, n_sets))
    poly[..., 0, :, :] = 1.0
    add = np.empty((*lead, m, width, n_sets))
    for d in range(1, m + 1):
        np.multiply(u[..., d - 1 : d - 1 + width, :], poly[..., d - 1, :, :], out=add[..., d - 1, :, :])
        np.cumsum(add[..., d - 1, :, :], axis=-2, out=poly[..., d, :, :])
    # share = P(path visits the cell) / B(cell): the same recursion from the other end.
    share = np.empty((*lead, m, width, n_sets))
    share[..., m - 1, :, :] = 1.0 / poly[..., m, -1:, :]
    for d in range(m - 1, 0, -1):
        inflow = u[..., d : d + width, :] * share[..., d, :, :]
        np.cumsum(inflow[..., ::-1, :], axis=-2, out=share[..., d - 1, ::-1, :])
    chosen = add * share
    draw = add / poly[..., 1:, :, :]
    weight = np.empty_like(chosen)
    weight[..., 0, :] = 0.0
    np.divide(poly[..., 1:, :-1, :], poly[..., 1:, 1:, :], out=weight[..., 1:, :])
    weight[..., 1:, :] *= chosen[..., 1:, :]
    return _Paths(np.log(poly[..., m, -1, :]), draw, chosen, weight)


def _log_paths(eta: FloatArray, m: int) -> _Paths:
    """Paths from log B, for predictors whose range would overflow plain numbers; eta (..., n_rows, s)."""
    lead, n_sets = eta.shape[:-2], eta.shape[-1]
    width = eta.shape[-2] - m + 1
    logs = np.zeros((*lead, m + 1, width, n_sets))
    stay = np.zeros((*lead, m, width, n_sets))  # a: k not drawn
    draw = np.ones((*lead, m, width, n_sets))  # b: k drawn
    for d in range(1, m + 1):
        add = eta[..., d - 1 : d - 1 + width, :] + logs[..., d - 1, :, :]
        np.logaddexp.accumulate(add, axis=-2, out=logs[..., d, :, :])
        stay[..., d - 1, 1:, :] = np.exp(logs[..., d, :-1, :] - logs[..., d, 1:, :])
        draw[..., d - 1, 1:, :] = np.exp(add[..., 1:, :] - logs[..., d, 1:, :])
    # Ways to complete the draw behind a cell, in logs, from the other end.
    behind = np.full((*lead, m, width, n_sets), -np.inf)
    behind[..., m - 1, :, :] = 0.0
    for d in range(m - 1, 0, -1):
        inflow = eta[..., d : d + width, :] + behind[..., d, :, :]
        np.logaddexp.accumulate(inflow[..., ::-1, :], axis=-2, out=behind[..., d - 1, ::-1, :])
    visit = np.exp(logs[..., 1:, :, :] + behind - logs[..., m, -1, :][..., None, None, :])
    chosen = visit * draw
    return _Paths(logs[..., m, -1, :], draw, chosen, chosen * stay)


def _mean_sweep(
    paths: _Paths,
    columns: FloatArray,
    m: int,
    active: NDArray[np.intp],
    information: bool,
    before: FloatArray | None,
) -> tuple[FloatArray, FloatArray | None]:
    """Mean of T (..., p, s) and, if wanted, Cov(T) summed over the sets (..., p, p).

    Person by person, so that what is worked on stays in the cache.  `before`, when given, is filled with
    mean(d-1, k-1) of every cell, (..., p, m (n-m+1), s).
    """
    n_rows, n_sets = columns.shape[-2:]
    width = n_rows - m + 1
    lead, p = _lead(paths, columns), columns.shape[-3]
    draw = paths.draw.reshape(*paths.draw.shape[:-3], 1, m * width, n_sets)
    weight = paths.weight.reshape(draw.shape)
    mean = np.zeros((*lead, p, m + 1, n_sets))
    gram = np.zeros((*lead, p, p)) if information else None
    for k in range(1, n_rows + 1):
        n = active[k - 1]
        person = columns[..., k - 1 : k, :n]
        low, high = max(1, k - width + 1), min(k - 1, m)  # d of the cells with a choice
        if before is not None:
            last = min(k, m)
            before[..., _cells(k, low, last, width), :] = mean[..., low - 1 : last, :]
        forced = mean[..., k - 1 : k, :n] + person if k <= m else None
        if low <= high:
            cells = _cells(k, low, high, width)
            delta = mean[..., low - 1 : high, :n] + person
            delta -= mean[..., low : high + 1, :n]
            mean[..., low : high + 1, :n] += draw[..., cells, :n] * delta
            if gram is not None:
                # Two arrays, not one by itself: for so few columns BLAS's syrk is four times slower than gemm.
                weighted = (weight[..., cells, :n] * delta).reshape(*lead, p, -1)
                gram += np.matmul(weighted, np.swapaxes(delta.reshape(*lead, p, -1), -1, -2))
        if forced is not None:
            mean[..., k : k + 1, :n] = forced
    return mean[..., m, :], gram


def _cells(k: int, low: int, high: int, width: int) -> slice:
    """Cells (d, k - d), d = low..high, in the flattened table of `width` cells a row."""
    first = (low - 1) * width + k - low
    step = max(width - 1, 1)
    return slice(first, first + (high - low) * step + 1, step)


def _person_terms(
    paths: _Paths, before: FloatArray, mean: FloatArray, columns: FloatArray, m: int
) -> PersonTerms:
    """Probability and Cov(T, indicator) of each person.

    Given that k is drawn as the d-th, E(T) is mean(d-1, k-1) + x_k + (mean of what is drawn later), the
    last carried back along the path as `later`, already multiplied by P(visit).
    """
    n_rows, n_sets = columns.shape[-2:]
    width = n_rows - m + 1
    p, lead = before.shape[-3], before.shape[:-3]
    chosen = paths.chosen.reshape(*paths.chosen.shape[:-3], 1, m * width, n_sets)
    draw = paths.draw.reshape(*paths.draw.shape[:-3], 1, m * width, n_sets)
    probability = np.zeros((*paths.chosen.shape[:-3], n_rows, n_sets))
    slope = np.empty((*lead, p, n_rows, n_sets))
    later = np.zeros((*lead, p, m + 1, n_sets))
    for k in range(n_rows, 0, -1):
        person = columns[..., k - 1 : k, :]
        low, high = max(1, k - width + 1), min(k, m)
        cells = _cells(k, low, high, width)
        own, share = chosen[..., cells, :], draw[..., cells, :]
        behind = share * later[..., low : high + 1, :]
        probability[..., k - 1, :] = own.sum(axis=-2)[..., 0, :]
        given = before[..., cells, :] + person
        given -= mean[..., None, :]
        slope[..., k - 1, :] = (own * given + behind).sum(axis=-2)
        # One person back: drawn goes to d-1 and adds the person, not drawn stays at d.
        later[..., low : high + 1, :] -= behind
        later[..., low - 1 : high, :] += behind + own * person
    return PersonTerms(probability, slope)
