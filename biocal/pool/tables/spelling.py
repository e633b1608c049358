"""One spelling of names, ids and words: what looks alike is one, and control characters are seen."""

from __future__ import annotations

import re
import unicodedata

# A terminal obeys control characters, and marks of direction turn what follows them; tabs and line breaks
# may stand in any cell of text.
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# Two code points for the Greek letter: the micro sign of keyboards, and the letter itself.
_MICRO, _MU = "\u00b5", "\u03bc"


def one_spelling(text: str) -> str:
    """Return a text with each letter as one code point (Unicode's NFC), and control characters as escapes.

    The micro sign and the Greek mu are one letter; ``\\x1b`` stands for the escape character.
    """
    if text.isascii() and text.isprintable():
        return text
    return visible(unicodedata.normalize("NFC", text).replace(_MICRO, _MU))


def visible(text: str) -> str:
    """Return a text with its control characters, and marks that turn the direction of writing, as escapes."""
    return _UNSEEN.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), text)
