"""``biocal fit --sensitivity below-limit``: every rule for values below their limit, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from biocal.cli.edge.progress import working
from biocal.cli.options.settings import Settings, usage_error

if TYPE_CHECKING:
    from biocal.pool.pooled import PooledStudies
    from biocal.results.fit.comparison import Comparison

_SENSITIVITIES = ("below-limit",)


def require_sensitivity(settings: Settings) -> None:
    """Refuse a sensitivity analysis that there is not.

    Raises
    ------
    click.UsageError, OptionError
        Typed, or in a spec.
    """
    from biocal.errors import OptionError

    for word in settings.get("sensitivity", []):
        if word in _SENSITIVITIES:
            continue
        message = f"'{word}' is not one of {', '.join(_SENSITIVITIES)}"
        if "sensitivity" in settings.typed:
            usage_error(f"Invalid value for '--sensitivity': {message}")
        raise OptionError(f"{settings.spec}: sensitivity: {message}", allowed=_SENSITIVITIES)


def require_values_below(pool: PooledStudies, options: dict[str, Any]) -> None:
    """Refuse to compare rules before anything is fitted, when no value is below its limit.

    Raises
    ------
    OptionError
        Nothing to compare.
    """
    if "below-limit" in options.get("sensitivity", []):
        from biocal.fitting.repeated.limits import require_below_limit

        require_below_limit(pool)


def below_limit_files(
    comparison: Comparison,
    pools: tuple[PooledStudies, ...],
    arguments: dict[str, Any],
    options: dict[str, Any],
    *,
    quiet: bool,
) -> tuple[str, dict[str, bytes]]:
    """The summary and detection_limits.csv when they were asked for; else nothing."""
    if "below-limit" not in options.get("sensitivity", []):
        return "", {}
    from biocal.fitting.repeated.limits import sensitivity_to_below_limit
    from biocal.results.fit.tables import csv_bytes

    with working("fitting under every rule", quiet=quiet):
        found = sensitivity_to_below_limit(
            pools, comparison, small_sample=options["small_sample"], **arguments
        )
    return found.summary(), {"detection_limits.csv": csv_bytes(found.tidy())}
