"""Reading and writing of messages: strict JSON of bounded size, and the digest that seals it."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from biocal.errors import MessageError
from biocal.study.file_bytes import file_bytes, in_a_line

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
