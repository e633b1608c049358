"""What a scenario's sections may hold together."""

from __future__ import annotations

from collections.abc import Iterator

from biocal.errors import DesignError, SimulationError
from biocal.pool.checks.columns import did_you_mean
from biocal.simulation.design.checks import Problem, section_problems
from biocal.simulation.design.scenario import Scenario
from biocal.simulation.drawing.covariates import binary_problem
from biocal.simulation.drawing.laboratories import laboratories, true_r_squared
from biocal.simulation.drawing.laws import NormalMixture, law_of_study
from biocal.simulation.drawing.tilt import tilt_of_study
from biocal.simulation.fitting.quantities import true_coefficients


def require_sound(scenario: Scenario) -> Scenario:
    """Return the scenario; DesignError (attribute ``pairs``) with everything that is wrong with it."""
    problems = scenario_problems(scenario)
    if problems:
        raise DesignError([f"{key}: {message}" for key, message in problems], pairs=tuple(problems))
    return scenario


def scenario_problems(scenario: Scenario) -> list[Problem]:
    """Everything that is wrong with a scenario: full key, and message.

    The sections together are looked at only when each is right by itself.
    """
    found = section_problems(scenario) or [*_joint_problems(scenario)] or [*_drawing_problems(scenario)]
    return list(dict.fromkeys(found))


def _joint_problems(scenario: Scenario) -> Iterator[Problem]:
    """What each section allows, but not with the others."""
    yield from _name_problems(scenario)
    yield from _estimand_problems(scenario)
    measurement, matched = scenario.measurement, scenario.matching.share
    for k, study in enumerate(scenario.studies):
        key = f"studies[{k}]"
        mean = scenario.exposure.mean if study.mean is None else study.mean
        if scenario.exposure.law == "lognormal" and mean <= 0:
            yield f"{key}.mean", f"must be above 0 for a lognormal law, not {mean:g}"
        if study.is_reference:
            continue
        persons = study.n_persons if measurement.cases else study.n_controls
        if study.calibrators is not None and study.calibrators > persons:
            kind = "persons" if measurement.cases else "controls"
            yield f"{key}.calibrators", f"asks for {study.calibrators} of {persons} {kind}"
        r_squared = true_r_squared(scenario, k)
        if r_squared > 1:
            most = study.r_squared / r_squared if study.r_squared else 0.0
            yield f"{key}.r_squared", f"cannot exceed {most:.4g}, given measurement.reference_error_sd"
        elif measurement.model == "berkson":
            yield from _berkson_problems(scenario, key, r_squared, matched)
    if scenario.disease.type == "cohort":
        yield from _cohort_problems(scenario)


def _name_problems(scenario: Scenario) -> Iterator[Problem]:
    """Names given twice, or used without being given."""
    if not scenario.studies:
        yield "studies", "must hold at least one study"
    names = [study.name for study in scenario.studies]
    for k, name in enumerate(names):
        if name in names[:k]:
            yield f"studies[{k}].name", f"{name!r} is the name of an earlier study"
    columns = [covariate.name for covariate in scenario.covariates]
    for k, name in enumerate(columns):
        if name in columns[:k] or name in scenario.matching.names:
            yield f"covariates[{k}].name", f"{name!r} is the name of another column"
    wanted = scenario.fit.covariates or ()
    for k, name in enumerate(wanted):
        if name not in columns:
            hint = did_you_mean(name, columns) or f"; there are {', '.join(columns) or 'none'}"
            yield f"fit.covariates[{k}]", f"there is no covariate {name!r}{hint}"
        elif name in wanted[:k]:
            yield f"fit.covariates[{k}]", f"{name!r} is there twice"


