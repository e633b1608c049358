"""naive, internalized and full against answers of programs that share nothing with biocal."""

from __future__ import annotations

import numpy as np
import pytest
from fixture_files import read_answers, read_rows
from pooled_fits import METHODS, fit_frame

from biocal.model.exposure import LinearBasis, SplineBasis

COEFFICIENTS = 1e-8  # relative; both programs solve to rounding, ours after a closing Newton step
COVARIANCES = 1e-6  # relative; theirs has its bread from central differences

BLOCKS = [
    ("pairs", "spline"),
    ("pairs", "linear"),
    ("one_to_two", "spline"),
    ("one_to_two", "linear"),
    ("one_to_two", "spline_calibration_with_covariates"),
    ("one_to_two", "linear_calibration_with_covariates"),
]


def test_every_block_of_the_fixtures_is_compared():
    for name in ("pairs", "one_to_two"):
        blocks = {key for key in read_answers(name) if key.startswith(("spline", "linear"))}
        assert blocks == {block for fixture, block in BLOCKS if fixture == name}
        for block in blocks:
            assert set(METHODS) <= set(read_answers(name)[block])


@pytest.mark.parametrize(("name", "block"), BLOCKS)
@pytest.mark.parametrize("method", METHODS)
def test_coefficients_and_covariances_are_those_of_the_fixture(name, block, method):
    answers = read_answers(name)
    pinned = answers[block][method]
    basis = SplineBasis(tuple(answers["knots"])) if block.startswith("spline") else LinearBasis()
    rows = read_rows(name)
    fit = fit_frame(
        rows,
        method,
        basis,
        covariates=" + ".join(answers["covariates"]),
        calibration_covariates="outcome" if block.endswith("with_covariates") else "none",
    )
    assert fit.terms == (*basis.names, *answers["covariates"])
    np.testing.assert_allclose(fit.beta, pinned["beta"], rtol=COEFFICIENTS)
    np.testing.assert_allclose(fit.vcov, pinned["cov"], rtol=COVARIANCES)
    np.testing.assert_allclose(fit.uncorrected, pinned["cov_uncorrected"], rtol=COVARIANCES)
    if pinned["gamma"]:
        # The fixtures list local studies as they appear in the file, here they are in natural order.
        local = [study for study in rows["study"].unique() if study not in answers["reference_studies"]]
        place = np.argsort(np.argsort(local))
        lines = fit.calibration.gamma[: 2 * len(local)].reshape(-1, 2)[place].ravel()
        gamma = np.concatenate([lines, fit.calibration.gamma[2 * len(local) :]])
        np.testing.assert_allclose(gamma, pinned["gamma"], rtol=COEFFICIENTS)
