"""Exposures of controls and, tilted by the log risk, of cases."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biocal.errors import SimulationError
from biocal.simulation.generate_plan import DrawPlan
from biocal.simulation.laws import NormalMixture
from biocal.simulation.measurement import relative_error_sd, standard_errors

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

# At least so many proposals a round: fewer cost as much.
_FEWEST_PROPOSALS = 300
_MOST_PROPOSALS = 4_000_000
_MOST_ROUNDS = 5000


def draw_exposure(
    rng: np.random.Generator, plan: DrawPlan, study: IntArray, centre: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Exposure and anchor of persons from the controls' law.

    Parameters
    ----------
    study : ndarray of int, shape (k,)
        Non-decreasing.
    centre : ndarray, shape (k,)
        Mean of the exposure in the person's matching cell.

    Returns
    -------
    exposure, anchor : ndarray, shape (k,)
    """
    if plan.laboratories.exposure_first:
        exposure = _standard_exposure(rng, plan, study)
        exposure *= plan.within_sd[study]
        exposure += centre
        return exposure, draw_anchor(rng, plan, study, centre, exposure)
    return _draw_anchor_first(rng, plan, study, centre)


def draw_anchor(
    rng: np.random.Generator, plan: DrawPlan, study: IntArray, centre: FloatArray, exposure: FloatArray
) -> FloatArray:
    """The anchor of controls given their exposure: itself unless the error is Berkson's."""
    if plan.scenario.measurement.model != "berkson":
        return exposure
    anchor = exposure - centre
    anchor *= plan.anchor_weight[study]
    anchor += centre
    anchor += plan.anchor_sd[study] * rng.standard_normal(study.size)
    return anchor


