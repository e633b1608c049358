"""The methods in 80 digits (mpmath), written from their formulas: slow, short, and free of biocal's arithmetic.

Only log-likelihoods are written out.  Scores, informations and the bread of the stacked sandwich are forward
differences at steps of 1e-26, which 80 digits leave exact to about 25.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import mpmath as mp
import numpy as np
from mpmath.libmp import fone, fzero, mpf_add, mpf_mul

DIGITS = 80
STEP = mp.mpf(10) ** -26
#: Newton's steps below this end the ascent.
NOTHING = mp.mpf(10) ** -22

Vector = list


def in_80_digits(function):
    """Run a function with so many digits, and leave mpmath as it was."""

    @functools.wraps(function)
    def wrapped(*arguments, **options):
        with mp.workdps(DIGITS):
            return function(*arguments, **options)

    return wrapped


def precise(values) -> Vector:
    """Numbers as they stand in memory, every digit kept."""
    return [mp.mpf(float(value)) for value in values]


def as_array(values) -> np.ndarray:
    """Back in double precision."""
    if isinstance(values, mp.matrix):
        return np.array(values.tolist(), dtype=float)
    return np.array([float(value) for value in values])


def log_subsets(eta: Sequence, m: int):
    """log of the sum, over all m-subsets, of exp(sum of eta): B(d, k) = B(d, k-1) + u_k B(d-1, k-1).

    By the functions under mpmath's numbers, which take a third of the time.
    """
    n, top, precision = len(eta), max(eta), mp.mp.prec
    ways = [fone] + [fzero] * m
    for k, one in enumerate(eta, start=1):
        u = mp.exp(one - top)._mpf_
        for d in range(min(k, m), max(0, m - n + k - 1), -1):
            ways[d] = mpf_add(ways[d], mpf_mul(u, ways[d - 1], precision), precision)
    return mp.log(mp.make_mpf(ways[m])) + m * top


def set_loglik(eta: Sequence, case: Sequence):
    """log of the conditional likelihood of one set; 0 without a case or without a control."""
    m = sum(bool(one) for one in case)
    if m in (0, len(eta)):
        return mp.mpf(0)
    drawn = mp.fsum(one for one, is_case in zip(eta, case, strict=True) if is_case)
    return drawn - log_subsets(eta, m)


@dataclass
class Derivatives:
    """Value, first and second derivatives of a function at one point."""

    value: object
    first: Vector
    second: mp.matrix


def derivatives(function: Callable[[Vector], object], at: Vector) -> Derivatives:
    """Forward differences, each in the unit of its argument's scale."""
    size = len(at)

    def moved(*arguments):
        point = list(at)
        for one in arguments:
            point[one] += STEP
        return function(point)

    value, single = function(list(at)), [moved(k) for k in range(size)]
    first = [(one - value) / STEP for one in single]
    second = mp.matrix(size, size)
    for i in range(size):
        for j in range(i + 1):
            second[i, j] = second[j, i] = (moved(i, j) - single[i] - single[j] + value) / STEP**2
    return Derivatives(value, first, second)


def maximum(function: Callable[[Vector], object], start: Vector, *, most: int = 200) -> Vector:
    """Newton's maximum from `start`, steps halved while they lower the function."""
    point = list(start)
    for _ in range(most):
        here = derivatives(function, point)
        move = mp.lu_solve(-here.second, mp.matrix(here.first))
        if max(abs(one) for one in move) <= NOTHING * (1 + max(abs(one) for one in point)):
            return point
        share = mp.mpf(1)
        while share > STEP:
            trial = [one + share * move[k] for k, one in enumerate(point)]
            if function(trial) >= here.value - NOTHING * abs(here.value):
                break
            share /= 2
        point = trial
    raise AssertionError("no maximum in high precision")


@dataclass
class MatchedSets:
    """Log-likelihood of matched sets as a function of beta: columns (p, n), is_case (n,), set_code (n,)."""

    columns: np.ndarray
    is_case: np.ndarray
    set_code: np.ndarray
    sets: list = field(init=False)

    def __post_init__(self) -> None:
        self.sets = []
        for code in np.unique(self.set_code):
            rows = np.flatnonzero(self.set_code == code)
            persons = [precise(np.asarray(self.columns, dtype=float)[:, row]) for row in rows]
            self.sets.append((persons, [bool(self.is_case[row]) for row in rows]))

    def of_set(self, number: int, beta: Vector):
        persons, case = self.sets[number]
        return set_loglik([mp.fdot(one, beta) for one in persons], case)

    def __call__(self, beta: Vector):
        return mp.fsum(self.of_set(number, beta) for number in range(len(self.sets)))


def spline_columns(x, knots: Sequence) -> Vector:
    """Columns of the restricted cubic spline at one exposure; the exposure itself without knots."""
    if not knots:
        return [x]
    *_, before_last, last = knots

    def cubed(u):
        return u**3 if u > 0 else mp.mpf(0)

    bent = [
        (
            cubed(x - knot)
            - cubed(x - before_last) * (last - knot) / (last - before_last)
            + cubed(x - last) * (before_last - knot) / (last - before_last)
        )
        / (last - knots[0]) ** 2
        for knot in knots[:-2]
    ]
    return [x, *bent]


def least_squares(rows: Sequence[Vector], response: Vector) -> Vector:
    """Normal equations, which 80 digits can afford."""
    size = len(rows[0])
    gram, right = mp.matrix(size, size), mp.matrix(size, 1)
    for row, value in zip(rows, response, strict=True):
        for i in range(size):
            right[i] += row[i] * value
            for j in range(size):
                gram[i, j] += row[i] * row[j]
    return list(mp.lu_solve(gram, right))


