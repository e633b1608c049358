"""What the centre makes of the answers: what is settled, what must be asked next, and the fits in the end.

The centre has no state but the messages: everything here is worked out anew from the answers of all rounds, so
that a session can be picked up anywhere and its result checked by whoever holds the messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from biocal.errors import InputError, OptionError
from biocal.fitting.problem.model_columns import ModelColumns
from biocal.fitting.problem.modifier import require_joint_level
from biocal.fitting.soundness.digits import require_digits_of, rounding_of_sums
from biocal.fitting.soundness.sums import WhereControlsAre, extents_of_moments, require_moderate_slopes
from biocal.fitting.sums.ascent import AnsweredPoints, Ascents, run_ascents
from biocal.fitting.sums.calibration import SummedCalibration, solve_calibration
from biocal.fitting.sums.modifier import NO_MODIFIER, Modifier, settle_modifier
from biocal.fitting.sums.records import (
    CalibrationMoments,
    ResidualSums,
    SandwichAnswer,
    Task,
    shown_tasks,
    start_of,
    task_model,
    tasks_to_run,
)
from biocal.kernels.newton import Optimum
from biocal.model.exposure import Basis
from biocal.pool.checks.cells.natural_order import natural_key
from biocal.pool.formulas.level_order import united_levels
from biocal.remote.sites.agreed import Agreed, AgreedModifier, Levels
from biocal.remote.sites.messages.answers import (
    CalibrationAnswer,
    Inventory,
    ResidualAnswer,
    read_calibration,
    read_inventory,
    read_residuals,
    read_sandwich,
    read_scores,
)
from biocal.remote.sites.messages.plausible import (
    StudyCounts,
    require_bins,
    require_calibrated,
    require_log_odds,
    require_parts_of_pairs,
    require_residuals,
)
from biocal.remote.sites.plan import FloatArray, Plan
from biocal.remote.sites.site.histogram import MergedDistribution, choose_edges
from biocal.results.model import ModifierLevels


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What must be asked next.

    Attributes
    ----------
    step : str
    agreed : Agreed
    tasks : dict of Task to ndarray
    """

    step: str
    agreed: Agreed
    tasks: Mapping[Task, FloatArray]


