"""Likelihoods maximised, with all that their details tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from biocal.kernels.sets.layout import Columns, SetLayout
from biocal.model.outcome.conditional import OutcomeFit, maximise_conditional, outcome_fit
from biocal.model.outcome.induced import InducedDetails, InducedLikelihood
from biocal.model.outcome.induced_ascent import MAX_ITERATIONS, maximise_induced, null_loglik


def fit_conditional_logistic(layout: SetLayout, columns: Columns, names: Sequence[str]) -> OutcomeFit:
    """The exact conditional likelihood, maximised."""
    likelihood, optimum = maximise_conditional(layout, columns, names)
    return outcome_fit(optimum, likelihood.details(optimum.point))


def fit_induced_likelihood(
    likelihood: InducedLikelihood,
    start: np.ndarray | None,
    names: Sequence[str],
    *,
    max_iterations: int = MAX_ITERATIONS,
) -> tuple[OutcomeFit, InducedDetails]:
    """Maximise an induced likelihood and gather what the sandwich needs there."""
    optimum = maximise_induced(likelihood, start, names, max_iterations=max_iterations)
    details = likelihood.details(optimum.point[0])
    fit = OutcomeFit(
        beta=optimum.point[0],
        loglik=details.terms.loglik,
        loglik_null=null_loglik(likelihood.layout),
        information=details.terms.information,
        set_scores=details.set_scores,
        residual=details.residual,
        slope=details.slope,
        iterations=int(optimum.iterations[0]),
        decrement=float(optimum.decrement[0]),
    )
    return fit, details
