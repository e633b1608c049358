"""What was asked beside the fit of all persons: subgroups, and leaving out one study at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from biocal.errors import OptionError
from biocal.fitting.repeated.leave_one_out import add_leave_one_out
from biocal.fitting.repeated.refit import Analysis
from biocal.fitting.repeated.subgroups import SubgroupVariable, add_subgroups
from biocal.pool.conditions.selection import group_rows
from biocal.pool.pooled import PooledStudies
from biocal.results.fit.fit import Fit


@dataclass(frozen=True, slots=True)
class PartsAsked:
    """Variables by which to split, and whether to leave out each study.

    Attributes
    ----------
    variables : tuple of SubgroupVariable
    leave_one_out : bool
    calibrate_within : bool
    """

    variables: tuple[SubgroupVariable, ...]
    leave_one_out: bool
    calibrate_within: bool

    @classmethod
    def of(
        cls,
        by: str | Sequence[str],
        subsite: str | Sequence[str],
        *,
        leave_one_out: bool,
        calibrate_within: bool,
    ) -> PartsAsked:
        """From the arguments of `fit`."""
        columns = [by] if isinstance(by, str) else list(by)
        of_case = [subsite] if isinstance(subsite, str) else list(subsite)
        variables = [SubgroupVariable(name) for name in columns if name]
        variables += [SubgroupVariable(name, of_case=True) for name in of_case if name]
        return cls(tuple(dict.fromkeys(variables)), leave_one_out, calibrate_within)

    def require(self, pool: PooledStudies, where: str | None) -> None:
        """Refuse what cannot be done before anything is fitted.

        Raises
        ------
        ColumnError, OptionError, FormulaError
        """
        for variable in self.variables:
            group_rows(pool, variable.name, of_case=variable.of_case)
        if self.leave_one_out and pool.n_studies < 2:
            raise OptionError("leaving out one study needs two studies or more")
        if self.calibrate_within and not where and not self.variables:
            raise OptionError("calibrating within needs something to be within: where, by or subsite")

    def added(self, fits: dict[str, Fit], analysis: Analysis) -> dict[str, Fit]:
        """The fits with what was asked beside them."""
        if self.variables:
            fits = add_subgroups(fits, analysis, self.variables, calibrate_within=self.calibrate_within)
        if self.leave_one_out:
            fits = add_leave_one_out(fits, analysis, self.variables, calibrate_within=self.calibrate_within)
        return fits
