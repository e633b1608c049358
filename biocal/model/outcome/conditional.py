"""Conditional logistic regression on matched sets: the outcome model of the plug-in estimators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from biocal.errors import ConvergenceError, SeparationError, SingularInformationError
from biocal.kernels.newton import FLAT_INFORMATION, Optimum, Slope, collinear_columns, maximise
from biocal.kernels.sets.layout import Columns, SetLayout
from biocal.kernels.sets.likelihood import CONSTANT_WITHIN_SETS, ConditionalLikelihood
from biocal.kernels.sets.spread import SetSpread
from biocal.kernels.sets.terms import DetailedTerms, LikelihoodTerms

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: With less than this share of its information left, a direction may be one of separation that the stopping
#: rule, which is relative to the log-likelihood of all sets, has passed over: in a million sets, a level that
#: one person has is down to about 1e-3 by then.
MAYBE_FLAT = 1e-2
#: There the ascent goes on until the log-likelihood can rise by no more than this, whatever its size; the
#: steps then point along the separating direction, if there is one, to about as many digits.
_NOTHING_LEFT = 1e-12


class MatchedLikelihood(Protocol):
    """What maximising needs of a likelihood of matched sets, be its rows here or elsewhere."""

    @property
    def n_columns(self) -> int: ...
    def evaluate(self, beta: FloatArray) -> LikelihoodTerms: ...
    def constant_columns(self, columns: Columns) -> BoolArray: ...
    def separates(self, direction: FloatArray) -> bool: ...


@dataclass(frozen=True, slots=True)
class OutcomeFit:
    """A maximised (conditional) likelihood with what the stacked sandwich needs.

    Attributes
    ----------
    beta : ndarray, shape (p,)
        Log odds ratios per unit of each column.
    loglik, loglik_null : float
        At `beta`, and at 0.
    information : ndarray, shape (p, p)
        Minus the Hessian (conditional logit: sum of Cov(T)).
    set_scores : ndarray, shape (p, n_sets)
        U_j at `beta`.
    residual : ndarray, shape (n_persons,)
        y_i - P(i is a case | the set).
    slope : ndarray, shape (p, n_persons)
        Cov(T, indicator that i is a case).
    iterations : int
        Evaluations of the likelihood.
    decrement : float
        g'H^{-1}g / 2 at the last evaluation before the closing step.
    informative : ndarray of bool, shape (n_sets,), or None
        Sets in which some column varies, where `slope` is not held to tell it.
    spread : SetSpread or None
        How the information about the exposure's coefficients is spread over the independent units.
    """

    beta: FloatArray
    loglik: float
    loglik_null: float
    information: FloatArray
    set_scores: FloatArray
    residual: FloatArray
    slope: FloatArray
    iterations: int
    decrement: float
    informative: BoolArray | None = None
    spread: SetSpread | None = None


def maximise_conditional(
    layout: SetLayout, columns: Columns, names: Sequence[str]
) -> tuple[ConditionalLikelihood, Optimum]:
    """Maximise the exact conditional likelihood.

    Parameters
    ----------
    layout : SetLayout
        The matched sets.
    columns : ndarray, shape (p, n_persons), or PersonColumns
        Columns of the linear predictor.
    names : sequence of str, length p
        Their names, for messages.

    Raises
    ------
    SingularInformationError
        A column is constant within every set, or a combination of others (attribute ``terms``).
    SeparationError
        The likelihood has no finite maximum (attribute ``terms``).
    ConvergenceError
        No maximum was found for another reason.

    References
    ----------
    .. [1] Gail, Lubin, Rubinstein. Likelihood calculations for matched case-control studies.
       Biometrika 1981;68:703-707.
    """
    likelihood = ConditionalLikelihood(layout, columns)
    return likelihood, maximise_identified(likelihood, columns, names, slope=likelihood.slope)


def maximise_identified(
    likelihood: MatchedLikelihood,
    columns: Columns,
    names: Sequence[str],
    *,
    slope: Callable[[FloatArray], Slope] | None = None,
) -> Optimum:
    """Maximise a conditional likelihood from 0; parameters and errors as :func:`maximise_conditional`."""
    start = np.zeros((1, columns.shape[0]))
    first = likelihood.evaluate(start)
    require_identified(likelihood, columns, names, first.information[0])
    optimum = maximise(likelihood.evaluate, start, slope=slope, first=first)
    if not optimum.converged[0] or optimum.flatness[0] < MAYBE_FLAT:
        pressed = _pressed_on(optimum, likelihood)
        require_maximum(pressed, likelihood, names)
        # Near separation the log-likelihood is close to 0, and the ordinary rule stops with few digits of beta.
        return pressed
    return optimum


def outcome_fit(optimum: Optimum, details: DetailedTerms) -> OutcomeFit:
    """The record of the first problem of a batch."""
    return OutcomeFit(
        beta=optimum.point[0],
        loglik=float(details.loglik[0]),
        loglik_null=float(optimum.loglik_start[0]),
        information=details.information[0],
        set_scores=details.set_scores[0],
        residual=details.residual[0],
        slope=details.slope[0],
        iterations=int(optimum.iterations[0]),
        decrement=float(optimum.decrement[0]),
    )


def constant_within_sets(layout: SetLayout, columns: FloatArray) -> BoolArray:
    """Columns (p, n_persons) that do not vary within any informative set, shape (p,)."""
    return np.array([not _varies_within_sets(layout, column) for column in columns], dtype=bool)


def _varies_within_sets(layout: SetLayout, column: FloatArray) -> bool:
    """Whether values (n_persons,) differ within some set; the first block of sets tells for most columns."""
    column = np.ascontiguousarray(column)
    if column.size == 0:
        return False
    slack = CONSTANT_WITHIN_SETS * max(float(column.max()), -float(column.min()))
    for block in layout.blocks:
        values = block.take(column)  # padding repeats the first row
        if float(np.abs(values[1:] - values[0]).max(initial=0.0)) > slack:
            return True
    return False


def _pressed_on(optimum: Optimum, likelihood: MatchedLikelihood) -> Optimum:
    """Continue the ascent far beyond the stopping rule; flatness, count and start are those of the whole ascent."""
    small = _NOTHING_LEFT / (float(np.abs(optimum.loglik).max()) + 1.0)
    further = maximise(likelihood.evaluate, optimum.point, tolerance=small)
    return replace(
        further,
        loglik_start=optimum.loglik_start,
        converged=optimum.converged,
        flatness=optimum.flatness * further.flatness,
        iterations=optimum.iterations + further.iterations,
    )


def require_identified(
    likelihood: MatchedLikelihood, columns: Columns, names: Sequence[str], information: FloatArray
) -> None:
    """Raise SingularInformationError, naming the columns, unless every coefficient can be told apart."""
    constant = likelihood.constant_columns(columns)
    if constant.any():
        terms = tuple(name for name, flag in zip(names, constant, strict=True) if flag)
        raise SingularInformationError(
            f"{_list(terms)} {'is' if len(terms) == 1 else 'are'} constant within every matched set, so the sets "
            "say nothing about it; leave it out of the outcome model",
            terms=terms,
        )
    flagged = collinear_columns(information)
    if flagged.any():
        terms = tuple(name for name, flag in zip(names, flagged, strict=True) if flag)
        partners = _partners(information, flagged, names)
        raise SingularInformationError(
            f"{_list(terms)} cannot be told apart from {_list(partners) if partners else 'the others'} "
            f"within the matched sets (collinear columns); {_advice((*partners, *terms))}",
            terms=terms,
        )


def require_maximum(optimum: Optimum, likelihood: MatchedLikelihood, names: Sequence[str]) -> None:
    """Raise SeparationError or ConvergenceError unless the first problem has a finite maximum."""
    flat = optimum.flatness[0] < FLAT_INFORMATION
    if optimum.converged[0] and not flat:
        return
    for direction in (optimum.last_step[0], optimum.point[0]):
        if likelihood.separates(direction):
            share = np.abs(direction) * np.sqrt(np.maximum(np.diagonal(_start_information(likelihood)), 0.0))
            terms = tuple(name for name, size in zip(names, share, strict=True) if size > 0.05 * share.max())
            raise SeparationError(
                f"separation: along {_list(terms)} every case lies at or beyond every control of its set, so the "
                "odds ratio has no finite estimate; merge sparse levels or leave the term out",
                terms=terms,
            )
    if optimum.converged[0]:
        return
    raise ConvergenceError(
        f"the likelihood's maximum was not found in {int(optimum.iterations[0])} evaluations "
        f"(Newton decrement {float(optimum.decrement[0]):.2g}); look for columns with extreme values",
        iterations=int(optimum.iterations[0]),
        decrement=float(optimum.decrement[0]),
    )


def _start_information(likelihood: MatchedLikelihood) -> FloatArray:
    return np.asarray(likelihood.evaluate(np.zeros((1, likelihood.n_columns))).information[0])


def _partners(information: FloatArray, flagged: BoolArray, names: Sequence[str]) -> tuple[str, ...]:
    """The columns that the first flagged one is a combination of."""
    first = int(np.flatnonzero(flagged)[0])
    before = [k for k in range(first) if not flagged[k]]
    scale = np.sqrt(np.diagonal(information))
    scaled = information / np.outer(scale, scale)
    weight = np.linalg.lstsq(scaled[np.ix_(before, before)], scaled[before, first], rcond=None)[0]
    return tuple(names[k] for k, w in zip(before, weight, strict=True) if abs(w) > 1e-4)


def _advice(names: Sequence[str]) -> str:
    """What to do about a column that others make up: a column of a spline or factor cannot be left out alone."""
    wholes = list(dict.fromkeys(name.rpartition("[")[0] or name for name in names))
    advice = []
    for whole in wholes:
        if whole.startswith(("cr(", "cc(")) and "constraints" not in whole:
            advice.append(f"write {whole[:-1]}, constraints='center')")
        elif whole.startswith("bs(") and "include_intercept=True" in whole:
            advice.append(f"write {whole.replace('include_intercept=True', 'include_intercept=False')}")
    if advice:
        return ", and ".join(advice)
    if wholes == list(names):
        return "leave one of them out"
    if len(wholes) == 1:
        return f"take fewer knots or merge levels of {wholes[0]}"
    return f"leave out the whole of {' or of '.join(wholes)}, or merge levels"


def _list(terms: Sequence[str]) -> str:
    return terms[0] if len(terms) == 1 else ", ".join(terms[:-1]) + " and " + terms[-1]
