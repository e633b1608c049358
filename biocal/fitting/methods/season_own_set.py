r"""A study's season without the controls of a person's own matched set.

Controls pull the harmonics fitted to them towards themselves and would vary less about them than cases do, so that
both tails of a curve would look harmful in small studies.  So everybody of set j is standardised by harmonics that the
set's own controls have no part in,

    a_(-j) = a - (H - H_j)^-1 sum over the set's controls of (1, h)_k e_k,

H and H_j the sums of (1, h)(1, h)' over the controls of the study and of the set.  That is the least-squares fit to all
other controls, written as a function of the study's harmonics and of the set's own data, so that a sandwich by set
carries it.  METHODS section 12 takes off a itself: `season_controls` "all".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

#: A set whose controls hold more than this share of what its study knows of some harmonic keeps its part in the
#: season: without it the harmonics would rest on next to nothing (our choice).
MOST_OF_A_HARMONIC = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class OwnSetLeftOut:
    """Harmonics of each matched set.

    Attributes
    ----------
    coefficients : ndarray, shape (n_sets, 1 + h)
        a_(-j).
    inverse_bread : ndarray, shape (n_sets, 1 + h, 1 + h)
        (H - H_j)^-1; H^-1 where the set keeps its part.
    keeps_part : ndarray of bool, shape (n_sets,)
        Sets of which their study's season cannot do without.
    """

    coefficients: FloatArray
    inverse_bread: FloatArray
    keeps_part: BoolArray


def leave_own_set_out(
    columns: FloatArray,
    residual: FloatArray,
    controls: IntArray,
    set_code: IntArray,
    set_study: IntArray,
    coefficients: FloatArray,
    inverse_bread: FloatArray,
    *,
    keep_all: bool,
) -> OwnSetLeftOut:
    """Take each set's own controls out of its study's harmonics.

    Parameters
    ----------
    columns : ndarray, shape (1 + h, n)
        (1, h) of everybody.
    residual : ndarray, shape (n,)
        e_i of the controls.
    controls : ndarray of int
        Their rows.
    set_code : ndarray of int, shape (n,)
    set_study : ndarray of int, shape (n_sets,)
        Position of each set's study in `coefficients`.
    coefficients : ndarray, shape (S, 1 + h)
        The studies' harmonics.
    inverse_bread : ndarray, shape (S, 1 + h, 1 + h)
        H^-1.
    keep_all : bool
        Leave nothing out: every set is standardised by the season of all controls of its study.
    """
    width, n_sets = columns.shape[0], set_study.size
    own, code = columns[:, controls], set_code[controls]
    score = np.empty((n_sets, width))
    share = np.empty((n_sets, width, width))  # H_j, then H^-1 H_j
    for r in range(width):
        score[:, r] = np.bincount(code, weights=own[r] * residual[controls], minlength=n_sets)
        for c in range(r + 1):
            share[:, r, c] = np.bincount(code, weights=own[r] * own[c], minlength=n_sets)
            share[:, c, r] = share[:, r, c]
    whole = inverse_bread[set_study]
    share = whole @ share
    keeps = np.ones(n_sets, dtype=bool) if keep_all else _holds_most(share)
    share[keeps] = 0.0
    left = np.asarray(np.linalg.solve(np.eye(width) - share, whole), dtype=float)
    score[keeps] = 0.0
    moved: FloatArray = np.einsum("jrc,jc->jr", left, score)
    without: FloatArray = coefficients[set_study] - moved
    return OwnSetLeftOut(without, left, keeps)


def _holds_most(share: FloatArray) -> BoolArray:
    """Sets whose largest eigenvalue of H^-1 H_j, at most its trace, is above the bound."""
    holds: BoolArray = np.trace(share, axis1=1, axis2=2) > MOST_OF_A_HARMONIC
    doubtful = np.flatnonzero(holds)
    largest = np.abs(np.linalg.eigvals(share[doubtful])).max(axis=1, initial=0.0)
    holds[doubtful] = largest > MOST_OF_A_HARMONIC
    return holds
