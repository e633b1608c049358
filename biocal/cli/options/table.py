"""Every option of the commands that read data: its kind, help, default, and the calls that take it.

The signature of a command, the keys of a spec, the record in fit.json and the arguments of `biocal.fit` are made from
this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from biocal.cli.options.options import Kind, Option

TEXT, NUMBER, WHOLE, DAY, FLAG = Kind.TEXT, Kind.NUMBER, Kind.WHOLE, Kind.DAY, Kind.FLAG
TEXTS, NUMBERS, FACTORS = Kind.TEXTS, Kind.NUMBERS, Kind.FACTORS

DATA = "Data"
METHOD = "Method"
EXPOSURE = "Exposure"
MODEL = "Model"
SEASON = "Season"
SUBGROUPS = "Subgroups"
CALIBRATION = "Calibration"
CURVE = "Curve and intervals"
COLUMNS = "Columns"
STUDIES = "Studies"
LIMITS = "Detection limits"
PARTITIONS = "Larger than memory"
WORDS = "Words for tables and figures"
OUTPUT = "Output"

# fmt: off
_TABLE = (
    Option("files", TEXTS, "FILE", DATA,
           "One table with all studies, or one a study: CSV, Stata, SAS or Parquet."),
    Option("spec", TEXT, "FILE.toml", DATA,
           "All of it from a file: the same words as keys, with underscores. Options given here win."),
    Option("out", TEXT, "DIR", OUTPUT, "Folder for the results; made when absent."),
    Option("force", FLAG, "", OUTPUT, "Replace result files that are there."),
    Option("only_tables", FLAG, "", OUTPUT, "Write tables and fit.json, but no figure and no report."),
    Option("quiet", FLAG, "", OUTPUT, "Tell errors only; results that go to a folder are not shown as well."),
    Option("method", TEXTS, "NAME", METHOD,
           "naive, internalized, full, induced, two-stage or all; repeatable (default: naive and full).",
           default=["naive", "full"]),
    Option("keep_going", FLAG, "", METHOD,
           "Record a method that fails and go on with the others; implied by --method all.", default=False),
    Option("residual_law", TEXT, "LAW", METHOD,
           "induced: law of reference values about the calibration: normal, or smearing, which takes the "
           "residuals and needs --bootstrap for intervals (default: normal).",
           choices=("normal", "smearing"), default="normal", of_fit=True),
    Option("exposure", TEXT, "TERM", EXPOSURE,
           "rcs (restricted cubic spline), linear or categories (default: rcs).",
           choices=("rcs", "linear", "categories"), default="rcs"),
    Option("knots", WHOLE, "K", EXPOSURE,
           "rcs: 3 to 7 knots at Harrell's quantiles (default: 4).", exposures=("rcs",)),
    Option("knot_values", NUMBERS, "X,X,...", EXPOSURE,
           "rcs: the knots themselves, as 30,50,70.", exposures=("rcs",)),
    Option("knot_probs", NUMBERS, "P,P,...", EXPOSURE,
           "rcs: probabilities of the knots, as .1,.5,.9.", exposures=("rcs",)),
    Option("knot_rule", TEXT, "RULE", EXPOSURE,
           "rcs: common: quantiles of full calibration's exposure in controls, the same for all methods; "
           "published: of each method's own, cases too (default: common).",
           choices=("common", "published"), default="common", exposures=("rcs",), of_fit=True),
    Option("cuts", NUMBERS, "X,X,...", EXPOSURE,
           "categories: cut points on the reference scale, as 30,50,75.", exposures=("categories",)),
    Option("reference_category", TEXT, "LABEL", EXPOSURE,
           'categories: such as "[50, 75)" (default: the lowest).', exposures=("categories",)),
    Option("covariates", TEXT, "FORMULA", MODEL, 'Of the outcome model, as "bmi + C(smoking)".', default=""),
    Option("matching", TEXT, "FORMULA", MODEL,
           "Matching factors; they enter the calibration only.", default=""),
    Option("modifier", TEXT, "NAME", MODEL, "Effect modifier: a curve at each of its levels.", default=""),
    Option("season", TEXT, "COLUMN", SEASON,
           "Standardise the exposure to a season: column of the month (1 to 12) or the date of blood draw.",
           default=""),
    Option("season_reference", DAY, "WHEN", SEASON,
           "annual (the annual mean), a date such as 2026-07-01, or a day of the year (default: annual).",
           default="annual", needs="season", of_fit=True),
    Option("season_harmonics", WHOLE, "N", SEASON,
           "Pairs of cosine and sine in each study, 1 or 2 (default: 1).",
           default=1, needs="season", of_fit=True, least=1, most=2),
    Option("season_controls", TEXT, "WHOSE", SEASON,
           "Whose season is taken off a set: other-sets (that of the controls of all other sets, the default),"
           " or all (the set's own too, which bends curves of small studies).",
           choices=("other-sets", "all"), default="other-sets", needs="season", of_fit=True),
    Option("missing", TEXT, "RULE", MODEL,
           "Missing covariates: complete (their rows leave, the default), or indicator: filled, with a column "
           "that says where, so that matched sets stay.",
           choices=("complete", "indicator"), default="complete", of_fit=True),
    Option("imputation", TEXT, "COLUMN", MODEL,
           "Multiple imputation: column with the number of the completed data set (0: as it was, left out); "
           "each is calibrated and fitted, and the fits are combined by Rubin's rules.", default=""),
    Option("imputation_files", FLAG, "", MODEL,
           "Multiple imputation: every FILE is one completed data set of the whole pool.", default=False),
    Option("small_sample", FLAG, "", MODEL,
           "Multiple imputation: Barnard and Rubin's degrees of freedom, Reiter's for tests.", default=False),
    Option("where", TEXT, "CONDITION", SUBGROUPS,
           "Restrict the outcome model to rows for which it holds, as 'years_to_diagnosis >= 2'; where a "
           "column is blank for controls, the set goes with its case.", default=""),
    Option("by", TEXTS, "COLUMN", SUBGROUPS,
           "A fit by level of a column, or of a condition such as 'bmi >= 30'; repeatable.",
           default=[], of_fit=True),
    Option("subsite", TEXTS, "COLUMN", SUBGROUPS,
           "The same for a column that describes the case, whatever controls have: a set goes with its case.",
           default=[], of_fit=True),
    Option("leave_one_out", FLAG, "", SUBGROUPS,
           "A fit without each study in turn, and without its calibration.", default=False, of_fit=True),
    Option("calibrate_within", FLAG, "", SUBGROUPS,
           "Calibrate within --where, and within each level of --by, too; otherwise the calibration is common.",
           default=False, of_fit=True),
    Option("calibration_covariates", TEXT, "FORMULA", CALIBRATION,
           "A formula; or outcome: covariates and matching factors (default of fit); or none: a line a study, "
           "the published rule (default of calibrate).", default="outcome", of_fit=True),
    Option("calibration_coefficients", TEXT, "WHICH", CALIBRATION,
           "Of calibration covariates: common to the studies, or by-study (default: common).",
           choices=("common", "by-study"), default="common", of_fit=True),
    Option("calibration_form", TEXT, "FORM", CALIBRATION,
           "linear; log-log: between logarithms; or rcs: a spline of the local value in each study (default: "
           "linear).", choices=("linear", "log-log", "rcs"), default="linear", of_fit=True),
    Option("calibration_estimator", TEXT, "HOW", CALIBRATION,
           "least-squares, or huber, in which gross errors count less (default: least-squares).",
           choices=("least-squares", "huber"), default="least-squares", of_fit=True),
    Option("calibration_knots", WHOLE, "K", CALIBRATION,
           "Of --calibration-form rcs: 3 or 4, at quantiles of each study's pairs (default: 3).",
           of_fit=True),
    Option("batch", TEXT, "COLUMN", CALIBRATION,
           "Assay batch: the quality gate compares the batches' calibration lines.", of_fit=True),
    Option("calibration_variance", TEXT, "KIND", CALIBRATION,
           "Of the calibration in standard errors: robust, or hc3 for small subsets (default: robust).",
           choices=("robust", "hc3"), default="robust", of_fit=True),
    Option("ref", NUMBER, "X", CURVE,
           "Reference exposure (default: the median in controls, calibrated).", exposures=("rcs", "linear")),
    Option("at", NUMBERS, "X,X,...", CURVE,
           "Exposures of the curve (default: 101 from the 1st to the 99th percentile).",
           exposures=("rcs", "linear")),
    Option("level", NUMBER, "L", CURVE,
           "Level of confidence intervals (default: .95).", default=0.95, of_fit=True),
    Option("per", NUMBERS, "D,D,...", CURVE,
           "Add odds ratios per increments of the exposure, as 25 (units).", of_fit=True),
    Option("per_sd", FLAG, "", CURVE,
           "Add the odds ratio per standard deviation of the calibrated exposure in controls.",
           default=False, of_fit=True),
    Option("joint", TEXT, "LEVEL", CURVE,
           "With --modifier: add the curves of all its levels against this one at the reference exposure.",
           of_fit=True),
    Option("aic", FLAG, "", CURVE,
           "Fit the line and splines with 3 to 7 knots too, and compare them by AIC.",
           default=False, of_fit=True),
    Option("bootstrap", WHOLE, "N", CURVE, "Add bootstrap intervals from N replicates.", of_fit=True),
    Option("seed", WHOLE, "N", CURVE,
           "Seed of the bootstrap (default: drawn and recorded).", needs="bootstrap", of_fit=True),
    Option("jobs", WHOLE, "N", CURVE,
           "Processes for the bootstrap or --partitioned; -1: one a processor (default: 1).",
           needs="bootstrap", of_fit=True),
    Option("strata", TEXT, "HOW", CURVE,
           "Bootstrap: calibrators, or deciles where these were spread over deciles of the local value "
           "(default: calibrators).", choices=("calibrators", "deciles"), needs="bootstrap", of_fit=True),
    Option("study", TEXT, "NAME", COLUMNS,
           "Study (default: study; without it the file's name).", default="study"),
    Option("set", TEXT, "NAME", COLUMNS,
           "Matched set; blank: the row serves calibration only (default: set).", default="set"),
    Option("case", TEXT, "NAME", COLUMNS, "1 for a case, 0 for a control (default: case).", default="case"),
    Option("local", TEXT, "NAME", COLUMNS,
           "Value from the study's own laboratory (default: local).", default="local"),
    Option("reference", TEXT, "NAME", COLUMNS,
           "Value from the reference laboratory (default: reference).", default="reference"),
    Option("person", TEXT, "NAME", COLUMNS,
           "Person, when someone may be in several sets (default: person, if it is there)."),
    Option("reference_study", TEXTS, "NAME", STUDIES,
           "A study measured at the reference laboratory; repeatable. Default: those with reference values for"
           " all and local values for none."),
    Option("local_study", TEXTS, "NAME", STUDIES,
           "A study to be calibrated although all have reference values; repeatable."),
    Option("scale_local", FACTORS, "STUDY=FACTOR", STUDIES,
           "Multiply a study's local values, for units; repeatable."),
    Option("calibrate_with_cases", FLAG, "", STUDIES,
           "Use reference values of cases of local studies as calibrators; they are ignored otherwise.",
           default=False),
    Option("duplicates", TEXT, "WHICH", STUDIES,
           "A person twice in a set, or a whole set entered twice: refuse, or first, which keeps the first "
           "(default: refuse).", choices=("refuse", "first")),
    Option("detection_limit", FACTORS, "STUDY=LIMIT", LIMITS,
           "Detection limit of a study's local laboratory, in the unit of its file; repeatable. Cells such as "
           "<5.0 tell their own."),
    Option("reference_detection_limit", NUMBER, "LIMIT", LIMITS,
           "Detection limit of the reference laboratory."),
    Option("below_limit", TEXT, "RULE", LIMITS,
           "How values below their limit are taken: lod, lod/2, lod/sqrt2; or censored: local ones by their "
           "mean below the limit, calibrators' reference values by censored regression. No default.",
           choices=("lod", "lod/2", "lod/sqrt2", "censored")),
    Option("local_flag", TEXT, "COLUMN", LIMITS, "Column with 1 where the local value is below its limit."),
    Option("reference_flag", TEXT, "COLUMN", LIMITS,
           "Column with 1 where the reference value is below its limit."),
    Option("sensitivity", TEXTS, "WHAT", LIMITS,
           "below-limit: the curve under every rule for values below their detection limit, side by side "
           "(detection_limits.csv)."),
    Option("partitioned", FLAG, "", PARTITIONS,
           "FILE is a FOLDER of partitions (biocal partition), read one at a time: for pools larger than "
           "memory."),
    Option("scheduler", TEXT, "ADDRESS", PARTITIONS,
           "--partitioned: on the workers of a Dask scheduler, such as tcp://host:8786."),
    Option("exposure_name", TEXT, "TEXT", WORDS, 'Such as "25(OH)D".', default="exposure", of_fit=True),
    Option("unit", TEXT, "UNIT", WORDS,
           "Unit of the reference laboratory, such as nmol/L.", default="", of_fit=True),
    Option("outcome_name", TEXT, "TEXT", WORDS, 'Such as "colorectal cancer".', default="", of_fit=True),
    Option("suppress", WHOLE, "N", WORDS,
           "report.html: hide counts of 1 to N - 1 persons, and what would give them away (default: 0, none). "
           "Other files are not changed.", least=0),
)

_OF_FEDERATED = (
    Option("sites", TEXTS), Option("site", TEXT), Option("minimum", WHOLE), Option("rounds", WHOLE),
    Option("secret_file", TEXT), Option("modifier_at", NUMBERS),
)
# fmt: on

#: Options by key, in the order of `biocal fit --help`.
OPTIONS: Mapping[str, Option] = {one.key: one for one in _TABLE}
#: Keys of the specs of a federated fit alone.
FEDERATED_KEYS: Mapping[str, Option] = {one.key: one for one in _OF_FEDERATED}
#: What holds when nothing is said; told in fit.json with what was.
DEFAULTS = {one.key: one.default for one in _TABLE if one.default is not None}

#: Columns with a part.
ROLES = tuple(one.key for one in _TABLE if one.panel == COLUMNS)
#: Keys that say how the data are read: arguments of `biocal.read_studies`.
READING = (
    *ROLES,
    *(one.key for one in _TABLE if one.panel in (STUDIES, LIMITS) and one.key != "sensitivity"),
)
#: Keys that say how local values are calibrated: arguments of `biocal.calibrate`.
CALIBRATING = (
    *("calibration_covariates", "calibration_coefficients", "calibration_form", "calibration_estimator"),
    *("calibration_knots", "batch"),
)
#: Ways to say one thing: a source may use one of them, and the command line's replaces the file's.
EXCLUSIVE = (("knots", "knot_values", "knot_probs"),)


def needing(what: str) -> tuple[str, ...]:
    """Keys without a meaning where another option was not given."""
    return tuple(one.key for one in _TABLE if one.needs == what)


Out = Annotated[str | None, OPTIONS["out"].info()]
Force = Annotated[bool, OPTIONS["force"].info()]
Quiet = Annotated[bool, OPTIONS["quiet"].info()]
