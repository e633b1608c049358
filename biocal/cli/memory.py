"""What is told when memory runs out: in what phase, how much was asked for, what to do."""

from __future__ import annotations

import errno
import gc
import os
import re
from types import TracebackType

_MIB = 2**20
#: Address space (MiB) that NumPy and SciPy take with one thread of linear algebra, and more for each further
#: one, as measured with NumPy 2 and SciPy 1.17 on Linux and rounded up.  With less, their libraries end the process.
_ONE_THREAD, _FURTHER_THREAD = 300, 85
#: Threads of OpenBLAS are no more than this.
_MOST_THREADS = 64
#: How NumPy and Arrow say what they were asked for.
_ASKED = (
    (re.compile(r"Unable to allocate ([\d.]+ [KMGTPE]?i?B)"), lambda size: size),
    (re.compile(r"(?:malloc|realloc) of size (\d+) failed"), lambda size: _in_words(int(size))),
)
#: Signs of want of memory in errors of another type.
_SIGNS = (
    "Cannot allocate memory",
    "failed to map segment",
    "can't start new thread",
    "std::bad_alloc",
    "Failed to launch worker thread",
)
_ADVICE = {
    "reading": "keep only the columns that the analysis needs, or save the data as Parquet",
    "simulating": "give it fewer --jobs; finished batches are kept, go on with --resume",
    "fitting": "ask for one --method at a time, and fewer --jobs with --bootstrap",
}
#: Share of the limit of address space beyond which an error that nobody foresaw counts as want of memory (ours).
_NEAR = 0.8
_DRAWING = "ask for fewer methods, subgroups or scenarios at a time"


def is_memory_error(error: BaseException) -> bool:
    """Whether an error came of want of memory, itself or by what it was made of."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        if isinstance(one, MemoryError) or (isinstance(one, OSError) and one.errno == errno.ENOMEM):
            return True
        if any(sign in str(one) for sign in _SIGNS):
            return True
        one = one.__cause__ or one.__context__
    return False


def is_near_the_limit() -> bool:
    """Whether this process has had most of the address space that it may have.

    Libraries that find no room also raise errors of any other type, from "error return without exception set" to those
    of image files.
    """
    limit = address_space()
    return limit is not None and _most_had() > _NEAR * limit


def _most_had() -> int:
    """The most address space that this process has had, in bytes; 0 where that is not known."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            line = next((one for one in status if one.startswith("VmPeak:")), "")
    except OSError:
        return 0
    return int(line.split()[1]) * 1024 if line else 0


def free_what_failed(error: BaseException) -> None:
    """Let go of everything that the functions on the way here still held, so that there is room to tell."""
    one: BaseException | None = error
    while one is not None:
        _clear(one.__traceback__)
        one = one.__cause__ or one.__context__
    gc.collect()


def _clear(place: TracebackType | None) -> None:
    while place is not None:
        try:
            place.tb_frame.clear()
        except RuntimeError:  # it still runs
            pass
        place = place.tb_next


def memory_message(error: BaseException, phase: str) -> str:
    """A sentence on want of memory.

    Parameters
    ----------
    error : BaseException
    phase : str
        What was being done, such as ``"reading"``; blank before anything was.
    """
    asked = next((f" ({words} more were asked for)" for words in _sizes(error)), "")
    if not is_memory_error(error):
        asked = f", as it seems ({type(error).__name__}: {error})"
    return f"out of memory {_while(phase)}{asked}: {_what_to_do(phase)}"


def ended_message(how: str, phase: str) -> str:
    """A sentence on a process under a limit of memory that a library or the system ended.

    Parameters
    ----------
    how : str
        Such as ``"SIGSEGV"``.
    phase : str
        As for `memory_message`.
    """
    return (
        f"the command was ended by the system ({how}) {_while(phase)}, most likely for want of memory: "
        f"{_what_to_do(phase)}; what was not whole is no result"
    )


def _while(phase: str) -> str:
    return f"while {phase}" if phase else "while loading what the command needs"


def _what_to_do(phase: str) -> str:
    advice = _ADVICE.get(phase.split(" ", maxsplit=1)[0], _DRAWING) if phase else ""
    limit = address_space()
    room = "give it more memory"
    if limit is not None:
        room = f"raise the limit of this process, which is {limit / _MIB:,.0f} MiB (ulimit -v)"
    return f"{room}{f', or {advice}' if advice else ''}"


def _in_words(size: int) -> str:
    return f"{size / _MIB:,.1f} MiB" if size >= _MIB else f"{size:,} bytes"


def _sizes(error: BaseException) -> list[str]:
    text = str(error)
    return [words(found[1]) for pattern, words in _ASKED if (found := pattern.search(text))]


def address_space() -> int | None:
    """The limit of this process's address space in bytes; None without one."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def lacking_room() -> str:
    """Why nothing can be begun under this process's limit; blank when it can."""
    limit = address_space()
    least = (_ONE_THREAD + _FURTHER_THREAD * (_threads() - 1)) * _MIB
    if limit is None or limit >= least:
        return ""
    return (
        f"the address space of this process is limited to {limit / _MIB:,.0f} MiB (ulimit -v), too little to load what "
        f"biocal needs: give it {least // _MIB} MiB or more, and some more for the data, or set "
        "OPENBLAS_NUM_THREADS=1"
    )


def settle_libraries() -> None:
    """Let linear algebra take what it needs while there is room: later it would end the process without a word.

    Raises
    ------
    MemoryError
        There is none.
    """
    if address_space() is None:
        return
    import numpy as np

    # Without room OpenBLAS tries again and again for ever, in some versions; NumPy says so at once.
    np.empty(_FURTHER_THREAD * _threads() * _MIB, dtype=np.uint8)
    import scipy.linalg.blas

    some = np.ones((256, 256))
    np.matmul(some, some)
    scipy.linalg.blas.dgemm(1.0, some, some)


def _threads() -> int:
    """Threads of linear algebra that will be started."""
    asked = os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or ""
    cores = os.cpu_count() or 1
    return min(int(asked) if asked.isdecimal() and int(asked) > 0 else cores, cores, _MOST_THREADS)