@dataclass(slots=True)
class Centre:
    """All that the answers so far have told; rounds are taken in order.

    Attributes
    ----------
    plan : Plan
    agreed : Agreed
    inventories, calibrations, residuals : dict by site
    calibration : SummedCalibration or None
    distribution : MergedDistribution or None
    points : dict of Task to AnsweredPoints
    sandwiches : dict of Task to list of SandwichAnswer
    modifier : Modifier
    digits : tuple of str
        What is to be told of calibration columns that hardly differ beside their size.
    lost : float
        Share of the calibration's sums that is rounding, for them.
    """

    plan: Plan
    agreed: Agreed = field(default_factory=Agreed)
    inventories: dict[str, Inventory] = field(default_factory=dict)
    calibrations: dict[str, CalibrationAnswer] = field(default_factory=dict)
    residuals: dict[str, ResidualAnswer] = field(default_factory=dict)
    calibration: SummedCalibration | None = None
    distribution: MergedDistribution | None = None
    points: dict[Task, AnsweredPoints] = field(default_factory=dict)
    sandwiches: dict[Task, list[SandwichAnswer]] = field(default_factory=dict)
    modifier: Modifier = NO_MODIFIER
    digits: tuple[str, ...] = ()
    lost: float = 0.0

    @property
    def studies(self) -> list[tuple[str, StudyCounts]]:
        """Site and counts of every study, in natural order of their names."""
        found = [(site, one) for site, inventory in self.inventories.items() for one in inventory.studies]
        return sorted(found, key=lambda pair: natural_key(pair[1].name))

    @property
    def variables(self) -> tuple[str, ...]:
        """Columns of the data that the modifier is made of."""
        first = next(iter(self.inventories.values()))
        return tuple(column.name for column in first.columns.get("modifier", ()))

    @property
    def local_names(self) -> tuple[str, ...]:
        """Local studies, in the order of the calibration's parameters."""
        return tuple(one.name for _, one in self.studies if one.kind == "local")

    def read(self, step: str, tasks: Mapping[Task, FloatArray], site: str, content: Any) -> Any:
        """Check one site's answer to a question; raises MessageError."""
        if step == "inventory":
            return read_inventory(content, self.plan)
        local = [one.name for one in self.inventories[site].studies if one.kind == "local"]
        if step == "calibration":
            reference = [one.name for one in self.inventories[site].studies if one.kind == "reference"]
            return read_calibration(content, local, reference, self.variables)
        if step == "residuals":
            assert self.agreed.edges is not None
            found = read_residuals(content, local, self.agreed.edges, self.agreed)
            self._require_plausible(found, self.inventories[site])
            return found
        if step == "scores":
            scores = read_scores(content, list(tasks), self.agreed)
            for task, point in tasks.items():
                if not point.any():
                    require_log_odds(scores[task].loglik, self.inventories[site].shapes, task.name)
            return scores
        names = [one.name for one in self.inventories[site].studies]
        return read_sandwich(content, list(tasks), self.agreed, names)

    def take(self, step: str, tasks: Mapping[Task, FloatArray], found: Mapping[str, Any]) -> None:
        """Take in the answers of all sites to one question, in the order of the plan.

        Raises
        ------
        InputError
            Sites that do not fit together.
        """
        if step == "inventory":
            self.inventories = dict(found)
            require_distinct_studies(self.inventories)
            self.agreed = replace(self.agreed, levels=agree_on_levels(self.inventories))
        elif step == "calibration":
            self.calibrations = dict(found)
            self._take_calibration()
        elif step == "residuals":
            self.residuals = dict(found)
            self._take_residuals()
        elif step == "scores":
            for task, point in tasks.items():
                self.points[task].add(point, [answer[task] for answer in found.values()])
        else:
            self.sandwiches = {task: [answer[task] for answer in found.values()] for task in tasks}

    def question(self) -> Question | None:
        """What to ask next; None when the fits can be made.

        Raises
        ------
        FitError
            No maximum: collinear columns, separation.
        """
        if not self.inventories:
            return Question("inventory", self.agreed, {})
        if not self.calibrations:
            return Question("calibration", self.agreed, {})
        if not self.residuals:
            return Question("residuals", self.agreed, {})
        if self.sandwiches:
            return None
        ascents = self.ascents()
        self._require_moderate_slopes(ascents.optima)
        for task, failure in ascents.failures.items():
            if task in self.shown_tasks():
                failure.add_note(f"method {task.name}")
                raise failure
        if ascents.needed:
            return Question("scores", self.agreed, ascents.needed)
        arrived = {task: ascents.optima[task].point[0] for task in self.shown_tasks()}
        return Question("sandwich", self.agreed, arrived)

    def _require_moderate_slopes(self, optima: Mapping[Task, Optimum]) -> None:
        assert self.agreed.basis is not None

        def model_of(task: Task) -> ModelColumns:
            assert self.agreed.basis is not None
            return task_model(task, self.agreed.basis, self.kept_names, self.modifier)

        require_moderate_slopes(
            optima, self.shown_tasks(), model_of, self.agreed.basis, self.calibration, self.where()
        )

    def where(self) -> WhereControlsAre:
        """Where the controls are, as far as their bins tell."""
        assert self.distribution is not None
        levels = self.modifier_levels()
        return WhereControlsAre(
            self.distribution.exposures(), np.empty((1, 0)) if levels is None else levels.values
        )

    def ascents(self) -> Ascents:
        """Where the maximisation of all tasks stands."""
        starts = {task: start_of(task) for task in self.points if task.method == "induced"}
        return run_ascents({task: self.terms(task) for task in self.points}, self.points, starts)

    def shown_tasks(self) -> list[Task]:
        """Tasks whose result is wanted: each method, and its straight line beside a curve."""
        assert self.agreed.basis is not None
        return shown_tasks(self.plan.methods, self.agreed.basis)

    def terms(self, task: Task) -> tuple[str, ...]:
        """Names of a task's coefficients."""
        assert self.agreed.basis is not None
        return task_model(task, self.agreed.basis, self.kept_names, self.modifier).terms

    @property
    def calibration_names(self) -> tuple[str, ...]:
        """Columns of the calibration after W."""
        names = next(iter(self.calibrations.values())).calibration_names
        return tuple(n for n, kept in zip(names, self.modifier.calibrates(names)[2:], strict=True) if kept)

    @property
    def kept_names(self) -> tuple[str, ...]:
        """Covariate columns of the outcome model."""
        first = next(iter(self.calibrations.values()))
        assert self.agreed.kept is not None
        return tuple(n for n, kept in zip(first.covariate_names, self.agreed.kept, strict=True) if kept)

    @property
    def omitted(self) -> tuple[str, ...]:
        """Covariate columns constant within every set of every site."""
        first = next(iter(self.calibrations.values()))
        return tuple(n for n in first.covariate_names if n not in self.kept_names)

    def moments(self) -> dict[str, CalibrationMoments]:
        """Moments of the calibration subsets, studies in the order of the parameters."""
        found: dict[str, CalibrationMoments] = {}
        for answer in self.calibrations.values():
            found |= answer.studies
        return {name: found[name] for name in self.local_names}

    def _require_plausible(self, found: ResidualAnswer, inventory: Inventory) -> None:
        """Refuse residual sums that do not follow from what was answered before; raises MessageError."""
        assert self.agreed.edges is not None
        kinds = {
            kind: [one for one in inventory.studies if one.kind == kind] for kind in ("local", "reference")
        }
        controls = {kind: sum(one.controls for one in those) for kind, those in kinds.items()}
        require_bins(found.bins, found.square, self.agreed.edges, sum(controls.values()))
        require_calibrated(found.local_controls, found.calibrated_controls, controls["local"])
        if self.calibration is not None:
            for name, sums in found.studies.items():
                moments = self.calibration.moments[self.calibration.names.index(name)]
                expected = self.calibration.residual_sums(name)
                where = f"studies.{name}"
                require_residuals(
                    float(sums.rss.sum()),
                    float(sums.freedom.sum()),
                    expected,
                    moments.response_square,
                    self.lost,
                    where,
                )
                require_parts_of_pairs(sums, moments.n, self.calibration.gram(name), where)

    def _take_calibration(self) -> None:
        answers = self.calibrations
        require_same_columns(answers)
        varies = np.logical_or.reduce([answer.varies for answer in answers.values()])
        first = next(iter(answers.values()))
        kept, varying = varies[: len(first.covariate_names)], varies[len(first.covariate_names) :]
        moments = self.moments()
        told = [answer.modifier for answer in answers.values() if answer.modifier is not None]
        self.modifier = settle_modifier(told, varying, first.calibration_names, self.local_names)
        self._require_levels()
        extents = extents_of_moments(moments, first.calibration_names)
        self.digits, self.lost = require_digits_of(extents), rounding_of_sums(extents)
        self.calibration = solve_calibration(
            moments,
            by_study=self.plan.calibration_coefficients == "by-study",
            columns=self.modifier.calibrates(first.calibration_names),
            variances={name: self.modifier.variances(name) for name in moments},
        )
        centres = [one.response_mean for one in moments.values()]
        spreads = [float(np.sqrt(one.response_square / max(one.n - 1, 1))) for one in moments.values()]
        for answer in answers.values():
            for _, mean, sd in answer.references.values():
                centres.append(mean)
                spreads.append(sd)
        self.agreed = replace(
            self.agreed,
            kept=np.asarray(kept, dtype=np.bool_),
            lines=None if self.calibration is None else self.calibration.lines(),
            edges=choose_edges(centres, spreads),
            modifier=AgreedModifier(
                len(self.modifier.names), self.modifier.main, dict(self.modifier.own_variances)
            ),
        )

    def _require_levels(self) -> None:
        """Raise OptionError where the modifier's levels are not known, or the one of joint curves is none of them."""
        if self.modifier.needs_quantiles and not self.plan.modifier_at:
            raise OptionError(
                f"the modifier '{self.plan.modifier}' is a number, and its values stay at the sites: say in the spec "
                "of a new session at which of them curves are shown, as in modifier_at = [20, 30], or take categories"
            )
        names = next(iter(self.calibrations.values())).covariate_names
        require_joint_level(
            self.plan.joint or None,
            self.modifier_levels(),
            self.modifier.effects(names)[1],
            self.plan.modifier,
        )

    def modifier_levels(self) -> ModifierLevels | None:
        """Levels of the modifier at which curves are shown."""
        asked = np.array(self.plan.modifier_at)
        return self.modifier.shown_levels(self.plan.modifier, asked if asked.size else None)

    def _take_residuals(self) -> None:
        if self.calibration is not None:
            sums: dict[str, ResidualSums] = {}
            for answer in self.residuals.values():
                sums |= answer.studies
            self.calibration = self.calibration.with_residual_sums(sums)
        assert self.agreed.edges is not None
        parts = tuple(answer.bins for answer in self.residuals.values())
        self.distribution = MergedDistribution(self.agreed.edges, parts)
        basis: Basis = self.plan.specification().learn(self.distribution.exposures())
        lines = None if self.calibration is None else self.calibration.lines()
        self.agreed = replace(self.agreed, lines=lines, basis=basis)
        for task in tasks_to_run(self.shown_tasks()):
            self.points[task] = AnsweredPoints(len(self.terms(task)))


