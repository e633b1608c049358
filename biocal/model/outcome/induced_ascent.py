"""Maximising the induced likelihood, which need not be concave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from biocal.errors import ConvergenceError, SeparationError
from biocal.kernels.newton import DECREMENT_TOLERANCE, FLAT_INFORMATION, MAX_ITERATIONS, Optimum
from biocal.kernels.sets.layout import SetLayout
from biocal.kernels.sets.likelihood import ConditionalLikelihood
from biocal.model.outcome.conditional import require_identified
from biocal.model.outcome.induced import InducedLikelihood
from biocal.model.outcome.induced_piece import InducedTerms

FloatArray = NDArray[np.float64]

#: Curvature relative to Cov(T) above which a direction gets Newton's step.
_CONCAVE = 1e-6
#: What the others count with at least (our choice): at most 20 times the step of Fisher scoring.
_LEAST_CURVATURE = 0.05
#: A fall of the log-likelihood below this share is rounding.
_ROUNDING = 1e-12
#: Share of a direction's largest part, in units of information, from which a coefficient belongs to it.
_OF_NOTE = 0.05
#: A step halved to this share has failed.
_SHORTEST = 1e-10


def maximise_induced(
    likelihood: InducedLikelihood,
    start: FloatArray | None,
    names: Sequence[str],
    *,
    max_iterations: int = MAX_ITERATIONS,
) -> Optimum:
    """Maximise an induced likelihood by a monotone Newton ascent.

    Parameters
    ----------
    likelihood : InducedLikelihood
    start : ndarray, shape (p,), or None
        The full-calibration estimate, whose fit has shown that the columns can be told apart; should the
        ascent fail from there, it is tried from 0.  None starts at 0 and checks the columns first.
    names : sequence of str, length p
        Terms, for messages.
    max_iterations : int, default 60
        Most evaluations.

    Returns
    -------
    Optimum
        A batch of one, converged.

    Raises
    ------
    SingularInformationError
        A column is constant within every set, or a combination of others (attribute ``terms``).
    SeparationError
        The likelihood has no finite maximum (attribute ``terms``).
    ConvergenceError
        No maximum was found for another reason (attributes ``iterations``, ``decrement``).

    Notes
    -----
    Where the likelihood is concave the step is Newton's.  Elsewhere its curvature is measured against
    Cov(T); directions of negative or no curvature get its absolute value, at least a twentieth of
    Cov(T)'s.  Every step rises at first, and is halved until the log-likelihood does not fall.
    """
    zero = np.zeros(likelihood.n_columns)
    if start is None:
        columns = likelihood.columns(zero)
        plain = ConditionalLikelihood(likelihood.layout, columns)
        require_identified(plain, columns, names, plain.evaluate(zero[None]).information[0])
    optimum = _ascend(likelihood, zero if start is None else start, max_iterations)
    if start is not None and not _is_maximum(optimum):
        # Far from any maximum the likelihood can level off (M is then one exponential): try nearer home.
        optimum = _ascend(likelihood, zero, max_iterations)
    _require_maximum(optimum, likelihood, names)
    return optimum


def _ascend(likelihood: InducedLikelihood, start: FloatArray, max_iterations: int) -> Optimum:
    """Climb, and climb on as long as the interpolation of log M can be made more accurate where it ended."""
    likelihood.refine(start)
    optimum = climb(likelihood.evaluate, start, max_iterations=max_iterations)
    while _is_maximum(optimum) and likelihood.refine(optimum.point[0]):
        again = climb(likelihood.evaluate, optimum.point[0], max_iterations=max_iterations)
        flatness = np.minimum(optimum.flatness, again.flatness)
        optimum = replace(again, flatness=flatness, iterations=optimum.iterations + again.iterations)
    return optimum


def _is_maximum(optimum: Optimum) -> bool:
    return bool(optimum.converged[0] and optimum.flatness[0] >= FLAT_INFORMATION)


def _require_maximum(optimum: Optimum, likelihood: InducedLikelihood, names: Sequence[str]) -> None:
    """Raise SeparationError or ConvergenceError unless there is a finite maximum."""
    if _is_maximum(optimum):
        return
    point = optimum.point[0]
    plain = ConditionalLikelihood(likelihood.layout, likelihood.columns(point))
    size = np.sqrt(np.maximum(np.diagonal(plain.evaluate(np.zeros((1, point.size))).information[0]), 0.0))
    flattest = _relative_curvature(
        likelihood.evaluate(point).information, np.diag(np.maximum(size, 1e-300) ** 2)
    )[1]
    for direction in (flattest[:, 0], -flattest[:, 0], optimum.last_step[0], point):
        share = np.abs(direction) * size
        # What other coefficients still move by is left out: it would blur the certificate.
        along = np.where(share > _OF_NOTE * share.max(), direction, 0.0)
        if plain.separates(along):
            terms = tuple(name for name, part in zip(names, along, strict=True) if part)
            raise SeparationError(
                f"separation: along {', '.join(terms)} every case lies at or beyond every control of its set, so the "
                "odds ratio has no finite estimate; merge sparse levels or leave the term out",
                terms=terms,
            )
    if optimum.converged[0]:
        share = np.abs(flattest[:, 0]) * size
        terms = tuple(name for name, part in zip(names, share, strict=True) if part > _OF_NOTE * share.max())
        raise SeparationError(
            f"the induced likelihood levels off along {', '.join(terms)} without a finite maximum; merge sparse "
            "categories, use fewer knots, or leave the term out",
            terms=terms,
        )
    raise ConvergenceError(
        f"the induced likelihood's maximum was not found in {int(optimum.iterations[0])} evaluations "
        f"(Newton decrement {float(optimum.decrement[0]):.2g}); look for columns with extreme values",
        iterations=int(optimum.iterations[0]),
        decrement=float(optimum.decrement[0]),
    )


def null_loglik(layout: SetLayout) -> float:
    """Log-likelihood at beta = 0: minus the log number of subsets of each set."""
    total = 0.0
    for block in layout.blocks:
        size = block.sizes.astype(float)
        for drawn in range(block.n_first):
            total -= float(np.log((size - drawn) / (drawn + 1)).sum())
    return total


def climb(
    evaluate: Callable[[FloatArray], InducedTerms], start: FloatArray, *, max_iterations: int = MAX_ITERATIONS
) -> Optimum:
    """Monotone ascent of one log-likelihood that need not be concave.

    Parameters
    ----------
    evaluate : callable
        From a point (p,) to :class:`~biocal.model.outcome.induced.InducedTerms`.
    start : ndarray, shape (p,)

    Returns
    -------
    Optimum
        A batch of one.  Converged only where the observed information is positive definite.
    """
    point = np.array(start, dtype=float)
    here = first = evaluate(point)
    step, concave = _ascent_step(here)
    iterations, converged, decrement, last_step = 1, False, np.inf, np.zeros(point.size)
    while iterations < max_iterations:
        decrement, last_step = float(step @ here.score) / 2, step
        if decrement <= DECREMENT_TOLERANCE * (abs(here.loglik) + 1.0):
            if concave:
                # The closing step squares what the decrement still promises.
                point, converged = point + step, True
                break
            step = _away_from_saddle(here)
        there, used, shrink = _rise(evaluate, point, here, step)
        iterations += used
        if there is None:
            break
        point, here = point + shrink * step, there
        step, concave = _ascent_step(here)
    flatness = _relative_curvature(here.information, first.expected)[0]
    return Optimum(
        point=point[None],
        loglik=np.array([here.loglik]),
        loglik_start=np.array([first.loglik]),
        decrement=np.array([decrement]),
        last_step=last_step[None],
        iterations=np.array([iterations], dtype=np.intp),
        converged=np.array([converged]),
        flatness=flatness[:1] if flatness.size else np.ones(1),
        information_start=first.information[None],
        information=here.information[None],
    )


def _rise(
    evaluate: Callable[[FloatArray], InducedTerms], point: FloatArray, here: InducedTerms, step: FloatArray
) -> tuple[InducedTerms | None, int, float]:
    """First of the halved steps that does not lower the log-likelihood, evaluations used, and its share."""
    shrink, used = 1.0, 0
    allowed = here.loglik - _ROUNDING * (abs(here.loglik) + 1.0)
    while shrink > _SHORTEST:
        there = evaluate(point + shrink * step)
        used += 1
        if there.loglik >= allowed and np.isfinite(there.score).all():
            return there, used, shrink
        shrink /= 2
    return None, used, shrink


def _ascent_step(terms: InducedTerms) -> tuple[FloatArray, bool]:
    """Newton's step, made to rise where the likelihood is not concave; and whether it is concave."""
    curvature, directions = _relative_curvature(terms.information, terms.expected)
    trusted = np.where(curvature > _CONCAVE, curvature, np.maximum(np.abs(curvature), _LEAST_CURVATURE))
    step = directions @ ((directions.T @ terms.score) / trusted)
    return step, bool((curvature > 0).all())


def _away_from_saddle(terms: InducedTerms) -> FloatArray:
    """A step of one unit of Cov(T) along the direction of most negative curvature, uphill if there is a hill."""
    direction = _relative_curvature(terms.information, terms.expected)[1][:, 0]
    return np.asarray(direction if direction @ terms.score >= 0 else -direction)


def _relative_curvature(information: FloatArray, metric: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues, smallest first, of the information against a positive semi-definite metric.

    Returns the eigenvalues (p,) and directions (p, p) with directions' metric directions = identity.
    """
    scale = 1.0 / np.sqrt(np.maximum(np.diagonal(metric), 1e-300))
    outer = np.outer(scale, scale)
    sizes, axes = np.linalg.eigh(metric * outer)
    # A direction without information would be infinitely long; rounding sets the limit.
    root = axes / np.sqrt(np.maximum(sizes, 1e-14 * sizes.max(initial=1e-300)))
    values, turned = np.linalg.eigh(root.T @ (information * outer) @ root)
    return values, scale[:, None] * (root @ turned)
