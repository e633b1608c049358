"""What one cell of a simulation study draws, fits and estimates, as frozen records."""

from __future__ import annotations

from dataclasses import dataclass, field

from biocal.simulation.design.truth import Truth

__all__ = [
    "METHODS",
    "Covariate",
    "Disease",
    "Estimand",
    "ExposureLaw",
    "FitPlan",
    "Matching",
    "Measurement",
    "Scenario",
    "StudyDesign",
]

#: What may be fitted: the package's estimators, and the reference laboratory's value for everybody.
METHODS = ("naive", "internalized", "full", "induced", "two-stage", "reference")
#: Months of blood draw that a seasonal matching factor distinguishes.
MONTHS = 12


def with_tuples(record: object, *names: str) -> None:
    """Turn sequences in these fields of a frozen record into tuples, so that it can be hashed."""
    for name in names:
        value = getattr(record, name)
        if value is not None and not isinstance(value, int | tuple):
            object.__setattr__(record, name, tuple(value))


@dataclass(frozen=True, slots=True)
class ExposureLaw:
    """Law of the exposure among controls, on the reference scale.

    Attributes
    ----------
    mean, sd : float
        In the unit of the exposure; they hold whatever the law.
    law : {"normal", "lognormal", "mixture"}
        Shape.  A lognormal has the skewness that `mean` and `sd` imply.
    weights, means, sds : tuple of float
        Components of a mixture of normals; it is moved and stretched to have `mean` and `sd`.
    """

    mean: float
    sd: float
    law: str = "normal"
    weights: tuple[float, ...] = ()
    means: tuple[float, ...] = ()
    sds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        with_tuples(self, "weights", "means", "sds")


@dataclass(frozen=True, slots=True)
class Measurement:
    """How local laboratories and the reference laboratory read the exposure, and who is calibrated.

    Attributes
    ----------
    model : {"berkson", "classical"}
        Berkson: exposure = intercept + slope * local + error, the error independent of the local value.
        Classical: local = linear in (exposure + error), the error independent of the exposure.
    error : {"normal", "t", "skewed", "heteroscedastic", "proportional"}
        Law of that error; its variance is always the one that `r_squared` asks for.
    df : float
        Degrees of freedom of ``error="t"``, above 2.
    skewness : float
        Of ``error="skewed"``, a shifted gamma law (negative: mirrored).
    sd_trend : float
        ``error="heteroscedastic"``: the log of the error's SD rises by this per SD of what it depends on.
    case_shift, case_extra_sd : float
        Differential error: cases' local values are shifted, or get an extra normal error, by so much in
        the unit of the exposure (that is, after calibration).
    reference_error_sd : float
        SD of the reference laboratory's own error, in the unit of the exposure.
    sampling : {"random", "deciles"}
        The calibration subset at random, or spread over deciles of the local value.
    cases : bool
        Cases may be drawn into the calibration subset too.
    """

    model: str = "berkson"
    error: str = "normal"
    df: float = 5.0
    skewness: float = 2.0
    sd_trend: float = 0.3
    case_shift: float = 0.0
    case_extra_sd: float = 0.0
    reference_error_sd: float = 0.0
    sampling: str = "random"
    cases: bool = False


@dataclass(frozen=True, slots=True)
class Covariate:
    """A covariate that is correlated with the exposure, and may affect the disease: a confounder.

    Attributes
    ----------
    name : str
    correlation : float
        With the exposure, among controls.
    log_or : float
        Log odds ratio per SD of a normal covariate, or of 1 against 0 of a binary one.
    type : {"normal", "binary"}
        Normal ones have mean 0 and SD 1.
    prevalence : float
        Of a binary one, among controls.
    """

    name: str
    correlation: float = 0.0
    log_or: float = 0.0
    type: str = "normal"
    prevalence: float = 0.5