def draw_case_exposure(
    rng: np.random.Generator,
    plan: DrawPlan,
    study: IntArray,
    centre: FloatArray,
    multiplier: FloatArray,
    added_slope: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Exposure and anchor of cases: the controls' law tilted by the odds, within matching cells.

    Parameters
    ----------
    study, centre
        As in :func:`draw_exposure`.
    multiplier, added_slope : ndarray, shape (S,)
        Heterogeneity: a study's log risk is multiplier * (log risk) + added_slope * exposure.

    Returns
    -------
    exposure, anchor : ndarray, shape (k,)
    """
    proposer = _CaseProposer(rng, plan, multiplier, added_slope)
    exposure, anchor = np.empty(study.size), np.empty(study.size)
    pending = np.arange(study.size)
    wanted = 1.5 / min(tilt.acceptance for tilt in plan.tilts)
    for _ in range(_MOST_ROUNDS):
        copies = int(np.ceil(max(wanted, _FEWEST_PROPOSALS / pending.size)))
        copies = max(1, min(copies, _MOST_PROPOSALS // pending.size))
        proposed, proposed_anchor, accepted = proposer.propose(copies, study[pending], centre[pending])
        first = accepted.argmax(axis=0)
        column = np.arange(pending.size)
        found = accepted[first, column]
        rows = pending[found]
        exposure[rows] = proposed[first, column][found]
        if proposed_anchor is not None:
            anchor[rows] = proposed_anchor[first, column][found]
        pending = pending[~found]
        if not pending.size:
            break
    else:
        raise SimulationError(
            f"{pending.size} case exposures were not accepted in {_MOST_ROUNDS} rounds: the truth is too steep "
            "over the 6 SD of the exposure"
        )
    if plan.laboratories.exposure_first:
        anchor = draw_anchor(rng, plan, study, centre, exposure)
        if plan.scenario.measurement.model == "berkson" and plan.scenario.covariates:
            anchor += proposer.anchor_slope[study] * plan.anchor_sd[study] ** 2
    return exposure, anchor


class _CaseProposer:
    """Draws case exposures and says which are accepted, under one replicate's heterogeneity."""

    def __init__(
        self, rng: np.random.Generator, plan: DrawPlan, multiplier: FloatArray, added_slope: FloatArray
    ) -> None:
        self.rng, self.plan, self.multiplier = rng, plan, multiplier
        tilts = plan.tilts
        self.tiltable = tilts[0].tiltable
        self.reach = np.array([tilt.reach for tilt in tilts])
        self.anchor_slope = np.array([tilt.anchor_slope for tilt in tilts])
        exposure_slope = np.array([tilt.exposure_slope for tilt in tilts])
        highest, lowest = (np.array([getattr(tilt, end) for tilt in tilts]) for end in ("highest", "lowest"))
        self.bound = np.where(multiplier >= 0, multiplier * highest, multiplier * lowest)
        self.bound = self.bound + plan.covariate_laws.highest_binary_log_risk
        self.added_slope = added_slope
        if self.tiltable:
            most = np.array([tilt.largest_quadratic for tilt in tilts])
            wanted = multiplier * np.array([tilt.quadratic for tilt in tilts])
            self.curve_linear = multiplier * np.array([tilt.linear for tilt in tilts])
            self.quadratic = np.minimum(wanted, most)
            self.linear = self.curve_linear + exposure_slope + added_slope
            self.bound = self.bound + 0.5 * (wanted - self.quadratic) * self.reach**2
        else:
            slope = exposure_slope if plan.laboratories.exposure_first else self.anchor_slope
            self.bound = self.bound + (np.abs(slope) + np.abs(added_slope)) * self.reach

    def propose(
        self, copies: int, study: IntArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray | None, NDArray[np.bool_]]:
        """Proposals, their anchors when drawn together, and acceptance: all of shape (copies, k)."""
        if self.tiltable:
            return self._propose_tilted(copies, study, centre)
        exposure, anchor = draw_exposure(self.rng, self.plan, np.tile(study, copies), np.tile(centre, copies))
        shape = (copies, study.size)
        exposure, anchor = exposure.reshape(shape), anchor.reshape(shape)
        mean = self.plan.mean[study]
        gain = self.anchor_slope[study] * (anchor - mean) + self.added_slope[study] * (exposure - mean)
        return exposure, anchor, self._accept(exposure, anchor, study, gain)

    def _propose_tilted(
        self, copies: int, study: IntArray, centre: FloatArray
    ) -> tuple[FloatArray, None, NDArray[np.bool_]]:
        law, plan = self.plan.laws[0], self.plan
        assert isinstance(law, NormalMixture)
        within, mean = plan.within_sd[study], plan.mean[study]
        quadratic, curve_linear = self.quadratic[study], self.curve_linear[study]
        deviation = law.draw_tilted(
            self.rng,
            copies,
            within * (self.linear[study] + quadratic * (centre - mean)),
            quadratic * within**2,
        )
        beyond = np.abs(deviation) > 6.0
        deviation *= within
        deviation += centre - mean
        exposure = deviation + mean
        gain = -deviation * (curve_linear + (0.5 * quadratic) * deviation)
        accepted = self._accept(exposure, exposure, study, gain)
        accepted &= ~beyond
        return exposure, None, accepted

    def _accept(
        self, exposure: FloatArray, anchor: FloatArray, study: IntArray, gain: FloatArray
    ) -> NDArray[np.bool_]:
        """Accept with probability exp(log risk + gain - bound)."""
        gain += self.multiplier[study] * self.plan.scenario.truth.log_risk(exposure)
        gain -= self.bound[study]
        binary = self.plan.covariate_laws.binary_log_risk(study, anchor)
        if binary is not None:
            gain += binary
        return self._accepted_below(gain, np.abs(exposure - self.plan.mean[study]) <= self.reach[study])

    def _accepted_below(self, gain: FloatArray, possible: NDArray[np.bool_]) -> NDArray[np.bool_]:
        if (gain[possible] > 1e-9).any():
            raise SimulationError(
                "the truth rises above its bound between the points it was searched at; give it no spikes "
                "narrower than a thousandth of the exposure's SD"
            )
        return np.asarray(possible & (gain >= -self.rng.standard_exponential(gain.shape)))


def _standard_exposure(rng: np.random.Generator, plan: DrawPlan, study: IntArray) -> FloatArray:
    """Standardised exposures within cells, shape (k,)."""
    if len(set(map(id, plan.laws))) == 1:
        return plan.laws[0].draw(rng, study.size)
    values = np.empty(study.size)
    for index, law in enumerate(plan.laws):
        rows = np.flatnonzero(study == index)
        values[rows] = law.draw(rng, rows.size)
    return values


def _draw_anchor_first(
    rng: np.random.Generator, plan: DrawPlan, study: IntArray, centre: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Calibrated value, then the exposure as that plus Berkson error; redrawn together beyond the limits."""
    measurement, labs = plan.scenario.measurement, plan.laboratories
    anchor, exposure = np.empty(study.size), np.empty(study.size)
    pending = np.arange(study.size)
    reach = np.array([tilt.reach for tilt in plan.tilts])
    anchor_within = plan.sd * np.sqrt(labs.anchor_share - plan.scenario.matching.share)
    error_sd = plan.sd * np.sqrt(1.0 - labs.anchor_share) / labs.error_scale
    while pending.size:
        s = study[pending]
        value = centre[pending] + anchor_within[s] * _standard_exposure(rng, plan, s)
        error = error_sd[s] * standard_errors(measurement, rng, pending.size)
        error *= relative_error_sd(measurement, value, plan.mean[s], plan.sd[s])
        anchor[pending], exposure[pending] = value, value + error
        pending = pending[np.abs(exposure[pending] - plan.mean[s]) > reach[s]]
    return exposure, anchor
