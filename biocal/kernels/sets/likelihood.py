"""The exact conditional likelihood of matched sets, for one problem or a batch of them.

Section 5 of the paper's model: in set j with m cases,
``L_j = exp(sum over cases of eta_i) / sum over m-subsets R of exp(sum over R of eta_i)``.
:class:`ConditionalLikelihood` fixes the columns (eta = q'beta); :func:`block_terms` takes any eta and
any score columns, which the induced relative risk needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.sets.block_columns import copy_blocks
from biocal.kernels.sets.layout import Columns, SetBlock, SetLayout, largest_values
from biocal.kernels.sets.many_cases import many_case_terms, null_terms
from biocal.kernels.sets.memory import keep_freed_memory
from biocal.kernels.sets.one_case import one_case_null_terms, one_case_slope, one_case_terms
from biocal.kernels.sets.spread import spread_of_sets
from biocal.kernels.sets.terms import BlockDetails, DetailedTerms, LikelihoodSlope, LikelihoodTerms, SetTerms

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

#: A column whose spread within every set is below this share of its largest value is constant.
CONSTANT_WITHIN_SETS = 1e-13
#: A case this much below a control, relative to the largest difference in any set, counts as level with it.
_ROUNDING_OF_DIRECTION = 1e-9
#: From so many numbers (persons times columns) on, log-likelihood and score of sets with one person in the rarer role
#: cost half of the information; with fewer the steps between weigh as much.
_MANY = 262_144


def block_terms(
    block: SetBlock, eta: FloatArray, columns: FloatArray, *, information: bool = True, persons: bool = False
) -> SetTerms:
    """Terms of one block from persons' values.

    Parameters
    ----------
    block : SetBlock
        The block; its padding is taken care of here.
    eta : ndarray, shape (..., n_rows, n_sets)
        Log relative risks, in the block's order.
    columns : ndarray, shape (..., p, n_rows, n_sets)
        Derivatives of eta with respect to the parameters.
    information, persons : bool
        What else is wanted.

    Notes
    -----
    In a turned block (more cases than controls) probabilities and slopes of the result are those of being
    among the *controls*; :func:`case_residuals` turns them back.
    """
    eta_first, columns_first = eta[..., :1, :], columns[..., :1, :]
    if block.n_first == 1:
        eta = block.sign * (eta[..., 1:, :] - eta_first)
        columns = block.sign * (columns[..., 1:, :] - columns_first)
        if block.real is not None:
            eta = np.where(block.real[1:], eta, -np.inf)
        return one_case_terms(eta, columns, information=information, persons=persons)
    centred = _centred(block, columns)
    signed = block.sign * eta
    if block.real is not None:
        signed = np.where(block.real, signed, -np.inf)
    return many_case_terms(
        signed, centred, block.n_first, active=block.active, information=information, persons=persons
    )


def case_residuals(block: SetBlock, terms: SetTerms) -> tuple[FloatArray, FloatArray]:
    """y - P(case) (..., n_rows, n_sets) and Cov(T, indicator of case) (..., p, n_rows, n_sets) of a block."""
    assert terms.persons is not None
    residual = -terms.persons.probability
    residual[..., : block.n_first, :] += 1.0
    if (block.sign > 0).all():
        return residual, terms.persons.slope
    return block.sign * residual, block.sign * terms.persons.slope


def _centred(block: SetBlock, columns: FloatArray) -> FloatArray:
    """Columns less their mean within the set, turned with the block; padding 0."""
    if block.real is None:
        return np.asarray(block.sign * (columns - columns.mean(axis=-2, keepdims=True)))
    kept = columns * block.real
    kept -= kept.sum(axis=-2, keepdims=True) / block.sizes
    kept *= block.real * block.sign
    return kept


class ConditionalLikelihood:
    """Exact conditional likelihood with a linear predictor q'beta.

    Parameters
    ----------
    layout : SetLayout
        From :func:`~biocal.kernels.sets.layout.lay_out_sets`.
    columns : ndarray, shape (p, n_persons) or (B, p, n_persons), or PersonColumns
        Columns of q, one problem or a batch of B problems over the same sets.
    set_weights : ndarray, shape (B, n_sets), optional
        How often each set counts (bootstrap); default once.

    Notes
    -----
    Columns are copied once into blocks, as differences against the single person of the rarer role
    (1:m and n:1) or centred within the set (n:m).
    """

    def __init__(self, layout: SetLayout, columns: Columns, set_weights: FloatArray | None = None) -> None:
        keep_freed_memory()
        self.layout = layout
        if isinstance(columns, np.ndarray):
            # Blocks are gathered one by one; from columns that are not contiguous NumPy copies all of them each time.
            columns = np.ascontiguousarray(columns, dtype=float)
            if columns.ndim == 2:
                columns = columns[None]
            self.n_problems, self.n_columns = columns.shape[:2]
        else:
            self.n_problems, self.n_columns = 1, columns.shape[0]
        self._weights = None if set_weights is None else np.atleast_2d(np.asarray(set_weights, dtype=float))
        self._blocks = copy_blocks(layout, columns)

    def evaluate(self, beta: FloatArray) -> LikelihoodTerms:
        """Log-likelihood, score and information at beta (B, p)."""
        lead, p = self.n_problems, self.n_columns
        loglik, score, information = np.zeros(lead), np.zeros((lead, p)), np.zeros((lead, p, p))
        for index, block in enumerate(self.layout.blocks):
            terms = self._terms(index, beta)
            self._add_sums(block, terms, loglik, score)
            assert terms.information is not None
            information += terms.information
        return LikelihoodTerms(loglik, score, information)

    @property
    def slope(self) -> Callable[[FloatArray], LikelihoodSlope] | None:
        """What takes beta (B, p) to log-likelihood and score, where that is far cheaper than the information.

        So it is for sets with several persons in the rarer role, and for many others; elsewhere None.
        """
        persons = {several: 0 for several in (False, True)}
        for block in self.layout.blocks:
            persons[block.n_first > 1] += block.rows.size
        cheaper = persons[True] > persons[False] or persons[False] * self.n_columns > _MANY
        return self._slope if self._weights is None and cheaper else None

    def _slope(self, beta: FloatArray) -> LikelihoodSlope:
        loglik, score = np.zeros(self.n_problems), np.zeros((self.n_problems, self.n_columns))
        for index, block in enumerate(self.layout.blocks):
            if block.n_first == 1:
                sums = one_case_slope(self._eta(index, beta), self._blocks[index][1])
                loglik += sums[0]
                score += sums[1]
            else:
                self._add_sums(block, self._terms(index, beta, information=False), loglik, score)
        return LikelihoodSlope(loglik, score)

    def _add_sums(self, block: SetBlock, terms: SetTerms, loglik: FloatArray, score: FloatArray) -> None:
        """Add a block's terms to log-likelihood (B,) and score (B, p)."""
        weight = self._block_weights(block)
        if weight is None:
            loglik += terms.loglik.sum(axis=-1)
            score += terms.score.sum(axis=-1)
        else:
            loglik += (weight * terms.loglik).sum(axis=-1)
            score += (weight[:, None, :] * terms.score).sum(axis=-1)

    def details(self, beta: FloatArray) -> DetailedTerms:
        """Scores by set and terms by person at beta (B, p), for the stacked sandwich."""
        lead, p, layout = self.n_problems, self.n_columns, self.layout
        loglik, information = np.zeros(lead), np.zeros((lead, p, p))
        set_scores = np.zeros((lead, p, layout.n_sets))
        # Filled block after block, and put into the persons' order by one gather at the end.
        order = layout.persons()
        residual, slope = np.empty((lead, order.size)), np.empty((lead, p, order.size))
        filled = 0
        for found in self.sweep(beta):
            loglik += found.loglik.sum(axis=-1)
            information += found.information
            set_scores[:, :, _slice_of(found.block.sets)] = found.score
            place = slice(filled, filled + found.persons.size)
            residual[:, place], slope[:, :, place] = found.residual, found.slope
            filled = place.stop
        return DetailedTerms(
            loglik,
            set_scores,
            information,
            _by_person(residual, order, layout),
            _by_person(slope, order, layout),
        )

    def sweep(self, beta: FloatArray, directions: FloatArray | None = None) -> Iterator[BlockDetails]:
        """The same block by block, for sums over sets and persons that need not be held.

        With `directions` (p, K) also how the information along them is spread over the sets.
        """
        lead, p = self.n_problems, self.n_columns
        for index, block in enumerate(self.layout.blocks):
            terms, weight = self._terms(index, beta, persons=True), self._block_weights(block)
            residual, slope = case_residuals(block, terms)
            score, loglik = terms.score, terms.loglik
            if weight is not None:
                residual, slope = weight[:, None, :] * residual, weight[:, None, None, :] * slope
                score, loglik = weight[:, None, :] * score, weight * loglik
            assert terms.information is not None
            persons = block.rows.ravel()
            if block.real is not None:
                persons = block.rows[block.real]
                residual, slope = residual[..., block.real], slope[..., block.real]
            yield BlockDetails(
                block,
                loglik,
                score,
                terms.information,
                persons,
                residual.reshape(lead, -1),
                slope.reshape(lead, p, -1),
                None if directions is None else self._spread(index, terms, directions),
            )

    def _spread(self, index: int, terms: SetTerms, directions: FloatArray) -> FloatArray:
        """Packed A' Cov(T) A of the sets of a block, for the first problem."""
        assert terms.persons is not None
        block, slope = self.layout.blocks[index], terms.persons.slope[0]
        columns = self._blocks[index][1][0][..., : block.n_sets]
        return spread_of_sets(directions, slope[:, 1:] if block.n_first == 1 else slope, columns)

    def constant_columns(self, columns: Columns) -> BoolArray:
        """Which columns do not vary within any set: shape (p,), for the first problem.

        Parameters
        ----------
        columns : ndarray, shape (p, n_persons), or PersonColumns
            The columns given, for their scale.
        """
        spread = np.zeros(self.n_columns)
        for _, block_columns in self._blocks:
            np.maximum(spread, np.abs(block_columns[0]).max(axis=(-2, -1), initial=0.0), out=spread)
        return np.asarray(spread <= CONSTANT_WITHIN_SETS * largest_values(columns))

    def separates(self, direction: FloatArray) -> bool:
        """Whether along `direction` (p,) every case is at or above every control of its set, somewhere above.

        Such a direction proves that the likelihood has no finite maximum (Albert and Anderson 1984, for
        matched sets).  For the first problem of the batch.
        """
        values = [
            np.tensordot(direction, columns[0], axes=1)[:, : block.n_sets]
            for block, (_, columns) in zip(self.layout.blocks, self._blocks, strict=True)
        ]
        largest = max((float(np.abs(value).max(initial=0.0)) for value in values), default=0.0)
        if not (0 < largest < np.inf):
            return False
        # One scale for all blocks: a sparse column leaves nothing but rounding in most of them.
        below = -_ROUNDING_OF_DIRECTION * largest
        moved = False
        for block, value in zip(self.layout.blocks, values, strict=True):
            counted = np.ones(block.n_sets, dtype=bool)
            if self._weights is not None:
                counted = self._weights[0, block.sets] > 0
            if (_case_gaps(block, value)[counted] < below).any():
                return False
            # With no case below a control, any difference within a set is a case above a control.
            moved = moved or bool((np.abs(value).max(axis=0) > -below)[counted].any())
        return moved

    def _terms(
        self, index: int, beta: FloatArray, *, information: bool = True, persons: bool = False
    ) -> SetTerms:
        block, columns = self.layout.blocks[index], self._blocks[index][1]
        plain = self._weights is None and not persons
        if plain and not beta.any():
            if block.n_first > 1:
                return null_terms(columns, block.n_first, block.sizes)
            if block.real is None:
                return one_case_null_terms(columns)
        eta, weight = self._eta(index, beta), self._block_weights(block)
        gram, detail = information and weight is None, persons or weight is not None
        if block.n_first == 1:
            terms = one_case_terms(eta, columns, information=gram, persons=detail)
        else:
            terms = many_case_terms(
                eta, columns, block.n_first, active=block.active, information=gram, persons=detail
            )
        if weight is None:
            return terms
        return SetTerms(
            terms.loglik,
            terms.score,
            _weighted_information(block, terms, columns[..., : block.n_sets], weight),
            terms.persons,
        )

    def _eta(self, index: int, beta: FloatArray) -> FloatArray:
        """Linear predictors of a block's copied columns, (B, rows, n_sets); -inf in the padding."""
        block, (lead, columns) = self.layout.blocks[index], self._blocks[index]
        flat = columns.reshape(lead, self.n_columns, -1)
        eta: FloatArray = np.matmul(beta[:, None, :], flat).reshape(-1, *columns.shape[2:])[
            ..., : block.n_sets
        ]
        if block.real is not None:
            eta[:, ~(block.real[1:] if block.n_first == 1 else block.real)] = -np.inf
        return eta

    def _block_weights(self, block: SetBlock) -> FloatArray | None:
        return None if self._weights is None else self._weights[:, block.sets]


