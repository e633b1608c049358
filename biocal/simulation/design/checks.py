"""What each section of a scenario may hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from biocal.errors import FormulaError, OptionError
from biocal.kernels.splines import HARRELL_PROBABILITIES, require_knots
from biocal.pool.checks.columns import did_you_mean
from biocal.simulation.design.scenario import (
    METHODS,
    Covariate,
    Disease,
    Estimand,
    ExposureLaw,
    FitPlan,
    Matching,
    Measurement,
    Scenario,
    StudyDesign,
)
from biocal.simulation.design.truth import Truth
from biocal.simulation.fitting.quantities import TESTS

#: A problem: key within its section, and what is wrong.
Problem = tuple[str, str]

#: Of a study; ours, a hundred times the largest cohort consortium.
MOST_PERSONS = 10_000_000
#: Cubes of exposures, as splines take them, must stay far from what a computer holds.
LARGEST_EXPOSURE = 1e50
#: Ours: sets are matched on one of so many strata at most, or on a month and one of them.
MOST_STRATA = 1_000
LOCAL_KEYS = ("intercept", "slope", "r_squared", "calibrators")


def _choice(key: str, value: str, allowed: Sequence[str]) -> Iterator[Problem]:
    if value not in allowed:
        words = ", ".join(f'"{word}"' for word in allowed)
        yield key, f'must be one of {words}, not "{value}"{did_you_mean(value, allowed)}'


def _above(key: str, value: float, limit: float) -> Iterator[Problem]:
    if not value > limit:
        yield key, f"must be above {limit:g}, not {value:g}"


def _at_least(key: str, value: float, limit: float) -> Iterator[Problem]:
    if not value >= limit:
        yield key, f"must be {limit:g} or more, not {value:g}"


def check_exposure(exposure: ExposureLaw) -> Iterator[Problem]:
    """Problems of the section [exposure]."""
    yield from _above("sd", exposure.sd, 0)
    for key in ("mean", "sd"):
        if abs(getattr(exposure, key)) > LARGEST_EXPOSURE:
            yield key, f"must lie within {LARGEST_EXPOSURE:g} of 0; change the unit"
    yield from _choice("law", exposure.law, ("normal", "lognormal", "mixture"))
    if exposure.law == "lognormal" and exposure.mean <= 0:
        yield "mean", f"must be above 0 for a lognormal law, not {exposure.mean:g}"
    if exposure.law != "mixture":
        return
    sizes = {len(exposure.weights), len(exposure.means), len(exposure.sds)}
    if sizes == {0}:
        yield "weights", "a mixture needs weights, means and sds, a list each, a number a component"
    elif len(sizes) > 1:
        counts = f"{len(exposure.weights)}, {len(exposure.means)} and {len(exposure.sds)}"
        yield "weights", f"weights, means and sds must be of one length, not {counts}"
    elif min(exposure.weights) <= 0:
        yield "weights", f"must be above 0, not {min(exposure.weights):g}"
    elif min(exposure.sds) <= 0:
        yield "sds", f"must be above 0, not {min(exposure.sds):g}"


def check_truth(truth: Truth) -> Iterator[Problem]:
    """Problems of the section [truth]."""
    yield from _choice("type", truth.type, ("rcs", "linear", "expression"))
    yield from _at_least("heterogeneity", truth.heterogeneity, 0)
    yield from _choice("heterogeneity_of", truth.heterogeneity_of, ("multiplier", "slope"))
    if truth.type == "linear" and len(truth.beta) != 1:
        yield "beta", f"a line has one coefficient, such as [0.01], not {len(truth.beta)}"
    if truth.type == "rcs":
        try:
            require_knots(truth.knots)
        except OptionError as problem:
            yield "knots", str(problem)
        else:
            if len(truth.beta) != len(truth.knots) - 1:
                columns = len(truth.knots) - 1
                yield "beta", f"{len(truth.knots)} knots have {columns} coefficients, not {len(truth.beta)}"
    if truth.type == "expression":
        from biocal.simulation.design.truth import require_formula

        try:
            require_formula(truth.formula)
        except FormulaError as problem:
            yield "formula", str(problem)


def check_measurement(measurement: Measurement) -> Iterator[Problem]:
    """Problems of the section [measurement]."""
    errors = ("normal", "t", "skewed", "heteroscedastic", "proportional")
    yield from _choice("model", measurement.model, ("berkson", "classical"))
    yield from _choice("error", measurement.error, errors)
    yield from _choice("sampling", measurement.sampling, ("random", "deciles"))
    if not measurement.df > 2:
        yield "df", f"must be above 2, where the t law has a variance, not {measurement.df:g}"
    yield from _at_least("case_extra_sd", measurement.case_extra_sd, 0)
    yield from _at_least("reference_error_sd", measurement.reference_error_sd, 0)
    if abs(measurement.sd_trend) > 1:
        yield "sd_trend", f"must lie between -1 and 1, not {measurement.sd_trend:g}"


def check_covariate(covariate: Covariate) -> Iterator[Problem]:
    """Problems of one of [[covariates]]."""
    if not covariate.name.isidentifier():
        yield "name", f"must be a word of letters, digits and underscores, not {covariate.name!r}"
    yield from _choice("type", covariate.type, ("normal", "binary"))
    if not -1 < covariate.correlation < 1:
        yield "correlation", f"must lie between -1 and 1, not {covariate.correlation:g}"
    if not 0 < covariate.prevalence < 1:
        yield "prevalence", f"must lie between 0 and 1, not {covariate.prevalence:g}"


def check_matching(matching: Matching) -> Iterator[Problem]:
    """Problems of the section [matching]."""
    if matching.season_share is not None and not 0 <= matching.season_share < 1:
        yield "season_share", f"must be 0 or more and below 1, not {matching.season_share:g}"
    if not 0 <= matching.strata_share < 1:
        yield "strata_share", f"must be 0 or more and below 1, not {matching.strata_share:g}"
    if matching.strata is not None and matching.strata < 2:
        yield "strata", f"must be 2 or more, not {matching.strata}"
    if matching.strata is not None and matching.strata > MOST_STRATA:
        yield "strata", f"must be {MOST_STRATA:,} or fewer, not {matching.strata:,}"
    if matching.share >= 1:
        yield (
            "strata_share",
            f"season and strata must leave some of Var(exposure), not explain {matching.share:g}",
        )


def check_disease(disease: Disease) -> Iterator[Problem]:
    """Problems of the section [disease]."""
    yield from _choice("type", disease.type, ("rare", "cohort"))
    if disease.type != "cohort":
        return
    if disease.size is None:
        yield "size", "is missing: the persons of each study's cohort"
    elif disease.size < 2:
        yield "size", f"must be 2 or more, not {disease.size}"
    elif disease.size > MOST_PERSONS:
        yield "size", f"must be {MOST_PERSONS:,} or fewer, not {disease.size:,}"
    if disease.prevalence is None:
        yield "prevalence", "is missing: the share of a cohort that falls ill"
    elif not 0 < disease.prevalence < 1:
        yield "prevalence", f"must lie between 0 and 1, not {disease.prevalence:g}"


def check_study(study: StudyDesign) -> Iterator[Problem]:
    """Problems of one of [[studies]]."""
    if not study.name:
        yield "name", "must not be blank"
    yield from _choice("laboratory", study.laboratory, ("reference", "local"))
    for key in ("sets", "controls", "cases"):
        yield from _at_least(key, getattr(study, key), 1)
    if study.n_persons > MOST_PERSONS:
        yield "sets", f"ask for more than {MOST_PERSONS:,} persons with so many cases and controls a set"
    if study.sd is not None:
        yield from _above("sd", study.sd, 0)
    for key in LOCAL_KEYS:
        value = getattr(study, key)
        if study.laboratory == "reference" and value is not None:
            yield key, "belongs to a local laboratory; remove it from a reference study"
        if study.laboratory == "local" and value is None:
            yield key, "is missing: a local laboratory needs it"
    if study.laboratory != "local":
        return
    if study.slope == 0:
        yield "slope", "must not be 0"
    if study.r_squared is not None and not 0 < study.r_squared <= 1:
        yield "r_squared", f"must be above 0 and at most 1, not {study.r_squared:g}"
    if study.calibrators is not None:
        yield from _at_least("calibrators", study.calibrators, 3)  # a line with a residual variance


def check_fit(fit: FitPlan) -> Iterator[Problem]:
    """Problems of the section [fit]."""
    yield from _choice("exposure", fit.exposure, ("rcs", "linear"))
    yield from _choice("calibration_covariates", fit.calibration_covariates, ("outcome", "none"))
    yield from _choice("calibration_variance", fit.calibration_variance, ("robust", "hc3"))
    if isinstance(fit.knots, int):
        if fit.knots not in HARRELL_PROBABILITIES:
            yield "knots", f"must be from 3 to 7, or a list of knots, not {fit.knots}"
        return
    try:
        require_knots(fit.knots)
    except OptionError as problem:
        yield "knots", str(problem)


def check_estimand(estimand: Estimand) -> Iterator[Problem]:
    """Problems of the section [estimand]."""
    if not estimand.at:
        yield "at", "must hold at least one exposure"
    if estimand.reference in estimand.at:
        yield (
            "at",
            f"holds the reference exposure {estimand.reference:g}, where the log OR is 0 by definition",
        )
    if any(low == high for low, high in pairwise(sorted(estimand.at))):
        yield "at", "holds an exposure twice"
    for k, test in enumerate(estimand.tests):
        yield from _choice(f"tests[{k}]", test, TESTS)
        if test in estimand.tests[:k]:
            yield f"tests[{k}]", f'"{test}" is there twice'


def check_methods(methods: Sequence[str]) -> Iterator[Problem]:
    """Problems of the list of methods."""
    if not methods:
        yield "methods", f"must name at least one of {', '.join(METHODS)}"
    for k, method in enumerate(methods):
        yield from _choice(f"methods[{k}]", method, METHODS)
        if method in methods[:k]:
            yield f"methods[{k}]", f'"{method}" is there twice'


def section_problems(scenario: Scenario) -> list[Problem]:
    """Problems of each section by itself, with full keys."""
    found = list(check_methods(scenario.methods))
    sections = {
        "exposure": check_exposure(scenario.exposure),
        "truth": check_truth(scenario.truth),
        "measurement": check_measurement(scenario.measurement),
        "matching": check_matching(scenario.matching),
        "disease": check_disease(scenario.disease),
        "fit": check_fit(scenario.fit),
        "estimand": check_estimand(scenario.estimand),
    }
    sections |= {f"covariates[{k}]": check_covariate(each) for k, each in enumerate(scenario.covariates)}
    sections |= {f"studies[{k}]": check_study(each) for k, each in enumerate(scenario.studies)}
    for section, problems in sections.items():
        found += [(f"{section}.{key}", message) for key, message in problems]
    return found
