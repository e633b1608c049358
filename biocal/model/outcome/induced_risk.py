r"""The induced relative risk ``M = E[exp(b'f(X)) | W, V, Y=0]`` of single persons (Prentice 1982).

Three forms of the same four derivatives.  With weights tilted by exp(b'f), the gradient with respect
to b is the mean of f, the second derivative its covariance.

* f linear, X normal: ``log M = b mu + b^2 sigma^2 / 2``.
* f an indicator of categories: ``M = sum_k exp(b_k) P(category k)``.
* f anything, at nodes x_k = mu + offset_k: ``M = sum_k w_k exp(b'f(x_k))``, the nodes being those of
  a Gauss-Hermite rule times sigma or the calibration residuals (smearing).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.normal_laws import normal_nodes, tilted
from biocal.model.outcome.induced_law import (
    ExposureBasis,
    ExposureLaw,
    InducedRisk,
    RiskSensitivity,
    RiskTerms,
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: Gauss-Hermite nodes; 15 differ from 20 by 1e-5 because a spline has kinks in its third derivative.
DEFAULT_NODES = 20
#: Numbers (nodes x points) worked on at a time: they stay in a core's cache.
_CHUNK_NUMBERS = 1 << 15
#: Basis columns at the nodes are kept between evaluations up to this many numbers (32 MB).
_KEEP_NUMBERS = 1 << 22


@runtime_checkable
class _Cut(Protocol):
    """A basis of categories."""

    @property
    def cuts(self) -> tuple[float, ...]: ...
    @property
    def reference(self) -> int: ...


def induced_risk(law: ExposureLaw, basis: ExposureBasis, *, nodes: int = DEFAULT_NODES) -> InducedRisk:
    """Choose the closed form where there is one, quadrature elsewhere."""
    if isinstance(basis, _Cut):
        return CategoryRisk(law, basis.cuts, basis.reference)
    if basis.kind == "linear" and law.residuals is None:
        return LinearRisk(law)
    return NodeRisk(law, basis, nodes=nodes)


def _person_variance(law: ExposureLaw) -> FloatArray:
    """sigma^2 of each person, 0 where the exposure is known."""
    return np.append(law.variance, 0.0)[law.group]


class LinearRisk:
    """Closed form for a linear exposure and a normal law.

    Parameters
    ----------
    law : ExposureLaw
        Of n points, known exposures included.
    """

    def __init__(self, law: ExposureLaw) -> None:
        self._mean, self._variance = law.mean, _person_variance(law)
        self._uncertain = (~law.known).astype(float)

    def terms(self, coefficients: FloatArray, *, covariance: bool = True) -> RiskTerms:
        """log M and its derivatives, coefficients (1, n) or (1, 1)."""
        b = coefficients[0]
        gradient = self._mean + b * self._variance
        log_risk = b * (self._mean + b * self._variance / 2)
        return RiskTerms(log_risk, gradient[None], self._variance[None, None] if covariance else None)

    def sensitivity(self, coefficients: FloatArray) -> RiskSensitivity:
        """Derivatives with respect to mu and sigma^2."""
        b = coefficients[0] * self._uncertain
        return RiskSensitivity(b, b * b / 2, self._uncertain[None], b[None])


class CategoryRisk:
    """Finite sum over the categories of the exposure: K + 1 terms a person.

    Parameters
    ----------
    law : ExposureLaw
        Of n points; a group with variance 0 counts as known.
    cuts : tuple of float
        Cut points of half-open categories [low, high).
    reference : int
        Category whose coefficient is 0.
    """

    def __init__(self, law: ExposureLaw, cuts: tuple[float, ...], reference: int) -> None:
        self._cuts = np.asarray(cuts, dtype=float)
        self._others = np.array([k for k in range(self._cuts.size + 1) if k != reference])
        variance = _person_variance(law)
        self._uncertain = variance > 0
        self._mean, self._sd = law.mean[self._uncertain], np.sqrt(variance[self._uncertain])
        self._smearing = law.residuals is not None
        probability = np.zeros((self._cuts.size + 1, law.mean.size))
        codes = np.searchsorted(self._cuts, law.mean, side="right")
        probability[codes, np.arange(law.mean.size)] = 1.0
        if law.residuals is None:
            probability[:, self._uncertain] = self._normal_probabilities()
        else:
            for g, residuals in enumerate(law.residuals):
                mine = law.group == g
                probability[:, mine] = self._empirical_probabilities(law.mean[mine], residuals)
        with np.errstate(divide="ignore"):
            self._log_probability = np.log(probability)

    def terms(self, coefficients: FloatArray, *, covariance: bool = True) -> RiskTerms:
        """log M and its derivatives, coefficients (K, n) or (K, 1)."""
        log_risk, share = tilted(self._padded(coefficients), self._log_probability)
        gradient = share[self._others]
        second: FloatArray | None = None
        if covariance:
            second = -gradient[:, None] * gradient
            second[np.arange(self._others.size), np.arange(self._others.size)] += gradient
        return RiskTerms(log_risk, gradient, second)

    def sensitivity(self, coefficients: FloatArray) -> RiskSensitivity:
        """Derivatives with respect to mu and sigma^2; none under smearing, where M has steps."""
        assert not self._smearing
        padded, n = self._padded(coefficients), self._log_probability.shape[1]
        log_risk = tilted(padded, self._log_probability)[0]
        gradient = self.terms(coefficients, covariance=False).mean
        where = np.flatnonzero(self._uncertain)
        ratio = np.exp(np.broadcast_to(padded, (padded.shape[0], n))[:, where] - log_risk[where])
        low = (self._cuts[:, None] - self._mean) / self._sd
        density = np.exp(-low * low / 2) / np.sqrt(2 * np.pi)
        found = []
        # d P(X < c) / d mu = -phi / sigma, d P(X < c) / d sigma^2 = -low phi / (2 sigma^2)
        for below in (-density / self._sd, -low * density / (2 * self._sd**2)):
            edge = np.zeros((1, where.size))
            change = np.diff(np.concatenate([edge, below, edge]), axis=0) * ratio
            of_log, of_gradient = np.zeros(n), np.zeros((self._others.size, n))
            of_log[where] = change.sum(axis=0)
            of_gradient[:, where] = change[self._others] - gradient[:, where] * of_log[where]
            found += [of_log, of_gradient]
        return RiskSensitivity(found[0], found[2], found[1], found[3])

    def _padded(self, coefficients: FloatArray) -> FloatArray:
        """Coefficients of all categories, the reference's 0."""
        padded = np.zeros((self._others.size + 1, coefficients.shape[1]))
        padded[self._others] = coefficients
        return padded

    def _normal_probabilities(self) -> FloatArray:
        """P(category) of the uncertain points, each from the tail in which no digits cancel."""
        from scipy.special import ndtr

        edge = np.full((1, self._mean.size), np.inf)
        z = np.concatenate([-edge, (self._cuts[:, None] - self._mean) / self._sd, edge])
        low, high = z[:-1], z[1:]
        upper = low > 0
        return np.asarray(ndtr(np.where(upper, -low, high)) - ndtr(np.where(upper, -high, low)))

    def _empirical_probabilities(self, mean: FloatArray, residuals: FloatArray) -> FloatArray:
        """Share of the residuals that put a point into each category."""
        below = np.searchsorted(np.sort(residuals), self._cuts[:, None] - mean, side="left") / residuals.size
        edge = np.zeros((1, mean.size))
        return np.diff(np.concatenate([edge, below, edge + 1.0]), axis=0)


