"""Exposures of cases of a rare disease: the controls' law tilted by the odds, by exact rejection."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from biocal.errors import SimulationError
from biocal.simulation.drawing.exposure import draw_with_anchor
from biocal.simulation.drawing.laws import LIMIT, NormalMixture
from biocal.simulation.drawing.plan import DrawPlan, PerStudy

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

# At least so many proposals a round: fewer cost as much.
_FEWEST_PROPOSALS = 300
_MOST_PROPOSALS = 2_000_000
_MOST_ROUNDS = 5000
# Proposals a case in the first round, times the acceptance: leaves about e**-1.5 of the cases to the next.
_EAGERNESS = 1.5


def draw_case_exposure(
    rng: np.random.Generator,
    plan: DrawPlan,
    study: IntArray,
    centre: FloatArray,
    multiplier: FloatArray,
    added_slope: FloatArray,
) -> tuple[FloatArray, FloatArray | None]:
    """Exposure and anchor of cases: the controls' law tilted by the odds, within matching cells.

    Parameters
    ----------
    study : ndarray of int, shape (k,)
    centre : ndarray, shape (k,)
        Mean of the exposure in the case's matching cell, among controls.
    multiplier, added_slope : ndarray, shape (S,)
        Heterogeneity: a study's log risk is multiplier * (log risk) + added_slope * exposure.

    Returns
    -------
    exposure : ndarray, shape (k,)
    anchor : ndarray, shape (k,), or None
        None where it is to be drawn given the exposure.

    Raises
    ------
    SimulationError
        The truth is too steep, or rises above the bound found for it.
    """
    if plan.scenario.truth.heterogeneity == 0:
        proposer = _Proposer(rng, plan, _homogeneous_proposals(plan))
    else:
        proposer = _Proposer(rng, plan, _proposals(plan, multiplier, added_slope))
    exposure = np.empty(study.size)
    anchor = None if plan.laboratories.exposure_first else np.empty(study.size)
    pending = np.arange(study.size)
    wanted = _EAGERNESS / min(tilt.acceptance for tilt in plan.tilts)
    for _ in range(_MOST_ROUNDS):
        copies = int(np.ceil(max(wanted, _FEWEST_PROPOSALS / pending.size)))
        copies = max(1, min(copies, _MOST_PROPOSALS // pending.size))
        proposed, proposed_anchor, accepted = proposer.propose(copies, study[pending], centre[pending])
        first = accepted.argmax(axis=0)
        picked = first * pending.size + np.arange(pending.size)
        found = accepted.ravel()[picked]
        exposure[pending] = proposed.ravel()[picked]  # those not found are overwritten in a later round
        if anchor is not None:
            anchor[pending] = proposed_anchor.ravel()[picked]
        pending = pending[~found]
        if not pending.size:
            return exposure, anchor
    raise SimulationError(
        f"{pending.size} case exposures were not accepted in {_MOST_ROUNDS} rounds: the truth is too steep "
        "over the 6 SD of the exposure"
    )


@dataclass(frozen=True, eq=False)
class _Proposals:
    """How each study's cases are proposed and accepted under one draw of the heterogeneity.

    Attributes
    ----------
    multiplier, added_slope : PerStudy
        A study's log risk is multiplier * (log risk) + added_slope * exposure.
    curve_linear, linear, quadratic : PerStudy
        The tilt: that which stands for the curve, and that with what is exact besides (confounders,
        added slope); all zero for laws that cannot be tilted.
    bound : PerStudy
        Upper bound of the log risk less the tilt.
    """

    multiplier: PerStudy
    added_slope: PerStudy
    curve_linear: PerStudy
    linear: PerStudy
    quadratic: PerStudy
    bound: PerStudy


def _proposals(plan: DrawPlan, multiplier: FloatArray, added_slope: FloatArray) -> _Proposals:
    """Scale each study's tilt and bound by its multiplier."""
    tilts = plan.tilts
    anchor_slope = np.array([tilt.anchor_slope for tilt in tilts])
    highest, lowest = (np.array([getattr(tilt, end) for tilt in tilts]) for end in ("highest", "lowest"))
    reach = plan.reach.values
    bound = np.where(multiplier >= 0, multiplier * highest, multiplier * lowest)
    bound += plan.covariate_laws.highest_binary_log_risk
    linear, exact, quadratic = np.zeros((3, len(tilts)))
    if plan.tiltable:
        wanted = multiplier * np.array([tilt.quadratic for tilt in tilts])
        quadratic = np.minimum(wanted, [tilt.largest_quadratic for tilt in tilts])
        bound += 0.5 * (wanted - quadratic) * reach**2
        linear = multiplier * np.array([tilt.linear for tilt in tilts])
        exact = added_slope + np.array([tilt.exposure_slope for tilt in tilts])
    else:
        bound += (np.abs(anchor_slope) + np.abs(added_slope)) * reach
    return _Proposals(
        multiplier=PerStudy(multiplier),
        added_slope=PerStudy(added_slope),
        curve_linear=PerStudy(linear),
        linear=PerStudy(linear + exact),
        quadratic=PerStudy(quadratic),
        bound=PerStudy(bound),
    )


