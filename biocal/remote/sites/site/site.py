"""A site: the folder that holds its settings, key and ledger, and the answering of requests."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biocal.errors import DisclosureError, FormulaError, InputError, MessageError, OptionError, OutputError
from biocal.fitting.soundness.digits import outcome_digit_notes
from biocal.pool.pooled import PooledStudies
from biocal.remote.sites.agreed import Agreed, read_agreed, require_of_plan
from biocal.remote.sites.messages.messages import (
    Answer,
    Request,
    digest,
    kept_json,
    message_bytes,
    open_request,
    read_json,
)
from biocal.remote.sites.plan import Plan, read_plan, read_tasks, require_site_name
from biocal.remote.sites.site.guard import DEFAULT_MINIMUM, LEAST_MINIMUM
from biocal.remote.sites.site.ledger import (
    AnsweredSession,
    Ledger,
    population_of,
    read_ledger,
    write_ledger,
)
from biocal.remote.sites.site.site_problem import SiteProblem, site_problem
from biocal.remote.sites.site.site_sums import (
    calibration_sums,
    inventory,
    residual_sums,
    sandwich_sums,
    score_sums,
)
from biocal.system.bytes import LARGEST_TEXT_OF_OPTIONS, file_bytes, in_a_line
from biocal.system.files import FOR_OWNER, new_folders, replace_file

#: Rounds that a site answers in one session unless it says otherwise (our choice: a fit takes 8 to 15).
DEFAULT_ROUNDS = 40

SETTINGS, KEY, LEDGER = "site.json", "site.key", "ledger.json"


@dataclass(frozen=True, slots=True)
class SiteSettings:
    """What a site has decided.

    Attributes
    ----------
    name : str
        As the centre's spec calls it.
    minimum : int
        Persons in every sum that leaves the site.
    rounds : int
        Most rounds answered in one session.
    reading : mapping
        Arguments of `read_studies`: files, columns, studies.
    secret_file : str
        File of the secret shared with the centre; blank for none.
    """

    name: str
    minimum: int
    rounds: int
    reading: Mapping[str, Any]
    secret_file: str = ""

    def require(self) -> None:
        """Raise OptionError for settings that cannot be."""
        if not self.name:
            raise OptionError('a site needs its name, as the centre calls it: site = "north"')
        require_site_name(self.name)
        if self.minimum < LEAST_MINIMUM:
            raise OptionError(
                f"minimum = {self.minimum}: a sum over fewer than {LEAST_MINIMUM} persons protects nobody; "
                f"{DEFAULT_MINIMUM} is usual"
            )
        if self.rounds < 5:
            raise OptionError(f"rounds = {self.rounds}: no fit ends within fewer than 5; one takes 8 to 15")


@dataclass(frozen=True, slots=True)
class PreparedAnswer:
    """An answer and what it does to the ledger.

    Attributes
    ----------
    answer : Answer
    message : dict
        Sealed, ready to be written.
    ledger : Ledger
        With the answer entered.
    words : str
        What the answer holds, for the person who sends it.
    notes : tuple of str
        What the site should know of its own data; it is not sent.
    """

    answer: Answer
    message: dict[str, Any]
    ledger: Ledger
    words: str
    notes: tuple[str, ...] = ()


def read_secret(path: str) -> bytes:
    """The secret of a file, white space at its ends not counted; raises InputError."""
    if not path:
        return b""
    try:
        content = file_bytes(path, most=LARGEST_TEXT_OF_OPTIONS).strip()
    except OSError as fault:
        raise InputError(f"{path}: the secret cannot be read ({fault.strerror})", path=path) from fault
    if len(content) < 16:
        raise InputError(f"{path}: a secret has 16 letters or more, for it must not be guessed", path=path)
    return content


def create_site(folder: Path, settings: SiteSettings, *, force: bool = False) -> None:
    """Make a site's folder: settings, a key of its own, no ledger yet.

    Parameters
    ----------
    folder : Path
    settings : SiteSettings
    force : bool, default False
        Replace the settings of a folder that is a site already; its key and ledger stay.

    Raises
    ------
    OptionError, OutputError
        Settings that cannot be; a folder that is a site already or cannot be written.
    """
    settings.require()
    read_secret(settings.secret_file)
    place = folder / SETTINGS
    if os.path.lexists(place) and not force:
        raise OutputError(
            f"'{folder}' is a site already; add --force to change its settings (its ledger stays)",
            existing=(str(place),),
        )
    content = {
        "site": settings.name,
        "minimum": settings.minimum,
        "rounds": settings.rounds,
        "reading": dict(settings.reading),
        "secret_file": settings.secret_file,
    }
    text = (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode(errors="backslashreplace")
    try:
        with new_folders(folder):
            _write_site(folder, text)
    except OSError as fault:
        raise OutputError(
            f"'{folder}' cannot be written: {fault.strerror or fault}; nothing was changed", path=str(folder)
        ) from fault


def _write_site(folder: Path, settings: bytes) -> None:
    """Write settings, and a key where there is none; both or neither."""
    new = not os.path.lexists(folder / KEY)
    if new:
        replace_file(folder / KEY, (secrets.token_hex(32) + "\n").encode(), mode=FOR_OWNER)
    try:
        replace_file(folder / SETTINGS, settings)
    except BaseException:
        if new and not os.path.lexists(folder / SETTINGS):
            (folder / KEY).unlink(missing_ok=True)
        raise


def read_settings(folder: Path) -> SiteSettings:
    """Settings of a site's folder; raises InputError when it is none."""
    try:
        content = kept_json(folder / SETTINGS)
        settings = SiteSettings(
            str(content["site"]),
            int(content["minimum"]),
            int(content["rounds"]),
            dict(content["reading"]),
            str(content["secret_file"]),
        )
    except FileNotFoundError:
        raise InputError(
            f"'{in_a_line(folder)}' is not a site's folder; make it with: biocal site init --spec site.toml "
            f"--dir {in_a_line(folder)}",
            path=str(folder),
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise InputError(
            f"{folder / SETTINGS}: not readable; run biocal site init --force", path=str(folder)
        ) from fault
    settings.require()
    return settings


def site_key(folder: Path) -> bytes:
    """The key of a site's hashes; raises InputError."""
    try:
        return bytes.fromhex(file_bytes(folder / KEY).decode("ascii").strip())
    except (OSError, ValueError) as fault:
        raise InputError(
            f"{folder / KEY}: the site's key cannot be read; put it back from a copy, for without it the ledger "
            "says nothing",
            path=str(folder / KEY),
        ) from fault


def prepare_answer(
    folder: Path, path: str, read_pool: Callable[[Mapping[str, Any]], PooledStudies]
) -> PreparedAnswer:
    """Work out the answer to a request; nothing is written.

    Parameters
    ----------
    folder : Path
        The site's.
    path : str
        File of the request.
    read_pool : callable
        From the settings' `reading` to the pool.

    Raises
    ------
    MessageError
        The request cannot be accepted: malformed, altered, of another round, not for this site.
    DisclosureError
        The answer could tell of single persons.
    InputError
        The folder or the data cannot be used.
    """
    settings = read_settings(folder)
    secret = read_secret(settings.secret_file)
    ledger = read_ledger(folder / LEDGER)
    message = read_json(path)
    try:
        request = open_request(message, secret)
        plan, agreed = read_plan(request.plan), read_agreed(request.agreed)
        tasks = read_tasks(request.tasks)
        earlier = _require_in_turn(request, settings, plan, ledger)
        require_of_plan(agreed, request.step, tasks, plan)
    except MessageError as fault:
        raise MessageError(f"{in_a_line(path)}: {fault}", path=path) from fault
    try:
        site = site_problem(read_pool(settings.reading), plan, agreed)
        population = population_of(site, plan, site_key(folder))
        if earlier is not None and earlier.population != population:
            raise DisclosureError(
                "the data are not those from which this session was answered before; put the former data back, or "
                "ask the centre to begin a new session"
            )
        ledger.require_no_small_difference(request.session, population, settings.minimum)
        content = _content(request, site, plan, agreed, tasks, settings.minimum)
        _require_finite(content, request.step)
    except (MessageError, FormulaError) as fault:
        raise MessageError(f"{in_a_line(path)}: {fault}", path=path) from fault
    except DisclosureError as fault:
        refused = f"{in_a_line(path)} is refused, nothing is written"
        raise DisclosureError(f"{refused}: {fault}", path=path) from fault
    answer = Answer(request.session, settings.name, request.round, request.digest, request.step, content)
    requests = () if earlier is None else earlier.requests[: request.round]
    entered = AnsweredSession(
        request.session,
        title_of(plan),
        digest(dict(request.plan), b""),
        (*requests, request.digest),
        population,
    )
    # the centre cannot tell: it would have to know least and largest values
    notes = outcome_digit_notes(site.problem) if request.step == "calibration" else ()
    return PreparedAnswer(
        answer, answer.to_message(secret), ledger.with_answer(entered), _words(request, site), notes
    )


def enter_answer(folder: Path, prepared: PreparedAnswer) -> None:
    """Enter an answer in the ledger, before it leaves; raises OutputError."""
    try:
        write_ledger(folder / LEDGER, prepared.ledger)
    except OSError as fault:
        raise OutputError(
            f"'{folder / LEDGER}' cannot be written ({fault.strerror or fault}); nothing is answered",
            path=str(folder),
        ) from fault


def title_of(plan: Plan) -> str:
    """A plan in a line."""
    outcome = plan.outcome_name or "the outcome"
    adjusted = f", adjusted for {plan.covariates}" if plan.covariates else ""
    modified = f", by {plan.modifier}" if plan.modifier else ""
    return f"{plan.exposure_name} and {outcome}{adjusted}{modified}; {', '.join(plan.methods)}"


def _require_in_turn(
    request: Request, settings: SiteSettings, plan: Plan, ledger: Ledger
) -> AnsweredSession | None:
    """Refuse requests for others, and those that are not the next (or the last once more)."""
    if settings.name not in plan.sites:
        raise MessageError(
            f"this site is '{settings.name}', which is not among those asked: {', '.join(plan.sites)}"
        )
    earlier = ledger.find(request.session)
    if earlier is None:
        if request.round:
            raise MessageError(
                f"round {request.round} of a session of which this site has answered nothing; begin with its "
                "request 0 (another session's requests cannot be mixed in)"
            )
        return None
    answered = len(earlier.requests)
    if earlier.plan != digest(dict(request.plan), b""):
        raise MessageError("the plan is not the one with which this session began")
    if request.round < answered:
        if earlier.requests[request.round] != request.digest:
            raise MessageError(
                f"round {request.round} was answered already, to a different request; each round is answered once"
            )
        if request.round < answered - 1:
            raise MessageError(
                f"round {request.round} was answered already and the session is at round {answered}; an older "
                "request is not answered again"
            )
        return earlier
    if request.round > answered:
        raise MessageError(f"round {request.round}, but this site has yet to answer round {answered}")
    if request.previous != earlier.requests[-1]:
        raise MessageError("it does not follow the request that this site answered last")
    if answered >= settings.rounds:
        raise MessageError(
            f"this site answers {settings.rounds} rounds of a session (rounds in its spec), and has; a fit takes 8 "
            "to 15"
        )
    return earlier


def _content(
    request: Request, site: SiteProblem, plan: Plan, agreed: Agreed, tasks: dict[Any, Any], minimum: int
) -> dict[str, Any]:
    if request.step == "inventory":
        return inventory(site, plan, minimum)
    if agreed.levels is None:
        raise MessageError("agreed.levels: absent, although the inventory is over")
    if request.step == "calibration":
        return calibration_sums(site, minimum)
    if request.step == "residuals":
        return residual_sums(site, agreed, minimum)
    if not tasks:
        raise MessageError("tasks: none")
    if request.step == "scores":
        return score_sums(site, agreed, tasks, minimum)
    return sandwich_sums(site, agreed, tasks, minimum)


def _require_finite(content: dict[str, Any], step: str) -> None:
    """Refuse a point at which the sums are beyond what can be calculated."""
    try:
        message_bytes(content)
    except ValueError as fault:
        raise MessageError(
            f"{step}: with what is agreed, or at the coefficients asked for, the sums are not finite"
        ) from fault


def _words(request: Request, site: SiteProblem) -> str:
    problem = site.problem
    sets, pairs = problem.n_sets, problem.calibrators.response.size
    of_sets = f"{sets:,} matched sets"
    return {
        "inventory": "counts of sets and persons by study, and the levels of categories",
        "calibration": f"means and sums of products over {pairs:,} calibration pairs, by study",
        "residuals": f"residual sums over {pairs:,} calibration pairs; controls' exposures in bins",
        "scores": f"log-likelihood, score and information summed over {of_sets}",
        "sandwich": f"sums of products of scores over {of_sets}",
    }[request.step]