def require_distinct_studies(inventories: Mapping[str, Inventory]) -> None:
    """Refuse a study that two sites hold."""
    seen: dict[str, str] = {}
    for site, inventory in inventories.items():
        for one in inventory.studies:
            if one.name in seen:
                raise InputError(
                    f"study '{one.name}' is at site {seen[one.name]} and at site {site}; a study belongs to one site"
                )
            seen[one.name] = site


def require_same_columns(answers: Mapping[str, CalibrationAnswer]) -> None:
    """Refuse sites whose formulas gave different columns."""
    first_site, first = next(iter(answers.items()))
    for site, answer in answers.items():
        for names, expected in (
            (answer.covariate_names, first.covariate_names),
            (answer.calibration_names, first.calibration_names),
        ):
            if names != expected:
                raise InputError(
                    f"the formulas give other columns at site {site} ({', '.join(names)[:200]}) than at site "
                    f"{first_site} ({', '.join(expected)[:200]}); are the columns named and coded alike?"
                )


def agree_on_levels(inventories: Mapping[str, Inventory]) -> Levels:
    """The levels by which all sites code: those of all sites together, in order.

    Raises
    ------
    InputError
        A column that is numbers at one site and words at another, or whose levels are ordered differently.
    """
    levels: Levels = {}
    first = next(iter(inventories.values()))
    for part, columns in first.columns.items():
        levels[part] = {}
        for k, column in enumerate(columns):
            reported = {site: inventory.columns[part] for site, inventory in inventories.items()}
            kinds: dict[str, str] = {}
            found: list[tuple[Any, ...]] = []
            for site, those in reported.items():
                if len(those) != len(columns) or those[k].name != column.name:
                    raise InputError(f"site {site} finds other columns in the formula of the {part}")
                kinds.setdefault(those[k].kind, site)
                found.append(those[k].levels)
            if len(kinds) > 1:
                words = " and ".join(f"{kind} at site {site}" for kind, site in kinds.items())
                raise InputError(f"column '{column.name}' is {words}; code it alike at all sites")
            if any(found):
                levels[part][column.name] = _united(column.name, found)
    return levels


def _united(name: str, found: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    levels = united_levels(found)
    if levels is not None:
        return levels
    raise InputError(
        f"column '{name}' has levels in an order of its own at some site and not at all; order them alike"
    )
