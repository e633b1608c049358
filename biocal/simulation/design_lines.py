"""In which line of a TOML file a key stands."""

from __future__ import annotations

import re

_HEADER = re.compile(r"\s*(\[\[?)\s*([\w.\"'-]+)\s*\]")
_KEY = re.compile(r"\s*(\"[^\"]*\"|'[^']*'|[\w.-]+)\s*=")
_STEP = re.compile(r'(\w+)(?:\[(\d+)\])?(?:\.(".*"|[\w-]+))?')


def line_of(text: str, key: str) -> int | None:
    """Find the line of a key such as ``studies[1].r_squared``.

    Parameters
    ----------
    text : str
        The file.
    key : str
        ``section.key``, ``section[i].key`` (i from 0), ``vary."a.b"`` or a key outside sections.

    Returns
    -------
    int or None
        From 1; that of the section's header when the key itself is missing, None when that is too.
    """
    match = _STEP.match(key)
    if match is None:
        return None
    section, wanted_index, name = match[1], int(match[2] or 0), (match[3] or "").strip('"')
    here, seen = "", -1
    header_line = None
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.match(line)
        if header:
            here = header[2].strip("\"'")
            if here == section:
                seen += 1
                if seen == wanted_index:
                    header_line = number
            continue
        assignment = _KEY.match(line)
        if assignment is None:
            continue
        found = assignment[1].strip("\"'")
        if here == section and seen == wanted_index and name and found == name:
            return number
        if not here and found in (section, f"{section}.{name}"):
            header_line = header_line or number
    return header_line
