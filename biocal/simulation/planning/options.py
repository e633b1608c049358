"""What a plan is asked: the section [plan] of its spec."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from biocal.pool.checks.columns import did_you_mean
from biocal.results.calibration.quality import AMBER_PAIRS
from biocal.simulation.design.scenario import with_tuples
from biocal.simulation.planning.variance import SPREADS

#: Fewest calibrators of a study whose line still has a residual variance.
FEWEST = 3
#: Most calibrators of a study, and most numbers of them that are compared (ours: far beyond any laboratory's work).
MOST = 10_000_000
MOST_NUMBERS = 200


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """Keys of the section [plan].

    Attributes
    ----------
    calibrators : tuple of float
        Numbers of calibrators a local study that are compared.
    spread : tuple of str or None
        Ways of choosing them that are compared: random, deciles (as many from each tenth of the local
        value), extremes (half from either end); None: as measurement.sampling says.
    extreme_share : float
        Share of the local values at either end that counts as extreme.
    enough : float
        A study has enough calibrators when its interval is wider by at most this share than with infinitely many.
    budget : int or None
        Re-assays of all local studies together, to be divided among them; None: as many as planned.
    least : int
        Fewest calibrators that a division gives a study, and that are called enough; by default as many as the
        quality gate of a calibration wants.
    width : float or None
        Wanted width of the interval of the log odds ratios.
    power : float
        Wanted power of the tests.
    alpha : float
        Their size.
    level : float
        Confidence level.
    """

    calibrators: tuple[float, ...] = (10, 20, 30, 50, 75, 100, 150, 200)
    spread: tuple[str, ...] | None = None
    extreme_share: float = 0.1
    enough: float = 0.05
    budget: int | None = None
    least: int = AMBER_PAIRS
    width: float | None = None
    power: float = 0.8
    alpha: float = 0.05
    level: float = 0.95

    def __post_init__(self) -> None:
        with_tuples(self, "calibrators", "spread")


def check_options(options: PlanOptions) -> Iterator[tuple[str, str]]:
    """Problems of the section [plan]: key and message."""
    if len(options.calibrators) > MOST_NUMBERS:
        yield (
            "calibrators",
            f"holds {len(options.calibrators):,} numbers; {MOST_NUMBERS} at most are compared",
        )
        return
    if not options.calibrators:
        yield "calibrators", "must hold at least one number, such as [20, 50, 100]"
    for number in options.calibrators:
        if not FEWEST <= number <= MOST or number != int(number):
            yield "calibrators", f"must be whole numbers from {FEWEST} to {MOST:,}, not {number:g}"
    for k, spread in enumerate(options.spread or ()):
        if spread not in SPREADS:
            words = ", ".join(f'"{word}"' for word in SPREADS)
            yield "spread", f'must be one of {words}, not "{spread}"{did_you_mean(spread, SPREADS)}'
        elif spread in (options.spread or ())[:k]:
            yield "spread", f'"{spread}" is there twice'
    if options.spread == ():
        yield "spread", "must name at least one way of choosing calibrators"
    yield from _check_numbers(options)


def _check_numbers(options: PlanOptions) -> Iterator[tuple[str, str]]:
    """Problems of the single numbers."""
    if not 0 < options.extreme_share <= 0.5:
        yield "extreme_share", f"must lie above 0 and be at most 0.5, not {options.extreme_share:g}"
    for key in ("power", "alpha", "level"):
        value = getattr(options, key)
        if not 0 < value < 1:
            yield key, f"must lie between 0 and 1, not {value:g}"
    if 0 < options.alpha < 1 and options.power <= options.alpha:
        yield "power", f"must be above alpha, {options.alpha:g}, not {options.power:g}"
    for key in ("enough", "width"):
        value = getattr(options, key)
        if value is not None and not value > 0:
            yield key, f"must be above 0, not {value:g}"
    if not FEWEST <= options.least <= MOST:
        yield "least", f"must lie from {FEWEST} to {MOST:,}, not {options.least:g}"
    if options.budget is not None and not 1 <= options.budget <= 100 * MOST:
        yield "budget", f"must lie from 1 to {100 * MOST:,}, not {options.budget:g}"
