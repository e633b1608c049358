"""Multiple imputation: each completed data set calibrated and fitted, the fits combined by Rubin's rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import OptionError
from biocal.fitting.api import fit
from biocal.fitting.problem.scale import GRID_POINTS
from biocal.kernels.contrasts import WaldTest
from biocal.kernels.meta.rubin import RubinPooled, pool_imputations, pool_statistics
from biocal.model.exposure import ExposureSpecification, linear, rcs
from biocal.pool.formulas.factors import Factor
from biocal.pool.imputed_rows import require_same_rows
from biocal.pool.pooled import PooledStudies
from biocal.results.fit.asked.increments import LinearTrend
from biocal.results.fit.comparison import Comparison
from biocal.results.fit.fit import Fit
from biocal.results.groups.estimates import GroupEstimate, LeaveOneOut, Subgroups
from biocal.results.model import ExposureScale

FloatArray = NDArray[np.float64]

_REFERENCE_RULE = "median of the controls' exposure over all imputations"
#: Arguments of `fit` that have no meaning over several data sets.
_REFUSED = {
    "bootstrap": "the bootstrap does not know of imputations",
    "aic": "likelihoods of several data sets cannot be added up",
}


def fit_imputations(pools: Sequence[PooledStudies], *, small_sample: bool = False, **arguments: Any) -> Any:
    """Fit every completed data set and combine the fits by Rubin's rules.

    Parameters
    ----------
    pools : sequence of PooledStudies
        The imputations, two or more, of the same studies; from :func:`biocal.read_imputations`, say.
    small_sample : bool, default False
        Degrees of freedom of coefficients by Barnard and Rubin [2]_, and of tests by Reiter [3]_, with the matched
        sets less the coefficients as those of complete data; otherwise Rubin's, and D1's own, for large samples.
    **arguments
        As of :func:`biocal.fit`.  Without given knots these, and without `reference` and `at` the axis, are
        quantiles of the exposure of the controls of all imputations together, so that coefficients mean the same.

    Returns
    -------
    Fit or Comparison
        Estimates are means over the imputations, each with its own calibration; covariances are
        U + (1 + 1/m) B, and intervals of t.  ``imputation`` of a fit has within and between; ``tidy()`` adds df, the
        relative increase in variance and the fraction of missing information.  Tests are D1; heterogeneity between
        studies D2, which knows large samples alone.

    Raises
    ------
    OptionError
        Fewer than two imputations; imputations whose fits have different terms; an option without meaning here.
    DataProblemsError
        Case status, set or study of a row differs between imputations.
    FitError
        An imputation cannot be fitted.

    Notes
    -----
    Rubin's rules [1]_; D1 of Li, Raghunathan and Rubin, JASA 1991;86:1065-1073.

    References
    ----------
    .. [1] Rubin. Multiple imputation for nonresponse in surveys. Wiley 1987, chapter 3.
    .. [2] Barnard, Rubin. Biometrika 1999;86:948-955.
    .. [3] Reiter. Biometrika 2007;94:502-508.

    Examples
    --------
    >>> import biocal as bc
    >>> frame = bc.datasets.load_infertility()
    >>> pools = [
    ...     bc.PooledStudies.from_frame(frame.assign(age=frame["age"] + k % 2), reference="spontaneous")
    ...     for k in range(3)
    ... ]
    >>> fit = bc.fit_imputations(pools, exposure=bc.linear(), covariates="induced")
    >>> float(round(fit.tidy()["fraction_missing"].iloc[0], 3))
    0.0
    """
    pools = list(pools)
    if len(pools) < 2:
        raise OptionError(f"multiple imputation needs two data sets or more, not {len(pools)}")
    told = require_same_rows(pools)
    for name, why in _REFUSED.items():
        if arguments.get(name):
            raise OptionError(f"{name} cannot be used with multiple imputation: {why}")
    common = arguments | _common_axis(pools, arguments)
    rule = "as asked" if arguments.get("reference") is not None else _REFERENCE_RULE
    found = [fit(pool, **common) for pool in pools]
    if isinstance(found[0], Fit):
        return _with_notes(_combined(found, small_sample, rule=rule), told)
    failures: dict[str, str] = {}
    for k, one in enumerate(found, start=1):
        failures |= {
            name: f"imputation {k}: {why}" for name, why in one.failures.items() if name not in failures
        }
    methods = [name for name in found[0] if name not in failures]
    fits = {name: _combined([one[name] for one in found], small_sample, rule=rule) for name in methods}
    return Comparison({name: _with_notes(one, told) for name, one in fits.items()}, failures)


def _with_notes(fit: Fit, told: tuple[str, ...]) -> Fit:
    return replace(fit, info=replace(fit.info, notes=(*fit.info.notes, *told)))


def _common_axis(pools: Sequence[PooledStudies], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Knots, reference exposure and grid from the controls of all imputations."""
    specification: ExposureSpecification = arguments.get("exposure") or rcs(4)
    if arguments.get("knot_rule", "common") == "published" and specification.needs_data:
        raise OptionError(
            "with multiple imputation the knots are common: give them, or leave the knot rule common"
        )
    known = not specification.needs_data and arguments.get("reference") is not None
    if known and arguments.get("at") is not None:
        return {"exposure": specification}
    first = {name: value for name, value in arguments.items() if name not in ("by", "subsite", "joint", "at")}
    first |= {"exposure": linear(), "leave_one_out": False}
    if not arguments.get("where"):
        first["calibrate_within"] = False
    scales = [_scale(fit(pool, **first)) for pool in pools]
    exposure = np.concatenate([scale.control_exposure for scale in scales])
    axis: dict[str, Any] = {"exposure": specification}
    if specification.needs_data:
        learned = specification.learn(exposure)
        axis["exposure"] = rcs(list(learned.knots))  # type: ignore[union-attr]
    low, median, high = (float(q) for q in np.quantile(exposure, [0.01, 0.5, 0.99]))
    anchor = median if arguments.get("reference") is None else float(arguments["reference"])
    axis["reference"] = anchor
    if arguments.get("at") is None:
        axis["at"] = np.unique(np.append(np.linspace(low, high, GRID_POINTS), anchor)).tolist()
    return axis


