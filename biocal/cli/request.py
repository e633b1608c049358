"""From settings to the arguments of `biocal.fit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from biocal.cli.keys import option_of
from biocal.cli.settings import Settings, usage_error

if TYPE_CHECKING:
    from biocal.exposure.terms import ExposureSpecification

#: What holds when nothing is said; told in fit.json with what was.
DEFAULTS: dict[str, Any] = {
    **{role: role for role in ("study", "set", "case", "local", "reference")},
    "calibrate_with_cases": False,
    "method": ["naive", "full"],
    "keep_going": False,
    "exposure": "rcs",
    "knot_rule": "common",
    "covariates": "",
    "matching": "",
    "modifier": "",
    "season": "",
    "season_reference": "annual",
    "season_harmonics": 1,
    "season_controls": "other-sets",
    "where": "",
    "calibrate_within": False,
    "missing": "complete",
    "imputation": "",
    "imputation_files": False,
    "small_sample": False,
    "by": [],
    "subsite": [],
    "leave_one_out": False,
    "calibration_covariates": "outcome",
    "calibration_coefficients": "common",
    "calibration_form": "linear",
    "calibration_estimator": "least-squares",
    "calibration_variance": "robust",
    "residual_law": "normal",
    "level": 0.95,
    "per_sd": False,
    "aic": False,
    "exposure_name": "exposure",
    "unit": "",
    "outcome_name": "",
}

#: Options that only one kind of exposure knows.
_OF_EXPOSURE = {
    "knots": ("rcs",),
    "knot_values": ("rcs",),
    "knot_probs": ("rcs",),
    "knot_rule": ("rcs",),
    "cuts": ("categories",),
    "reference_category": ("categories",),
    "ref": ("rcs", "linear"),
    "at": ("rcs", "linear"),
}
#: Where results go and what is said: no part of the analysis.
_NOT_OF_THE_FIT = ("files", "out", "force", "quiet")
_OF_SEASON = ("season_reference", "season_harmonics", "season_controls")
_OF_BOOTSTRAP = ("seed", "jobs", "strata")
#: Options that `biocal.fit` calls by the same name.
_SAME_NAME: tuple[str, ...] = (
    *_OF_SEASON,
    *("calibration_covariates", "calibration_coefficients", "calibration_variance"),
    *("missing", "calibrate_within", "by", "subsite", "leave_one_out"),
    *("knot_rule", "residual_law", "level", "exposure_name", "unit", "outcome_name"),
    *("per", "per_sd", "aic", "joint"),
    *("calibration_form", "calibration_estimator", "calibration_knots", "batch"),
)


def effective_options(settings: Settings) -> tuple[dict[str, Any], list[str]]:
    """Return every option of the fit, defaults included, and what must be told about unused ones.

    Raises
    ------
    click.UsageError
        An option typed that has no meaning with the kind of exposure.
    """
    given = {key: value for key, value in settings.values.items() if key not in _NOT_OF_THE_FIT}
    options = DEFAULTS | given
    kind = options["exposure"]
    unused = [key for key in _OF_EXPOSURE if key in settings.values and kind not in _OF_EXPOSURE[key]]
    for key in unused:
        if key in settings.typed:
            wanted = " or ".join(_OF_EXPOSURE[key])
            usage_error(f"{option_of(key)} needs --exposure {wanted}; the exposure is {kind}")
    told = [f"{', '.join(unused)} of {settings.spec} not used: the exposure is {kind}"] if unused else []
    dropped = {*unused, *(key for key in _OF_EXPOSURE if kind not in _OF_EXPOSURE[key])}
    if not options.get("bootstrap") and not options.get("partitioned"):
        idle = [option_of(key) for key in _OF_BOOTSTRAP if key in settings.typed]
        if idle:
            told.append(f"{' and '.join(idle)} not used: nothing is drawn without --bootstrap N")
        dropped.update(_OF_BOOTSTRAP)
    if not options["season"]:
        idle = [option_of(key) for key in _OF_SEASON if key in settings.typed]
        if idle:
            usage_error(f"{' and '.join(idle)} needs --season COLUMN, the month or date of blood draw")
        told += [
            f"{key} of {settings.spec} not used: there is no season" for key in _OF_SEASON if key in given
        ]
        dropped.update(_OF_SEASON)
    if settings.get("small_sample") and not (options["imputation"] or options["imputation_files"]):
        if "small_sample" in settings.typed:
            usage_error("--small-sample needs imputations: --imputation COLUMN, or --imputation-files")
        told.append(f"small_sample of {settings.spec} not used: there are no imputations")
    if kind == "rcs" and not any(key in options for key in ("knots", "knot_values", "knot_probs")):
        options["knots"] = 4
    return {key: value for key, value in options.items() if key not in dropped}, told


def require_methods(settings: Settings, methods: list[str]) -> tuple[str, ...]:
    """Return the methods that will run.

    Raises
    ------
    click.UsageError, OptionError
        A method that does not exist, typed or in a spec.
    """
    from biocal.errors import OptionError
    from biocal.pooling.methods import METHODS
    from biocal.study.columns import did_you_mean

    for method in methods:
        if method not in (*METHODS, "all"):
            near = did_you_mean(method, METHODS)
            if "," in method:
                near = "; write --method once for each: --method naive --method full"
            message = f"'{method}' is not one of {', '.join(METHODS)}, all{near}"
            if "method" in settings.typed:
                usage_error(f"Invalid value for '--method': {message}")
            raise OptionError(f"{settings.spec}: method: {message}", allowed=METHODS)
    return METHODS if "all" in methods else tuple(dict.fromkeys(methods))


def exposure_of(options: dict[str, Any]) -> ExposureSpecification:
    """Return the exposure term that the options describe.

    Raises
    ------
    OptionError
        Knots or cut points that cannot be used.
    """
    from biocal.errors import OptionError
    from biocal.exposure.terms import categories, linear, rcs

    if options["exposure"] == "linear":
        return linear()
    if options["exposure"] == "categories":
        if not options.get("cuts"):
            raise OptionError("categories need cut points: give --cuts, such as --cuts 30,50,75")
        return categories(options["cuts"], reference=options.get("reference_category", 0))
    if "knot_probs" in options:
        return rcs(probs=options["knot_probs"])
    return rcs(options.get("knot_values", options.get("knots", 4)))


def fit_arguments(options: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `biocal.fit` for the options, the bootstrap's only when it is asked for."""
    arguments: dict[str, Any] = {
        "method": options["method"],
        "exposure": exposure_of(options),
        "covariates": options["covariates"] or None,
        "matching": options["matching"] or None,
        "modifier": options["modifier"] or None,
        "season": options["season"] or None,
        "where": options["where"] or None,
        "reference": options.get("ref"),
        "at": options.get("at"),
        "keep_going": True if options["keep_going"] else None,
    }
    same = _SAME_NAME + (("bootstrap", *_OF_BOOTSTRAP) if options.get("bootstrap") else ())
    return arguments | {key: options[key] for key in same if key in options}
