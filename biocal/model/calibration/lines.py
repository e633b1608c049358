"""The calibration model: least squares from local-laboratory to reference-laboratory values.

One linear model for all local studies, fitted in their calibration subsets (X = a_s + b_s W + c'V + e).
Every person carries a short row of columns (1, W, V...); a table of positions says which parameter each
of them has in each study, so that common and study-specific coefficients are the same code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from biocal.errors import CalibrationDesignError
from biocal.model.calibration.forms import LINEAR_FORM, CalibrationForm
from biocal.model.calibration.rows import CalibrationRows, PersonRows, chunks_of
from biocal.model.calibration.stacked import JointScores, inverse_bread_with_variances, variance_scores

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

#: Fewest pairs that leave a residual degree of freedom for a line.
MIN_PAIRS = 3
#: What to do about studies without a calibration line.
PAIRS_ARE_NEEDED = (
    ". Controls measured in both laboratories are needed; leave such a study out, or name it with --reference-study "
    "if it was measured at the reference laboratory."
)
#: Residual degrees of freedom below which a study's calibration is refused: half a pair to spare.
LEAST_FREEDOM = 0.5
#: Norm of a column's part not explained by columns before it, relative to its own.
_COLLINEAR = 1e-9


@dataclass(frozen=True, slots=True)
class CalibrationLayout:
    """Which parameter each column has in each study.

    Attributes
    ----------
    position : ndarray of int, shape (L, k)
        Parameter of column k in local study s, -1 for none (coefficient 0).
    n_parameters : int
        G.
    n_groups : int
        Residual variances.
    group_study : ndarray of int, shape (n_groups,)
        Local study of each residual variance.
    n_own : int
        Columns made from 1 and W, whose coefficients are each study's own; covariates follow.
    """

    position: IntArray
    n_parameters: int
    n_groups: int
    group_study: IntArray
    n_own: int = 2

    @property
    def shares_covariates(self) -> bool:
        """Whether there are covariates with coefficients common to several studies."""
        if self.position.shape[1] <= self.n_own or self.position.shape[0] < 2:
            return False
        own = self.position[:, self.n_own :]
        return bool((own == own[0]).all())


@dataclass(frozen=True, slots=True)
class CalibrationFit:
    """A fitted calibration.

    Attributes
    ----------
    gamma : ndarray, shape (G,)
        Intercepts and slopes study by study, then covariates' coefficients.
    residuals, leverage : ndarray, shape (n_pairs,)
        In reference units (between logarithms: without unit), and without unit.
    inverse_bread : ndarray, shape (G, G)
        Inverse of the sum of C_i C_i'.
    scores : ndarray, shape (n_pairs, G)
        r_i C_i.
    variance : ndarray, shape (n_groups,)
        sigma^2 = RSS / sum(1 - h).
    freedom : ndarray, shape (n_groups,)
        sum(1 - h).
    layout : CalibrationLayout
    dropped : tuple of (study, column) int pairs
        Collinear columns of the form and of covariates whose coefficient was set to 0; study -1 when common.
    group : ndarray of int, shape (n_pairs,)
        Residual variance of each pair.
    form : CalibrationForm
        Columns made from W, and the unit of the mean.
    estimator : str
        "least-squares", "huber" or "tobit".
    joint : JointScores or None
        Of coefficients and residual variances, unless they were estimated by least squares.
    censored : ndarray of bool, shape (n_pairs,), or None
        Pairs whose reference value is below its detection limit, if any.
    """

    gamma: FloatArray
    residuals: FloatArray
    leverage: FloatArray
    inverse_bread: FloatArray
    scores: FloatArray
    variance: FloatArray
    freedom: FloatArray
    layout: CalibrationLayout
    dropped: tuple[tuple[int, int], ...]
    group: IntArray
    form: CalibrationForm = LINEAR_FORM
    estimator: str = "least-squares"
    joint: JointScores | None = None
    censored: BoolArray | None = None

    def with_leverage_scores(self) -> CalibrationFit:
        """The same fit with scores r_i C_i / (1 - h_i), as in HC3, for small calibration subsets.

        The influence of a pair on its own line shrinks its residual by 1 - h_i; undoing it keeps the meat of the
        sandwich from being too small when pairs are few (MacKinnon and White, J Econometrics 1985;29:305-325).
        """
        shrunk = np.maximum(1.0 - self.leverage, 1e-8)
        return replace(self, scores=self.scores / shrunk[:, None])

    def predict(self, rows: CalibrationRows | PersonRows) -> FloatArray:
        """E[X | W, V], shape (n,), in reference units; NaN for persons of reference studies."""
        predictor = self.linear_predictor(rows)
        if not self.form.logarithmic:
            return predictor
        predictor += self.variance[rows.group] / 2
        return np.exp(predictor, out=predictor)

    def linear_predictor(self, rows: CalibrationRows | PersonRows) -> FloatArray:
        """C'gamma, shape (n,): the mean, or between logarithms that of log X; NaN in reference studies."""
        # One row a study, and one of NaN, where index -1 of the reference studies leads.
        coefficients = np.pad(self.coefficients(), ((0, 1), (0, 0)), constant_values=np.nan)
        mu = np.empty(rows.study.size)
        for part, some in chunks_of(rows):
            own = self.form.columns(some)
            study = own.study
            if study.size and (study == study[0]).all():
                study = study[:1]  # neighbours are mostly of one study: nothing to look up for each of them
            mu[part] = coefficients[:, 0][study] * own.columns[0]
            for column, coefficient in zip(own.columns[1:], coefficients.T[1:], strict=True):
                mu[part] += coefficient[study] * column
        return mu

    def coefficients(self) -> FloatArray:
        """Coefficients of the columns in each study, shape (L, k)."""
        padded = np.append(self.gamma, 0.0)
        return np.asarray(padded[self.layout.position])

    @property
    def mean_needs_variance(self) -> bool:
        """Whether E[X | W, V] depends on the residual variance."""
        return self.form.logarithmic

    def joint_scores(self) -> JointScores:
        """Estimating functions and bread of coefficients and residual variances together."""
        if self.joint is not None:
            return self.joint
        of_variance = variance_scores(self.residuals, self.variance, self.freedom, self.group)
        inverse = inverse_bread_with_variances(self.scores, self.inverse_bread, self.freedom, self.group)
        return JointScores(np.hstack([self.scores, of_variance]), inverse)

    def mean_scores(self) -> JointScores:
        """What the sandwich of a plug-in needs: the parameters of E[X | W, V] alone, in the order of `fold`.

        The inverse bread has a row a parameter of the mean and a column a score: a mean that does not depend
        on the residual variance can still be estimated jointly with it.
        """
        if self.estimator == "least-squares" and not self.mean_needs_variance:
            return JointScores(self.scores, self.inverse_bread)
        joint = self.joint_scores()
        if self.mean_needs_variance:
            return joint
        return JointScores(joint.scores, joint.inverse_bread[: self.gamma.size])

    def fold(self, weights: FloatArray, rows: CalibrationRows) -> FloatArray:
        """Sum over persons of weights_i d E[X_i | W_i, V_i] / d parameters: from weights (p, n).

        Returns
        -------
        ndarray, shape (p, G), or (p, G + n_groups) where the mean depends on the residual variance.
        """
        if not self.form.logarithmic:
            return self.fold_predictor(weights, rows)
        local = rows.study >= 0
        moved = np.where(local, weights * np.where(local, self.predict(rows), 0.0), 0.0)
        by_variance = np.stack(
            [np.bincount(rows.group, weights=part, minlength=self.layout.n_groups) for part in moved]
        )
        return np.hstack([self.fold_predictor(moved, rows), by_variance / 2])

    def fold_predictor(self, weights: FloatArray, rows: CalibrationRows) -> FloatArray:
        """Sum over persons of weights_i C_i': shape (p, G), from weights (p, n)."""
        return fold_rows(weights, self.form.columns(rows), self.layout)


