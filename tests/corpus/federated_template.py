"""A sound federated session, kept at every step: what hostile messages are spoilt from."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from federated_pool import FEW_SITES, few_studies, make_pool
from federated_session import Session

from biocal.remote.sites.messages.messages import message_bytes, sealed
from biocal.remote.sites.site.site import SiteSettings, create_site, enter_answer

#: The step from which most messages are spoilt has all that was agreed, and a point to evaluate.
STEPS = ("inventory", "calibration", "residuals", "scores", "sandwich")
Change = Callable[[dict[str, Any]], object]


@cache
def template() -> Path:
    """A folder a step: the centre and the sites before they answer, and their answers in ``answers``."""
    top = Path(tempfile.mkdtemp(prefix="biocal-session-"))
    atexit.register(shutil.rmtree, top, ignore_errors=True)
    live, pool = top / "live", few_studies(make_pool())
    live.mkdir()
    for site, studies in FEW_SITES.items():
        pool[pool["study"].isin(studies)].to_csv(live / f"{site}.csv", index=False)
        # seen from the folder in which commands run
        create_site(live / f"site_{site}", SiteSettings(site, 5, 40, {"files": [f"{site}.csv"]}))
    options = {"method": ["full", "induced"], "knot_values": [], "knots": 3, "at": [45.0, 75.0]}
    session = Session(live, pool, options, sites=FEW_SITES)
    for step in STEPS:
        session.go_to(step)
        prepared = {site: session.prepared(site) for site in FEW_SITES}
        shutil.copytree(live, top / step)
        (top / step / "answers").mkdir()
        for site, one in prepared.items():
            (top / step / "answers" / f"{site}.json").write_bytes(message_bytes(one.message))
        shutil.copyfile(session.request, top / step / "request.json")
    for site, one in prepared.items():
        enter_answer(session.sites[site], one)
    return top


def at_step(step: str, *others: Callable[[Path], object]) -> Callable[[Path], object]:
    """The session at a step, and something else."""

    def write(folder: Path) -> None:
        shutil.copytree(template() / step, folder, dirs_exist_ok=True)
        for other in others:
            other(folder)

    return write


def message(path: Path) -> dict[str, Any]:
    """A message as it stands."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def resealed(source: str, name: str, change: Change) -> Callable[[Path], object]:
    """A message of the session changed, with the digest that fits, as one who knows the protocol would."""

    def write(folder: Path) -> None:
        found = message(folder / source)
        found.pop("digest")
        change(found)
        (folder / name).write_text(json.dumps(sealed(found, b"")), encoding="utf-8")

    return write


def put(*path: Any) -> Change:
    """Put the last of `path` at the place that the others name."""
    *keys, last, value = path

    def change(found: dict[str, Any]) -> None:
        place: Any = found
        for key in keys:
            place = place[key]
        place[last] = value

    return change
