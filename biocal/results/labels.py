"""Words for tables and figures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Labels:
    """Words for tables and figures.

    Attributes
    ----------
    exposure, unit, outcome : str
        As in "25(OH)D", "nmol/L", "colorectal cancer".
    """

    exposure: str = "exposure"
    unit: str = ""
    outcome: str = ""

    @property
    def exposure_with_unit(self) -> str:
        """As in "25(OH)D (nmol/L)"."""
        return f"{self.exposure} ({self.unit})" if self.unit else self.exposure
