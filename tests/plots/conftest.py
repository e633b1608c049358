"""Shared pieces of the figure tests."""

from __future__ import annotations

import numpy as np
import pytest

from biocal.results.plots import Curve


@pytest.fixture
def make_curve():
    """Return a function that makes a curve through log OR 0 at 50, with the slope asked for."""

    def make(label: str, slope: float = -0.005, se_slope: float = 0.003, log_or=None) -> Curve:
        exposure = np.linspace(20.0, 110.0, 91)
        line = slope * (exposure - 50.0) if log_or is None else log_or(exposure)
        half = 1.96 * se_slope * np.abs(exposure - 50.0)
        return Curve(label, exposure, line, line - half, line + half)

    return make
