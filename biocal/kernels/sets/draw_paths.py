r"""How m of a set's n persons are drawn one after the other: probabilities of the cells a draw passes.

Cell (d, k) says that d of the first k persons are drawn.  The number of ways, weighted by u = exp(eta),
follows ``B(d, k) = B(d, k-1) + u_k B(d-1, k-1)`` (Gail, Lubin and Rubinstein, Biometrika 1981;68:703-707;
Howard 1972).  A draw reaches the cell through person k with probability ``b = u_k B(d-1, k-1) / B(d, k)``,
else (``a = 1 - b``) without.

Tables have the shape (..., n_rows, m, s), cell (d, k) at [..., k-1, d-1, :]; what lies off every path to (m, n)
is never written.  Rows of sets start at multiples of 64 bytes: vector instructions that straddle cache lines
take twice as long.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: Sets side by side are counted in such steps, which are one cache line.
LANES = 8
#: Cells of one set's table beyond which sets are not filled up to whole lanes: 2 MB.
LARGE_TABLE = 2**18


@dataclass(frozen=True, slots=True)
class Step:
    """What one person does.

    Attributes
    ----------
    k : int
        The person, from 1.
    n : int
        Sets that have a k-th person, rounded up to whole lanes: the first n.
    low, free, high : int
        Cells (d, k) on a path are those with d = low..high, and those with a choice d = low..free.
    stop : int
        For sets stop..n-1 this person is the last.
    """

    k: int
    n: int
    low: int
    free: int
    high: int
    stop: int


@dataclass(frozen=True, slots=True)
class Paths:
    """Probabilities of draws.

    Attributes
    ----------
    log_total : ndarray, shape (..., s)
        log B(m, n).
    draw : ndarray, shape (..., n_rows, m, s)
        b.
    weight : ndarray, shape (..., n_rows, m, s)
        P(a draw passes the cell) a b.
    chosen : ndarray, shape (..., n_rows, m, s), or None
        P(a draw passes the cell) b: person k is drawn as the d-th.
    """

    log_total: FloatArray
    draw: FloatArray
    weight: FloatArray
    chosen: FloatArray | None


def whole_lanes(n: int) -> int:
    """n rounded up to whole lanes."""
    return -(-n // LANES) * LANES


def filled_up(n_sets: int, n_rows: int, m: int) -> int:
    """How many sets a table holds for `n_sets`: whole lanes, but of few large sets only the sets themselves.

    Filled up, one set of 3000:3000 would take the memory of eight.
    """
    return n_sets if n_sets < LANES and n_rows * m > LARGE_TABLE else whole_lanes(n_sets)


def aligned(*shape: int) -> FloatArray:
    """An array, not initialised, that starts at a cache line; so do its rows when the last axis is whole lanes."""
    size = math.prod(shape)
    raw = np.empty(size + LANES)
    skip = -(raw.ctypes.data // raw.itemsize) % LANES
    return raw[skip : skip + size].reshape(shape)


def steps_of_draw(n_rows: int, m: int, active: list[int]) -> tuple[Step, ...]:
    """The persons in turn.

    Parameters
    ----------
    active : list of int, length n_rows
        How many sets have a k-th person, not increasing.
    """
    most = filled_up(active[0], n_rows, m)
    lanes = [min(whole_lanes(n), most) for n in active]
    return tuple(
        Step(k, n, max(1, k - n_rows + m), min(k - 1, m), min(k, m), stop)
        for k, n, stop in zip(range(1, n_rows + 1), lanes, [*lanes[1:], 0], strict=True)
    )


def linear_paths(u: FloatArray, m: int, steps: tuple[Step, ...], *, chosen: bool) -> Paths:
    """Paths in plain numbers; u (..., n_rows, s)."""
    *lead, n_rows, s = u.shape
    draw, weight = aligned(*lead, n_rows, m, s), aligned(*lead, n_rows, m, s)
    ways, total = _ways(u, m, steps, draw)
    taken = aligned(*lead, n_rows, m, s) if chosen else None
    for step, share, inflow in _backwards(u, total, m, steps):
        k, n, low, free, high = step.k, step.n, step.low, step.free, step.high
        if taken is not None:
            into = taken[..., k - 1, low - 1 : high, :n]
            np.multiply(inflow, ways[..., k - 1, low - 1 : high, :n], out=into)
        if low <= free:
            b, w = draw[..., k - 1, low - 1 : free, :n], weight[..., k - 1, low - 1 : free, :n]
            b /= ways[..., k, low : free + 1, :n]
            # P(pass) a b = share B(d, k) . B(d, k-1) / B(d, k) . b
            np.multiply(b, share[..., low : free + 1, :n], out=w)
            w *= ways[..., k - 1, low : free + 1, :n]
        if k <= m:
            draw[..., k - 1, k - 1, :n] = 1.0
    return Paths(np.log(total), draw, weight, taken)


def linear_probabilities(u: FloatArray, m: int, steps: tuple[Step, ...]) -> tuple[FloatArray, FloatArray]:
    """log B(m, n) (..., s) and each person's probability to be drawn (..., n_rows, s), and no more."""
    *lead, n_rows, s = u.shape
    ways, total = np.zeros((*lead, n_rows + 1, m + 1, s)), aligned(*lead, s)
    ways[..., 0, :] = 1.0
    for step in steps:
        k, n, low, free = step.k, step.n, step.low, step.free
        here = ways[..., k, low : step.high + 1, :n]
        np.multiply(u[..., k - 1 : k, :n], ways[..., k - 1, low - 1 : step.high, :n], out=here)
        if low <= free:
            here[..., : free + 1 - low, :] += ways[..., k - 1, low : free + 1, :n]
        if step.stop < n:
            total[..., step.stop : n] = ways[..., k, m, step.stop : n]
    inflow = np.zeros((*lead, n_rows, m, s))
    for _ in _backwards(u, total, m, steps, inflow):
        pass
    return np.log(total), np.einsum("...kds,...kds->...ks", inflow, ways[..., :-1, :-1, :])