@dataclass(frozen=True, slots=True)
class Matching:
    """Factors on which sets are matched; all persons of a set share them.

    Attributes
    ----------
    season_share : float or None
        Share of Var(exposure) due to a yearly harmonic of the month of blood draw (12 months, equally
        frequent); None: not matched on season.
    strata : int or None
        Number of equally frequent ordered strata (such as age groups); None: none.
    strata_share : float
        Share of Var(exposure) due to a linear effect of the stratum's number.
    """

    season_share: float | None = None
    strata: int | None = None
    strata_share: float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of the matching factors."""
        season = () if self.season_share is None else ("season_sin", "season_cos")
        return season if self.strata is None else (*season, "stratum")

    @property
    def share(self) -> float:
        """Share of Var(exposure) due to all of them."""
        strata = self.strata_share if self.strata is not None else 0.0
        return (self.season_share or 0.0) + strata

    @property
    def n_cells(self) -> int:
        """Combinations of month and stratum."""
        return (1 if self.season_share is None else MONTHS) * (self.strata or 1)


@dataclass(frozen=True, slots=True)
class Disease:
    """How cases arise.

    Attributes
    ----------
    type : {"rare", "cohort"}
        Rare: cases have the controls' law tilted by the odds ratio.  Cohort: each study is a finite cohort
        followed over one unit of time with hazard proportional to exp(log risk); sets are a random sample
        of its cases, each with controls from those still free of disease then (future cases among them).
    size : int or None
        Persons of each study's cohort.
    prevalence : float or None
        Expected share of the cohort that falls ill during follow-up.
    """

    type: str = "rare"
    size: int | None = None
    prevalence: float | None = None


@dataclass(frozen=True, slots=True)
class StudyDesign:
    """One study.

    Attributes
    ----------
    name : str
    sets : int
        Matched sets.
    controls : int
        Controls per case.
    cases : int
        Cases per set.
    laboratory : {"reference", "local"}
    intercept, slope, r_squared : float or None
        Local studies: reference = intercept + slope * local + error, and R^2 of that line, among controls.
    calibrators : int or None
        Local studies: persons of the calibration subset.
    mean, sd : float or None
        This study's own law of the exposure; None: as in [exposure].
    """

    name: str
    sets: int
    controls: int = 1
    cases: int = 1
    laboratory: str = "local"
    intercept: float | None = None
    slope: float | None = None
    r_squared: float | None = None
    calibrators: int | None = None
    mean: float | None = None
    sd: float | None = None

    @property
    def is_reference(self) -> bool:
        """Whether everybody was measured at the reference laboratory."""
        return self.laboratory == "reference"

    @property
    def set_size(self) -> int:
        """Persons of a set."""
        return self.cases * (1 + self.controls)

    @property
    def n_persons(self) -> int:
        """Rows of the study."""
        return self.sets * self.set_size

    @property
    def n_controls(self) -> int:
        """Control rows of the study."""
        return self.sets * self.cases * self.controls


@dataclass(frozen=True, slots=True)
class FitPlan:
    """What is fitted to the drawn data.

    Attributes
    ----------
    exposure : {"rcs", "linear"}
    knots : tuple of float, or int
        Knots of the spline, or how many at quantiles.
    calibration_covariates : {"outcome", "none"}
        Outcome covariates and matching factors in the calibration, or none (the published rule).
    covariates : tuple of str or None
        Names of the covariates in the outcome model; None: all of them.
    calibration_variance : {"robust", "hc3"}
        Calibration block of the sandwich; see :func:`biocal.fit`.
    modifier : str or None
        A covariate whose products with the exposure columns are fitted too; curve and coefficients are then
        those where it is 0.
    """

    exposure: str = "rcs"
    knots: tuple[float, ...] | int = 4
    calibration_covariates: str = "outcome"
    covariates: tuple[str, ...] | None = None
    calibration_variance: str = "robust"
    modifier: str | None = None

    def __post_init__(self) -> None:
        with_tuples(self, "knots", "covariates")


@dataclass(frozen=True, slots=True)
class Estimand:
    """What is estimated.

    Attributes
    ----------
    at : tuple of float
        Exposures of the log odds ratios, in the unit of the exposure.
    reference : float
        Exposure against which they are.
    coefficients : bool
        Keep the coefficients of the exposure columns too.
    tests : tuple of str
        Tests whose p-values are kept: some of "overall", "nonlinearity", "interaction", "heterogeneity".
    """

    at: tuple[float, ...]
    reference: float
    coefficients: bool = False
    tests: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        with_tuples(self, "at", "tests")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One cell of a simulation study: what is drawn, fitted and estimated.

    Attributes
    ----------
    methods : tuple of str
        Some of `METHODS`.

    Raises
    ------
    DesignError
        Values that cannot be (attribute ``problems``).
    """

    exposure: ExposureLaw
    truth: Truth
    studies: tuple[StudyDesign, ...]
    estimand: Estimand
    fit: FitPlan = field(default_factory=FitPlan)
    measurement: Measurement = field(default_factory=Measurement)
    covariates: tuple[Covariate, ...] = ()
    matching: Matching = field(default_factory=Matching)
    disease: Disease = field(default_factory=Disease)
    methods: tuple[str, ...] = ("naive", "internalized", "full", "induced")

    def __post_init__(self) -> None:
        with_tuples(self, "studies", "covariates", "methods")

    @property
    def outcome_covariates(self) -> tuple[str, ...]:
        """Names of the covariates in the outcome model."""
        if self.fit.covariates is not None:
            return self.fit.covariates
        return tuple(covariate.name for covariate in self.covariates)
