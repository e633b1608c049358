"""How much a curve depends on the rule for values below their detection limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from biocal.results.fit.comparison import Comparison
from biocal.results.text import exact, number, paragraph, table

if TYPE_CHECKING:
    import pandas as pd

#: Exposures of the summary; the table has them all.
_SHOWN = 7


@dataclass(frozen=True, slots=True, eq=False)
class BelowLimitSensitivity:
    """The same analysis under every rule.

    Attributes
    ----------
    comparisons : mapping of str to Comparison
        By rule; with the reference and the exposures of the analysis itself.
    failures : mapping of str to str
        Rules under which nothing could be fitted, and why.
    rule : str
        That of the analysis itself.
    """

    comparisons: Mapping[str, Comparison]
    failures: Mapping[str, str]
    rule: str

    def tidy(self) -> pd.DataFrame:
        """One row a rule, method and exposure: rule, then the columns of dose_response.csv."""
        import pandas as pd

        parts = []
        for rule, comparison in self.comparisons.items():
            part = comparison.dose_response()
            part.insert(0, "rule", rule)
            parts.append(part)
        return pd.concat(parts, ignore_index=True)

    def summary(self) -> str:
        """log OR by rule, side by side, a table a method (and level of a modifier)."""
        frame = self.tidy()
        rules = list(self.comparisons)
        lines = ["Values below the detection limit: log OR (SE) by rule"]
        keys = ["method", "modifier"] if "modifier" in frame.columns else ["method"]
        for key, part in frame.groupby(keys, sort=False):
            names = key if isinstance(key, tuple) else (key,)
            wide = {rule: part[part["rule"] == rule] for rule in rules}
            first = wide[rules[0]]
            places = np.unique(np.linspace(0, len(first) - 1, min(_SHOWN, len(first))).round().astype(int))
            rows = []
            for place in places:
                exposure = first["exposure"].iloc[place]
                label = exposure if isinstance(exposure, str) else exact(float(exposure), 4)
                cells = [
                    f"{number(float(one['log_or'].iloc[place]), 3)} ({number(float(one['std_error'].iloc[place]), 2)})"
                    for one in wide.values()
                ]
                rows.append((label, *cells))
            heads = [f"{rule} *" if rule == self.rule else rule for rule in rules]
            lines += ["", "  " + ", ".join(str(name) for name in names), table(("exposure", *heads), rows)]
        lines.append(paragraph("* the rule of the analysis; quantile knots are each rule's own"))
        lines += [paragraph(f"{rule}: {reason}", bullet="- ") for rule, reason in self.failures.items()]
        return "\n".join(lines)
