r"""Exact conditional likelihood of sets with several persons in the rarer role.

The denominator of an n:m set is an elementary symmetric polynomial B(m, n), whose recursion and paths are in
:mod:`biocal.kernels.sets.draw_paths`.  It is not differentiated.  Each cell is a mixture: the k-th person is among
the d drawn from the first k with probability b, else (``a = 1 - b``) not.  Hence the conditional mean of T is carried
along, ``mean(d, k) = mean(d, k-1) + b delta``, and by the law of total variance along the path from the last cell
back,

``Cov(T) = sum over cells P(path visits cell) a b delta delta'``,
``delta = mean(d-1, k-1) + x_k - mean(d, k-1)``:

a sum of outer products with non-negative weights, positive semi-definite by construction.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.sets.draw_paths import (
    Paths,
    Step,
    aligned,
    filled_up,
    linear_paths,
    linear_probabilities,
    log_paths,
    steps_of_draw,
)
from biocal.kernels.sets.terms import PersonTerms, SetTerms

FloatArray = NDArray[np.float64]

#: Products of m weights stay above exp(-500), and their sums below overflow up to 900 persons.
_LINEAR_EXPONENT = 500.0
_LINEAR_SIZE = 900


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
        Score columns, best centred within the set; 0 for padding.  With more sets, all 0, up to whole lanes they
        need not be copied.
    n_first : int
        m, persons in the rarer role.
    active : ndarray of int, shape (n_rows,), optional
        For padded sets, sorted by falling size: how many of them have a k-th person.
    information, persons : bool
        What else is wanted.  Log-likelihood and score alone take a third of the time.
    """
    n_rows, n_sets = eta.shape[-2:]
    steps = steps_of_draw(n_rows, n_first, [n_sets] * n_rows if active is None else active.tolist())
    relative, columns = _in_lanes(eta, columns, filled_up(n_sets, n_rows, n_first))
    drawn = relative[..., :n_first, :].sum(axis=-2)
    observed = columns[..., :n_first, :].sum(axis=-2)
    width = -float(np.where(np.isfinite(relative), relative, 0.0).min(initial=0.0))
    linear = n_first * width < _LINEAR_EXPONENT and n_rows < _LINEAR_SIZE
    if linear:
        u = np.exp(relative, out=relative)
        if not (information or persons):
            log_total, probability = linear_probabilities(u, n_first, steps)
            score = observed - np.einsum("...ks,...pks->...ps", probability, columns)
            return SetTerms((drawn - log_total)[..., :n_sets], score[..., :n_sets], None, None)
        paths = linear_paths(u, n_first, steps, chosen=persons)
    else:
        paths = log_paths(relative, n_first, steps)
    lead = np.broadcast_shapes(paths.draw.shape[:-3], columns.shape[:-3])
    before = np.empty((*lead, columns.shape[-3], *paths.draw.shape[-3:])) if persons else None
    mean, gram = _mean_sweep(paths, columns, steps, lead, information, before)
    detail = None if before is None else _person_terms(paths, before, mean, columns, steps, n_sets)
    return SetTerms((drawn - paths.log_total)[..., :n_sets], (observed - mean)[..., :n_sets], gram, detail)


def _in_lanes(eta: FloatArray, columns: FloatArray, lanes: int) -> tuple[FloatArray, FloatArray]:
    """Linear predictors less the set's largest, and columns, both with sets filled up to `lanes`.

    What is filled up are sets of equal persons without columns, which add nothing.
    """
    n_sets = eta.shape[-1]
    relative = aligned(*eta.shape[:-1], lanes)
    relative[..., n_sets:] = 0.0
    np.subtract(eta, eta.max(axis=-2, keepdims=True), out=relative[..., :n_sets])
    if lanes == columns.shape[-1]:
        return relative, columns
    filled = aligned(*columns.shape[:-1], lanes)
    filled[..., :n_sets] = columns
    filled[..., n_sets:] = 0.0
    return relative, filled


