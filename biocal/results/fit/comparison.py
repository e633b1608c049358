"""Several methods on the same persons, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from biocal.results.fit.fit import Fit

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Comparison(Mapping[str, Fit]):
    """A mapping from method to :class:`Fit`, in the order asked for.

    Attributes
    ----------
    fits : dict of str to Fit
    failures : dict of str to str
        Methods that failed and why (only when asked to keep going).

    Examples
    --------
    >>> import biocal as bc
    >>> pool = bc.PooledStudies.from_frame(bc.datasets.load_infertility(), reference="spontaneous")

    >>> both = bc.fit(pool, method=["naive", "full"], exposure=bc.linear(), covariates="induced")
    >>> list(both), both["full"].params.round(2).tolist()
    (['naive', 'full'], [1.99, 1.41])
    """

    fits: dict[str, Fit]
    failures: dict[str, str]

    def __getitem__(self, method: str) -> Fit:
        return self.fits[method]

    def __iter__(self) -> Iterator[str]:
        return iter(self.fits)

    def __len__(self) -> int:
        return len(self.fits)

    def tidy(self, *, exponentiate: bool = False, level: float | None = None) -> pd.DataFrame:
        """Coefficients of all methods, one below the other; see :meth:`Fit.tidy`.

        Parameters
        ----------
        exponentiate : bool, default False
            Give odds ratios and their limits.
        level : float, optional
            Confidence level; default the fits'.

        Returns
        -------
        DataFrame
            As of :meth:`Fit.tidy`.
        """
        import pandas as pd

        return pd.concat(
            [fit.tidy(exponentiate=exponentiate, level=level) for fit in self.values()], ignore_index=True
        )

    def dose_response(self) -> pd.DataFrame:
        """Curves of all methods, one below the other.

        Returns
        -------
        DataFrame
            As of :meth:`DoseResponse.tidy`, at each fit's grid.
        """
        import pandas as pd

        return pd.concat([r.tidy() for fit in self.values() for r in fit.dose_responses()], ignore_index=True)

    def summary(self) -> str:
        """One text: what is common, then the methods side by side.

        Returns
        -------
        str
        """
        from biocal.results.fit.summary import comparison_summary

        return comparison_summary(self)

    def plot(self, ax: Any = None) -> Any:
        """Overlay the methods' curves.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw, without an effect modifier; a new figure by default.

        Returns
        -------
        matplotlib Axes, or a Figure with a panel a level when there is an effect modifier.
        """
        from biocal.results.figures import draw_dose_responses, draw_modified_responses

        curves = [fit.dose_responses() for fit in self.values()]
        all_knots = {getattr(fit.basis, "knots", None) for fit in self.values()}
        knots = next(iter(all_knots)) if len(all_knots) == 1 else None
        if len(curves[0]) == 1:
            return draw_dose_responses([c[0] for c in curves], knots=knots, ax=ax)
        return draw_modified_responses([list(level) for level in zip(*curves, strict=True)], knots=knots)
