r"""Conditional likelihood with Prentice's induced relative risk in place of exp(b'f(exposure)).

Person i of a matched set has the log relative risk ``eta_i = Z_i'b_z + log M_i(b_i)``, with
``M_i(b) = E[exp(b'f(X)) | W_i, V_i, Y=0]`` and, under effect modification, exposure coefficients of
their own, ``b_i = sum_l A_il beta_l`` (A: 1 and the modifier's columns).  With s_i the gradient of
eta_i and T its sum over the drawn subset,

score        ``U = sum_i (y_i - pi_i) s_i``,
information  ``-d2 l = Cov(T) - sum_i (y_i - pi_i) d2 eta_i``,

and for a parameter c of the law of X (calibrated mean, residual variance)
``dU/dc = sum_i (y_i - pi_i) ds_i/dc - sum_i Cov(T, 1_i) d eta_i/dc``.
The likelihood need not be concave.

References
----------
Prentice.  Biometrika 1982;69:331-342.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.sets.layout import SetBlock, SetLayout
from biocal.model.outcome.induced_law import ExposureBasis, ExposureLaw
from biocal.model.outcome.induced_persons import RiskGrid
from biocal.model.outcome.induced_piece import InducedDesign, InducedPiece, InducedTerms, PieceDetails
from biocal.model.outcome.induced_risk import DEFAULT_NODES
from biocal.model.outcome.interpolated_risk import refined_plan
from biocal.model.outcome.interpolation import GridPlan

FloatArray = NDArray[np.float64]

#: Persons whose columns and risks are held at a time.  A problem of no more keeps them; a larger one gathers
#: them anew for every evaluation, piece by piece, and keeps but the cells that persons are in: half as much time
#: again, and a bounded memory.
_PIECE = 262_144


@dataclass(frozen=True, slots=True)
class InducedDetails:
    """What the sandwich needs at the maximum.

    Attributes
    ----------
    terms : InducedTerms
    set_scores : ndarray, shape (p, n_sets)
    residual : ndarray, shape (n,)
        y_i - P(i is a case | the set); 0 outside informative sets.
    slope : ndarray, shape (p, n)
        Cov(T, indicator that i is a case).
    by_mean, by_variance : ndarray, shape (p, n)
        Person's part of dU / d mu_i and of dU / d sigma^2 of their group; 0 where the exposure is known,
        NaN under smearing, which has no such derivatives.
    """

    terms: InducedTerms
    set_scores: FloatArray
    residual: FloatArray
    slope: FloatArray
    by_mean: FloatArray
    by_variance: FloatArray


class InducedLikelihood:
    """Exact conditional likelihood of matched sets with an induced relative risk.

    Parameters
    ----------
    layout : SetLayout
        The matched sets.
    design : InducedDesign
        Columns of n persons.
    law : ExposureLaw
        Law of their exposure.
    basis : ExposureBasis
        f.
    nodes : int, default 20
        Gauss-Hermite nodes, where there is no closed form.
    interpolate : bool or None, default None
        Whether log M is interpolated in the calibrated mean; None: where it saves time.

    Notes
    -----
    The sets are taken in pieces of about 260,000 persons, and what the pieces give is added up.
    """

    def __init__(
        self,
        layout: SetLayout,
        design: InducedDesign,
        law: ExposureLaw,
        basis: ExposureBasis,
        *,
        nodes: int = DEFAULT_NODES,
        interpolate: bool | None = None,
    ) -> None:
        self.layout, self.n_columns = layout, design.n_columns
        self._design, self._law, self._basis, self._nodes = design, law, basis, nodes
        self.smearing = law.residuals is not None
        self._parts = _pieces_of(layout.blocks)
        self._grids: list[RiskGrid] = [interpolate] * len(self._parts)
        self._only = self._gather(0) if len(self._parts) == 1 else None

    def evaluate(self, beta: FloatArray) -> InducedTerms:
        """Log-likelihood, score and both informations at beta (p,)."""
        return _added([piece.evaluate(beta) for piece in self._pieces(beta)], self.n_columns)

    def sweep(self, beta: FloatArray, directions: FloatArray | None = None) -> Iterator[PieceDetails]:
        """Terms by set and by person at beta (p,), piece by piece; the spread along `directions` (p, K) too."""
        for piece in self._pieces(beta):
            yield piece.details(beta, directions)

    def details(self, beta: FloatArray) -> InducedDetails:
        """The same of all sets and persons."""
        p, n = self.n_columns, self.layout.n_persons
        set_scores, residual = np.zeros((p, self.layout.n_sets)), np.zeros(n)
        slope, by_mean, by_variance = np.zeros((3, p, n))
        terms = []
        for found in self.sweep(beta):
            terms.append(found.terms)
            set_scores[:, found.sets] = found.set_scores
            residual[found.persons] = found.residual
            slope[:, found.persons] = found.slope
            by_mean[:, found.persons] = found.by_mean
            by_variance[:, found.persons] = found.by_variance
        return InducedDetails(_added(terms, p), set_scores, residual, slope, by_mean, by_variance)

    def columns(self, beta: FloatArray) -> FloatArray:
        """Gradient s_i of every person's log relative risk at beta: (p, n); 0 outside informative sets."""
        found = np.zeros((self.n_columns, self.layout.n_persons))
        for piece in self._pieces(beta):
            persons, columns = piece.columns(beta)
            found[:, persons] = columns
        return found

    def refine(self, beta: FloatArray) -> bool:
        """Make the interpolation of log M accurate at beta (p,); whether anything changed.

        Of pieces that are not held it asks no person; those never evaluated will be accurate where they first are.
        """
        if self._only is not None:
            return self._only.refine(beta)
        coefficients, changed = beta[self._design.exposure_positions], False
        for index, grid in enumerate(self._grids):
            if isinstance(grid, GridPlan):
                found = refined_plan(grid, self._basis, self._nodes, coefficients)
                if found is not grid:
                    self._grids[index], changed = found or False, True
        return changed

    def _pieces(self, beta: FloatArray) -> Iterator[InducedPiece]:
        """The pieces one after the other, to be evaluated at beta (p,)."""
        if self._only is not None:
            yield self._only
            return
        for index, grid in enumerate(self._grids):
            piece = self._gather(index)
            if grid is None or grid is True:
                piece.refine(beta)
            self._grids[index] = piece.grid
            yield piece

    def _gather(self, index: int) -> InducedPiece:
        return InducedPiece(
            self._parts[index],
            self._design,
            self._law,
            self._basis,
            nodes=self._nodes,
            grid=self._grids[index],
        )


def _pieces_of(blocks: tuple[SetBlock, ...]) -> list[tuple[SetBlock, ...]]:
    """Neighbouring blocks together, about as many persons in each piece; at least one piece."""
    ends = np.cumsum([block.rows.size for block in blocks])
    total = int(ends[-1]) if blocks else 0
    n_pieces = max(1, -(-total // _PIECE))
    # A block belongs to the piece in which it ends.
    piece = np.minimum((ends - 1) * n_pieces // max(total, 1), n_pieces - 1)
    first = np.searchsorted(piece, np.arange(n_pieces + 1))
    parts = [blocks[first[k] : first[k + 1]] for k in range(n_pieces)]
    return [part for part in parts if part] or [()]


def _added(terms: list[InducedTerms], p: int) -> InducedTerms:
    """Terms of all sets from those of the pieces."""
    loglik, score = 0.0, np.zeros(p)
    information, expected = np.zeros((p, p)), np.zeros((p, p))
    for part in terms:
        loglik += part.loglik
        score += part.score
        information += part.information
        expected += part.expected
    return InducedTerms(loglik, score, information, expected)
