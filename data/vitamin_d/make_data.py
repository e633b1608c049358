"""Make the synthetic vitamin D consortium: one CSV per cohort, cohorts.csv and truth.toml.

Nothing here is a measurement of a person.  The shape follows published facts of the pooling project
of 25-hydroxyvitamin D and colorectal cancer [1]_, of its calibration study [2]_ and of the spline
methods paper [3]_; README.md says which facts, and where they had to be reconciled.

    python make_data.py                 # rewrites the files beside this script, byte for byte the same
    python make_data.py --out DIR       # writes them elsewhere

Needs NumPy and pandas only, and takes about two seconds.

References
----------
.. [1] McCullough et al. J Natl Cancer Inst 2019;111:158-169, doi 10.1093/jnci/djy087.
.. [2] Gail et al. Stat Med 2016;35:2133-2148, doi 10.1002/sim.6856.
.. [3] Wu et al. Cancers 2022;14:2783, doi 10.3390/cancers14112783.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

SEED = 20261122
CURVE_SEED = 1976  # of the large draw that fixes the curves' factors
NMOL_PER_NG = 2.496  # nmol/L of 25(OH)D per ng/mL

# --- the law of controls' season-standardised exposure: FLOOR + Gamma(SHAPE) with a person's own mean
FLOOR = 14.0  # nmol/L; above every seasonal amplitude, so that no winter value is negative
SHAPE = 5.0
RACE_SHIFT = {"White": 0.0, "Black": -15.0, "Asian": -5.0, "Hispanic": -6.0}  # nmol/L
MALE_SHIFT = 2.0  # nmol/L
BMI_SLOPE = -0.7  # nmol/L per kg/m2
ACTIVITY_SLOPE = 0.15  # nmol/L per MET-h/week
BMI_CENTRE, ACTIVITY_CENTRE = 26.5, 18.0
NORTHERN_PEAK, SOUTHERN_PEAK = 8.5, 2.5  # month of the highest level
DETECTION_LIMIT = 5.0  # nmol/L; a local value below it is measured again

# --- the planted risk: log odds ratios
COVARIATE_EFFECTS = {"bmi": 0.01, "physical_activity": -0.003}
KNOTS = np.array([28.0, 50.0, 65.0, 100.0])  # nmol/L; flat beyond the last
REFERENCE_EXPOSURE = 56.25  # nmol/L, the middle of 50-<62.5
# exposure standing for each published category, and its relative risk against 50-<62.5 [1]_;
# below 30 the mean of such persons in this consortium is near 24
PUBLISHED_CATEGORIES = {24.0: 1.31, 81.25: 0.81, 93.75: 0.73}
PUBLISHED_PER_25 = {"female": 0.81, "male": 0.93}

# --- imperfections
MISSING_SHARE = {"bmi": 0.02, "physical_activity": 0.03}
MISSING_LOCAL_SHARE = 0.003
SUBSITES = ("proximal colon", "distal colon", "rectum", "unknown")
SUBSITE_SHARES = {"female": (0.44, 0.26, 0.27, 0.03), "male": (0.35, 0.29, 0.33, 0.03)}
COLUMNS = [
    "study", "set", "case", "local", "reference", "age", "sex", "race", "bmi", "physical_activity",
    "month", "years_to_diagnosis", "subsite",
]  # fmt: skip
POPULATION_DRAW = 20_000  # persons a cohort, for the moments and the linear summaries


@dataclass(frozen=True)
class Laboratory:
    """A local assay: reference = intercept + slope * local + error, in nmol/L, among controls."""

    assay: str
    intercept: float
    slope: float
    r_squared: float
    calibrators: int
    unit: str = "nmol/L"


@dataclass(frozen=True)
class Cohort:
    """One invented cohort.  ``laboratory`` is None where everybody was measured at the reference."""

    name: str
    region: str
    latitude: float
    share_women: float
    years_of_draw: str
    follow_up: float  # years
    mean: float  # nmol/L: White women of average BMI and activity, annual mean
    amplitude: float  # nmol/L, half the distance from trough to peak
    races: tuple[float, float, float, float]  # shares, in the order of RACE_SHIFT
    pairs: int
    triples: int  # sets of one case and two controls
    laboratory: Laboratory | None = None


COHORTS = (
    Cohort("Alder", "Northeastern USA", 42, 1.0, "1989-1992", 16, 58, 10, (0.95, 0.02, 0.02, 0.01), 398, 0,
           Laboratory("radioimmunoassay", 3.0, 0.97, 0.86, 40)),
    Cohort("Birch", "Southeastern USA", 34, 0.55, "1998-2004", 12, 60, 8, (0.62, 0.34, 0.01, 0.03), 430, 0),
    Cohort("Cedar", "United States", 40, 0.0, "1993-1995", 15, 63, 10, (0.94, 0.02, 0.03, 0.01), 0, 302,
           Laboratory("radioimmunoassay", -2.0, 0.98, 0.88, 29)),
    Cohort("Dogwood", "United States", 38, 0.45, "1994-2001", 13, 58, 11, (0.80, 0.10, 0.05, 0.05), 415, 0,
           Laboratory("chemiluminescence", 12.0, 0.78, 0.84, 80)),
    Cohort("Elm", "United Kingdom", 52, 0.6, "1994-1998", 14, 54, 13, (0.97, 0.01, 0.02, 0.0), 388, 0,
           Laboratory("chemiluminescence", 10.0, 0.76, 0.78, 60)),
    Cohort("Fir", "Finland", 62, 0.0, "1985-1988", 20, 45, 13, (1.0, 0.0, 0.0, 0.0), 416, 0),
    Cohort("Ginkgo", "Japan", 36, 0.5, "1990-1995", 13, 62, 10, (0.0, 0.0, 1.0, 0.0), 0, 341,
           Laboratory("competitive protein-binding assay", 4.0, 0.68, 0.75, 100, "ng/mL")),
    Cohort("Hazel", "Southern Europe", 41, 0.7, "1992-1998", 12, 55, 12, (1.0, 0.0, 0.0, 0.0), 372, 0,
           Laboratory("ELISA", 8.0, 1.50, 0.60, 50)),
    Cohort("Ilex", "Norway", 60, 0.4, "1973-2003", 20, 58, 13, (1.0, 0.0, 0.0, 0.0), 334, 0,
           Laboratory("competitive protein-binding assay", 5.0, 0.70, 0.76, 30)),
    Cohort("Juniper", "Australia", -38, 0.5, "1990-1994", 14, 58, 11, (0.96, 0.0, 0.04, 0.0), 0, 250),
    Cohort("Katsura", "United States", 40, 1.0, "1993-1998", 12, 55, 11, (0.84, 0.10, 0.03, 0.03), 351, 0,
           Laboratory("radioimmunoassay", 1.0, 1.00, 0.84, 29)),
    Cohort("Larch", "Sweden", 58, 0.5, "1987-2006", 15, 58, 13, (1.0, 0.0, 0.0, 0.0), 262, 0,
           Laboratory("chemiluminescence", 9.0, 0.82, 0.82, 36)),
    Cohort("Maple", "Canada", 45, 0.6, "1999-2005", 10, 59, 12, (0.92, 0.02, 0.05, 0.01), 398, 0),
    Cohort("Neem", "Hawaii and California, USA", 28, 0.5, "2001-2006", 9, 68, 5, (0.27, 0.17, 0.34, 0.22),
           231, 0, Laboratory("chemiluminescence", 10.0, 0.80, 0.80, 48)),
    Cohort("Oak", "United States", 41, 0.0, "1982-1984", 18, 62, 10, (0.96, 0.01, 0.02, 0.01), 0, 186,
           Laboratory("radioimmunoassay", 6.0, 0.96, 0.80, 30)),
    Cohort("Pine", "Eastern China", 31, 1.0, "1997-2000", 11, 52, 10, (0.0, 0.0, 1.0, 0.0), 310, 0),
    Cohort("Quince", "United States", 40, 1.0, "1992-1995", 16, 58, 10, (0.95, 0.02, 0.02, 0.01), 0, 322,
           Laboratory("radioimmunoassay", -4.0, 0.99, 0.89, 48)),
)  # fmt: skip


def spline_columns(exposure: np.ndarray) -> np.ndarray:
    """Restricted cubic spline columns (n, 3) at KNOTS, divided by the squared knot range (Harrell)."""
    cubes = np.maximum(exposure[:, None] - KNOTS, 0) ** 3
    last, before = KNOTS[-1], KNOTS[-2]
    bent = [
        cubes[:, j]
        - cubes[:, -2] * (last - KNOTS[j]) / (last - before)
        + cubes[:, -1] * (before - KNOTS[j]) / (last - before)
        for j in range(len(KNOTS) - 2)
    ]
    return np.column_stack([exposure, *(column / (last - KNOTS[0]) ** 2 for column in bent)])


def shared_shape() -> np.ndarray:
    """Coefficients (3,) nearest the published category risks among curves that are flat at the top."""
    above = np.array([KNOTS[-1], KNOTS[-1] + 1.0])
    slope_beyond = np.diff(spline_columns(above), axis=0)[0]
    points = np.array([REFERENCE_EXPOSURE, *PUBLISHED_CATEGORIES])
    columns = spline_columns(points)
    contrasts = columns[1:] - columns[0]
    targets = np.log(list(PUBLISHED_CATEGORIES.values()))
    # a basis of the coefficients that have no slope beyond the last knot
    flat = np.linalg.svd(slope_beyond[None, :])[2][1:].T
    free = np.linalg.lstsq(contrasts @ flat, targets, rcond=None)[0]
    return flat @ free


def draw_strata(cohort: Cohort, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Matching factors of ``n`` persons: sex, race, age at draw, month of draw."""
    return pd.DataFrame(
        {
            "sex": np.where(rng.random(n) < cohort.share_women, "female", "male").astype(object),
            "race": rng.choice(np.array(list(RACE_SHIFT), dtype=object), size=n, p=cohort.races),
            "age": np.floor(40 + 36 * rng.beta(2.6, 2.0, n)).astype(int),
            "month": rng.integers(1, 13, n),
        }
    )