def _case_gaps(block: SetBlock, value: FloatArray) -> FloatArray:
    """Lowest case less highest control in each set (n_sets,), from values of the copied columns (rows, n_sets)."""
    if block.n_first == 1:  # differences of the others against the single person, in the block's sign
        others, first = value, np.zeros(block.n_sets)
        real = None if block.real is None else block.real[1:]
    else:
        others, first = value[block.n_first :], value[: block.n_first].min(axis=0)
        real = None if block.real is None else block.real[block.n_first :]
    if real is not None:
        others = np.where(real, others, -np.inf)
    gaps: FloatArray = first - others.max(axis=0)
    return gaps


def _slice_of(positions: IntArray) -> IntArray | slice:
    """The slice that positions without a gap make up, which copies faster; others as they are."""
    first = int(positions[0]) if positions.size else 0
    if (positions == np.arange(first, first + positions.size)).all():
        return slice(first, first + positions.size)
    return positions


def _by_person(values: FloatArray, order: IntArray, layout: SetLayout) -> FloatArray:
    """Values in the blocks' order (..., len(order)) in the persons' order (..., n); 0 outside the blocks."""
    if isinstance(_slice_of(order), slice) and order.size == layout.n_persons:
        return values
    if order.size == layout.n_persons:
        place = np.empty(order.size, dtype=np.intp)
        place[order] = np.arange(order.size)
        return np.take(values, place, axis=-1)
    placed = np.zeros((*values.shape[:-1], layout.n_persons))
    placed[..., order] = values
    return placed


def _weighted_information(
    block: SetBlock, terms: SetTerms, columns: FloatArray, weight: FloatArray
) -> FloatArray:
    """Sum of w_j Cov_j(T) = sum of w_j slope_i q_i', because sum_i Cov(T, 1_i) q_i' = Cov(T)."""
    assert terms.persons is not None
    slope = terms.persons.slope[..., 1:, :] if block.n_first == 1 else terms.persons.slope
    lead, p = slope.shape[0], slope.shape[1]
    weighted = (slope * weight[:, None, None, :]).reshape(lead, p, -1)
    information = np.matmul(weighted, np.swapaxes(columns.reshape(columns.shape[0], p, -1), -1, -2))
    return np.asarray((information + np.swapaxes(information, -1, -2)) / 2)
