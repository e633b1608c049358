"""How many replicates a simulation study needs for a Monte Carlo standard error asked for."""

from __future__ import annotations

import math

from biocal.errors import OptionError

__all__ = ["replicates_needed"]

_SHARES = ("coverage", "bias_eliminated_coverage", "power")
_MEASURES = (
    *_SHARES, "bias", "relative_bias", "bias_difference", "empirical_se", "model_se", "rmse",
    "relative_error_model_se",
)  # fmt: skip
#: What is asked of each measure that is not a share, beside mcse.
_NEEDS = {
    "bias": ("empirical_se",),
    "relative_bias": ("empirical_se", "truth"),
    "bias_difference": ("empirical_se",),
    "empirical_se": ("empirical_se",),
    "model_se": ("empirical_se",),
    "rmse": ("empirical_se",),
    "relative_error_model_se": (),
}


def replicates_needed(
    *,
    mcse: float,
    measure: str = "coverage",
    expected: float = 0.95,
    empirical_se: float | None = None,
    truth: float | None = None,
    bias: float = 0.0,
    correlation: float = 0.0,
    squared_se_cv: float = 0.0,
    failing: float = 0.0,
) -> int:
    """Return the fewest replicates whose Monte Carlo standard error is at most `mcse`.

    Parameters
    ----------
    mcse : float
        Monte Carlo standard error wanted, in the measure's own unit (``relative_error_model_se``: percent
        points).
    measure : str, default "coverage"
        coverage, bias_eliminated_coverage, power, bias, relative_bias, empirical_se, model_se, rmse or
        relative_error_model_se, as in :func:`biocal.performance`; or bias_difference, between two methods
        on the same data.
    expected : float, default .95
        Coverage or power expected; .5 is the worst case.
    empirical_se : float, optional
        Standard deviation of the estimates over replicates (for model_se, the standard error itself).
    truth : float, optional
        For relative_bias.
    bias : float, default 0
        For rmse.
    correlation : float, default 0
        For bias_difference: between the two methods' estimates; they are taken to have one SD.
    squared_se_cv : float, default 0
        For model_se and relative_error_model_se: coefficient of variation of the squared standard errors.
    failing : float, default 0
        Share of replicates expected to fail, in [0, 1); so many more are asked for.

    Returns
    -------
    int
        At least 2, except for shares.

    Raises
    ------
    OptionError
        An unknown measure; something that the measure needs is missing or cannot be.

    Notes
    -----
    The Monte Carlo standard errors of :func:`biocal.performance` (Morris, White, Crowther. Stat Med
    2019;38:2074-2102, table 6), solved for n, estimates taken as normal.

    Examples
    --------
    Coverage near .95 to within half a percentage point:

    >>> from biocal import replicates_needed
    >>> replicates_needed(mcse=0.005)
    1900
    >>> replicates_needed(mcse=0.005, measure="bias", empirical_se=0.15)
    900
    """
    if measure not in _MEASURES:
        raise OptionError(
            f"measure must be one of {', '.join(_MEASURES)}, not {measure!r}",
            option="measure",
            allowed=_MEASURES,
        )
    _check("mcse", mcse, mcse > 0, "a positive number")
    _check("failing", failing, 0 <= failing < 1, "a share from 0 to below 1")
    if measure in _SHARES:
        _check("expected", expected, 0 < expected < 1, "a share between 0 and 1")
        return _whole(expected * (1.0 - expected) / mcse**2 / (1.0 - failing), least=1)
    given = {"empirical_se": empirical_se, "truth": truth}
    for name in _NEEDS[measure]:
        if given[name] is None:
            raise OptionError(
                f"measure {measure!r} needs {name}=..., expected over the replicates", option=name
            )
    sd = 1.0 if empirical_se is None else empirical_se
    _check("empirical_se", sd, sd > 0, "a positive number")
    _check("correlation", correlation, -1 <= correlation < 1, "from -1 to below 1")
    _check("squared_se_cv", squared_se_cv, squared_se_cv >= 0, "0 or more")
    _check("truth", truth, truth is None or truth != 0, "other than 0 for a relative bias")
    if measure == "relative_bias" and truth is not None:
        sd = sd / abs(truth)
    # n = variance / mcse^2 + extra; `extra` is 1 where the formula divides by n - 1.
    variance, extra = {
        "bias": (sd**2, 0),
        "relative_bias": (sd**2, 0),
        "bias_difference": (2.0 * sd**2 * (1.0 - correlation), 0),
        "empirical_se": (sd**2 / 2.0, 1),
        "model_se": (sd**2 * squared_se_cv**2 / 4.0, 0),
        # Var((e - t)^2) = 2 sd^4 + 4 sd^2 bias^2 for a normal e, over 4 rmse^2
        "rmse": ((sd**4 + 2.0 * sd**2 * bias**2) / (2.0 * (sd**2 + bias**2)), 0),
        # n and n - 1 under one root: n - 1 for both errs by less than one replicate
        "relative_error_model_se": (100.0**2 * (squared_se_cv**2 / 4.0 + 0.5), 1),
    }[measure]
    return _whole((variance / mcse**2 + extra) / (1.0 - failing), least=2)


def _check(name: str, value: float | None, fine: bool, wanted: str) -> None:
    if not fine or (value is not None and not math.isfinite(value)):
        raise OptionError(f"{name} must be {wanted}, not {value!r}", option=name)


def _whole(replicates: float, *, least: int) -> int:
    # 1e-9: .95 * .05 / .005^2 is 1900 and must not become 1901 by rounding.
    return max(least, math.ceil(replicates * (1.0 - 1e-9)))