def null_terms(columns: FloatArray, n_first: int, sizes: NDArray[np.intp]) -> SetTerms:
    """The same at eta = 0, where every subset is as likely: moments of sampling without replacement.

    Parameters
    ----------
    columns : ndarray, shape (..., p, n_rows, n_sets)
        Columns centred within the set; 0 for padding.  Or with more sets, all 0.
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
    weighted = np.zeros(columns.shape)
    np.multiply(columns[..., : size.size], factor, out=weighted[..., : size.size])
    long = (*columns.shape[:-2], -1)
    gram = np.matmul(weighted.reshape(long), np.swapaxes(columns.reshape(long), -1, -2))
    score = columns[..., :n_first, : size.size].sum(axis=-2)
    return SetTerms(np.broadcast_to(-log_subsets, (*columns.shape[:-3], size.size)), score, gram, None)


def _mean_sweep(
    paths: Paths,
    columns: FloatArray,
    steps: tuple[Step, ...],
    lead: tuple[int, ...],
    information: bool,
    before: FloatArray | None,
) -> tuple[FloatArray, FloatArray | None]:
    """Mean of T (..., p, s) and, if wanted, Cov(T) summed over the sets (..., p, p).

    Person by person, so that what is worked on stays in the cache.  `before`, when given, is filled with
    mean(d-1, k-1) of every cell, (..., p, n_rows, m, s).
    """
    p, n_sets = columns.shape[-3], columns.shape[-1]
    m = paths.draw.shape[-2]
    draw, weight = paths.draw[..., None, :, :, :], paths.weight[..., None, :, :, :]
    mean = aligned(*lead, p, m + 1, n_sets)
    mean[...] = 0.0
    gram = np.zeros((*lead, p, p)) if information else None
    # One room each, used in every step by as much as it needs.
    room, other_room = aligned(*lead, p * m * n_sets), aligned(*lead, p * m * n_sets)
    for step in steps:
        k, n, low, free = step.k, step.n, step.low, step.free
        person = columns[..., k - 1 : k, :n]
        if before is not None:
            before[..., k - 1, low - 1 : step.high, :n] = mean[..., low - 1 : step.high, :n]
        if k <= m:
            mean[..., k : k + 1, :n] = mean[..., k - 1 : k, :n] + person
        if low > free:
            continue
        shape = (*lead, p, free - low + 1, n)
        flat = (*lead, p, shape[-2] * n)
        size = p * flat[-1]
        delta, product = room[..., :size].reshape(shape), other_room[..., :size].reshape(shape)
        after = mean[..., low : free + 1, :n]
        np.subtract(mean[..., low - 1 : free, :n], after, out=delta)
        delta += person
        np.multiply(draw[..., k - 1, low - 1 : free, :n], delta, out=product)
        after += product
        if gram is not None:
            # Two arrays, not one by itself: for so few columns BLAS's syrk is four times slower than gemm.
            np.multiply(weight[..., k - 1, low - 1 : free, :n], delta, out=product)
            gram += np.matmul(product.reshape(flat), np.swapaxes(delta.reshape(flat), -1, -2))
    return mean[..., m, :], gram


def _person_terms(
    paths: Paths,
    before: FloatArray,
    mean: FloatArray,
    columns: FloatArray,
    steps: tuple[Step, ...],
    n_sets: int,
) -> PersonTerms:
    """Probability and Cov(T, indicator) of each person.

    Given that k is drawn as the d-th, E(T) is mean(d-1, k-1) + x_k + (mean of what is drawn later), the
    last carried back along the path as `later`, already multiplied by P(visit).
    """
    assert paths.chosen is not None
    p, n_rows, m, lanes = before.shape[-4:]
    lead = before.shape[:-4]
    chosen, draw = paths.chosen[..., None, :, :, :], paths.draw[..., None, :, :, :]
    probability = np.zeros((*paths.chosen.shape[:-3], n_rows, lanes))
    slope = np.zeros((*lead, p, n_rows, lanes))
    later = np.zeros((*lead, p, m + 1, lanes))
    for step in reversed(steps):
        k, n, low, high = step.k, step.n, step.low, step.high
        person = columns[..., k - 1 : k, :n]
        own, share = chosen[..., k - 1, low - 1 : high, :n], draw[..., k - 1, low - 1 : high, :n]
        behind = share * later[..., low : high + 1, :n]
        probability[..., k - 1, :n] = own.sum(axis=-2)[..., 0, :]
        given = before[..., k - 1, low - 1 : high, :n] + person
        given -= mean[..., None, :n]
        given *= own
        given += behind
        slope[..., k - 1, :n] = given.sum(axis=-2)
        # One person back: drawn goes to d-1 and adds the person, not drawn stays at d.
        later[..., low : high + 1, :n] -= behind
        behind += own * person
        later[..., low - 1 : high, :n] += behind
    return PersonTerms(probability[..., :n_sets], slope[..., :n_sets])
