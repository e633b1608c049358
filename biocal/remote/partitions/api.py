"""`fit_partitioned`: the fit of a pool that does not fit into memory."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from biocal.errors import OptionError
from biocal.fitting.calibrate import require_coefficients
from biocal.fitting.fit_choices import wants_leverage_scores
from biocal.fitting.problem.prepare import ModelFormulas
from biocal.model.exposure import ExposureSpecification, rcs
from biocal.pool.checks.columns import did_you_mean
from biocal.pool.checks.notices import Problem
from biocal.pool.formulas.levels import require_fixed_coding
from biocal.remote.partitions.merging import merged_problems
from biocal.remote.partitions.partitions import PartitionedStudies
from biocal.remote.partitions.results import comparison_of, require_grid
from biocal.remote.partitions.rounds import Rounds, begin, run_rounds
from biocal.remote.partitions.running.runners import HereRunner, ProcessesRunner, Runner
from biocal.remote.partitions.running.session import Session, scratch_folder
from biocal.results.fit.asked.increments import require_increments
from biocal.results.fit.comparison import Comparison
from biocal.results.labels import Labels
from biocal.results.model import AskedTables
from biocal.system.processes import require_jobs

#: Methods of a fit from partitions, in the order in which they are shown.
PARTITIONED_METHODS = ("naive", "internalized", "full", "induced")


@dataclass(frozen=True, slots=True, eq=False)
class PartitionedRun:
    """A fit from partitions, and how it went.

    Attributes
    ----------
    comparison : Comparison
    problems : tuple of Problem
        Warnings and notes of reading.
    n_partitions, n_rows, n_rounds : int
    peak_memory : dict of str to int
        Most resident memory of each process that computed, in bytes, by machine and process number.
    """

    comparison: Comparison
    problems: tuple[Problem, ...]
    n_partitions: int
    n_rows: int
    n_rounds: int
    peak_memory: dict[str, int]


def fit_partitioned(
    pool: PartitionedStudies | str | os.PathLike[str],
    *,
    method: str | Sequence[str] = "full",
    scheduler: str | None = None,
    jobs: int = 1,
    **options: Any,
) -> Any:
    """Fit the pooled dose-response model from a folder of partitions, never all in memory.

    The numbers are those of :func:`biocal.fit` on all rows, to rounding; the same to the last bit whoever
    computes, in whatever order, and whether workers are lost on the way or not.

    Parameters
    ----------
    pool : path or PartitionedStudies
        Folder of Parquet files, each with whole matched sets: :func:`biocal.partition_studies` makes one.
        :meth:`PartitionedStudies.of` names columns other than the default ones.
    method : str or sequence of str, default "full"
        naive, internalized, full, induced, or "all"; a sequence (or "all") gives a :class:`Comparison`.
    scheduler : str, optional
        Address of a running Dask scheduler, such as ``tcp://host:8786``, whose workers can read the folder.
    jobs : int, default 1
        Processes of this machine without a scheduler, -1 for one a core; each holds one partition at a time.
    **options
        exposure, covariates, matching, modifier, calibration_covariates, calibration_coefficients,
        calibration_variance, reference, at, level, exposure_name, unit, outcome_name, per, per_sd, joint: as
        :func:`biocal.fit` takes them.

    Returns
    -------
    Fit or Comparison
        A :class:`Fit` when `method` names one method, else a :class:`Comparison`.

    Raises
    ------
    InputError
        Options or rows that cannot be used; a set or person in several partitions; no scheduler there.
    FitError
        Collinear columns, separation, no convergence; a scheduler or its workers lost for good.

    Notes
    -----
    Each partition gives log-likelihood, score, information and its parts of the stacked sandwich, which are
    added up in the order of the partitions.  Prepared partitions are kept on local disk until the fit ends.

    Examples
    --------
    >>> from pathlib import Path
    >>> import tempfile
    >>> import biocal as bc
    >>> frame = bc.datasets.load_infertility().assign(study="Trier")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for k in range(2):
    ...         frame[frame["set"] % 2 == k].to_parquet(Path(folder, f"{k}.parquet"))
    ...     pool = bc.PartitionedStudies.of(folder, reference="spontaneous")
    ...     fit = bc.fit_partitioned(pool, exposure=bc.linear(), covariates="induced")
    >>> fit.params.round(4).to_dict()
    {'exposure': 1.9859, 'induced': 1.409}
    """
    run = run_partitioned(pool, method=method, scheduler=scheduler, jobs=jobs, **options)
    alone = isinstance(method, str) and method != "all"
    return run.comparison[str(method)] if alone else run.comparison


def run_partitioned(
    pool: PartitionedStudies | str | os.PathLike[str],
    *,
    method: str | Sequence[str] = "full",
    exposure: ExposureSpecification | None = None,
    covariates: str | None = None,
    matching: str | None = None,
    modifier: str | None = None,
    calibration_covariates: str = "outcome",
    calibration_coefficients: str = "common",
    calibration_variance: str = "robust",
    reference: float | None = None,
    at: Sequence[float] | None = None,
    level: float = 0.95,
    exposure_name: str = "exposure",
    unit: str = "",
    outcome_name: str = "",
    per: float | Sequence[float] | None = None,
    per_sd: bool = False,
    joint: str | None = None,
    scheduler: str | None = None,
    jobs: int = 1,
    told: Callable[[str], None] | None = None,
) -> PartitionedRun:
    """Fit as :func:`fit_partitioned`, and tell how it went.

    Parameters
    ----------
    pool, method, scheduler, jobs
        As :func:`fit_partitioned` takes them.
    exposure, covariates, matching, modifier, calibration_covariates, calibration_coefficients, calibration_variance
        As :func:`biocal.fit`.
    reference, at, level, exposure_name, unit, outcome_name, per, per_sd, joint
        As :func:`biocal.fit`.
    told : callable, optional
        Called with the name of each round.
    """
    methods = _methods(method)
    if not 0.0 < level < 1.0:
        raise OptionError(f"a confidence level lies between 0 and 1, not {level}", level=level)
    if scheduler is not None and jobs != 1:
        raise OptionError("jobs and scheduler say who computes in two ways; give one of them", option="jobs")
    require_jobs(jobs)
    require_grid(reference, at)
    formulas = ModelFormulas(
        covariates,
        matching,
        modifier,
        calibration_covariates,
        require_coefficients(calibration_coefficients),
        wants_leverage_scores(calibration_variance),
    )
    texts = formula_texts(formulas)
    for text in texts.values():
        require_fixed_coding(text)
    asked = AskedTables(require_increments(per), per_sd, joint)
    pool = pool if isinstance(pool, PartitionedStudies) else PartitionedStudies.of(pool)
    if scheduler is not None:
        pool = replace(pool, folder=os.path.abspath(pool.folder))  # workers may stand elsewhere
    paths = pool.paths()
    token = secrets.token_hex(8)
    with scratch_folder() as folder, _runner_of(jobs, scheduler, token) as runner:
        rounds = Rounds(runner, paths, told or (lambda words: None))
        roles, sources, n_rows = begin(rounds, pool)
        session = Session(token, folder, roles, formulas, texts)
        found = run_rounds(rounds, session, sources, exposure or rcs(4), methods, joint)
    labels = Labels(exposure_name, unit, outcome_name)
    comparison = comparison_of(found, formulas, labels, reference, at, level, asked)
    problems = merged_problems(part.problems for part in found.read)
    return PartitionedRun(comparison, problems, len(sources), n_rows, rounds.n_rounds, rounds.peaks)


def formula_texts(formulas: ModelFormulas) -> dict[str, str]:
    """The formulas that are evaluated, by their part; blank ones are absent."""
    parts = {"covariates": formulas.covariates or ""}
    if formulas.calibration_covariates == "outcome":
        parts["matching"] = formulas.matching or ""
    elif formulas.calibration_covariates != "none":
        parts["calibration"] = formulas.calibration_covariates
    parts["modifier"] = formulas.modifier or ""
    return {part: text.strip() for part, text in parts.items() if text.strip()}


def _methods(method: str | Sequence[str]) -> tuple[str, ...]:
    asked = (method,) if isinstance(method, str) else tuple(dict.fromkeys(method))
    if "all" in asked:
        return PARTITIONED_METHODS
    for one in asked:
        if one not in PARTITIONED_METHODS:
            near = did_you_mean(one, PARTITIONED_METHODS)
            if one == "two-stage":
                near = ": it fits each study alone, which a fit in memory does"
            raise OptionError(
                f"a fit from partitions knows {', '.join(PARTITIONED_METHODS)}, all, not {one!r}{near}",
                allowed=PARTITIONED_METHODS,
            )
    if not asked:
        raise OptionError("name a method", allowed=PARTITIONED_METHODS)
    return asked


@contextmanager
def _runner_of(jobs: int, scheduler: str | None, token: str) -> Iterator[Runner]:
    """Whoever was asked to compute; with a Dask scheduler, connected for the block.

    Raises
    ------
    OptionError
        Dask is not installed, or no scheduler answers.
    """
    if scheduler is None:
        yield HereRunner() if jobs == 1 else ProcessesRunner(jobs)
        return
    from biocal.remote.partitions.running.dask_runner import dask_runner

    with dask_runner(scheduler, token) as runner:
        yield runner
