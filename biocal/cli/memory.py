"""What is told when memory runs out: in what phase, and what to do."""

from __future__ import annotations

import errno

_ADVICE = {
    "reading": "keep only the columns that the analysis needs, or save the data as Parquet",
    "simulating": "give it fewer --jobs; finished batches are kept, go on with --resume",
    "fitting": "ask for one --method at a time, and fewer --jobs with --bootstrap",
}
_DRAWING = "ask for fewer methods, subgroups or scenarios at a time"


def is_memory_error(error: BaseException) -> bool:
    """Whether an error came of want of memory, itself or by what it was made of."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        if isinstance(one, MemoryError) or (isinstance(one, OSError) and one.errno == errno.ENOMEM):
            return True
        one = one.__cause__ or one.__context__
    return False


def memory_message(error: BaseException, phase: str) -> str:
    """A sentence on want of memory in a phase such as ``"reading"``; blank before anything was done."""
    during = f"while {phase}" if phase else "while loading what the command needs"
    asked = f" ({error})" if str(error) else ""
    advice = f", or {_ADVICE.get(phase.split(' ', maxsplit=1)[0], _DRAWING)}" if phase else ""
    return f"out of memory {during}{asked}: give it more memory{advice}"
