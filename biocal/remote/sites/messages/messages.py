"""Envelopes of the messages: which session, round and request they belong to, sealed by a digest.

A request names the request before it by digest, an answer the request that it answers; so every message is
bound to one place in one session.  The digest shows changes made on the way by accident; with a secret that
centre and sites agreed on by other means it is keyed, and shows forgeries too.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from biocal.errors import MessageError
from biocal.remote.sites.messages.schema import one_of, record, text, whole
from biocal.system.bytes import file_bytes, in_a_line

#: Largest message that is read: hundreds of times the size of an honest one (our choice).
MOST_BYTES = 4_000_000
#: Deepest nesting of an honest message is seven.
_DEEPEST = 24


def canonical(content: Mapping[str, Any]) -> bytes:
    """The one spelling of a content from which digests are made: sorted keys, no spaces, shortest exact digits."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def digest(content: Mapping[str, Any], secret: bytes) -> str:
    """SHA-256 of a content, keyed (HMAC) when there is a secret."""
    spelt = canonical(content)
    if secret:
        return hmac.new(secret, spelt, hashlib.sha256).hexdigest()
    return hashlib.sha256(spelt).hexdigest()


def sealed(content: Mapping[str, Any], secret: bytes) -> dict[str, Any]:
    """The content with its digest."""
    return {**content, "digest": digest(content, secret)}


def message_bytes(content: Mapping[str, Any]) -> bytes:
    """A message as people may read it: indented, UTF-8."""
    return (json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises
    ------
    MessageError
        No such file, a pipe or a device, too large, not JSON, a key twice, NaN or an infinite number, nested too
        deep.
    """
    place = in_a_line(path)
    try:
        content = file_bytes(path, most=MOST_BYTES)
    except FileNotFoundError:
        raise MessageError(f"{place}: there is no such file", path=str(path)) from None
    except IsADirectoryError:
        raise MessageError(f"{place}: this is a folder; name the message in it", path=str(path)) from None
    except OSError as fault:
        raise MessageError(f"{place}: cannot be read ({fault.strerror})", path=str(path)) from fault
    try:
        return parsed(content)
    except MessageError as fault:
        raise MessageError(f"{place}: {fault}", path=str(path)) from fault


def kept_json(path: Path) -> Any:
    """JSON that biocal wrote for itself.

    Raises
    ------
    OSError, ValueError
        It cannot be read, or is no JSON.
    """
    try:
        return json.loads(file_bytes(path).decode("utf-8"))
    except RecursionError as fault:
        raise ValueError("nested too deep") from fault


def parsed(content: bytes) -> dict[str, Any]:
    """Parse bytes as one JSON object; raises MessageError as `read_json` does."""
    if len(content) > MOST_BYTES:
        raise MessageError(f"larger than {MOST_BYTES:,} bytes, which no honest message is")
    try:
        value = json.loads(
            content.decode("utf-8-sig"),
            parse_constant=_not_finite,
            parse_float=_finite,
            object_pairs_hook=_distinct_keys,
        )
    except MessageError:
        raise
    except UnicodeDecodeError as fault:
        raise MessageError(f"not UTF-8 text (byte {fault.start}), so not a message") from fault
    except RecursionError as fault:
        raise MessageError("nested deeper than any message") from fault
    except json.JSONDecodeError as fault:
        raise MessageError(f"not JSON, or cut short on its way: {fault}") from fault
    except ValueError as fault:  # Python turns no more than 4,300 digits into a number
        raise MessageError("a whole number has thousands of digits") from fault
    if not isinstance(value, dict):
        raise MessageError("not a message: JSON, but not an object")
    _require_shallow(value)
    return value


def _finite(word: str) -> float:
    number = float(word)
    return number if math.isfinite(number) else _not_finite(word[:20])


def _not_finite(word: str) -> NoReturn:
    raise MessageError(f"holds {word}, which is no number that a message may carry")


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise MessageError(f"the key '{key[:40]}' stands twice in one object")
        found[key] = value
    return found


def _require_shallow(value: Any) -> None:
    """Refuse nesting that later steps would trip over."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > _DEEPEST:
            raise MessageError("nested deeper than any message")
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner += [part for part in one.values() if isinstance(part, dict | list)]
            else:
                inner += [part for part in one if isinstance(part, dict | list)]
        level = inner


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
        The analysis, the same in all requests of a session; see :mod:`biocal.remote.sites.plan`.
    agreed : dict
        What earlier rounds settled; see :mod:`biocal.remote.sites.agreed`.
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
        See :mod:`biocal.remote.sites.messages.answers`.
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
