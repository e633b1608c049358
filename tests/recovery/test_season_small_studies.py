"""What fitting the season to the controls of the sets themselves would cost in small studies; biocal does not do it."""

import numpy as np
import pandas as pd
import pytest

import biocal as bc

STUDIES, PAIRS, REPLICATES = 20, 60, 80
AT = [-2.0, 2.0]
#: Monte Carlo standard errors beyond which a difference is no chance.
CLEAR = 3.5
#: Two fits of the same numbers, standardised by hand and by the package.
SAME_MAXIMUM = 1e-6


def drawn(seed: int) -> pd.DataFrame:
    """Pairs of no association: a normal level, and the season of the month on which the pair is matched."""
    rng = np.random.default_rng(seed)
    n = STUDIES * PAIRS
    frame = pd.DataFrame(
        {
            "study": np.repeat(np.arange(STUDIES), 2 * PAIRS),
            "set": np.tile(np.repeat(np.arange(PAIRS), 2), STUDIES),
            "case": np.tile([1, 0], n),
            "month": np.repeat(rng.integers(1, 13, n), 2),
            "local": np.nan,
        }
    )
    frame["reference"] = rng.normal(size=2 * n) + 0.7 * np.cos(2 * np.pi * (frame["month"] - 8.5) / 12)
    return frame


def standardised(frame: pd.DataFrame, *, own_set: bool) -> pd.Series:
    """The level less a season fitted to all controls of the study, or to those of all other pairs."""
    left = []
    for _, people in frame.groupby("study"):
        angle = 2 * np.pi * (people["month"].to_numpy() - 0.5) / 12
        waves = np.column_stack([np.ones(angle.size), np.cos(angle), np.sin(angle)])
        level, case = people["reference"].to_numpy(), people["case"].to_numpy() == 1
        controls = waves[~case]
        inverse = np.linalg.inv(controls.T @ controls)
        fitted = inverse @ controls.T @ level[~case]
        residual = level[~case] - controls @ fitted
        leverage = np.einsum("ij,jk,ik->i", controls, inverse, controls)
        without = fitted - (residual / (1 - leverage))[:, None] * (controls @ inverse)
        chosen = np.broadcast_to(fitted, without.shape) if own_set else without
        chosen = np.repeat(chosen, 2, axis=0)  # a pair's case and control stand side by side
        left.append(pd.Series(level - np.sum(waves[:, 1:] * chosen[:, 1:], axis=1), index=people.index))
    return pd.concat(left)


def estimates(frame: pd.DataFrame, season: str | None, **options: str) -> np.ndarray:
    fit = bc.fit(
        bc.PooledStudies.from_frame(frame),
        exposure=bc.rcs(knots=[-1.3, 0.0, 1.3]),
        season=season,
        reference=0.0,
        **options,
    )
    return fit.dose_response(at=AT).log_or


def test_the_season_is_that_of_the_other_sets_controls() -> None:
    frame = drawn(0)
    by_hand = estimates(frame.assign(reference=standardised(frame, own_set=False)), None)
    np.testing.assert_allclose(estimates(frame, "month"), by_hand, rtol=SAME_MAXIMUM)


def test_the_season_of_all_controls_can_be_had() -> None:
    frame = drawn(0)
    by_hand = estimates(frame.assign(reference=standardised(frame, own_set=True)), None)
    found = estimates(frame, "month", season_controls="all")
    np.testing.assert_allclose(found, by_hand, rtol=SAME_MAXIMUM)
    assert np.abs(found - estimates(frame, "month")).min() > 1e-3  # it is another estimator


@pytest.mark.slow
def test_a_season_fitted_to_the_own_controls_would_bend_the_curve_of_small_studies() -> None:
    """Controls pull the wave to themselves, so that they vary less about it than cases do: both tails look harmful.

    With 60 controls a study and no association, by about leverage times the squared distance: 2/60 * 4 = .13.  A
    wave that leaves a set's own controls out, as biocal's does, has no such bias.
    """
    own, others = [], []
    for seed in range(REPLICATES):
        frame = drawn(seed)
        own.append(estimates(frame.assign(reference=standardised(frame, own_set=True)), None))
        others.append(estimates(frame, "month"))
    for found, low, high in ((own, 0.05, 0.22), (others, -0.001, 0.001)):
        mean = np.mean(found, axis=0)
        error = np.std(found, axis=0, ddof=1) / np.sqrt(REPLICATES)
        assert (mean > low - CLEAR * error).all(), (mean, error)
        assert (mean < high + CLEAR * error).all(), (mean, error)
    apart = np.subtract(own, others)
    assert (apart.mean(axis=0) > CLEAR * apart.std(axis=0, ddof=1) / np.sqrt(REPLICATES)).all()
