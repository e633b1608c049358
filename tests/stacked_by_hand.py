"""Stacked estimating equations written out person by person from a data frame: the slow twin of the sandwich.

Shares nothing with biocal: the spline is its formula, sets are enumerated, derivatives are differences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from enumeration import enumerate_set


def spline_formula(x: float, knots: Sequence[float]) -> list[float]:
    """Columns of the restricted cubic spline at one exposure; a line when there are no knots."""
    if not knots:
        return [x]
    last, penultimate = knots[-1], knots[-2]

    def cube(u: float) -> float:
        return max(u, 0.0) ** 3

    others = [
        (
            cube(x - t)
            - cube(x - penultimate) * (last - t) / (last - penultimate)
            + cube(x - last) * (penultimate - t) / (last - penultimate)
        )
        / (last - knots[0]) ** 2
        for t in knots[:-2]
    ]
    return [x, *others]


@dataclass
class StackedByHand:
    """psi of every independent unit as a function of theta = (calibration, outcome).

    Calibration parameters: intercept and slope of each local study in order of name, then the coefficients
    of `calibration` columns, common or (by_study) study by study.  Outcome: spline columns, `covariates`,
    `main` effects of the modifier, products of the spline columns with `modifier`.
    """

    frame: pd.DataFrame
    method: str
    knots: tuple[float, ...] = ()
    covariates: tuple[str, ...] = ()
    calibration: tuple[str, ...] = ()
    by_study: bool = False
    modifier: str | None = None
    main: bool = False
    reference_studies: tuple[str, ...] = ("R",)
    cluster: str | None = None
    local_studies: list[str] = field(init=False)

    def __post_init__(self) -> None:
        names = sorted(set(self.frame["study"]) - set(self.reference_studies))
        self.local_studies = names
        self.people = self.frame.to_dict("records")
        for number, person in enumerate(self.people):
            blank = pd.isna(person["set"])
            person["unit"] = ("alone", number) if blank else (person["study"], person["set"])
            if self.cluster is not None:
                person["unit"] = person[self.cluster]
            person["calibrates"] = (
                person["study"] in names and person["case"] == 0 and not pd.isna(person["reference"])
            )
        self.units = sorted({person["unit"] for person in self.people}, key=str)
        self.n_gamma = 0
        if self.method != "naive":
            extra = len(self.calibration)
            self.n_gamma = 2 * len(names) + extra * (len(names) if self.by_study else 1)

    def calibration_row(self, person: dict) -> np.ndarray:
        """C_i."""
        row, s = np.zeros(self.n_gamma), self.local_studies.index(person["study"])
        row[2 * s], row[2 * s + 1] = 1.0, person["local"]
        first = 2 * len(self.local_studies) + (s * len(self.calibration) if self.by_study else 0)
        for k, name in enumerate(self.calibration):
            # "local:z" is the product of the local value and a column.
            value = person[name] if ":" not in name else person["local"] * person[name.split(":")[1]]
            row[first + k] = value
        return row

    def exposure(self, person: dict, gamma: np.ndarray) -> float:
        """The plug-in exposure of one person."""
        if person["study"] in self.reference_studies:
            return person["reference"]
        if self.method == "naive":
            return person["local"]
        if self.method == "internalized" and person["calibrates"]:
            return person["reference"]
        return float(self.calibration_row(person) @ gamma)

    def outcome_row(self, person: dict, gamma: np.ndarray) -> np.ndarray:
        """q_i."""
        terms = spline_formula(self.exposure(person, gamma), self.knots)
        row = [*terms, *(person[name] for name in self.covariates)]
        if self.modifier is not None:
            row += [person[self.modifier]] * self.main + [term * person[self.modifier] for term in terms]
        return np.array(row)

    def psi(self, theta: np.ndarray) -> np.ndarray:
        """Estimating functions, one row a unit."""
        gamma, beta = theta[: self.n_gamma], theta[self.n_gamma :]
        total = {unit: np.zeros(theta.size) for unit in self.units}
        sets: dict[tuple, list[dict]] = {}
        for person in self.people:
            if self.n_gamma and person["calibrates"]:
                row = self.calibration_row(person)
                total[person["unit"]][: self.n_gamma] += (person["reference"] - row @ gamma) * row
            if not pd.isna(person["set"]):
                sets.setdefault((person["study"], person["set"]), []).append(person)
        for members in sets.values():
            case = np.array([person["case"] == 1 for person in members])
            if case.all() or not case.any():
                continue
            q = np.array([self.outcome_row(person, gamma) for person in members]).T
            total[members[0]["unit"]][self.n_gamma :] += enumerate_set(beta @ q, q, case).score
        return np.array([total[unit] for unit in self.units])

    def bread(self, theta: np.ndarray, step: float = 1e-4) -> np.ndarray:
        """Minus the derivative of the summed psi by central differences, extrapolated once (Richardson)."""
        size = step * np.maximum(np.abs(theta), 0.1)
        columns = []
        for k in range(theta.size):
            change = np.zeros(theta.size)
            change[k] = size[k]
            wide = (self.psi(theta + change) - self.psi(theta - change)).sum(axis=0) / (2 * size[k])
            change[k] /= 2
            narrow = (self.psi(theta + change) - self.psi(theta - change)).sum(axis=0) / size[k]
            columns.append((4 * narrow - wide) / 3)
        return -np.array(columns).T

    def covariance(self, theta: np.ndarray) -> np.ndarray:
        """The outcome block of the sandwich."""
        bread, psi = np.linalg.inv(self.bread(theta)), self.psi(theta)
        return (bread @ psi.T @ psi @ bread.T)[self.n_gamma :, self.n_gamma :]