def _scale(found: Fit | Comparison) -> ExposureScale:
    one = found if isinstance(found, Fit) else next(iter(found.values()))
    return one.info.scale


def _combined(fits: Sequence[Fit], small_sample: bool, *, parts: bool = True, rule: str = "") -> Fit:
    """One method's fits as one; `rule` says where the reference exposure comes from."""
    first = fits[0]
    for k, one in enumerate(fits[1:], start=2):
        if one.terms != first.terms:
            apart = sorted(set(one.terms) ^ set(first.terms))
            raise OptionError(
                f"imputation {k} has other terms than the first ({', '.join(apart)}): levels of a factor that occur "
                "in some imputations only cannot be combined; merge rare levels"
            )
        for before, now in zip(_coded(first), _coded(one), strict=False):
            if now != before:
                raise OptionError(
                    f"imputation {k} codes {now.factor} otherwise than the first ({now.words()}; the first: "
                    f"{before.words()}), so that its terms mean something else; give all imputations the same levels"
                )
    complete = _complete_df(first, len(first.terms), small_sample)
    estimates = np.stack([one.estimates for one in fits])
    pooled = pool_imputations(estimates, np.stack([one.vcov for one in fits]), complete)
    uncorrected = pool_imputations(estimates, np.stack([one.vcov_uncorrected for one in fits]))
    nan = float("nan")
    straight, trend = _combined_trend(fits, small_sample)
    tests = [test for test in _combined_tests(fits) if test.test != "trend"]
    scale = replace(first.info.scale, reference_rule=rule) if rule else first.info.scale
    info = replace(first.info, scale=scale, notes=(*_told(fits, pooled, small_sample), *first.info.notes))
    combined = replace(
        first,
        estimates=pooled.estimate,
        vcov=pooled.total,
        vcov_uncorrected=uncorrected.total,
        calibration_parts=np.mean([one.calibration_parts for one in fits], axis=0),
        loglik=nan,
        loglik_null=nan,
        info=info,
        variance=f"Rubin's rules over {len(fits)} imputations, each: {first.variance}",
        extra_tests=(*trend, *tests),
        influence=None,
        studies=None,
        linear=straight,
        curve_models=(),
        imputation=pooled,
        warnings=_warnings(fits),
        effective_sets=None,
        subgroups=(),
        left_out=None,
    )
    return _with_parts(combined, fits, small_sample) if parts else combined


