"""What is to be fitted: the part of a spec that centre and sites share, word for word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import MessageError, OptionError
from biocal.fitting.problem.prepare import ModelFormulas
from biocal.fitting.sums.records import Task
from biocal.model.exposure import ExposureSpecification, categories, linear, rcs
from biocal.pool.checks.columns import did_you_mean
from biocal.pool.formulas.levels import require_fixed_coding
from biocal.remote.sites.messages import schema
from biocal.results.fit.asked.increments import require_increments
from biocal.results.model import AskedTables

#: Letters of a site's name, which is part of names of files.
_LONGEST_NAME = 60
#: Methods of a federated fit, in the order in which they are shown.
FEDERATED_METHODS = ("naive", "internalized", "full", "induced")


@dataclass(frozen=True, slots=True)
class Plan:
    """The analysis, as all sites are asked to do it.

    Attributes
    ----------
    sites : tuple of str
        Names of the sites that take part.
    methods : tuple of str
        Of FEDERATED_METHODS.
    exposure : {"rcs", "linear", "categories"}
    knots : int
        Number of knots at Harrell's quantiles; 0 when they are given otherwise.
    knot_values, knot_probs, cuts : tuple of float
        Knots themselves, their probabilities, cut points of categories; empty when not used.
    reference_category : str
    covariates, matching, modifier : str
        Formulas.
    modifier_at : tuple of float
        Values of a numeric modifier at which curves are shown; empty where it has two or three.
    joint : str
        Level of the modifier against which joint curves are wanted.
    calibration_covariates : str
        "outcome", "none" or a formula.
    calibration_coefficients : {"common", "by-study"}
    calibration_variance : {"robust", "hc3"}
    reference : float or None
        Reference exposure.
    at : tuple of float
        Exposures of the curve; empty for the default grid.
    level : float
    per : tuple of float
        Increments of the exposure that get an odds ratio.
    per_sd : bool
        Whether a standard deviation gets one.
    exposure_name, unit, outcome_name : str
    """

    sites: tuple[str, ...]
    methods: tuple[str, ...] = ("naive", "full")
    exposure: str = "rcs"
    knots: int = 0
    knot_values: tuple[float, ...] = ()
    knot_probs: tuple[float, ...] = ()
    cuts: tuple[float, ...] = ()
    reference_category: str = ""
    covariates: str = ""
    matching: str = ""
    modifier: str = ""
    modifier_at: tuple[float, ...] = ()
    joint: str = ""
    calibration_covariates: str = "outcome"
    calibration_coefficients: str = "common"
    calibration_variance: str = "robust"
    reference: float | None = None
    at: tuple[float, ...] = ()
    level: float = 0.95
    per: tuple[float, ...] = ()
    per_sd: bool = False
    exposure_name: str = "exposure"
    unit: str = ""
    outcome_name: str = ""

    def require(self) -> None:
        """Check that the plan can be carried out.

        Raises
        ------
        OptionError, FormulaError
            Sites, methods, knots or formulas that cannot be.
        """
        if not self.sites or len(set(self.sites)) < len(self.sites):
            raise OptionError('name the sites that take part, each once: sites = ["north", "south"]')
        if len(self.sites) < 2:
            raise OptionError("a federated fit needs two sites or more; for one, biocal fit does the same")
        for name in self.sites:
            require_site_name(name)
        for method in self.methods:
            if method not in FEDERATED_METHODS:
                near = did_you_mean(method, FEDERATED_METHODS)
                if method == "two-stage":
                    near = ": it pools fits of each study alone, which sites can make with biocal fit and publish"
                raise OptionError(
                    f"a federated fit knows {', '.join(FEDERATED_METHODS)}, not {method!r}{near}",
                    allowed=FEDERATED_METHODS,
                )
        if not self.methods:
            raise OptionError("name a method", allowed=FEDERATED_METHODS)
        if not 0.0 < self.level < 1.0:
            raise OptionError(f"a confidence level lies between 0 and 1, not {self.level}")
        for name, allowed in (
            ("calibration_coefficients", ("common", "by-study")),
            ("calibration_variance", ("robust", "hc3")),
        ):
            if getattr(self, name) not in allowed:
                raise OptionError(f"{name} is {' or '.join(allowed)}, not {getattr(self, name)!r}")
        if not self.modifier and (self.modifier_at or self.joint):
            raise OptionError("modifier_at and joint say how a modifier is shown; name it: modifier = ...")
        self.asked()
        self.specification()
        for formula in self.formula_texts().values():
            require_fixed_coding(formula)

    def asked(self) -> AskedTables:
        """Tables beyond the usual ones; raises OptionError for increments that cannot be."""
        return AskedTables(require_increments(self.per), self.per_sd, self.joint or None)

    def specification(self) -> ExposureSpecification:
        """The exposure term."""
        if self.exposure == "linear":
            return linear()
        if self.exposure == "categories":
            if not self.cuts:
                raise OptionError("categories need cut points: cuts = [30, 50, 75]")
            return categories(self.cuts, reference=self.reference_category or 0)
        if self.exposure != "rcs":
            raise OptionError(f"the exposure is rcs, linear or categories, not {self.exposure!r}")
        if self.knot_probs:
            return rcs(probs=self.knot_probs)
        return rcs(self.knot_values if self.knot_values else self.knots or 4)

    def formulas(self) -> ModelFormulas:
        """As the pooled fit takes them."""
        return ModelFormulas(
            self.covariates or None,
            self.matching or None,
            self.modifier or None,
            self.calibration_covariates,
            self.calibration_coefficients == "by-study",
            self.calibration_variance == "hc3",
        )

    def formula_texts(self) -> dict[str, str]:
        """The formulas that are evaluated, by their part; blank ones are absent."""
        parts = {"covariates": self.covariates}
        if self.calibration_covariates == "outcome":
            parts["matching"] = self.matching
        elif self.calibration_covariates != "none":
            parts["calibration"] = self.calibration_covariates
        parts["modifier"] = self.modifier
        return {part: text.strip() for part, text in parts.items() if text.strip()}

    def to_message(self) -> dict[str, Any]:
        """As a request carries it."""
        found = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def require_site_name(name: str) -> None:
    """Refuse a name that cannot be part of a file's; raises OptionError."""
    if not name.replace("-", "").replace("_", "").isalnum() or len(name) > _LONGEST_NAME:
        raise OptionError(
            f"a site's name is up to {_LONGEST_NAME} letters, digits, - and _, for it names files; not {name[:80]!r}"
        )


