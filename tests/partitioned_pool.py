"""The synthetic pool of the federated tests as partitions on disk, and comparisons of fits to rounding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

#: Promised of fits from partitions: the sums are the pooled fit's in another order, and so is Newton's path.
AGREEMENT = 1e-8
METHODS = ["naive", "internalized", "full", "induced"]
#: Curves near the reference exposure are differences of nearly equal numbers.
NEAR_ZERO = 1e-12


def several_cases(pool: pd.DataFrame) -> pd.DataFrame:
    """The pool with two neighbouring sets of a study put together now and then: sets n:m among 1:m."""
    merged = pool.copy()
    pairs = (merged["set"] % 5 == 0) & (merged["set"] > 1)
    merged.loc[pairs, "set"] = merged.loc[pairs, "set"] - 1
    return merged


def numbered_by_range(pool: pd.DataFrame, n_parts: int) -> np.ndarray:
    """Partition of each row: sets in ranges, so that most studies lie in two."""
    sets = pool.groupby(["study", "set"], sort=False).ngroup().to_numpy()
    return sets * n_parts // (int(sets.max()) + 1)


def write_partitions(folder: Path, pool: pd.DataFrame, n_parts: int = 8) -> Path:
    """Write a pool as partitions by set range."""
    return write_by(folder, pool, numbered_by_range(pool, n_parts))


def write_by(folder: Path, pool: pd.DataFrame, number: Sequence[int] | np.ndarray) -> Path:
    """Write a pool with each row in the partition of a given number."""
    folder.mkdir(parents=True, exist_ok=True)
    for k in np.unique(number):
        pool[np.asarray(number) == k].to_parquet(folder / f"part-{k}.parquet", index=False)
    return folder


def assert_same_fit(found, expected):
    """Everything that a fit says, to AGREEMENT."""
    assert found.terms == expected.terms
    close(found.estimates, expected.estimates)
    close(found.vcov, expected.vcov)
    close(found.vcov_uncorrected, expected.vcov_uncorrected)
    close(found.calibration_parts, expected.calibration_parts)
    close([found.loglik, found.loglik_null], [expected.loglik, expected.loglik_null])
    assert_same_numbers(found.dose_response().tidy(), expected.dose_response().tidy())
    assert_same_numbers(found.calibration.tidy(), expected.calibration.tidy())
    assert found.info.scale.reference_rule == expected.info.scale.reference_rule
    assert found.sample.flow == expected.sample.flow
    assert found.sample.set_shapes == expected.sample.set_shapes
    assert found.info.omitted == expected.info.omitted


def close(found, expected):
    found, expected = np.asarray(found, dtype=float), np.asarray(expected, dtype=float)
    np.testing.assert_allclose(found, expected, rtol=AGREEMENT, atol=NEAR_ZERO)


def assert_same_numbers(found, expected):
    """Tables with the same words and, to AGREEMENT, the same numbers."""
    assert list(found.columns) == list(expected.columns)
    for name in expected.columns:
        if expected[name].dtype.kind == "f":
            close(found[name], expected[name])
        else:
            assert found[name].tolist() == expected[name].tolist()


def assert_identical(found, expected):
    """The same to the last bit."""
    for method, fit in expected.items():
        np.testing.assert_array_equal(found[method].estimates, fit.estimates)
        np.testing.assert_array_equal(found[method].vcov, fit.vcov)
        np.testing.assert_array_equal(found[method].basis.knots, fit.basis.knots)