def _coded(fit: Fit) -> list[Factor]:
    """Factors by which the terms of the outcome model are coded."""
    return [
        one
        for one in fit.info.factors
        if one.formula in ("covariates", "modifier") and any(one.factor in term for term in fit.terms)
    ]


def _warnings(fits: Sequence[Fit]) -> tuple[str, ...]:
    """Those of the first imputation that has any, and two-stage pools of different studies."""
    warnings = next((one.warnings for one in fits if one.warnings), ())
    lost = [tuple(one.studies.left_out) if one.studies is not None else () for one in fits]
    if len(set(lost)) == 1:
        return warnings
    each = "; ".join(f"imputation {k}: {', '.join(names) or 'none'}" for k, names in enumerate(lost, start=1))
    told = (
        f"the imputations leave out different studies ({each}), so that what is combined is not of the same studies; "
        "choose knots or categories by which every imputation keeps the same ones"
    )
    return (told, *warnings)


def _complete_df(fit: Fit, n_terms: int, small_sample: bool) -> float:
    """Degrees of freedom that complete data would have: matched sets less coefficients."""
    return float(max(fit.sample.n_sets - n_terms, 1)) if small_sample else float("inf")


def _told(fits: Sequence[Fit], pooled: RubinPooled, small_sample: bool) -> tuple[str, ...]:
    """What must be known of the imputations."""
    columns = fits[0].exposure_positions.ravel()
    missing = pooled.fraction_missing(np.eye(len(fits[0].terms))[:, columns])
    kind = "Barnard and Rubin's (of tests Reiter's)" if small_sample else "Rubin's"
    notes = [
        f"{len(fits)} imputations combined by Rubin's rules, each calibrated anew; knots and reference exposure are "
        f"common; fraction of missing information of the exposure's terms up to {100 * missing.max():.1f} %; {kind} "
        "degrees of freedom; the figures and tables of the calibration are those of the first imputation"
    ]
    sets = sorted({one.sample.n_sets for one in fits})
    if len(sets) > 1:
        notes.append(
            f"the imputations use different numbers of matched sets ({sets[0]:,} to {sets[-1]:,}): a variable of the "
            "model is still missing in some; counts are those of the first"
        )
    if len(fits) < 100 * missing.max():
        notes.append(
            f"{len(fits)} imputations are few for this fraction of missing information: as many as its percentage are "
            "advised (White, Royston and Wood, Stat Med 2011;30:377-399)"
        )
    return tuple(notes)


def _combined_trend(
    fits: Sequence[Fit], small_sample: bool
) -> tuple[LinearTrend | None, tuple[WaldTest, ...]]:
    """The linear fits as one, and its test."""
    trends = [one.linear for one in fits if one.linear is not None]
    if len(trends) < len(fits):
        return None, ()
    pooled = pool_imputations(
        np.stack([one.estimates for one in trends]),
        np.stack([one.vcov for one in trends]),
        _complete_df(fits[0], trends[0].n_terms, small_sample),
    )
    joined = LinearTrend(pooled.estimate, pooled.total, float("nan"), trends[0].n_terms, pooled)
    if not any(test.test == "trend" for test in fits[0].extra_tests):
        return joined, ()
    return joined, (pooled.test("trend", np.arange(pooled.estimate.size)),)


