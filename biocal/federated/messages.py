"""Envelopes of the messages: which session, round and request they belong to, sealed by a digest.

A request names the request before it by digest, an answer the request that it answers; so every message is
bound to one place in one session.  The digest shows changes made on the way by accident; with a secret that
centre and sites agreed on by other means it is keyed, and shows forgeries too.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from biocal.errors import MessageError
from biocal.federated.json_text import digest, sealed
from biocal.federated.schema import one_of, record, text, whole

FORMAT, VERSION = "biocal-federated", 2
#: What a request asks for, in the order of a session.
STEPS = ("inventory", "calibration", "residuals", "scores", "sandwich")
MOST_ROUNDS = 500

_REQUEST = ("format", "version", "kind", "session", "round", "previous", "step", "plan", "agreed", "tasks")
_ANSWER = ("format", "version", "kind", "session", "site", "round", "request", "step", "content")


@dataclass(frozen=True, slots=True)
class Request:
    """A message from the centre to all sites.

    Attributes
    ----------
    session : str
        Drawn at random when the session began.
    round : int
        From 0.
    previous : str
        Digest of the request before; blank for the first.
    step : str
        One of STEPS.
    plan : dict
        The analysis, the same in all requests of a session; see :mod:`biocal.federated.plan`.
    agreed : dict
        What earlier rounds settled; see :mod:`biocal.federated.agreed`.
    tasks : dict
        Points at which scores or sandwich sums are wanted, by task.
    digest : str
    """

    session: str
    round: int
    previous: str
    step: str
    plan: Mapping[str, Any]
    agreed: Mapping[str, Any]
    tasks: Mapping[str, Any]
    digest: str = ""

    def to_message(self, secret: bytes) -> dict[str, Any]:
        """The message, sealed."""
        content = {
            "format": FORMAT,
            "version": VERSION,
            "kind": "request",
            "session": self.session,
            "round": self.round,
            "previous": self.previous,
            "step": self.step,
            "plan": self.plan,
            "agreed": self.agreed,
            "tasks": self.tasks,
        }
        return sealed(content, secret)


@dataclass(frozen=True, slots=True)
class Answer:
    """A message from one site to the centre.

    Attributes
    ----------
    session, site : str
    round : int
    request : str
        Digest of the request answered.
    step : str
    content : dict
        See :mod:`biocal.federated.answers`.
    digest : str
    """

    session: str
    site: str
    round: int
    request: str
    step: str
    content: Mapping[str, Any]
    digest: str = ""

    def to_message(self, secret: bytes) -> dict[str, Any]:
        """The message, sealed."""
        content = {
            "format": FORMAT,
            "version": VERSION,
            "kind": "answer",
            "session": self.session,
            "site": self.site,
            "round": self.round,
            "request": self.request,
            "step": self.step,
            "content": self.content,
        }
        return sealed(content, secret)


def open_request(message: dict[str, Any], secret: bytes) -> Request:
    """Check the envelope of a request.

    Raises
    ------
    MessageError
        Of another format, version or kind, altered, or with fields that cannot be.
    """
    _require_seal(message, "request", _REQUEST, secret)
    step = one_of(message["step"], "step", STEPS)
    return Request(
        text(message["session"], "session", least=16),
        whole(message["round"], "round", most=MOST_ROUNDS),
        text(message["previous"], "previous"),
        step,
        message["plan"],
        message["agreed"],
        message["tasks"],
        message["digest"],
    )


def open_answer(message: dict[str, Any], secret: bytes) -> Answer:
    """Check the envelope of an answer; errors as `open_request`."""
    _require_seal(message, "answer", _ANSWER, secret)
    return Answer(
        text(message["session"], "session", least=16),
        text(message["site"], "site", least=1),
        whole(message["round"], "round", most=MOST_ROUNDS),
        text(message["request"], "request", least=1),
        one_of(message["step"], "step", STEPS),
        message["content"],
        message["digest"],
    )


def _require_seal(message: dict[str, Any], kind: str, keys: tuple[str, ...], secret: bytes) -> None:
    if message.get("format") != FORMAT:
        raise MessageError(f"not a message of a federated fit (its format is not '{FORMAT}')")
    if message.get("version") != VERSION:
        raise MessageError(
            f"a message of protocol version {str(message.get('version'))[:20]}; this biocal speaks version "
            f"{VERSION}: use the same biocal at the centre and at all sites"
        )
    if message.get("kind") != kind:
        other = "an answer, not a request" if kind == "request" else "a request, not an answer"
        raise MessageError(f"this is {other}")
    record(message, kind, (*keys, "digest"))
    found = text(message["digest"], "digest")
    content = {key: value for key, value in message.items() if key != "digest"}
    if not hmac.compare_digest(digest(content, secret), found):
        hint = "" if secret else ", or it was sealed with a secret that is not in this spec"
        keyed = ", or the two sides have different secrets" if secret else hint
        raise MessageError(
            f"its digest does not fit its content: altered on the way{keyed}; ask for it again"
        )
