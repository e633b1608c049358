"""biocal: one calibrated dose-response curve from pooled nested case-control studies.

Names are loaded when first used, so that ``import biocal`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from biocal import datasets as datasets
    from biocal.errors import BiocalError as BiocalError
    from biocal.errors import BiocalWarning as BiocalWarning
    from biocal.errors import FitError as FitError
    from biocal.errors import InputError as InputError
    from biocal.fitting.api import fit as fit
    from biocal.fitting.calibrate import calibrate as calibrate
    from biocal.fitting.repeated.imputations import fit_imputations as fit_imputations
    from biocal.fitting.repeated.limits import sensitivity_to_below_limit as sensitivity_to_below_limit
    from biocal.model.exposure import categories as categories
    from biocal.model.exposure import linear as linear
    from biocal.model.exposure import rcs as rcs
    from biocal.pool.checks.report import check_pool as check_pool
    from biocal.pool.imputed_files import read_imputations as read_imputations
    from biocal.pool.pooled import PooledStudies as PooledStudies
    from biocal.pool.reading import read_studies as read_studies
    from biocal.remote.partitions.api import fit_partitioned as fit_partitioned
    from biocal.remote.partitions.partitions import PartitionedStudies as PartitionedStudies
    from biocal.remote.partitions.writing.partitioning import partition_studies as partition_studies
    from biocal.report.api import write_report as write_report
    from biocal.results.calibration.results import CalibrationResults as CalibrationResults
    from biocal.results.fit.comparison import Comparison as Comparison
    from biocal.results.fit.curve import DoseResponse as DoseResponse
    from biocal.results.fit.fit import Fit as Fit
    from biocal.simulation.api import merge_shards as merge_shards
    from biocal.simulation.api import simulate as simulate
    from biocal.simulation.measuring.performance import PerformanceTable as PerformanceTable
    from biocal.simulation.measuring.performance import performance as performance
    from biocal.simulation.measuring.replicates_needed import replicates_needed as replicates_needed
    from biocal.simulation.planning.api import plan as plan
    from biocal.simulation.planning.results import PlanResults as PlanResults
    from biocal.simulation.results import SimulationResults as SimulationResults

__version__ = "0.1.0"

#: Public names, in the order in which a reader meets them, and where they live.
_PUBLIC = {
    "read_studies": "biocal.pool.reading",
    "PooledStudies": "biocal.pool.pooled",
    "check_pool": "biocal.pool.checks.report",
    "calibrate": "biocal.fitting.calibrate",
    "fit": "biocal.fitting.api",
    "PartitionedStudies": "biocal.remote.partitions.partitions",
    "partition_studies": "biocal.remote.partitions.writing.partitioning",
    "fit_partitioned": "biocal.remote.partitions.api",
    "read_imputations": "biocal.pool.imputed_files",
    "fit_imputations": "biocal.fitting.repeated.imputations",
    "sensitivity_to_below_limit": "biocal.fitting.repeated.limits",
    "linear": "biocal.model.exposure",
    "rcs": "biocal.model.exposure",
    "categories": "biocal.model.exposure",
    "Fit": "biocal.results.fit.fit",
    "Comparison": "biocal.results.fit.comparison",
    "DoseResponse": "biocal.results.fit.curve",
    "CalibrationResults": "biocal.results.calibration.results",
    "write_report": "biocal.report.api",
    "simulate": "biocal.simulation.api",
    "merge_shards": "biocal.simulation.api",
    "performance": "biocal.simulation.measuring.performance",
    "replicates_needed": "biocal.simulation.measuring.replicates_needed",
    "plan": "biocal.simulation.planning.api",
    "PlanResults": "biocal.simulation.planning.results",
    "PerformanceTable": "biocal.simulation.measuring.performance",
    "SimulationResults": "biocal.simulation.results",
    "datasets": "",
    "BiocalError": "biocal.errors",
    "InputError": "biocal.errors",
    "FitError": "biocal.errors",
    "BiocalWarning": "biocal.errors",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'biocal' has no attribute {name!r}")
    home = _PUBLIC[name]
    value = getattr(import_module(home), name) if home else import_module(f"biocal.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
