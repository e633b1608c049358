"""From settings to the arguments of `biocal.fit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from biocal.cli.options.options import option_of
from biocal.cli.options.settings import Settings, usage_error
from biocal.cli.options.table import DEFAULTS, OPTIONS, needing

if TYPE_CHECKING:
    from biocal.model.exposure import ExposureSpecification

#: Where results go and what is said: no part of the analysis.
_NOT_OF_THE_FIT = ("files", "out", "force", "quiet")
_OF_SEASON, _OF_BOOTSTRAP = needing("season"), needing("bootstrap")


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
    of_other = {
        key: one.exposures for key, one in OPTIONS.items() if one.exposures and kind not in one.exposures
    }
    unused = [key for key in of_other if key in settings.values]
    for key in unused:
        if key in settings.typed:
            wanted = " or ".join(of_other[key])
            usage_error(f"{option_of(key)} needs --exposure {wanted}; the exposure is {kind}")
    told = [f"{', '.join(unused)} of {settings.spec} not used: the exposure is {kind}"] if unused else []
    dropped = set(of_other)
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
    from biocal.fitting.method_names import METHODS
    from biocal.pool.checks.columns import did_you_mean

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
    from biocal.model.exposure import categories, linear, rcs

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
    idle = () if options.get("bootstrap") else ("bootstrap", *_OF_BOOTSTRAP)
    same = [key for key, one in OPTIONS.items() if one.of_fit and key in options and key not in idle]
    return arguments | {key: options[key] for key in same}