def near_match(strata: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Strata of matched controls: same sex and race, age within a year, draw within a month."""
    n = len(strata)
    age = strata["age"].to_numpy() + rng.choice([-1, 0, 1], size=n, p=[0.2, 0.6, 0.2])
    month = strata["month"].to_numpy() + rng.choice([-1, 0, 1], size=n, p=[0.15, 0.7, 0.15])
    return strata.assign(age=age, month=(month - 1) % 12 + 1)


def draw_controls(cohort: Cohort, strata: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Persons without cancer in the given strata: covariates, annual-mean level, level when drawn."""
    n = len(strata)
    activity = rng.gamma(1.4, ACTIVITY_CENTRE / 1.4, n)
    bmi = 16 + 34 * rng.beta(3.8, 8.5, n) - 0.03 * (np.minimum(activity, 80) - ACTIVITY_CENTRE)
    mean = (
        cohort.mean
        + strata["race"].map(RACE_SHIFT).to_numpy(dtype=float)
        + MALE_SHIFT * (strata["sex"] == "male").to_numpy()
        + BMI_SLOPE * (bmi - BMI_CENTRE)
        + ACTIVITY_SLOPE * (activity - ACTIVITY_CENTRE)
    )
    assert mean.min() > FLOOR + 3, (cohort.name, mean.min())
    annual = FLOOR + (mean - FLOOR) * rng.gamma(SHAPE, 1 / SHAPE, n)
    peak = NORTHERN_PEAK if cohort.latitude > 0 else SOUTHERN_PEAK
    season = cohort.amplitude * np.cos(2 * np.pi * (strata["month"].to_numpy() - peak) / 12)
    return strata.assign(bmi=bmi, physical_activity=activity, annual=annual, exposure=annual + season)


def log_risk(people: pd.DataFrame, curves: dict[str, np.ndarray]) -> np.ndarray:
    """Log odds ratio of each person against exposure REFERENCE_EXPOSURE, BMI_CENTRE and no activity."""
    columns = spline_columns(people["annual"].to_numpy())
    columns = columns - spline_columns(np.array([REFERENCE_EXPOSURE]))
    women = (people["sex"] == "female").to_numpy()
    exposure = np.where(women, columns @ curves["female"], columns @ curves["male"])
    body = COVARIATE_EFFECTS["bmi"] * (people["bmi"] - BMI_CENTRE)
    activity = COVARIATE_EFFECTS["physical_activity"] * people["physical_activity"]
    return exposure + (body + activity).to_numpy()


def draw_cases(
    cohort: Cohort, strata: pd.DataFrame, curves: dict[str, np.ndarray], rng: np.random.Generator
) -> pd.DataFrame:
    """Cases: the controls' law in each stratum, tilted by the risk, by rejection (a rare disease)."""
    worst = pd.DataFrame({"annual": FLOOR, "bmi": 52.5, "physical_activity": 0.0, "sex": ["female", "male"]})
    bound = log_risk(worst, curves).max()
    people = draw_controls(cohort, strata, rng)
    pending = np.arange(len(strata))
    while pending.size:
        proposal = draw_controls(cohort, strata.iloc[pending], rng)
        excess = log_risk(proposal, curves) - bound
        assert excess.max() <= 0
        accepted = np.log(rng.random(pending.size)) < excess
        for column in ("bmi", "physical_activity", "annual", "exposure"):
            values = people[column].to_numpy(copy=True)
            values[pending[accepted]] = proposal[column].to_numpy()[accepted]
            people[column] = values
        pending = pending[~accepted]
    return people


def linear_summary(
    first: np.ndarray, second: np.ndarray, log_first: np.ndarray, log_second: np.ndarray
) -> float:
    """Slope that a linear model tends to in 1:1 sets whose members have these exposures and log risks."""
    probability = 1 / (1 + np.exp(log_second - log_first))  # that the first is the case
    weight = np.exp(log_first) + np.exp(log_second)  # how often such a pair arises
    difference, slope = first - second, 0.0
    for _ in range(30):
        fitted = 1 / (1 + np.exp(-slope * difference))
        score = np.sum(weight * difference * (probability - fitted))
        slope += score / np.sum(weight * difference**2 * fitted * (1 - fitted))
    return float(slope)


def curves_by_sex(shape: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """The shared shape times a factor for each sex, so that the published linear summaries hold."""
    rng = np.random.default_rng(np.random.SeedSequence(CURVE_SEED))
    firsts, seconds = [], []
    for cohort in COHORTS:
        n = 20 * (cohort.pairs + cohort.triples)
        strata = draw_strata(cohort, n, rng)
        firsts.append(draw_controls(cohort, strata, rng))
        seconds.append(draw_controls(cohort, strata, rng))
    first, second = pd.concat(firsts), pd.concat(seconds)
    factors = {}
    for sex, risk in PUBLISHED_PER_25.items():
        keep = (first["sex"] == sex).to_numpy()
        x1, x2 = first["annual"].to_numpy()[keep], second["annual"].to_numpy()[keep]
        f1, f2 = spline_columns(x1) @ shape, spline_columns(x2) @ shape
        centre = f1.mean()
        low, high = 0.0, 4.0
        for _ in range(40):
            factor = (low + high) / 2
            slope = linear_summary(x1, x2, factor * (f1 - centre), factor * (f2 - centre))
            low, high = (low, factor) if slope < np.log(risk) / 25 else (factor, high)
        factors[sex] = round((low + high) / 2, 4)
    return {sex: factor * shape for sex, factor in factors.items()}, factors


def draw_cohort(cohort: Cohort, curves: dict[str, np.ndarray], rng: np.random.Generator) -> pd.DataFrame:
    """All persons of a cohort with their sets; exposures known, nothing measured yet."""
    n_sets = cohort.pairs + cohort.triples
    strata = draw_strata(cohort, n_sets, rng)
    groups = [draw_cases(cohort, strata, curves, rng).assign(case=1, set=np.arange(1, n_sets + 1))]
    for _ in range(2 if cohort.triples else 1):
        controls = draw_controls(cohort, near_match(strata, rng), rng)
        groups.append(controls.assign(case=0, set=np.arange(1, n_sets + 1)))
    people = pd.concat(groups, ignore_index=True).assign(study=cohort.name)
    people = people.sort_values(["set", "case"], ascending=[True, False], kind="stable", ignore_index=True)
    is_case = people["case"].to_numpy() == 1
    years = 0.1 + (cohort.follow_up - 0.1) * rng.beta(1.3, 1.4, len(people))
    people["years_to_diagnosis"] = np.where(is_case, years, np.nan)
    subsite = np.full(len(people), "", dtype=object)
    for sex, shares in SUBSITE_SHARES.items():
        rows = np.flatnonzero(is_case & (people["sex"] == sex).to_numpy())
        subsite[rows] = rng.choice(np.array(SUBSITES, dtype=object), size=rows.size, p=shares)
    return people.assign(subsite=subsite)


def population_moments(cohort: Cohort, rng: np.random.Generator) -> tuple[float, float]:
    """Mean and SD of the measured level among controls of the cohort, season included."""
    people = draw_controls(cohort, draw_strata(cohort, POPULATION_DRAW, rng), rng)
    return float(people["exposure"].mean()), float(people["exposure"].std(ddof=0))


def measure_locally(
    exposure: np.ndarray, laboratory: Laboratory, mean: float, sd: float, rng: np.random.Generator
) -> tuple[np.ndarray, int]:
    """Local values (nmol/L) with classical error that keep the line and R2, and how many were redrawn.

    local = (mean - a) / b + (R2 / b) (exposure - mean + u),  Var u = sd^2 (1 - R2) / R2.
    """
    line, r2 = laboratory, laboratory.r_squared
    error_sd = sd * np.sqrt((1 - r2) / r2)
    local = np.full(exposure.size, -np.inf)
    redrawn = -exposure.size
    while (low := np.flatnonzero(local < DETECTION_LIMIT)).size:
        redrawn += low.size
        noisy = exposure[low] + error_sd * rng.standard_normal(low.size)
        local[low] = (mean - line.intercept) / line.slope + r2 / line.slope * (noisy - mean)
    return local, redrawn


def choose_calibrators(people: pd.DataFrame, n: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of ``n`` controls, as evenly as possible over the tenths of their local values."""
    controls = np.flatnonzero(people["case"].to_numpy() == 0)
    by_local = controls[np.argsort(people["local"].to_numpy()[controls], kind="stable")]
    tenths = np.array_split(by_local, 10)
    counts = np.full(10, n // 10)
    counts[rng.permutation(10)[: n % 10]] += 1
    chosen = [rng.choice(tenth, size=k, replace=False) for tenth, k in zip(tenths, counts, strict=True)]
    return np.concatenate(chosen)


def measure(
    people: pd.DataFrame, cohort: Cohort, rng: np.random.Generator
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Give a cohort its assays and its gaps; also what is true of its measurements."""
    mean, sd = population_moments(cohort, rng)
    facts: dict[str, float] = {"mean": mean, "sd": sd}
    exposure = people["exposure"].to_numpy()
    reference, local = exposure.copy(), np.full(len(people), np.nan)
    if cohort.laboratory is not None:
        local, redrawn = measure_locally(exposure, cohort.laboratory, mean, sd, rng)
        calibrators = choose_calibrators(people.assign(local=local), cohort.laboratory.calibrators, rng)
        chosen = np.zeros(len(people), dtype=bool)
        chosen[calibrators] = True
        reference[~chosen] = np.nan
        local[(rng.random(len(people)) < MISSING_LOCAL_SHARE) & ~chosen] = np.nan
        if cohort.laboratory.unit == "ng/mL":
            local = local / NMOL_PER_NG
        facts |= {"residual_sd": sd * np.sqrt(1 - cohort.laboratory.r_squared), "measured_again": redrawn}
    people = people.assign(local=local, reference=reference)
    for column, share in MISSING_SHARE.items():
        people[column] = people[column].mask(rng.random(len(people)) < share)
    return people, facts


def build(
    seed: int = SEED,
) -> tuple[pd.DataFrame, dict[str, dict[str, float]], dict[str, np.ndarray], dict[str, float]]:
    """The whole consortium; another seed draws other persons from the same laws, with the same curves.

    Returns
    -------
    people : DataFrame
        The columns of the files at full precision, and two that no file has: ``exposure`` (the reference
        value of everybody) and ``annual`` (its annual mean, which the risk depends on).
    facts : dict
        Per cohort what is true of its measurements.
    curves : dict
        Spline coefficients (3,) by sex.
    factors : dict
        By sex, the curve's multiple of the published category curve.
    """
    curves, factors = curves_by_sex(shared_shape())
    frames, facts = [], {}
    for index, cohort in enumerate(COHORTS):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
        people, facts[cohort.name] = measure(draw_cohort(cohort, curves, rng), cohort, rng)
        frames.append(people)
    return pd.concat(frames, ignore_index=True), facts, curves, factors


def write_cohorts(people: pd.DataFrame, out: Path) -> None:
    """One CSV a cohort under cohorts/, and the table of cohorts."""
    folder = out / "cohorts"
    folder.mkdir(parents=True, exist_ok=True)
    rounded = people[COLUMNS].round(dict.fromkeys(["local", "reference", "bmi", "physical_activity"], 1))
    rounded["years_to_diagnosis"] = rounded["years_to_diagnosis"].round(1)
    for name, rows in rounded.groupby("study", sort=True):
        rows.to_csv(folder / f"{str(name).lower()}.csv", index=False, lineterminator="\n")
    table = [
        {
            "study": c.name,
            "region": c.region,
            "latitude": c.latitude,
            "sex": {1.0: "women", 0.0: "men"}.get(c.share_women, "both"),
            "years_of_draw": c.years_of_draw,
            "assay": "reference" if c.laboratory is None else c.laboratory.assay,
            "local_unit": "" if c.laboratory is None else c.laboratory.unit,
            "sets_1_to_1": c.pairs,
            "sets_1_to_2": c.triples,
            "calibration_controls": 0 if c.laboratory is None else c.laboratory.calibrators,
        }
        for c in COHORTS
    ]
    pd.DataFrame(table).to_csv(out / "cohorts.csv", index=False, lineterminator="\n")


def numbers(values: Iterable[float], form: str = ".10g") -> str:
    """A TOML array."""
    return "[" + ", ".join(format(float(value), form) for value in values) + "]"


def curve_lines(curves: dict[str, np.ndarray], factors: dict[str, float]) -> list[str]:
    """The part of truth.toml on the curves and the risks they come from."""
    at = np.array([*PUBLISHED_CATEGORIES, 110.0])
    columns = spline_columns(at) - spline_columns(np.array([REFERENCE_EXPOSURE]))
    shared = shared_shape()
    lines = [
        "# log OR(x against x0) = (f(x) - f(x0)) . beta, f the restricted cubic spline columns divided by",
        "# the squared knot range; linear below the first knot, flat above the last.",
        "# `shared` is nearest the published categories; each sex has `factor` times it, so that a linear",
        "# model of one sex, given the covariates, tends to the published risk per 25 nmol/L.",
        "[truth]",
        'type = "rcs"',
        f"knots = {numbers(KNOTS)}",
        "[truth.shared]",
        f"beta = {numbers(shared)}",
    ]
    for sex, beta in curves.items():
        lines += [
            f"[truth.{sex}]",
            f"factor = {factors[sex]}",
            f"beta = {numbers(beta)}",
            f"risk_per_25 = {PUBLISHED_PER_25[sex]}  # of the linear summary",
        ]
    lines += [
        "",
        "# at these exposures, against the reference exposure",
        "[truth.odds_ratios]",
        f"at = {numbers(at)}",
        "# below 30, 75-<87.5, 87.5-<100; none for the plateau",
        f"published = {numbers(PUBLISHED_CATEGORIES.values())}",
    ]
    for name, beta in {"shared": shared, **curves}.items():
        lines.append(f"{name} = {numbers(np.exp(columns @ beta), '.3f')}")
    return lines


def law_lines() -> list[str]:
    """The part of truth.toml on covariates and on the controls' exposure."""
    return [
        "# log OR per kg/m2 and per MET-h/week",
        "[covariates]",
        *(f"{name} = {effect}" for name, effect in COVARIATE_EFFECTS.items()),
        "",
        "# annual-mean level among controls = floor + (mean - floor) * Gamma(shape) / shape; the mean is",
        "# the cohort's base_mean and, added to it:",
        "[exposure_law]",
        f"floor = {FLOOR}",
        f"shape = {SHAPE}",
        f"male = {MALE_SHIFT}",
        f"bmi = {BMI_SLOPE}  # per kg/m2 from {BMI_CENTRE}",
        f"physical_activity = {ACTIVITY_SLOPE}  # per MET-h/week from {ACTIVITY_CENTRE}",
        *(f"{race} = {shift}" for race, shift in RACE_SHIFT.items()),
    ]


def cohort_lines(cohort: Cohort, facts: dict[str, float]) -> list[str]:
    """The part of truth.toml on one cohort and its laboratory."""
    lines = [
        "[[cohorts]]",
        f'name = "{cohort.name}"',
        f"base_mean = {cohort.mean}",
        f"mean = {facts['mean']:.3f}",
        f"sd = {facts['sd']:.3f}",
        f"amplitude = {cohort.amplitude}",
        f"peak = {NORTHERN_PEAK if cohort.latitude > 0 else SOUTHERN_PEAK}",
    ]
    if cohort.laboratory is None:
        return [*lines, 'laboratory = "reference"']
    return [
        *lines,
        'laboratory = "local"',
        f'assay = "{cohort.laboratory.assay}"',
        f"intercept = {cohort.laboratory.intercept}",
        f"slope = {cohort.laboratory.slope}",
        f"r_squared = {cohort.laboratory.r_squared}",
        f"calibrators = {cohort.laboratory.calibrators}",
        f"residual_sd = {facts['residual_sd']:.3f}",
        f"measured_again = {facts['measured_again']:.0f}",
    ]


def truth_text(
    facts: dict[str, dict[str, float]], curves: dict[str, np.ndarray], factors: dict[str, float]
) -> str:
    """truth.toml: what was planted."""
    lines = [
        "# SYNTHETIC DATA: what make_data.py planted.  Written by make_data.py; do not edit.",
        f"seed = {SEED}",
        'exposure = "25(OH)D at the reference laboratory, standardised to the annual mean"',
        'unit = "nmol/L"',
        f"reference_exposure = {REFERENCE_EXPOSURE}",
        "",
        *curve_lines(curves, factors),
        "",
        *law_lines(),
        "",
        "# mean and sd: measured level among controls, season included.",
        "# reference = intercept + slope * local, local in nmol/L; residual_sd = sd * sqrt(1 - r_squared).",
        "# season = amplitude * cos(2 pi (month - peak) / 12).",
        "# measured_again: local values below the detection limit, replaced by a second measurement.",
    ]
    for cohort in COHORTS:
        lines += cohort_lines(cohort, facts[cohort.name])
    return "\n".join(lines) + "\n"


def check_targets(people: pd.DataFrame) -> list[str]:
    """The published facts this data set promises, asserted, and a line on each."""
    cases, controls = int((people["case"] == 1).sum()), int((people["case"] == 0).sum())
    sizes = people.groupby(["study", "set"]).size().value_counts()
    at_reference = people["study"].isin([c.name for c in COHORTS if c.laboratory is None])
    share = float(at_reference.mean())
    level = people.loc[people["case"] == 0, "exposure"]
    season = people["exposure"] - people["annual"]
    season_share = float(season[people["case"] == 0].var() / level.var())
    assert (len(COHORTS), cases, controls) == (17, 5706, 7107)
    assert (sizes[2], sizes[3]) == (4305, 1401)
    assert abs(share - 0.301) < 0.001
    assert abs(level.mean() - 57) < 1, level.mean()
    assert abs(level.std() - 22) < 1, level.std()
    assert 0.10 < season_share < 0.20, season_share
    assert level.min() > 0
    return [
        f"{len(COHORTS)} cohorts, {cases} cases, {controls} controls; sets 1:1 {sizes[2]}, 1:2 {sizes[3]}",
        f"whole reference cohorts: {share:.2%} of participants",
        f"controls' 25(OH)D in nmol/L: mean {level.mean():.1f}, SD {level.std():.1f},"
        f" range {level.min():.1f}-{level.max():.1f};",
        f"  below 30 {np.mean(level < 30):.1%}, 100 and over {np.mean(level >= 100):.1%};"
        f" season {season_share:.0%} of the variance",
    ]


def main() -> None:
    """Write the files and print what they hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write to")
    out = parser.parse_args().out
    people, facts, curves, factors = build()
    summary = check_targets(people)
    write_cohorts(people, out)
    (out / "truth.toml").write_text(truth_text(facts, curves, factors), encoding="utf-8", newline="\n")
    print("\n".join(summary))


if __name__ == "__main__":
    main()
