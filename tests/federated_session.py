"""A federated session played inside the process: sites answer from pools in memory, files go between folders."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from federated_pool import SITES

import biocal as bc
from biocal.remote.sites.centre.coordinator import Progress, begin_session, session_progress, take_answers
from biocal.remote.sites.messages.messages import message_bytes, sealed
from biocal.remote.sites.plan import plan_of
from biocal.remote.sites.site.site import (
    PreparedAnswer,
    SiteSettings,
    create_site,
    enter_answer,
    prepare_answer,
)
from biocal.results.fit.comparison import Comparison
from biocal.results.fit.tables import fit_tables

#: What is promised.  Seen: about 1e-13, the rounding of sums taken in another order.
AGREEMENT = 1e-8
#: Options of a spec that the tests start from.
OPTIONS: dict[str, Any] = {
    "sites": list(SITES),
    "method": ["full"],
    "exposure": "rcs",
    "knot_values": [35.0, 60.0, 85.0],
    "covariates": "bmi + C(smoking)",
    "matching": "age",
    "ref": 60.0,
    "at": [30.0, 45.0, 60.0, 75.0, 90.0],
}


class Session:
    """One centre and its sites under a folder."""

    def __init__(
        self,
        folder: Path,
        pool: pd.DataFrame,
        options: Mapping[str, Any] | None = None,
        *,
        minimum: int = 5,
        rounds: int = 40,
        sites: Mapping[str, list[str]] = SITES,
    ) -> None:
        self.folder, self.centre = folder, folder / "centre"
        self.sites = {name: folder / f"site_{name}" for name in sites}
        self.pools = {
            name: bc.PooledStudies.from_frame(pool[pool["study"].isin(studies)].reset_index(drop=True))
            for name, studies in sites.items()
        }
        for name, place in self.sites.items():
            if not place.exists():
                create_site(place, SiteSettings(name, minimum, rounds, {}))
        self.options = {**OPTIONS, "sites": list(sites), **(options or {})}
        self.request = begin_session(self.centre, plan_of(self.options), "")

    def progress(self) -> Progress:
        """Where the session stands."""
        return session_progress(self.centre)

    def prepared(self, site: str, request: Path | None = None) -> PreparedAnswer:
        """A site's answer to the last request, or another, not entered yet."""
        path = str(request or self.request)
        return prepare_answer(self.sites[site], path, lambda reading: self.pools[site])

    def answer(self, site: str, request: Path | None = None) -> Path:
        """A site's answer as a file in its folder."""
        prepared = self.prepared(site, request)
        enter_answer(self.sites[site], prepared)
        path = self.sites[site] / f"answer_{prepared.answer.round:03d}.json"
        path.write_bytes(message_bytes(prepared.message))
        return path

    def step(self) -> Progress:
        """One round: all sites answer, the centre takes the answers in."""
        progress = take_answers(self.centre, [str(self.answer(site)) for site in self.sites])
        self.request = progress.request_path
        return progress

    def go_to(self, step: str) -> Progress:
        """Play on until the centre asks for a step."""
        progress = self.progress()
        while progress.request.step != step:
            progress = self.step()
        return progress

    def play(self) -> Comparison:
        """Play to the end."""
        progress = self.step()
        while progress.comparison is None:
            progress = self.step()
        return progress.comparison

    def tampered(
        self, path: Path, change: Callable[[dict[str, Any]], None], name: str = "tampered.json"
    ) -> Path:
        """A copy of a message, changed and sealed anew, as one who knows the protocol would send it."""
        message = json.loads(path.read_text())
        change(message)
        message.pop("digest")
        found = self.folder / name
        found.write_bytes(message_bytes(sealed(message, b"")))
        return found


def pooled(pool: pd.DataFrame, **options: Any) -> Comparison:
    """The pooled fit of the same model."""
    arguments: dict[str, Any] = {
        "method": ["full"],
        "exposure": bc.rcs(knots=[35, 60, 85]),
        "covariates": "bmi + C(smoking)",
        "matching": "age",
        "reference": 60,
        "at": [30, 45, 60, 75, 90],
    }
    fitted: Comparison = bc.fit(bc.PooledStudies.from_frame(pool), **(arguments | options))
    return fitted


def require_same(federated: Comparison, expected: Comparison) -> None:
    """Compare every table that both have, cell by cell; ranges of local values are blank in a federated fit."""
    found, tables = fit_tables(federated), fit_tables(expected)
    for name in ("coefficients", "covariance", "dose_response", "tests", "variance_shares"):
        table = tables[name]
        if name == "tests":
            in_memory = ["slope_heterogeneity", "heterogeneity", "basis"]
            table = table[~table["test"].isin(in_memory)].reset_index(drop=True)
        pd.testing.assert_frame_equal(
            found[name].reset_index(drop=True),
            table,
            rtol=AGREEMENT,
            atol=AGREEMENT * 1e-3,
            check_dtype=False,
        )
    columns = ["study", "kind", "n_calibration", "intercept", "slope", "se_intercept", "se_slope"]
    columns += ["residual_sd", "r_squared"]
    pd.testing.assert_frame_equal(
        found["calibration"][columns], tables["calibration"][columns], rtol=AGREEMENT, check_dtype=False
    )
    if "calibration_covariates" in tables:
        pd.testing.assert_frame_equal(
            found["calibration_covariates"], tables["calibration_covariates"], rtol=AGREEMENT
        )
    for method, fit in federated.items():
        np.testing.assert_allclose(fit.loglik, expected[method].loglik, rtol=AGREEMENT)
        np.testing.assert_allclose(fit.loglik_null, expected[method].loglik_null, rtol=AGREEMENT)