def fold_rows(weights: FloatArray, rows: CalibrationRows, layout: CalibrationLayout) -> FloatArray:
    """Sum over persons of weights_i C_i', shape (p, G); persons of reference studies count nothing."""
    total = np.zeros((weights.shape[0], layout.n_parameters + 1))
    present = np.bincount(rows.study + 1, minlength=1)[1:]
    for study in np.flatnonzero(present):
        if present[study] == rows.study.size:
            by_column = weights @ rows.columns.T
        else:
            mine = rows.study == study
            by_column = weights[:, mine] @ rows.columns[:, mine].T
        # parameters may repeat: those of columns left out all stand last, where they are forgotten
        np.add.at(total.T, layout.position[study], by_column.T)
    return total[:, :-1]


def lay_out_parameters(
    n_studies: int, n_columns: int, group_study: IntArray, *, by_study: bool, n_own: int = 2
) -> CalibrationLayout:
    """Number the parameters: intercept and slope study by study, then the covariates.

    Parameters
    ----------
    n_studies : int
        Local studies L.
    n_columns : int
        k, `n_own` and the calibration covariates.
    group_study : ndarray of int, shape (n_groups,)
        Local study of each residual variance.
    by_study : bool
        Whether covariates have coefficients of their own in each study.
    n_own : int, default 2
        Columns made from 1 and W: 2 for a line, the number of knots for a spline.
    """
    position = np.empty((n_studies, n_columns), dtype=np.intp)
    lines = n_own * n_studies
    position[:, :n_own] = np.arange(lines).reshape(n_studies, n_own)
    extra = n_columns - n_own
    if by_study:
        position[:, n_own:] = lines + np.arange(n_studies * extra).reshape(n_studies, extra)
        count = n_studies * n_columns
    else:
        position[:, n_own:] = lines + np.arange(extra)
        count = lines + extra
    return CalibrationLayout(position, count, group_study.size, group_study, n_own)


def dense_rows(rows: CalibrationRows, layout: CalibrationLayout) -> FloatArray:
    """Rows C_i as a full matrix, shape (n, G)."""
    full = np.zeros((rows.study.size, layout.n_parameters + 1))
    person = np.arange(rows.study.size)
    for column in range(rows.columns.shape[0]):
        full[person, layout.position[rows.study, column]] = rows.columns[column]
    return full[:, :-1]


