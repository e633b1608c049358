"""Under a limit of memory a command runs in a child process: libraries that find no room may end it by a signal.

pandas' hash tables do not ask whether there is room, Arrow aborts where it cannot return an error, and OpenBLAS ends
the process or writes lines of its own.  None of this can be caught from inside; who waits outside can tell it.
"""

from __future__ import annotations

import mmap
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from biocal.cli.memory import address_space, ended_message
from biocal.cli.messages import tell
from biocal.cli.progress import show_phases_to

#: Bytes that both processes see: the exit code plus one once there is one, then the name of the phase.
_PAGE = 4096
#: A signal that somebody sent to this process alone; those of a terminal reach the child too.
_SENT_BY_SOMEBODY = 0
#: prctl(2): the signal to be sent when the parent dies; who adopts processes whose parent has died.
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
#: Seconds that processes left behind have to end by themselves, as they do once they see that nobody asks for them.
_TO_END = 2.0
#: Processes that tidy up (shared memory, temporary folders) when all others are gone; they are let do it.
_TIDYING = b"resource_tracker"
_HANDED_ON = (signal.SIGINT, signal.SIGTERM)
#: In the child, the page that both processes see.
_shared: list[mmap.mmap] = []


def needs_supervision() -> bool:
    """Whether a signal may end this process for want of memory: on Linux, under a limit of address space."""
    return sys.platform == "linux" and address_space() is not None


def run_supervised(command: Callable[[], int], *, debug: bool = False) -> int:
    """Run a command in a child process and tell in a line when a library or the system ended it.

    To be called before any thread is started, and returns in both processes, which must end then.  What libraries
    write to the standard error themselves, which no user of ours asked for, is kept out of it.

    Parameters
    ----------
    command : callable
        Returns its exit code, and has told what there is to tell.
    debug : bool
        Show what libraries wrote.

    Returns
    -------
    int
        What the command returned; 1 when it was ended before it could.
    """
    page = mmap.mmap(-1, _PAGE)
    _control(_PR_SET_CHILD_SUBREAPER, 1)
    noise = os.memfd_create("biocal-noise")
    # waited for below, and not lost between the fork and the waiting
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD, *_HANDED_ON))
    ourselves = os.getpid()
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)
        _end_with(ourselves)
        _divert_libraries(noise)
        show_phases_to(lambda name: _note_phase(page, name))
        _shared.append(page)
        code = command()
        note_exit_code(code)
        return code
    ended = os.waitstatus_to_exitcode(_wait(child))
    _end_what_is_left()
    if debug:
        os.lseek(noise, 0, os.SEEK_SET)
        sys.stderr.write(os.read(noise, 2**20).decode(errors="replace"))
    if page[0]:
        return page[0] - 1
    how = _signal_name(-ended) if ended < 0 else f"exit code {ended} of a library"
    tell("error", ended_message(how, _noted_phase(page)))
    return 1


def note_exit_code(code: int) -> None:
    """Let the process that waits, where there is one, know that the command has told all, and how it ends."""
    for page in _shared:
        page[0] = code + 1


def _wait(child: int) -> int:
    """Wait for the child to end, handing on what others ask of this process."""
    while True:
        told = signal.sigwaitinfo((signal.SIGCHLD, *_HANDED_ON))
        if told.si_signo == signal.SIGCHLD:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return status
        elif told.si_code == _SENT_BY_SOMEBODY:
            os.kill(child, told.si_signo)


def _end_with(parent: int) -> None:
    """Die with the process that waits, which may be killed."""
    _control(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _control(option: int, value: int) -> None:
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _end_what_is_left() -> None:
    """End workers that the command started and left behind: some would be idle for minutes, holding its output open."""
    _wait_for_the_rest()
    for number, words in _children():
        if _TIDYING not in words:
            _kill(number)
    _wait_for_the_rest()
    for number, _ in _children():
        _kill(number)
        _reap()


def _wait_for_the_rest() -> None:
    until = time.monotonic() + _TO_END
    while _reap() and time.monotonic() < until:
        time.sleep(0.01)


def _reap() -> bool:
    """Take note of children that have ended; whether there are others."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _children() -> list[tuple[int, bytes]]:
    """Number and command line of the processes that this one started or adopted."""
    ourselves, found = str(os.getpid()), []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            after_name = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if after_name[1] == ourselves:
                found.append((int(folder.name), (folder / "cmdline").read_bytes()))
    return found


def _kill(number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(number, signal.SIGKILL)


def _divert_libraries(noise: int) -> None:
    """Let Python alone write to the standard error."""
    if sys.stderr is None:
        return
    ours = os.dup(2)
    os.dup2(noise, 2)
    encoding, errors = sys.stderr.encoding, sys.stderr.errors
    sys.stderr = open(ours, "w", buffering=1, encoding=encoding, errors=errors)  # open as long as we live


def _note_phase(page: mmap.mmap, name: str) -> None:
    content = name.encode()[: _PAGE - 2]
    page[1 : len(content) + 2] = content + b"\0"


def _noted_phase(page: mmap.mmap) -> str:
    return page[1:].split(b"\0", maxsplit=1)[0].decode(errors="replace")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
