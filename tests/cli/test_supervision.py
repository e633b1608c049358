"""Under a limit of memory a process waits for another that works, and tells what that one cannot."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from biocal.cli.memory import address_space

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are of Linux here")

#: MiB: nothing runs out.
ENOUGH = 8192
_START = f"""
import os, resource, signal, sys, time
resource.setrlimit(resource.RLIMIT_AS, ({ENOUGH} << 20, {ENOUGH} << 20))
from biocal.cli import main
from biocal.cli.progress import phase
def command(arguments=None):
{{body}}
main._command = command
main.run()
"""
_WAIT = """
    open("child", "w").write(str(os.getpid()))
    time.sleep(60)
"""


def started(folder, body):
    words = [sys.executable, "-c", _START.format(body=body)]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, cwd=folder, stdout=pipe, stderr=pipe, text=True)


def ended(folder, body):
    process = started(folder, body)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL", "SIGBUS"])
def test_a_command_that_a_signal_ends_is_told_in_one_line_with_its_phase(tmp_path, name):
    code, _, err = ended(
        tmp_path,
        f"""
    os.write(2, b"a library: malloc failed\\n")
    with phase("reading"):
        os.kill(os.getpid(), signal.{name})
""",
    )
    assert code == 1
    assert err == (
        f"error: the command was ended by the system ({name}) while reading, most likely for want of memory: raise the "
        f"limit of this process, which is {ENOUGH:,} MiB (ulimit -v), or keep only the columns that the analysis "
        "needs, or save the data as Parquet; what was not whole is no result\n"
    )


def test_the_phase_of_an_error_is_told_when_its_telling_finds_no_room(tmp_path):
    body = """
    with phase("fitting"):
        pass
    try:
        with phase("drawing"):
            raise MemoryError
    except MemoryError:
        os.abort()
"""
    assert "(SIGABRT) while drawing, " in ended(tmp_path, body)[2]


def test_a_library_that_ends_the_process_by_itself_is_told(tmp_path):
    code, _, err = ended(tmp_path, "    os.write(2, b'symbol lookup error\\n'); os._exit(127)")
    assert code == 1
    assert err.startswith(
        "error: the command was ended by the system (exit code 127 of a library) while loading "
    )
    assert err.count("\n") == 1


def test_what_fails_after_the_command_has_ended_does_not_matter(tmp_path):
    body = """
    import atexit
    atexit.register(os.abort)
"""
    assert ended(tmp_path, body) == (0, "", "")


def test_output_errors_and_exit_codes_are_the_command_s_own(tmp_path):
    code, out, err = ended(
        tmp_path, "    print('results'); print('told', file=sys.stderr); raise SystemExit(4)"
    )
    assert (code, out, err) == (4, "results\n", "told\n")
    assert ended(tmp_path, "    pass")[0] == 0


@pytest.mark.parametrize(("sent", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_signals_to_the_waiting_process_reach_the_command(tmp_path, sent, code):
    process = started(tmp_path, _WAIT)
    child = awaited(tmp_path)
    process.send_signal(signal.Signals[sent])
    process.communicate(timeout=30)
    assert process.returncode == code
    assert not is_running(child)


def test_a_command_ends_with_the_process_that_waits_for_it(tmp_path):
    process = started(tmp_path, _WAIT)
    child = awaited(tmp_path)
    process.kill()
    process.communicate(timeout=30)
    until = time.monotonic() + 10
    while is_running(child) and time.monotonic() < until:
        time.sleep(0.01)
    assert not is_running(child)


def test_workers_that_the_command_leaves_behind_end_with_it(tmp_path):
    body = """
    import subprocess
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    open("child", "w").write(str(left.pid))
    os.abort()
"""
    code, _, err = ended(tmp_path, body)
    assert code == 1
    assert "(SIGABRT)" in err
    assert not is_running(int((tmp_path / "child").read_text()))


def test_who_tidies_up_is_let_do_it(tmp_path):
    body = """
    import subprocess
    words = "import time; time.sleep(2.5); open('tidy', 'w').close()  # resource_tracker"
    subprocess.Popen([sys.executable, "-c", words])
"""
    assert ended(tmp_path, body)[0] == 0
    assert (tmp_path / "tidy").exists()


@pytest.mark.parametrize("error", ["MemoryError('no room')", 'RuntimeError("can\'t start new thread")'])
def test_a_thread_of_a_library_that_finds_no_room_ends_the_command(tmp_path, error):
    """Its work would be waited for in vain: the manager of worker processes is such a thread."""
    body = f"""
    import threading
    def fail():
        raise {error}
    with phase("simulating"):
        threading.Thread(target=fail).start()
        time.sleep(60)
"""
    code, _, err = ended(tmp_path, body)
    assert code == 4
    assert err.startswith("error: out of memory while simulating")
    assert err.count("\n") == 1


def test_other_errors_of_threads_are_shown(tmp_path):
    body = """
    import threading
    def fail():
        raise ValueError("another")
    one = threading.Thread(target=fail)
    one.start()
    one.join()
"""
    code, _, err = ended(tmp_path, body)
    assert code == 0
    assert "ValueError: another" in err


def awaited(folder):
    """Number of the process of the command, once it is at work."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        written = (folder / "child").read_text() if (folder / "child").exists() else ""
        if written:
            return int(written)
        time.sleep(0.01)
    raise AssertionError("the command did not begin")


def is_running(number):
    """Whether a process is there and no zombie."""
    try:
        with open(f"/proc/{number}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_without_a_limit_a_command_runs_in_the_process_that_was_started(tmp_path):
    words = [
        sys.executable,
        "-c",
        "import os\nfrom biocal.cli import main\nprint(os.getpid())\n"
        "main._command = lambda words: print(os.getpid())\nmain.run()",
    ]
    if address_space() is not None:
        pytest.skip("the tests run under a limit of their own")
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True)
    first, second = done.stdout.split()
    assert first == second