@lru_cache(maxsize=8)
def _homogeneous_proposals(plan: DrawPlan) -> _Proposals:
    """The same for all replicates when studies do not differ."""
    n_studies = len(plan.tilts)
    return _proposals(plan, np.ones(n_studies), np.zeros(n_studies))


class _Proposer:
    """Draws case exposures and says which are accepted."""

    def __init__(self, rng: np.random.Generator, plan: DrawPlan, proposals: _Proposals) -> None:
        self.rng, self.plan, self.proposals = rng, plan, proposals

    def propose(
        self, copies: int, study: IntArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray, BoolArray]:
        """Proposals, their anchors (meaningful if drawn together), and acceptance, shape (copies, k)."""
        if self.plan.tiltable:
            return self._propose_tilted(copies, study, centre)
        shape = (copies, study.size)
        pair = draw_with_anchor(self.rng, self.plan, np.tile(study, copies), np.tile(centre, copies))
        exposure, anchor = pair[0].reshape(shape), pair[1].reshape(shape)
        mean = self.plan.mean.of(study)
        gain = self.plan.anchor_slope.of(study) * (anchor - mean)
        gain += self.proposals.added_slope.of(study) * (exposure - mean)
        return exposure, anchor, self._accept(exposure, anchor, study, gain, None)

    def _propose_tilted(
        self, copies: int, study: IntArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray, BoolArray]:
        """Proposals from the tilted law; what the tilt brought in is taken off the gain."""
        law, plan = self.plan.laws[0], self.plan
        assert isinstance(law, NormalMixture)
        within, shift = plan.within_sd.of(study), centre - plan.mean.of(study)
        quadratic = self.proposals.quadratic.of(study)
        linear_in_z = within * (self.proposals.linear.of(study) + quadratic * shift)
        deviation = law.draw_tilted(self.rng, copies, linear_in_z, quadratic * within**2)
        beyond = np.abs(deviation) > LIMIT
        deviation *= within
        deviation += shift
        exposure = deviation + plan.mean.of(study)
        gain = deviation * (-0.5 * quadratic)
        gain -= self.proposals.curve_linear.of(study)
        gain *= deviation
        return exposure, exposure, self._accept(exposure, exposure, study, gain, beyond)

    def _accept(
        self,
        exposure: FloatArray,
        anchor: FloatArray,
        study: IntArray,
        gain: FloatArray,
        beyond: BoolArray | None,
    ) -> BoolArray:
        """Accept with probability exp(log risk + gain - bound), unless the exposure lies beyond its limits."""
        gain += self.proposals.multiplier.of(study) * self.plan.scenario.truth.log_risk(exposure)
        gain -= self.proposals.bound.of(study)
        binary = self.plan.covariate_laws.binary_log_risk(study, anchor)
        if binary is not None:
            gain += binary
        if beyond is not None and beyond.any():
            gain[beyond] = -np.inf
        if gain.max() > 0:
            raise SimulationError(
                "the truth rises above its bound between the points it was searched at; give it no spikes "
                "narrower than a thousandth of the exposure's SD"
            )
        gain += self.rng.standard_exponential(gain.shape)
        return np.asarray(gain >= 0)