def _ways(u: FloatArray, m: int, steps: tuple[Step, ...], added: FloatArray) -> tuple[FloatArray, FloatArray]:
    """B(d, k) (..., n_rows + 1, m + 1, s) and B(m, n) (..., s); `added` gets u_k B(d-1, k-1)."""
    *lead, n_rows, s = u.shape
    ways, total = aligned(*lead, n_rows + 1, m + 1, s), aligned(*lead, s)
    ways[..., 0, :] = 1.0
    for step in steps:
        k, n, low, free, high = step.k, step.n, step.low, step.free, step.high
        add = added[..., k - 1, low - 1 : high, :n]
        np.multiply(u[..., k - 1 : k, :n], ways[..., k - 1, low - 1 : high, :n], out=add)
        if low <= free:
            others = add[..., : free + 1 - low, :]
            np.add(ways[..., k - 1, low : free + 1, :n], others, out=ways[..., k, low : free + 1, :n])
        if k <= m:
            ways[..., k, k, :n] = add[..., -1, :]
        if step.stop < n:
            total[..., step.stop : n] = ways[..., k, m, step.stop : n]
    return ways, total


def _backwards(
    u: FloatArray, total: FloatArray, m: int, steps: tuple[Step, ...], inflow: FloatArray | None = None
) -> Iterator[tuple[Step, FloatArray, FloatArray]]:
    """From the last person back: the step, P(a draw passes (d, k)) / B(d, k) (..., m+1, s), and u_k times it.

    The last at d = low..high, (..., high - low + 1, n); it is left in `inflow` (..., n_rows, m, s), if given.
    """
    *lead, _, s = u.shape
    share = aligned(*lead, m + 1, s)
    spare = aligned(*lead, m, s) if inflow is None else None
    share[..., :m, :] = 0.0
    np.divide(1.0, total, out=share[..., m, :])
    for step in reversed(steps):
        k, low, high, n = step.k, step.low, step.high, step.n
        table = inflow[..., k - 1, :, :] if spare is None and inflow is not None else spare
        assert table is not None
        flow = table[..., low - 1 : high, :n]
        np.multiply(u[..., k - 1 : k, :n], share[..., low : high + 1, :n], out=flow)
        yield step, share, flow
        share[..., low - 1 : high, :n] += flow


def log_paths(eta: FloatArray, m: int, steps: tuple[Step, ...]) -> Paths:
    """Paths from log B, for predictors whose range would overflow plain numbers; eta (..., n_rows, s)."""
    *lead, n_rows, s = eta.shape
    tables = (*lead, n_rows, m, s)
    logs, total = np.full((*lead, n_rows + 1, m + 1, s), -np.inf), aligned(*lead, s)
    logs[..., 0, :] = 0.0
    draw, stay, chosen, weight = (np.zeros(tables) for _ in range(4))
    for step in steps:
        k, n, low, high = step.k, step.n, step.low, step.high
        cells = slice(low - 1, high)
        add = eta[..., k - 1 : k, :n] + logs[..., k - 1, cells, :n]
        kept, here = logs[..., k - 1, low : high + 1, :n], logs[..., k, low : high + 1, :n]
        np.logaddexp(kept, add, out=here)
        stay[..., k - 1, cells, :n] = np.exp(kept - here)
        draw[..., k - 1, cells, :n] = np.exp(add - here)
        if step.stop < n:
            total[..., step.stop : n] = logs[..., k, m, step.stop : n]
    # Ways to complete the draw behind a cell, in logs, from the other end.
    behind = np.full((*lead, m + 1, s), -np.inf)
    behind[..., m, :] = 0.0
    for step in reversed(steps):
        k, n, low, high = step.k, step.n, step.low, step.high
        cells, here = slice(low - 1, high), behind[..., low : high + 1, :n]
        visit = np.exp(logs[..., k, low : high + 1, :n] + here - total[..., None, :n])
        np.multiply(visit, draw[..., k - 1, cells, :n], out=chosen[..., k - 1, cells, :n])
        before = behind[..., cells, :n]
        behind[..., cells, :n] = np.logaddexp(before, eta[..., k - 1 : k, :n] + here)
    np.multiply(chosen, stay, out=weight)
    return Paths(total, draw, weight, chosen)