class NodeRisk:
    """Sum over nodes, for any basis.

    Parameters
    ----------
    law : ExposureLaw
        Of n points, none of them known.
    basis : ExposureBasis
    nodes : int, default 20
        Gauss-Hermite nodes; not used under smearing.

    Notes
    -----
    Columns at nodes are kept as deviations from those at the mean, so that neither the exponent nor the
    covariance loses digits, and only when they are few; otherwise every evaluation makes them anew, chunk
    by chunk, and memory does not grow with nodes x points.
    """

    def __init__(self, law: ExposureLaw, basis: ExposureBasis, *, nodes: int = DEFAULT_NODES) -> None:
        self._basis, self._mean, self._group = basis, law.mean, law.group
        self.offsets, self._log_weights = node_offsets(law, nodes)
        self._sd = np.sqrt(law.variance)
        self._size = max(64, _CHUNK_NUMBERS // self.offsets.shape[0])
        self._base = basis.columns(law.mean)
        n_terms = self._base.shape[0]
        self._kept: list[FloatArray] | None = None
        if n_terms * self.offsets.shape[0] * law.mean.size <= _KEEP_NUMBERS:
            self._kept = [self._deviations(part) for part in self._chunks()]

    def terms(self, coefficients: FloatArray, *, covariance: bool = True) -> RiskTerms:
        """log M and its derivatives, coefficients (K, n) or (K, 1)."""
        n_terms, n = self._base.shape
        log_risk, gradient = np.empty(n), np.empty((n_terms, n))
        second = np.empty((n_terms, n_terms, n)) if covariance else None
        for index, part in enumerate(self._chunks()):
            b, base, deviation = _of(coefficients, part), self._base[:, part], self._at(index, part)
            shift, probability = self._tilt(b, deviation, part)
            log_risk[part] = (b * base).sum(axis=0) + shift
            mean = np.empty((n_terms, probability.shape[1]))
            for j in range(n_terms):
                weighted = probability * deviation[j]
                mean[j] = weighted.sum(axis=0)
                for k in range(j + 1 if second is not None else 0):
                    assert second is not None
                    second[j, k, part] = np.einsum("qn,qn->n", weighted, deviation[k]) - mean[j] * mean[k]
                    second[k, j, part] = second[j, k, part]
            gradient[:, part] = base + mean
        return RiskTerms(log_risk, gradient, second)

    def sensitivity(self, coefficients: FloatArray) -> RiskSensitivity:
        """Derivatives with respect to mu and sigma^2 of the rule itself, the offsets growing as sigma."""
        n_terms, n = self._base.shape
        log_by, gradient_by = np.empty((2, n)), np.empty((2, n_terms, n))
        for index, part in enumerate(self._chunks()):
            b, deviation = _of(coefficients, part), self._at(index, part)
            probability = self._tilt(b, deviation, part)[1]
            slopes = self._slopes(part)
            risk_slope = (b[:, None] * slopes).sum(axis=0)
            for row, rate in enumerate((None, self._rates(part))):
                moved = probability if rate is None else probability * rate
                change = moved * risk_slope
                log_by[row, part] = change.sum(axis=0)
                change -= probability * log_by[row, part]
                for j in range(n_terms):
                    gradient_by[row, j, part] = (moved * slopes[j]).sum(axis=0) + (change * deviation[j]).sum(
                        axis=0
                    )
        return RiskSensitivity(log_by[0], log_by[1], gradient_by[0], gradient_by[1])

    def _chunks(self) -> Iterator[slice]:
        for start in range(0, self._mean.size, self._size):
            yield slice(start, min(start + self._size, self._mean.size))

    def _at(self, index: int, part: slice) -> FloatArray:
        return self._deviations(part) if self._kept is None else self._kept[index]

    def _points(self, part: slice) -> FloatArray:
        """Exposures at the nodes, (n_nodes, n)."""
        return self._mean[part] + self.offsets[:, self._group[part]]

    def _deviations(self, part: slice) -> FloatArray:
        """f(x) - f(mu), (K, n_nodes, n)."""
        points = self._points(part)
        columns = self._basis.columns(points.ravel()).reshape(-1, *points.shape)
        return columns - self._base[:, None, part]

    def _slopes(self, part: slice) -> FloatArray:
        """f'(x), (K, n_nodes, n)."""
        points = self._points(part)
        return self._basis.slopes(points.ravel()).reshape(-1, *points.shape)

    def _rates(self, part: slice) -> FloatArray:
        """d x / d sigma^2 = offset / (2 sigma^2), (n_nodes, n).

        0 where sigma is 0: all calibration residuals are then 0, and with them the scores that this
        derivative multiplies.
        """
        variance = self._sd[self._group[part]] ** 2
        offsets = self.offsets[:, self._group[part]]
        return np.asarray(np.divide(offsets, 2 * variance, out=np.zeros_like(offsets), where=variance > 0))

    def _tilt(self, b: FloatArray, deviation: FloatArray, part: slice) -> tuple[FloatArray, FloatArray]:
        exponent = b[0] * deviation[0]
        for k in range(1, deviation.shape[0]):
            exponent += b[k] * deviation[k]
        return tilted(exponent, self._log_weights[:, self._group[part]])


def _of(coefficients: FloatArray, part: slice) -> FloatArray:
    """Coefficients of a chunk of points; one column serves all."""
    return coefficients if coefficients.shape[1] == 1 else coefficients[:, part]


def node_offsets(law: ExposureLaw, nodes: int) -> tuple[FloatArray, FloatArray]:
    """Deviations of the nodes from mu, and logs of their weights: both (n_nodes, n_groups).

    Under smearing groups with fewer residuals are filled up with nodes of weight 0.
    """
    if law.residuals is None:
        points, weights = normal_nodes(nodes)
        return points[:, None] * np.sqrt(law.variance), np.repeat(
            np.log(weights)[:, None], law.variance.size, axis=1
        )
    most = max(residuals.size for residuals in law.residuals)
    offsets = np.zeros((most, len(law.residuals)))
    log_weights = np.full(offsets.shape, -np.inf)
    for g, residuals in enumerate(law.residuals):
        offsets[: residuals.size, g] = residuals
        log_weights[: residuals.size, g] = -np.log(residuals.size)
    return offsets, log_weights