def read_plan(value: Any) -> Plan:
    """Read the plan of a request.

    Raises
    ------
    MessageError
        Fields that cannot be, or a plan that cannot be carried out.
    """
    found = schema.record(value, "plan", [field.name for field in fields(Plan)])
    read: dict[str, Any] = {}
    for field in fields(Plan):
        read[field.name] = _field(field.name, found[field.name])
    plan = Plan(**read)
    try:
        plan.require()
    except ValueError as fault:
        raise MessageError(f"plan: {fault}") from fault
    return plan


def _field(name: str, value: Any) -> Any:
    where = f"plan.{name}"
    if name in ("sites", "methods"):
        return tuple(schema.listed(value, where, schema.text))
    if name in ("knot_values", "knot_probs", "cuts", "at", "modifier_at", "per"):
        return tuple(schema.listed(value, where, schema.real))
    if name == "knots":
        return schema.whole(value, where, most=7)
    if name == "reference":
        return None if value is None else schema.real(value, where)
    if name == "per_sd":
        return schema.truth(value, where)
    if name == "level":
        return schema.real(value, where)
    return schema.text(value, where)


def plan_of(options: Mapping[str, Any]) -> Plan:
    """The plan that the options of a spec describe.

    Parameters
    ----------
    options : mapping
        Keys of a spec.

    Raises
    ------
    OptionError, FormulaError
        What a federated fit cannot do, or cannot be.
    """
    strange = [key for key in options if key not in ("sites", *_SAME, *_LISTS, *_OTHERS)]
    if strange:
        raise OptionError(_refusal(strange[0]), option=strange[0])
    for key, value in (("knot_rule", "common"), ("residual_law", "normal")):
        if options.get(key, value) != value:
            raise OptionError(f"{key}: a federated fit knows {value!r} only, not {options[key]!r}")
    methods = options.get("method", ["naive", "full"])
    chosen = FEDERATED_METHODS if "all" in methods else tuple(dict.fromkeys(methods))
    given: dict[str, Any] = {key: options[key] for key in _SAME if key in options}
    given |= {key: tuple(map(float, options[key])) for key in _LISTS if key in options}
    given["sites"] = tuple(options.get("sites", ()))
    given["level"] = float(options.get("level", 0.95))
    reference = options.get("ref")
    plan = Plan(
        methods=chosen,
        reference=None if reference is None else float(reference),
        **given,
    )
    plan.require()
    return plan


def _refusal(key: str) -> str:
    if key in _OF_SITES:
        return f"{key}: where the data are and what their columns are called is said in each site's own spec"
    reason = _NOT_FEDERATED.get(key, "a federated fit does not know it")
    return f"{key}: {reason}; leave it out of the spec of a federated fit"


_SAME = (
    *("exposure", "knots", "reference_category", "covariates", "matching", "modifier", "joint"),
    "calibration_covariates",
    *("calibration_coefficients", "calibration_variance", "level", "per_sd"),
    *("exposure_name", "unit", "outcome_name"),
)
_LISTS = ("knot_values", "knot_probs", "cuts", "at", "modifier_at", "per")
#: Keys with a meaning of their own, and those that are no part of the analysis.
_OTHERS = ("method", "ref", "knot_rule", "residual_law", "secret_file", "out", "force", "quiet")
_OF_SITES = (
    *("files", "study", "set", "case", "local", "reference", "person", "reference_study", "local_study"),
    *("scale_local", "calibrate_with_cases"),
    *("detection_limit", "reference_detection_limit", "below_limit", "local_flag", "reference_flag"),
)
_NOT_FEDERATED = {
    "bootstrap": "the bootstrap would redraw persons at every site; standard errors are the sandwich's",
}


FloatArray = NDArray[np.float64]

#: Most coefficients of a model in a message (our choice).
MOST_TERMS = 200


def read_tasks(value: Any) -> dict[Task, FloatArray]:
    """Tasks of a request with their points; raises MessageError."""
    found = schema.table(value, "tasks", lambda one, where: schema.listed(one, where, schema.real))
    known = {
        Task(method, straight).name: Task(method, straight)
        for method in FEDERATED_METHODS
        for straight in (False, True)
    }
    strange = [name for name in found if name not in known]
    if strange:
        raise MessageError(f"tasks: there is no task '{strange[0][:40]}'")
    too_long = [name for name, point in found.items() if len(point) > MOST_TERMS]
    if too_long:
        raise MessageError(f"tasks.{too_long[0]}: more than {MOST_TERMS} coefficients")
    return {known[name]: np.array(point, dtype=float) for name, point in found.items()}