def fit_calibration(
    rows: CalibrationRows, response: FloatArray, layout: CalibrationLayout, study_names: tuple[str, ...]
) -> CalibrationFit:
    """Fit the calibration by ordinary least squares.

    Parameters
    ----------
    rows : CalibrationRows
        The calibration subset, n_pairs persons.
    response : ndarray, shape (n_pairs,)
        Reference-laboratory values.
    layout : CalibrationLayout
        Parameters; those of collinear covariate columns are taken out.
    study_names : tuple of str
        Names of the local studies, for messages.

    Raises
    ------
    CalibrationDesignError
        Fewer than 3 pairs in a study, constant local values, or no residual degree of freedom
        (attribute ``studies``).

    Notes
    -----
    sigma^2 of a study is RSS / sum(1 - h), h the leverage: RSS / (n - 2) for a line of its own.
    """
    _require_lines(rows, layout, study_names)
    layout, dropped = _without_collinear(rows, layout)
    design = dense_rows(rows, layout)
    scale = np.linalg.norm(design, axis=0)
    q, r = np.linalg.qr(design / scale)
    gamma = np.linalg.solve(r, q.T @ response) / scale
    residuals = response - design @ gamma
    leverage = np.einsum("ij,ij->i", q, q)
    root = np.linalg.solve(r, np.eye(r.shape[0])) / scale[:, None]
    freedom = np.bincount(rows.group, weights=1.0 - leverage, minlength=layout.n_groups).astype(float)
    rss = np.bincount(rows.group, weights=residuals * residuals, minlength=layout.n_groups)
    _require_freedom(freedom, rows, layout, study_names)
    return CalibrationFit(
        gamma,
        residuals,
        leverage,
        root @ root.T,
        residuals[:, None] * design,
        rss / freedom,
        freedom,
        layout,
        dropped,
        rows.group,
    )


def _require_lines(rows: CalibrationRows, layout: CalibrationLayout, study_names: tuple[str, ...]) -> None:
    """Every local study needs 3 pairs and two different local values."""
    problems, studies = [], []
    for s, name in enumerate(study_names):
        local = rows.columns[1, rows.study == s]
        if local.size < MIN_PAIRS:
            problems.append(f"study {name}: calibration pairs: {local.size}, at least {MIN_PAIRS} are needed")
        elif np.ptp(local) <= 1e-12 * np.abs(local).max():
            problems.append(f"study {name}: all {local.size} calibrated persons have the same local value")
        else:
            continue
        studies.append(name)
    if problems:
        raise CalibrationDesignError(
            "; ".join(problems) + PAIRS_ARE_NEEDED,
            studies=tuple(studies),
        )


def _require_freedom(
    freedom: FloatArray, rows: CalibrationRows, layout: CalibrationLayout, study_names: tuple[str, ...]
) -> None:
    short = [g for g in range(layout.n_groups) if freedom[g] < LEAST_FREEDOM]
    if short:
        names = sorted({study_names[layout.group_study[g]] for g in short})
        raise CalibrationDesignError(
            f"the calibration of {', '.join(names)} has as many coefficients as pairs; use fewer calibration "
            "covariates, or common coefficients",
            studies=tuple(names),
        )


def _without_collinear(
    rows: CalibrationRows, layout: CalibrationLayout
) -> tuple[CalibrationLayout, tuple[tuple[int, int], ...]]:
    """Take out covariate parameters whose columns are combinations of those before them."""
    n_studies, k = layout.position.shape
    design = dense_rows(rows, layout)
    flagged = _collinear(design)
    if not flagged.any():
        return layout, ()
    lines = layout.position[:, :2].ravel()
    flagged[lines] = False
    renumber = np.full(layout.n_parameters + 1, -1, dtype=np.intp)
    kept = np.flatnonzero(~flagged)
    renumber[kept] = np.arange(kept.size)
    covariates_by_study = k > layout.n_own and n_studies > 1 and not layout.shares_covariates
    dropped: list[tuple[int, int]] = []
    for column in range(2, k):
        by_study = covariates_by_study or (column < layout.n_own and n_studies > 1)
        studies = range(n_studies) if by_study else range(1)
        dropped += [(s if by_study else -1, column) for s in studies if flagged[layout.position[s, column]]]
    return (
        replace(layout, position=renumber[layout.position], n_parameters=kept.size),
        tuple(dropped),
    )


def _collinear(design: FloatArray) -> NDArray[np.bool_]:
    """Columns in the span of those before them, by Gram-Schmidt with reorthogonalisation."""
    n, p = design.shape
    norms = np.linalg.norm(design, axis=0)
    flagged = norms == 0
    basis = np.empty((n, 0))
    for column in range(p):
        if flagged[column]:
            continue
        rest = design[:, column] / norms[column]
        for _ in range(2):
            rest = rest - basis @ (basis.T @ rest)
        size = np.linalg.norm(rest)
        if size < _COLLINEAR:
            flagged[column] = True
            continue
        basis = np.column_stack([basis, rest / size])
    return np.asarray(flagged)
