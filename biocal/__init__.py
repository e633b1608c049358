"""biocal: one calibrated dose-response curve from pooled nested case-control studies.

Names are loaded when first used, so that ``import biocal`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from biocal import datasets as datasets
    from biocal.distributed.api import fit_partitioned as fit_partitioned
    from biocal.distributed.partitioning import partition_studies as partition_studies
    from biocal.distributed.partitions import PartitionedStudies as PartitionedStudies
    from biocal.errors import BiocalError as BiocalError
    from biocal.errors import BiocalWarning as BiocalWarning
    from biocal.errors import FitError as FitError
    from biocal.errors import InputError as InputError
    from biocal.exposure.terms import categories as categories
    from biocal.exposure.terms import linear as linear
    from biocal.exposure.terms import rcs as rcs
    from biocal.planning.api import plan as plan
    from biocal.planning.results import PlanResults as PlanResults
    from biocal.pooling.api import fit as fit
    from biocal.pooling.below_limit import sensitivity_to_below_limit as sensitivity_to_below_limit
    from biocal.pooling.calibrate import calibrate as calibrate
    from biocal.pooling.imputations import fit_imputations as fit_imputations
    from biocal.report.api import write_report as write_report
    from biocal.results.calibration import CalibrationResults as CalibrationResults
    from biocal.results.comparison import Comparison as Comparison
    from biocal.results.dose_response import DoseResponse as DoseResponse
    from biocal.results.fits import Fit as Fit
    from biocal.simulation.api import merge_shards as merge_shards
    from biocal.simulation.api import simulate as simulate
    from biocal.simulation.performance import PerformanceTable as PerformanceTable
    from biocal.simulation.performance import performance as performance
    from biocal.simulation.replicates_needed import replicates_needed as replicates_needed
    from biocal.simulation.results import SimulationResults as SimulationResults
    from biocal.study.checks import check_pool as check_pool
    from biocal.study.imputed_files import read_imputations as read_imputations
    from biocal.study.pooled import PooledStudies as PooledStudies
    from biocal.study.reading import read_studies as read_studies

__version__ = "0.1.0"

#: Public names, in the order in which a reader meets them, and where they live.
_PUBLIC = {
    "read_studies": "biocal.study.reading",
    "PooledStudies": "biocal.study.pooled",
    "check_pool": "biocal.study.checks",
    "calibrate": "biocal.pooling.calibrate",
    "fit": "biocal.pooling.api",
    "PartitionedStudies": "biocal.distributed.partitions",
    "partition_studies": "biocal.distributed.partitioning",
    "fit_partitioned": "biocal.distributed.api",
    "read_imputations": "biocal.study.imputed_files",
    "fit_imputations": "biocal.pooling.imputations",
    "sensitivity_to_below_limit": "biocal.pooling.below_limit",
    "linear": "biocal.exposure.terms",
    "rcs": "biocal.exposure.terms",
    "categories": "biocal.exposure.terms",
    "Fit": "biocal.results.fits",
    "Comparison": "biocal.results.comparison",
    "DoseResponse": "biocal.results.dose_response",
    "CalibrationResults": "biocal.results.calibration",
    "write_report": "biocal.report.api",
    "simulate": "biocal.simulation.api",
    "merge_shards": "biocal.simulation.api",
    "performance": "biocal.simulation.performance",
    "replicates_needed": "biocal.simulation.replicates_needed",
    "plan": "biocal.planning.api",
    "PlanResults": "biocal.planning.results",
    "PerformanceTable": "biocal.simulation.performance",
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