@dataclass
class PreciseFit:
    """The pooled model of a data frame: calibration, outcome, and their stacked sandwich.

    The reference study is called R.  `calibration` are calibration covariates with common coefficients; units are
    matched sets, and persons without a set.  After :meth:`solve`, `gamma` (intercept and slope study by study, then
    the covariates), `variance` (of each local study), `beta`, `information`, `vcov`.
    """

    frame: object
    method: str
    knots: tuple = ()
    covariates: tuple = ()
    calibration: tuple = ()

    def solve(self, start: Sequence | None = None) -> PreciseFit:
        """Fit it; `start` of beta saves time."""
        self._read()
        self.precise_knots = precise(self.knots)
        self.gamma = self._calibrate()
        size = (len(self.knots) - 1 if self.knots else 1) + len(self.covariates)
        begin = precise(start) if start is not None else [mp.mpf(0)] * size
        self.beta = maximum(lambda beta: self._loglik(self.gamma, beta), begin)
        self.vcov = self._sandwich()
        return self

    def _read(self) -> None:
        keys = ["study", "set", "case", "local", "reference", *self.covariates, *self.calibration]
        self.people = self.frame[list(dict.fromkeys(keys))].to_dict("records")
        self.names = sorted({one["study"] for one in self.people} - {"R"})
        sets: dict = {}
        for number, one in enumerate(self.people):
            one["calibrates"] = (
                one["study"] != "R" and one["case"] == 0 and one["reference"] == one["reference"]
            )
            one["unit"] = ("alone", number) if one["set"] != one["set"] else (one["study"], one["set"])
            if one["unit"][0] != "alone":
                sets.setdefault(one["unit"], []).append(one)
            if one["study"] != "R":
                one["row"] = self._calibration_row(one)
        self.sets = sets

    def _calibration_row(self, one: dict) -> Vector:
        row = [mp.mpf(0)] * (2 * len(self.names)) + precise(one[name] for name in self.calibration)
        place = 2 * self.names.index(one["study"])
        row[place], row[place + 1] = mp.mpf(1), mp.mpf(float(one["local"]))
        return row

    def _calibrate(self) -> Vector:
        self.pairs = [one for one in self.people if one["calibrates"]] if self.method != "naive" else []
        if not self.pairs:
            return []
        rows, response = [one["row"] for one in self.pairs], precise(one["reference"] for one in self.pairs)
        gamma = least_squares(rows, response)
        for one, row, value in zip(self.pairs, rows, response, strict=True):
            one["residual"] = value - mp.fdot(row, gamma)
        return gamma

    def _exposure(self, one: dict, gamma: Vector):
        if one["study"] == "R" or (self.method == "internalized" and one["calibrates"]):
            return mp.mpf(float(one["reference"]))
        return mp.mpf(float(one["local"])) if self.method == "naive" else mp.fdot(one["row"], gamma)

    def _set_loglik(self, members: list, gamma: Vector, beta: Vector):
        eta = []
        for one in members:
            exposure = self._exposure(one, gamma)
            terms = [
                *spline_columns(exposure, precise(self.knots)),
                *precise(one[name] for name in self.covariates),
            ]
            eta.append(mp.fdot(terms, beta))
        return set_loglik(eta, [one["case"] == 1 for one in members])

    def _loglik(self, gamma: Vector, beta: Vector):
        return mp.fsum(self._set_loglik(members, gamma, beta) for members in self.sets.values())

    def _by_gamma(self, score: Vector):
        """Second derivatives in beta (rows) and gamma, from the score at gamma."""
        found = mp.matrix(len(self.beta), len(self.gamma))
        for j in range(len(self.gamma)):
            gamma = list(self.gamma)
            gamma[j] += STEP
            value = self._loglik(gamma, self.beta)
            for i in range(len(self.beta)):
                beta = list(self.beta)
                beta[i] += STEP
                found[i, j] = ((self._loglik(gamma, beta) - value) / STEP - score[i]) / STEP
        return found

    def _sandwich(self):
        g, p = len(self.gamma), len(self.beta)
        here = derivatives(lambda beta: self._loglik(self.gamma, beta), self.beta)
        bread = mp.matrix(g + p, g + p)
        bread[g:, g:] = -here.second
        if g:
            bread[g:, :g] = -self._by_gamma(here.first)
        psi: dict = {}
        for one in self.pairs:
            row = psi.setdefault(one["unit"], mp.matrix(1, g + p))
            for k in range(g):
                row[k] += one["residual"] * one["row"][k]
        for unit, members in self.sets.items():
            row = psi.setdefault(unit, mp.matrix(1, g + p))
            value = self._set_loglik(members, self.gamma, self.beta)
            for k in range(p):
                beta = list(self.beta)
                beta[k] += STEP
                row[g + k] += (self._set_loglik(members, self.gamma, beta) - value) / STEP
        # The calibration's rows of the bread are those of its own equations.
        for i in range(g):
            for j in range(g + p):
                bread[i, j] = (
                    mp.fsum(one["row"][i] * one["row"][j] for one in self.pairs) if j < g else mp.mpf(0)
                )
        meat = mp.matrix(g + p, g + p)
        for row in psi.values():
            meat += row.T * row
        self.information = bread[g:, g:]
        inverse = mp.inverse(bread)
        return (inverse * meat * inverse.T)[g:, g:]