def _estimand_problems(scenario: Scenario) -> Iterator[Problem]:
    """Tests and coefficients that the fitted model, or the truth, does not have."""
    tests, fit = scenario.estimand.tests, scenario.fit
    covariates = scenario.outcome_covariates
    if fit.modifier is not None and fit.modifier not in covariates:
        hint = did_you_mean(fit.modifier, covariates) or f"; there are {', '.join(covariates) or 'none'}"
        yield "fit.modifier", f"there is no covariate {fit.modifier!r} in the outcome model{hint}"
    if "nonlinearity" in tests and fit.exposure == "linear":
        yield "estimand.tests", 'nonlinearity needs a spline: fit.exposure = "rcs"'
    if "interaction" in tests and fit.modifier is None:
        yield "estimand.tests", "interaction needs fit.modifier, the name of a covariate"
    if "heterogeneity" in tests and len(scenario.studies) < 2:
        yield "estimand.tests", "heterogeneity needs two studies or more"
    if scenario.estimand.coefficients and true_coefficients(scenario) is None:
        yield (
            "estimand.coefficients",
            "the fitted columns have no true coefficients: the truth must be a straight line, or a spline whose "
            "knots are those of fit.knots",
        )


def _berkson_problems(scenario: Scenario, key: str, r_squared: float, matched: float) -> Iterator[Problem]:
    """Under Berkson error all that goes with the exposure goes with its calibrated part."""
    if matched >= r_squared:
        yield (
            f"{key}.r_squared",
            f"must exceed the share of Var(exposure) of the matching factors, {matched:g}, under the Berkson "
            'model; use measurement.model = "classical"',
        )
    for covariate in scenario.covariates:
        if covariate.correlation**2 >= r_squared:
            yield (
                f"{key}.r_squared",
                f"must exceed the squared correlation of {covariate.name}, {covariate.correlation**2:g}, under "
                'the Berkson model; use measurement.model = "classical"',
            )


def _cohort_problems(scenario: Scenario) -> Iterator[Problem]:
    """A cohort must have the cases and the persons at risk that its sets need, beyond chance."""
    disease = scenario.disease
    size, prevalence = disease.size or 0, disease.prevalence or 0.0
    expected = size * prevalence
    for k, study in enumerate(scenario.studies):
        if study.cases > 1:
            yield f"studies[{k}].cases", "must be 1 in a cohort: each case has its own risk set"
        # 5 SD of the number of cases (at most binomial): one replicate in millions falls short.
        if expected - 5 * (expected * (1 - prevalence)) ** 0.5 < study.sets:
            yield (
                f"studies[{k}].sets",
                f"{study.sets} sets are too many for a cohort of {size} with about {expected:.0f} cases",
            )
        per_cell = size * (1 - prevalence) / scenario.matching.n_cells
        if per_cell - 5 * per_cell**0.5 < study.controls:
            yield (
                f"studies[{k}].controls",
                f"a cohort of {size} leaves about {per_cell:.0f} persons at risk in each of the "
                f"{scenario.matching.n_cells} matching cells: too few for {study.controls} controls",
            )


# A truth of which fewer proposals than this would be accepted is refused: 10,000 draws a case.
_FEWEST_ACCEPTED = 1e-4


def _drawing_problems(scenario: Scenario) -> Iterator[Problem]:
    """What shows only when the laws are worked out: undefined or too steep truths, impossible laws."""
    labs = laboratories(scenario)
    for k, study in enumerate(scenario.studies):
        law = law_of_study(scenario.exposure, study)
        if isinstance(law, NormalMixture) and law.outside > 1e-4:
            yield (
                "exposure.weights",
                f"a share {law.outside:.2g} of the mixture lies beyond 6 SD; laws end there",
            )
        try:
            tilt = tilt_of_study(scenario, k, labs)
        except SimulationError as problem:
            yield "truth", str(problem)
            continue
        if scenario.disease.type == "rare" and tilt.acceptance < _FEWEST_ACCEPTED:
            yield "truth", "is too steep over the 6 SD of the exposure for cases to be drawn by rejection"
        for c, covariate in enumerate(scenario.covariates):
            problem_found = binary_problem(scenario, k, covariate, labs)
            if problem_found:
                yield f"covariates[{c}].correlation", problem_found