def _combined_tests(fits: Sequence[Fit]) -> list[WaldTest]:
    """Tests of which only the statistic is known, by D2, where every imputation has them on the same df."""
    tests = []
    for test in fits[0].extra_tests:
        others = [next((t for t in one.extra_tests if t.test == test.test), None) for one in fits]
        if all(other is not None and other.df == test.df for other in others):
            statistics = np.array([other.statistic for other in others if other is not None])
            tests.append(pool_statistics(test.test, statistics, test.df))
    return tests


def _with_parts(combined: Fit, fits: Sequence[Fit], small_sample: bool) -> Fit:
    """Subgroups, and what is left without each study, combined part by part."""
    subgroups = tuple(
        _combined_subgroups(combined, [one.subgroups[k] for one in fits], small_sample)
        for k in range(len(fits[0].subgroups))
    )
    combined = replace(combined, subgroups=subgroups)
    found = [one.left_out for one in fits if one.left_out is not None]
    if not found:
        return combined
    groups = _combined_groups([one.groups for one in found], small_sample)
    return replace(combined, left_out=LeaveOneOut(groups, combined, found[0].overall_counts))


def _combined_subgroups(combined: Fit, found: Sequence[Subgroups], small_sample: bool) -> Subgroups:
    first = found[0]
    for k, one in enumerate(found[1:], start=2):
        if tuple(one) != tuple(first):
            raise OptionError(
                f"imputation {k} has other levels of {first.variable} than the first; subgroups need the same levels"
            )
    groups = _combined_groups([one.groups for one in found], small_sample)
    joint = None
    kept = [group.name for group in groups if group.fit is not None]
    blocks = [_joint(one, kept) for one in found]
    if kept and all(block is not None for block in blocks):
        estimates = np.stack([block[0] for block in blocks if block is not None])
        covariances = np.stack([block[1] for block in blocks if block is not None])
        joint = pool_imputations(
            estimates, covariances, _complete_df(found[0].overall, estimates.shape[1], small_sample)
        )
    covariance = None if joint is None else joint.total
    return replace(first, groups=groups, overall=combined, covariance=covariance, imputation=joint)


def _joint(one: Subgroups, kept: Sequence[str]) -> tuple[FloatArray, FloatArray] | None:
    """Exposure coefficients of some levels and their joint covariance."""
    if one.covariance is None:
        return None
    k = one.overall.exposure_positions.size
    places = [i for i, group in enumerate(one.fitted) if group.name in kept]
    columns = np.concatenate([np.arange(i * k, (i + 1) * k) for i in places])
    estimates = [
        group.fit.estimates[group.fit.exposure_positions.ravel()]
        for group in one.fitted
        if group.name in kept and group.fit is not None
    ]
    return np.concatenate(estimates), one.covariance[np.ix_(columns, columns)]


def _combined_groups(
    found: Sequence[tuple[GroupEstimate, ...]], small_sample: bool
) -> tuple[GroupEstimate, ...]:
    groups = []
    for same in zip(*found, strict=True):
        unfitted = next((group for group in same if group.fit is None), None)
        if unfitted is not None:
            groups.append(replace(unfitted, influence=None))
            continue
        fits = [group.fit for group in same if group.fit is not None]
        combined = _combined(fits, small_sample, parts=False)
        notes = fits[0].info.notes
        combined = replace(combined, info=replace(combined.info, notes=notes))
        if fits[0].subgroups:
            combined = _with_parts(combined, [replace(one, left_out=None) for one in fits], small_sample)
        groups.append(replace(same[0], fit=combined, influence=None))
    return tuple(groups)
