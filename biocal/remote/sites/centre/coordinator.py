"""The coordinating centre: a folder of requests and answers, taken round by round."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from biocal.errors import FitError, InputError, MessageError, OptionError, OutputError
from biocal.remote.sites.centre.centre import Centre
from biocal.remote.sites.centre.centre_result import federated_comparison, require_finite
from biocal.remote.sites.messages.messages import (
    Answer,
    Request,
    kept_json,
    message_bytes,
    open_answer,
    open_request,
    read_json,
)
from biocal.remote.sites.plan import Plan, read_plan, read_tasks
from biocal.remote.sites.site.site import read_secret
from biocal.results.fit.comparison import Comparison
from biocal.system.bytes import in_a_line
from biocal.system.files import new_folders, replace_file

SESSION, ANSWERS = "session.json", "answers"


@dataclass(frozen=True, slots=True, eq=False)
class Progress:
    """Where a session stands.

    Attributes
    ----------
    folder : Path
    plan : Plan
    request : Request
        The last one written.
    answered, missing : tuple of str
        Sites, for the last request.
    centre : Centre
        What earlier rounds told.
    comparison : Comparison or None
        The fits, when the session is over.
    new_request : Path or None
        The request that a step has written.
    repeated : bool
        The step had been made before, and was stopped at the earliest when that was done.
    """

    folder: Path
    plan: Plan
    request: Request
    answered: tuple[str, ...]
    missing: tuple[str, ...]
    centre: Centre
    comparison: Comparison | None = None
    new_request: Path | None = None
    repeated: bool = False

    @property
    def request_path(self) -> Path:
        """File of the last request."""
        return request_path(self.folder, self.request.round)


def request_path(folder: Path, round_number: int) -> Path:
    """Where the request of a round stands."""
    return folder / f"request_{round_number:03d}.json"


def begin_session(folder: Path, plan: Plan, secret_file: str) -> Path:
    """Make a centre's folder and its first request.

    Returns
    -------
    Path
        Of the request.

    Raises
    ------
    OptionError
        The plan has more than a message can carry.
    OutputError
        The folder is a centre already, or cannot be written.
    """
    secret = read_secret(secret_file)
    if os.path.lexists(folder / SESSION):
        raise OutputError(
            f"'{folder}' holds a session already; name another folder for a new one", existing=(str(folder),)
        )
    try:
        read_plan(plan.to_message())  # what no site would read is not sent
    except MessageError as fault:
        raise OptionError(str(fault)) from fault
    session = secrets.token_hex(16)
    request = Request(session, 0, "", "inventory", plan.to_message(), Centre(plan).agreed.to_message(), {})
    content = {"session": session, "secret_file": secret_file, "sites": list(plan.sites)}
    text = (json.dumps(content, indent=1) + "\n").encode()
    try:
        with new_folders(folder / ANSWERS):
            _write_session(folder, message_bytes(request.to_message(secret)), text)
    except OSError as fault:
        raise OutputError(
            f"'{folder}' cannot be written: {fault.strerror or fault}; nothing was begun", path=str(folder)
        ) from fault
    return request_path(folder, 0)


def _write_session(folder: Path, request: bytes, session: bytes) -> None:
    """Write the first request and the session that it begins; both or neither."""
    replace_file(request_path(folder, 0), request)
    try:
        replace_file(folder / SESSION, session)
    except BaseException:
        if not os.path.lexists(folder / SESSION):
            request_path(folder, 0).unlink(missing_ok=True)
        raise


def session_progress(folder: Path) -> Progress:
    """Where a session stands; raises InputError when the folder holds none, or holds altered files."""
    _, progress = _replay(folder)
    return progress


def take_answers(folder: Path, paths: Sequence[str]) -> Progress:
    """Take in answers; when the round is complete, write the next request or make the fits.

    The same answers once more, as when a step was killed at its very end, lead to the same request or fits.

    Parameters
    ----------
    folder : Path
        The centre's.
    paths : sequence of str
        Files of answers; none: go on with those taken in before.

    Raises
    ------
    MessageError
        An answer cannot be accepted; then none is taken in.
    InputError
        Sites that do not fit together.
    FitError
        The model cannot be fitted.
    """
    secret, progress = _replay(folder)
    if _were_taken_in(progress, paths, secret):
        again = None if progress.comparison is not None else progress.request_path
        return replace(progress, new_request=again, repeated=True)
    if progress.comparison is not None and paths:
        raise InputError(f"the session in '{folder}' is over; its fits need no further answers")
    accepted = _accepted(progress, paths, secret)
    _require_usable(progress, accepted, secret)
    try:
        for site, message in accepted.items():
            if site not in progress.answered:  # else the same, as _accepted has seen
                replace_file(_answer_path(folder, progress.request.round, site), message_bytes(message))
    except OSError as fault:
        raise OutputError(
            f"'{folder}' cannot be written: {fault.strerror or fault}; when it can, run the same step again",
            path=str(folder),
        ) from fault
    secret, progress = _replay(folder)
    if progress.missing or progress.comparison is not None:
        return progress
    return _go_on(folder, progress, secret)


def _were_taken_in(progress: Progress, paths: Sequence[str], secret: bytes) -> bool:
    """Whether these are answers with which the last step ended, and none has come since."""
    over = progress.comparison is not None
    if not paths or (progress.answered and not over):
        return False
    last = progress.request.round if over else progress.request.round - 1
    for path in paths:
        try:
            answer = open_answer(read_json(path), secret)
        except MessageError:
            return False
        kept = _answer_path(progress.folder, last, answer.site)
        if answer.round != last or answer.site not in progress.plan.sites:
            return False
        if open_answer(read_json(kept), secret).digest != answer.digest:
            return False
    return True


def _require_usable(progress: Progress, accepted: dict[str, dict[str, Any]], secret: bytes) -> None:
    """Try the answers out before they are taken in: one that is wrong would block the session for good.

    Raises
    ------
    InputError
        The sites do not fit together, or their sums cannot be calculated with.
    """
    request, centre, tasks = progress.request, progress.centre, read_tasks(dict(progress.request.tasks))
    answers = _answers_of(progress.folder, request, progress.plan, secret)
    answers |= {site: open_answer(message, secret) for site, message in accepted.items()}
    if not accepted or any(site not in answers for site in progress.plan.sites):
        return
    try:
        found = {
            site: centre.read(request.step, tasks, site, answers[site].content)
            for site in progress.plan.sites
        }
        centre.take(request.step, tasks, found)
        question = centre.question()
        sums = {} if question is None else {"agreed": question.agreed.to_message()}
        message_bytes(sums)  # refuses what is not finite
        if question is None:
            require_finite(federated_comparison(centre))
    except FitError:
        return  # the answers are sound, the model is not: told when they are in
    except InputError as fault:
        raise type(fault)(f"{fault}; none of these answers is taken in", **vars(fault)) from fault
    except (ArithmeticError, ValueError, MemoryError, np.linalg.LinAlgError) as fault:
        raise MessageError(
            f"round {request.round}: the answers together cannot be calculated with; some site's sums are not "
            f"those of its data. None of these answers is taken in; ask the sites ({', '.join(accepted)}) for them "
            "again"
        ) from fault


def _go_on(folder: Path, progress: Progress, secret: bytes) -> Progress:
    """Ask the next question of a complete round, or make the fits."""
    centre, last = progress.centre, progress.request
    question = centre.question()
    if question is None:
        return Progress(
            folder, progress.plan, last, progress.answered, (), centre, federated_comparison(centre)
        )
    request = Request(
        last.session,
        last.round + 1,
        last.digest,
        question.step,
        last.plan,
        question.agreed.to_message(),
        {task.name: point.tolist() for task, point in question.tasks.items()},
    )
    path = request_path(folder, request.round)
    try:
        replace_file(path, message_bytes(request.to_message(secret)))
    except OSError as fault:
        raise OutputError(
            f"'{path}' cannot be written: {fault.strerror or fault}; the answers are taken in: when there is room, run "
            "the same step again",
            path=str(path),
        ) from fault
    return Progress(folder, progress.plan, request, (), progress.plan.sites, centre, None, path)


def _replay(folder: Path) -> tuple[bytes, Progress]:
    """Work through all rounds from the files; the last may be incomplete."""
    session = _read_session(folder)
    secret = read_secret(session["secret_file"])
    requests = _requests(folder, session["session"], secret)
    plan = read_plan(requests[0].plan)
    centre = Centre(plan)
    for request in requests:
        answers = _answers_of(folder, request, plan, secret)
        missing = tuple(site for site in plan.sites if site not in answers)
        if missing and request is not requests[-1]:
            raise InputError(f"'{folder}': answers of round {request.round} are gone ({', '.join(missing)})")
        if missing:
            return secret, Progress(folder, plan, request, tuple(answers), missing, centre)
        tasks = read_tasks(dict(request.tasks))
        found = {site: centre.read(request.step, tasks, site, answers[site].content) for site in plan.sites}
        centre.take(request.step, tasks, found)
    last = requests[-1]
    comparison = federated_comparison(centre) if centre.sandwiches else None
    return secret, Progress(folder, plan, last, plan.sites, (), centre, comparison)


def _read_session(folder: Path) -> dict[str, Any]:
    try:
        content = kept_json(folder / SESSION)
        return {"session": str(content["session"]), "secret_file": str(content["secret_file"])}
    except FileNotFoundError:
        raise InputError(
            f"'{in_a_line(folder)}' holds no session; begin one with: biocal coordinate init SPEC.toml --dir {folder}",
            path=str(folder),
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise InputError(f"{folder / SESSION}: cannot be read", path=str(folder)) from fault


def _requests(folder: Path, session: str, secret: bytes) -> list[Request]:
    found: list[Request] = []
    while (path := request_path(folder, len(found))).exists():
        try:
            request = open_request(read_json(path), secret)
        except MessageError as fault:
            raise InputError(f"{path} of the centre was altered: {fault}", path=str(path)) from fault
        previous = found[-1].digest if found else ""
        if request.session != session or request.round != len(found) or request.previous != previous:
            raise InputError(
                f"{path} is not the request of round {len(found)} of this session", path=str(path)
            )
        found.append(request)
    if not found:
        raise InputError(f"'{folder}': its first request is gone", path=str(folder))
    return found


def _answer_path(folder: Path, round_number: int, site: str) -> Path:
    return folder / ANSWERS / f"{round_number:03d}_{site}.json"


def _answers_of(folder: Path, request: Request, plan: Plan, secret: bytes) -> dict[str, Answer]:
    found = {}
    for site in plan.sites:
        path = _answer_path(folder, request.round, site)
        if not path.exists():
            continue
        try:
            answer = open_answer(read_json(path), secret)
            _require_answer_to(answer, request, plan)
        except MessageError as fault:
            raise InputError(f"{path} of the centre was altered: {fault}", path=str(path)) from fault
        found[site] = answer
    return found


def _accepted(progress: Progress, paths: Sequence[str], secret: bytes) -> dict[str, dict[str, Any]]:
    """Messages of valid answers by site; raises MessageError with every fault, and then none is accepted."""
    accepted: dict[str, dict[str, Any]] = {}
    faults = []
    tasks = read_tasks(dict(progress.request.tasks))
    for path in paths:
        try:
            message = read_json(path)
        except MessageError as fault:
            faults.append(str(fault))
            continue
        try:
            answer = open_answer(message, secret)
            _require_answer_to(answer, progress.request, progress.plan)
            progress.centre.read(progress.request.step, tasks, answer.site, answer.content)
            earlier = _known(progress, answer.site, accepted, secret)
            if earlier is not None and earlier != answer.digest:
                raise MessageError(f"site {answer.site} has answered this round already, and differently")
        except MessageError as fault:
            faults.append(f"{in_a_line(path)}: {fault}")
            continue
        accepted[answer.site] = message
    if faults:
        taken = "none of the answers is taken in" if len(paths) > 1 else "it is not taken in"
        raise MessageError("\n".join([*faults[:-1], f"{faults[-1]}; {taken}"]))
    return accepted


def _known(progress: Progress, site: str, accepted: dict[str, dict[str, Any]], secret: bytes) -> str | None:
    """Digest of the answer that a site has given to this round already."""
    if site in accepted:
        return str(accepted[site]["digest"])
    path = _answer_path(progress.folder, progress.request.round, site)
    return open_answer(read_json(path), secret).digest if path.exists() else None


def _require_answer_to(answer: Answer, request: Request, plan: Plan) -> None:
    """Refuse what does not answer this request."""
    if answer.session != request.session:
        raise MessageError("an answer of another session")
    if answer.site not in plan.sites:
        raise MessageError(f"from site '{answer.site}', which takes no part ({', '.join(plan.sites)})")
    if answer.round != request.round:
        raise MessageError(
            f"an answer to round {answer.round}; the session is at round {request.round} "
            f"({request_path(Path(), request.round)})"
        )
    if answer.request != request.digest or answer.step != request.step:
        raise MessageError(f"an answer to another request than {request_path(Path(), request.round)}")
