"""The stack with a season written out person by person: harmonics, calibration and outcome; shares nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from enumeration import enumerate_set
from induced_by_hand import log_risk_and_gradient
from stacked_by_hand import StackedByHand, spline_formula


def waves(month: float, harmonics: int) -> list[float]:
    """Cosines and sines of the middle of a month, the year being 12 months."""
    angle = 2 * np.pi * (month - 0.5) / 12
    return [wave(k * angle) for k in range(1, harmonics + 1) for wave in (np.cos, np.sin)]


@dataclass
class SeasonByHand(StackedByHand):
    """theta = (calibration, residual variances when induced, annual means and harmonics by study, outcome).

    `basis` is for induced only; `reference_month` None stands for the annual mean.  `freedom` is the mean of 1 - h
    over each study's calibrators, which the residual variances' equations hold as known.
    """

    season: str = "month"
    reference_month: float | None = None
    harmonics: int = 1
    with_own_set: bool = False
    basis: Any = None
    freedom: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.all_studies = sorted(set(self.frame["study"]))
        self.width = 1 + 2 * self.harmonics
        self.n_variances = len(self.local_studies) if self.method == "induced" else 0
        self.n_season = len(self.all_studies) * self.width
        self.n_first = self.n_gamma + self.n_variances + self.n_season

    def parts(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Gamma, variances, season (studies, 1 + h), beta."""
        ends = np.cumsum([self.n_gamma, self.n_variances, self.n_season])
        gamma, variances, season, beta = np.split(theta, ends)
        return gamma, variances, season.reshape(-1, self.width), beta

    def day_level(self, person: dict, gamma: np.ndarray) -> float:
        """The level that the season is fitted to: full calibration's also under internalized and induced."""
        if person["study"] in self.reference_studies:
            return person["reference"]
        return person["local"] if self.method == "naive" else float(self.calibration_row(person) @ gamma)

    def wave(self, person: dict) -> np.ndarray:
        """(1, h) of a person."""
        return np.array([1.0, *waves(person[self.season], self.harmonics)])

    def season_without(self, members: list[dict], gamma: np.ndarray, season: np.ndarray) -> np.ndarray:
        """The study's harmonics less what the controls of one set give to them."""
        study = members[0]["study"]
        own = season[self.all_studies.index(study)]
        if self.with_own_set:
            return own
        controls = [
            self.wave(person)
            for person in self.people
            if person["study"] == study and person["case"] == 0 and not pd.isna(person["set"])
        ]
        others = sum(np.outer(row, row) for row in controls)
        score = np.zeros(self.width)
        for person in members:
            if person["case"] == 0:
                row = self.wave(person)
                others = others - np.outer(row, row)
                score += row * (self.day_level(person, gamma) - row @ own)
        return own - np.linalg.solve(others, score)

    def standardised(self, person: dict, gamma: np.ndarray, own: np.ndarray) -> float:
        """The level less the season of the person's set, on the reference date."""
        level = self.day_level(person, gamma)
        if self.method == "internalized" and person["calibrates"]:
            level = person["reference"]
        origin = [0.0] * (self.width - 1)
        if self.reference_month is not None:
            origin = waves(self.reference_month, self.harmonics)
        return level - float(own[1:] @ (np.array(waves(person[self.season], self.harmonics)) - origin))

    def set_score(self, members: list[dict], theta: np.ndarray) -> np.ndarray:
        """U of one set."""
        gamma, variances, season, beta = self.parts(theta)
        eta, columns = [], []
        own = self.season_without(members, gamma, season)
        for person in members:
            level = self.standardised(person, gamma, own)
            others = np.array([person[name] for name in self.covariates])
            if self.basis is None:
                row = np.concatenate([spline_formula(level, self.knots), others])
                eta.append(beta @ row)
            else:
                k = len(self.basis.names)
                local = person["study"] in self.local_studies
                sd = np.sqrt(variances[self.local_studies.index(person["study"])]) if local else None
                log_risk, gradient = log_risk_and_gradient(beta[:k], level, sd, self.basis)
                row = np.concatenate([gradient, others])
                eta.append(log_risk + beta[k:] @ others)
            columns.append(row)
        case = np.array([person["case"] == 1 for person in members])
        return enumerate_set(np.array(eta), np.array(columns).T, case).score

    def psi(self, theta: np.ndarray) -> np.ndarray:
        """Estimating functions, one row a unit."""
        gamma, variances, season, _ = self.parts(theta)
        total = {unit: np.zeros(theta.size) for unit in self.units}
        sets: dict[tuple, list[dict]] = {}
        for person in self.people:
            mine = total[person["unit"]]
            if self.n_gamma and person["calibrates"]:
                row = self.calibration_row(person)
                residual = person["reference"] - row @ gamma
                mine[: self.n_gamma] += residual * row
                if self.n_variances:
                    s = self.local_studies.index(person["study"])
                    mine[self.n_gamma + s] += residual**2 - variances[s] * self.freedom[s]
            if pd.isna(person["set"]):
                continue
            sets.setdefault((person["study"], person["set"]), []).append(person)
            if person["case"] == 0:
                s = self.all_studies.index(person["study"])
                row = self.wave(person)
                start = self.n_gamma + self.n_variances + s * self.width
                mine[start : start + self.width] += (self.day_level(person, gamma) - row @ season[s]) * row
        for members in sets.values():
            total[members[0]["unit"]][self.n_first :] += self.set_score(members, theta)
        return np.array([total[unit] for unit in self.units])

    def blocks(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Bread by differences, psi, and the outcome block of the sandwich."""
        bread, psi = self.bread(theta), self.psi(theta)
        inverse = np.linalg.inv(bread)
        return bread, psi, (inverse @ psi.T @ psi @ inverse.T)
