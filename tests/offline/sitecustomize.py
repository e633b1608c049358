"""Refuse every connection: Python reads this before anything else where this folder is in PYTHONPATH.

Child processes inherit it.  Sockets of the file system (AF_UNIX), through which processes of one machine speak,
are no network.
"""

from __future__ import annotations

import sys

_OUTWARD = {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"}
_NAMES = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "urllib.Request"}


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event in _NAMES or (event in _OUTWARD and not isinstance(arguments[1], str | bytes)):
        raise RuntimeError(f"a connection to a network was tried: {event} {arguments[-1]!r}")


sys.addaudithook(_refuse)
