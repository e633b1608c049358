"""Options shared by the commands, each defined once."""

from __future__ import annotations

from typing import Annotated

import typer

_DATA = "Data"
_COLUMNS = "Columns"
_STUDIES = "Studies"
_CALIBRATION = "Calibration"
_LIMITS = "Detection limits"
_PARTITIONS = "Larger than memory"
_OUTPUT = "Output"
_WORDS = "Words for tables and figures"

Files = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE",
        help="One table with all studies, or one a study: CSV, Stata, SAS or Parquet.",
        show_default=False,
    ),
]
Spec = Annotated[
    str | None,
    typer.Option(
        "--spec",
        metavar="FILE.toml",
        help="All of it from a file: the same words as keys, with underscores. Options given here win.",
        rich_help_panel=_DATA,
        show_default=False,
    ),
]


def _column(name: str, what: str) -> object:
    return typer.Option(f"--{name}", metavar="NAME", help=what, rich_help_panel=_COLUMNS, show_default=False)


StudyColumn = Annotated[str | None, _column("study", "Study (default: study; without it the file's name).")]
SetColumn = Annotated[
    str | None, _column("set", "Matched set; blank: the row serves calibration only (default: set).")
]
CaseColumn = Annotated[str | None, _column("case", "1 for a case, 0 for a control (default: case).")]
LocalColumn = Annotated[
    str | None, _column("local", "Value from the study's own laboratory (default: local).")
]
ReferenceColumn = Annotated[
    str | None, _column("reference", "Value from the reference laboratory (default: reference).")
]
PersonColumn = Annotated[
    str | None,
    _column("person", "Person, when someone may be in several sets (default: person, if it is there)."),
]

ReferenceStudy = Annotated[
    list[str] | None,
    typer.Option(
        "--reference-study",
        metavar="NAME",
        help="A study measured at the reference laboratory; repeatable. Default: those with reference values "
        "for all and local values for none.",
        rich_help_panel=_STUDIES,
        show_default=False,
    ),
]
LocalStudy = Annotated[
    list[str] | None,
    typer.Option(
        "--local-study",
        metavar="NAME",
        help="A study to be calibrated although all have reference values; repeatable.",
        rich_help_panel=_STUDIES,
        show_default=False,
    ),
]
ScaleLocal = Annotated[
    list[str] | None,
    typer.Option(
        "--scale-local",
        metavar="STUDY=FACTOR",
        help="Multiply a study's local values, for units; repeatable.",
        rich_help_panel=_STUDIES,
        show_default=False,
    ),
]
CalibrateWithCases = Annotated[
    bool,
    typer.Option(
        "--calibrate-with-cases",
        help="Use reference values of cases of local studies as calibrators; they are ignored otherwise.",
        rich_help_panel=_STUDIES,
        show_default=False,
    ),
]
DetectionLimit = Annotated[
    list[str] | None,
    typer.Option(
        "--detection-limit",
        metavar="STUDY=LIMIT",
        help="Detection limit of a study's local laboratory, in the unit of its file; repeatable. Cells such as "
        "<5.0 tell their own.",
        rich_help_panel=_LIMITS,
        show_default=False,
    ),
]
ReferenceDetectionLimit = Annotated[
    float | None,
    typer.Option(
        "--reference-detection-limit",
        metavar="LIMIT",
        help="Detection limit of the reference laboratory.",
        rich_help_panel=_LIMITS,
        show_default=False,
    ),
]
BelowLimit = Annotated[
    str | None,
    typer.Option(
        "--below-limit",
        metavar="RULE",
        help="How values below their limit are taken: lod, lod/2, lod/sqrt2; or censored: local ones by their "
        "mean below the limit, calibrators' reference values by censored regression. No default.",
        rich_help_panel=_LIMITS,
        show_default=False,
    ),
]
LocalFlag = Annotated[
    str | None,
    typer.Option(
        "--local-flag",
        metavar="COLUMN",
        help="Column with 1 where the local value is below its limit.",
        rich_help_panel=_LIMITS,
        show_default=False,
    ),
]
ReferenceFlag = Annotated[
    str | None,
    typer.Option(
        "--reference-flag",
        metavar="COLUMN",
        help="Column with 1 where the reference value is below its limit.",
        rich_help_panel=_LIMITS,
        show_default=False,
    ),
]
Sensitivity = Annotated[
    list[str] | None,
    typer.Option(
        "--sensitivity",
        metavar="WHAT",
        help="below-limit: the curve under every rule for values below their detection limit, side by side "
        "(detection_limits.csv).",
        rich_help_panel=_LIMITS,
        show_default=False,
    ),
]
CalibrationCovariates = Annotated[
    str | None,
    typer.Option(
        "--calibration-covariates",
        metavar="FORMULA",
        help="A formula; or outcome: covariates and matching factors (default of fit); or none: a line a "
        "study, the published rule (default of calibrate).",
        rich_help_panel=_CALIBRATION,
        show_default=False,
    ),
]
CalibrationCoefficients = Annotated[
    str | None,
    typer.Option(
        "--calibration-coefficients",
        metavar="WHICH",
        help="Of calibration covariates: common to the studies, or by-study (default: common).",
        rich_help_panel=_CALIBRATION,
        show_default=False,
    ),
]
CalibrationForm = Annotated[
    str | None,
    typer.Option(
        "--calibration-form",
        metavar="FORM",
        help="linear; log-log: between logarithms; or rcs: a spline of the local value in each study "
        "(default: linear).",
        rich_help_panel=_CALIBRATION,
        show_default=False,
    ),
]
CalibrationEstimator = Annotated[
    str | None,
    typer.Option(
        "--calibration-estimator",
        metavar="HOW",
        help="least-squares, or huber, in which gross errors count less (default: least-squares).",
        rich_help_panel=_CALIBRATION,
        show_default=False,
    ),
]
CalibrationKnots = Annotated[
    int | None,
    typer.Option(
        "--calibration-knots",
        metavar="K",
        help="Of --calibration-form rcs: 3 or 4, at quantiles of each study's pairs (default: 3).",
        rich_help_panel=_CALIBRATION,
        show_default=False,
    ),
]
Batch = Annotated[
    str | None,
    typer.Option(
        "--batch",
        metavar="COLUMN",
        help="Assay batch: the quality gate compares the batches' calibration lines.",
        rich_help_panel=_CALIBRATION,
        show_default=False,
    ),
]
Unit = Annotated[
    str | None,
    typer.Option(
        "--unit",
        metavar="UNIT",
        help="Unit of the reference laboratory, such as nmol/L.",
        rich_help_panel=_WORDS,
        show_default=False,
    ),
]
Partitioned = Annotated[
    bool,
    typer.Option(
        "--partitioned",
        help="FILE is a FOLDER of partitions (biocal partition), read one at a time: for pools larger than memory.",
        rich_help_panel=_PARTITIONS,
        show_default=False,
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS",
        help="--partitioned: on the workers of a Dask scheduler, such as tcp://host:8786.",
        rich_help_panel=_PARTITIONS,
        show_default=False,
    ),
]
Out = Annotated[
    str | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Folder for the results; made when absent.",
        rich_help_panel=_OUTPUT,
        show_default=False,
    ),
]
Force = Annotated[
    bool,
    typer.Option(
        "--force", help="Replace result files that are there.", rich_help_panel=_OUTPUT, show_default=False
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        help="Tell errors only; results that go to a folder are not shown as well.",
        rich_help_panel=_OUTPUT,
        show_default=False,
    ),
]
