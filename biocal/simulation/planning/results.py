"""What a plan found: predictions by design, divisions of a budget, power; as tables, text and a figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biocal.results.labels import Labels
from biocal.results.plots.planning import WidthPanel, WidthSeries, draw_widths
from biocal.results.text import exact
from biocal.simulation.planning.options import PlanOptions
from biocal.simulation.planning.prediction import Prediction, Predictor, TestPower

if TYPE_CHECKING:
    import pandas as pd


FloatArray = NDArray[np.float64]

PLANNED, EQUAL, BEST, ALIKE = "as planned", "equal", "best division", "budget alike"


@dataclass(frozen=True, slots=True, eq=False)
class PlanResults:
    """A plan for re-assays.

    Attributes
    ----------
    title : str
    origin : str
        Where the variances come from, in words.
    curve : str
        Exposure terms, in words.
    options : PlanOptions
    predictor : Predictor
    at : ndarray, shape (m,)
        Exposures of the log odds ratios.
    reference : float
    log_or, true_log_or : ndarray, shape (m,)
        What full calibration estimates in the limit, and the truth (NaN with a pilot).
    predictions : tuple of Prediction
        As planned; then alike in all studies, for every way and number compared; then the budget alike, and divided
        best.
    enough : dict of str to list
        By way of choosing: fewest calibrators a study, by exposure; None where all controls are not enough.
    powers : dict of int to list of TestPower
        By position in `predictions`.
    sets_needed : list of (int or None)
        With plan.width: sets for intervals of that width, as planned, by exposure.
    labels : Labels
    notes : tuple of str

    Examples
    --------
    >>> import biocal as bc
    >>> found = bc.plan({
    ...     "exposure": {"mean": 60, "sd": 20}, "truth": {"type": "linear", "beta": [-0.02]},
    ...     "fit": {"exposure": "linear"}, "estimand": {"at": [40], "reference": 60},
    ...     "studies": [{"name": "B", "sets": 500, "intercept": 12, "slope": 0.75, "r_squared": 0.7}],
    ...     "plan": {"calibrators": [20, 200]}})
    >>> found.tidy()[["calibrators", "std_error"]].round(2).values[1:3].tolist()
    [[20.0, 0.1], [200.0, 0.08]]
    """

    title: str
    origin: str
    curve: str
    options: PlanOptions
    predictor: Predictor
    at: FloatArray
    reference: float
    log_or: FloatArray
    true_log_or: FloatArray
    predictions: tuple[Prediction, ...]
    enough: dict[str, list[int | None]]
    powers: dict[int, list[TestPower]]
    sets_needed: list[int | None]
    labels: Labels
    notes: tuple[str, ...] = ()

    @property
    def planned(self) -> Prediction:
        """The numbers of the spec."""
        return self.predictions[0]

    @property
    def study_names(self) -> tuple[str, ...]:
        """Local studies."""
        return self.predictor.pieces.study_names

    def labelled(self, label: str) -> list[Prediction]:
        """Predictions of one kind.

        Parameters
        ----------
        label : str
            As in the column ``design`` of :meth:`tidy`.

        Returns
        -------
        list of Prediction
        """
        return [one for one in self.predictions if one.label == label]

    def tidy(self) -> pd.DataFrame:
        """One row a design and exposure (plan.csv).

        Returns
        -------
        DataFrame
            design, spread, calibrators (a study; blank when they differ), total, exposure, reference_exposure,
            log_or, std_error, width, ratio, calibration_share, width_floor, above_floor, gain_per_10.
        """
        import pandas as pd

        m = self.at.size
        frames = []
        for one in self.predictions:
            alike = np.unique(one.calibrators)
            width = self.predictor.width(one.std_error)
            frames.append(
                pd.DataFrame(
                    {
                        "design": one.label,
                        "spread": one.spread,
                        "calibrators": np.full(m, alike[0] if alike.size == 1 else np.nan),
                        "total": np.full(m, one.calibrators.sum()),
                        "exposure": self.at,
                        "reference_exposure": np.full(m, self.reference),
                        "log_or": self.log_or,
                        "std_error": one.std_error,
                        "width": width,
                        "ratio": np.exp(width),
                        "calibration_share": one.shares.sum(axis=0),
                        "width_floor": self.predictor.width(one.floor),
                        "above_floor": one.above_floor,
                        "gain_per_10": one.gain,
                    }
                )
            )
        return pd.concat(frames, ignore_index=True)

    def studies(self) -> pd.DataFrame:
        """One row a design, study and exposure (plan_studies.csv).

        Returns
        -------
        DataFrame
            design, spread, total, study, controls, calibrators, exposure, share: the share of Var(log OR) that the
            study's calibration adds.
        """
        import pandas as pd

        rows = [
            (one.label, one.spread, one.calibrators.sum(), name, controls, n, x, share)
            for one in self.predictions
            for name, controls, n, shares in zip(
                self.study_names, self.predictor.pieces.most, one.calibrators, one.shares, strict=True
            )
            for x, share in zip(self.at, shares, strict=True)
        ]
        names = ["design", "spread", "total", "study", "controls", "calibrators", "exposure", "share"]
        return pd.DataFrame(rows, columns=names)

    def enough_table(self) -> pd.DataFrame:
        """Fewest calibrators a study that are enough (enough.csv): spread, exposure, calibrators.

        Returns
        -------
        DataFrame
        """
        import pandas as pd

        rows = [
            (spread, x, n)
            for spread, numbers in self.enough.items()
            for x, n in zip(self.at, numbers, strict=True)
        ]
        frame = pd.DataFrame(rows, columns=["spread", "exposure", "calibrators"])
        return frame.astype({"calibrators": "Int64"})

    def power_table(self) -> pd.DataFrame:
        """Power of the tests by design (power.csv).

        Returns
        -------
        DataFrame
            design, spread, total, test, df, noncentrality, power, wanted_power, sets, sets_needed.
        """
        import pandas as pd

        rows = [
            {
                "design": self.predictions[k].label,
                "spread": self.predictions[k].spread,
                "total": self.predictions[k].calibrators.sum(),
                "test": one.test,
                "df": one.df,
                "noncentrality": one.noncentrality,
                "power": one.power,
                "wanted_power": self.options.power,
                "sets": self.predictor.pieces.n_sets,
                "sets_needed": one.sets_needed,
            }
            for k, tests in self.powers.items()
            for one in tests
        ]
        return pd.DataFrame(rows).astype({"sets_needed": "Int64"})

    def sets_table(self) -> pd.DataFrame | None:
        """Sets for the wanted width (sets.csv): exposure, width, wanted_width, sets, sets_needed.

        Returns
        -------
        DataFrame or None
            None when no width was asked for.
        """
        if self.options.width is None:
            return None
        import pandas as pd

        return pd.DataFrame(
            {
                "exposure": self.at,
                "width": self.predictor.width(self.planned.std_error),
                "wanted_width": self.options.width,
                "sets": self.predictor.pieces.n_sets,
                "sets_needed": self.sets_needed,
            }
        ).astype({"sets_needed": "Int64"})

    def tables(self) -> dict[str, pd.DataFrame]:
        """All tables by the name of their file.

        Returns
        -------
        dict of str to DataFrame
            By name of file.
        """
        tables = {
            "plan": self.tidy(),
            "plan_studies": self.studies(),
            "enough": self.enough_table(),
            "power": self.power_table(),
        }
        sets = self.sets_table()
        return tables if sets is None else tables | {"sets": sets}

    def summary(self) -> str:
        """What to expect, and what more re-assays would buy: text for a person.

        Returns
        -------
        str
        """
        from biocal.simulation.planning.summary import plan_summary

        return plan_summary(self)

    def plot(self) -> Any:
        """Width of the interval against calibrators a study, a panel a way of choosing them.

        Returns
        -------
        matplotlib.figure.Figure
        """

        return draw_plan(self)


#: Points of a curve.
_POINTS = 60
_HOW = {"random": "at random", "deciles": "spread over deciles", "extremes": "from the extremes"}


def draw_plan(found: PlanResults) -> Any:
    """Width against calibrators a study, a panel a way of choosing them; returns the figure."""
    predictor = found.predictor
    known = [n for numbers in found.enough.values() for n in numbers if n is not None]
    most = max([*found.options.calibrators, *(1.2 * n for n in known)])
    most = min(most, max(predictor.pieces.most))
    least = min(10.0, min(found.options.calibrators))
    numbers = np.unique(np.round(np.geomspace(least, max(most, least + 1.0), _POINTS)))
    unit = f" {found.labels.unit}" if found.labels.unit else ""
    panels = []
    for spread, enough in found.enough.items():
        errors = np.array([predictor.std_error(predictor.equal(n), spread) for n in numbers])
        series = [
            WidthSeries(
                f"{exact(float(x))} against {exact(found.reference)}{unit}",
                numbers,
                predictor.width(errors[:, m]),
                float(predictor.width(predictor.floor)[m]),
                None if enough[m] is None else float(max(enough[m] or 0, least)),
            )
            for m, x in enumerate(found.at)
        ]
        panels.append(WidthPanel(f"calibrators {_HOW.get(spread, spread)}", series))
    planned = np.unique(found.planned.calibrators)
    return draw_widths(
        panels,
        level=found.options.level,
        enough=found.options.enough,
        planned=float(planned[0]) if planned.size == 1 else None,
    )
