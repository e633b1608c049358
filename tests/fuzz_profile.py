"""How many examples hypothesis draws: few and always the same in every run, many and new in ``make test-fuzz``."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

#: Set by ``make test-fuzz``: how many times the examples of an ordinary run.
TIMES = int(os.environ.get("BIOCAL_FUZZ", "1"))


def examples(number: int) -> settings:
    """Settings of a property with so many examples in an ordinary run."""
    return settings(
        max_examples=number * TIMES,
        derandomize=TIMES == 1,
        deadline=None,  # other work on the machine must not fail a test
        database=None,
        # an example that fails is made smaller only by make test-fuzz: it takes minutes
        phases=[phase for phase in Phase if TIMES > 1 or phase not in (Phase.shrink, Phase.explain)],
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
