"""Rubin's rules: estimates of several completed data sets into one (Rubin 1987, chapter 3).

With m estimates b_k and covariances U_k: b the mean, U the mean of U_k, B the covariance of b_k, and
T = U + (1 + 1/m) B.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.contrasts import WaldTest

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class RubinPooled:
    """Pooled coefficients.

    Attributes
    ----------
    n_imputations : int
        m.
    estimate : ndarray, shape (p,)
    within, between, total : ndarray, shape (p, p)
        U, B and T.
    complete_df : float
        Degrees of freedom with complete data; infinite for Rubin's (1987) large-sample rule, finite for Barnard
        and Rubin's (Biometrika 1999;86:948-955).
    """

    n_imputations: int
    estimate: FloatArray
    within: FloatArray
    between: FloatArray
    total: FloatArray
    complete_df: float = float("inf")

    def relative_increase(self, contrasts: FloatArray) -> FloatArray:
        """r = (1 + 1/m) l'Bl / l'Ul, the relative increase in variance of contrasts (p, c): (c,)."""
        within, between = (_along(contrasts, part) for part in (self.within, self.between))
        with np.errstate(divide="ignore", invalid="ignore"):
            increase = (1 + 1 / self.n_imputations) * between / within
        return np.asarray(np.where(within > 0, increase, 0.0))

    def df(self, contrasts: FloatArray) -> FloatArray:
        """Degrees of freedom of contrasts, (c,); infinite where nothing differs between the imputations."""
        share = self._share(contrasts)
        with np.errstate(divide="ignore"):
            old = np.where(share > 0, (self.n_imputations - 1) / share**2, np.inf)
        if not np.isfinite(self.complete_df):
            return old
        n = self.complete_df
        observed = (n + 1) / (n + 3) * n * (1 - share)
        with np.errstate(divide="ignore"):
            return np.asarray(1 / (1 / old + 1 / observed))

    def along(self, contrasts: FloatArray) -> RubinPooled:
        """The same of contrasts (p, c) of the coefficients."""
        within, between, total = (
            contrasts.T @ part @ contrasts for part in (self.within, self.between, self.total)
        )
        estimate = contrasts.T @ self.estimate
        return RubinPooled(self.n_imputations, estimate, within, between, total, self.complete_df)

    def fraction_missing(self, contrasts: FloatArray) -> FloatArray:
        """Fraction of missing information of contrasts, (c,): (r + 2 / (df + 3)) / (r + 1)."""
        r = self.relative_increase(contrasts)
        return np.asarray((r + 2 / (self.df(contrasts) + 3)) / (r + 1))

    def test(self, name: str, positions: IntArray) -> WaldTest:
        """Test that some coefficients are 0: D1 of Li, Raghunathan and Rubin (JASA 1991;86:1065-1073).

        The statistic is k D1, on the scale of a chi-square on k; the p-value is of F on k and `df_denominator`, with a
        finite `complete_df` that of Reiter (Biometrika 2007;94:502-508).  Of one coefficient D1 is t^2, on nearly
        the degrees of freedom of Barnard and Rubin; exactly theirs with five imputations or fewer.
        """
        from scipy.special import chdtrc, fdtrc

        k, m = int(np.size(positions)), self.n_imputations
        if k == 0 or not np.isfinite(self.total).all():
            return WaldTest(name, float("nan"), 0, float("nan"))
        estimate = self.estimate[positions]
        scale = 1 / np.sqrt(np.diagonal(self.within)[positions])
        within = self.within[np.ix_(positions, positions)] * np.outer(scale, scale)
        between = self.between[np.ix_(positions, positions)] * np.outer(scale, scale)
        r = float((1 + 1 / m) * np.trace(np.linalg.solve(within, between)) / k)
        scaled = estimate * scale
        statistic = float(scaled @ np.linalg.solve(within, scaled)) / (1 + r)
        df = _reiter_df(k, m, r, self.complete_df) if np.isfinite(self.complete_df) else _d1_df(k, m, r)
        p = float(fdtrc(k, df, statistic / k)) if np.isfinite(df) else float(chdtrc(k, statistic))
        return WaldTest(name, statistic, k, p, df)

    def _share(self, contrasts: FloatArray) -> FloatArray:
        """(1 + 1/m) l'Bl / l'Tl."""
        total, between = (_along(contrasts, part) for part in (self.total, self.between))
        with np.errstate(divide="ignore", invalid="ignore"):
            share = (1 + 1 / self.n_imputations) * between / total
        return np.asarray(np.where(total > 0, share, 0.0))


def pool_imputations(
    estimates: FloatArray, covariances: FloatArray, complete_df: float = float("inf")
) -> RubinPooled:
    """Pool.

    Parameters
    ----------
    estimates : ndarray, shape (m, p)
    covariances : ndarray, shape (m, p, p)
    complete_df : float
        See :class:`RubinPooled`.
    """
    m = estimates.shape[0]
    within = covariances.mean(axis=0)
    apart = estimates - estimates.mean(axis=0)
    between = apart.T @ apart / (m - 1)
    return RubinPooled(
        m, estimates.mean(axis=0), within, between, within + (1 + 1 / m) * between, complete_df
    )


def pool_statistics(name: str, statistics: FloatArray, df: int) -> WaldTest:
    """Pool chi-square statistics: D2 of Li, Meng, Raghunathan and Rubin (Statistica Sinica 1991;1:65-92).

    Less powerful than D1; for tests of which only the statistic is known.
    """
    from scipy.special import chdtrc, fdtrc

    m = statistics.size
    if df == 0 or not np.isfinite(statistics).all():
        return WaldTest(name, float("nan"), 0, float("nan"))
    r = float((1 + 1 / m) * np.var(np.sqrt(statistics), ddof=1))
    d2 = max((float(statistics.mean()) / df - (m + 1) / (m - 1) * r) / (1 + r), 0.0)
    if r == 0:
        return WaldTest(name, d2 * df, df, float(chdtrc(df, d2 * df)))
    denominator = df ** (-3 / m) * (m - 1) * (1 + 1 / r) ** 2
    return WaldTest(name, d2 * df, df, float(fdtrc(df, denominator, d2)), denominator)


def _along(contrasts: FloatArray, covariance: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("pc,pq,qc->c", contrasts, covariance, contrasts))


def _reiter_df(k: int, m: int, r: float, complete_df: float) -> float:
    """Denominator degrees of freedom of D1 where complete data would have finitely many (Reiter 2007).

    His approximation needs k (m - 1) > 4 and complete data of some size.  Elsewhere (our choice) D1's large-sample
    degrees of freedom and those of the observed data are combined as Barnard and Rubin do for one coefficient.
    """
    full = complete_df * (complete_df + 1) / (complete_df + 3)
    t = k * (m - 1)
    spread = 1 + r * t / (t - 2) if t > 4 else np.inf  # 1 + a
    if full <= 4 * spread:
        return 1 / (1 / _d1_df(k, m, r) + (1 + r) / full)
    a, far, near = spread - 1, full - 4 * spread, full - 2 * spread
    missing = near / far * (1 / spread**2 + 8 / (spread * far) + 16 / far**2)
    missing += 4 / far * (1 / spread + 1 / near + 2 / far)
    return 4 + 1 / (1 / far + a**2 / (t - 4) * missing)


def _d1_df(k: int, m: int, r: float) -> float:
    """Denominator degrees of freedom of D1."""
    if r <= 0:
        return float("inf")
    t = k * (m - 1)
    if t > 4:
        return float(4 + (t - 4) * (1 + (1 - 2 / t) / r) ** 2)
    return float(t * (1 + 1 / k) * (1 + 1 / r) ** 2 / 2)
