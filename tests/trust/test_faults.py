"""Commands that are killed, and that find no room: a few of each; `make test-faults` kills many more."""

from __future__ import annotations

import shutil

import pytest
from cli_pool import SPEC, small_pool
from kill_commands import DESIGN, MODES, kill_modes
from kill_sessions import kill_sessions
from limited_commands import LimitedCommands

#: Bytes of a file at most, as when a disk is full: less than any table, than a figure, than a report.
ROOM = (250, 3_000, 20_000)
#: MiB of memory left to a command: nothing can be loaded; little is left when all is.
MEMORY = (0, 8, 200)
_COMMANDS = {
    "fit": ("fit", "--spec", "spec.toml", "--out", "out", "--quiet"),
    "simulate": ("simulate", "design.toml", "--out", "out", "--quiet"),
    "example": ("example", "vitamin-d", "out"),
}


@pytest.mark.parametrize("name", ["fit over earlier results", "simulate, one job", "partition"])
def test_killed_at_any_moment_results_are_whole_or_absent_and_a_rerun_gives_the_reference(name):
    (mode,) = [one for one in MODES if one.name == name]
    assert kill_modes(2, seed=20_261_122, modes=(mode,)) == 2


@pytest.mark.slow
def test_a_federated_session_whose_every_command_is_killed_ends_as_the_reference():
    assert kill_sessions(1, seed=20_261_122) > 50


@pytest.fixture(scope="module")
def commands():
    with LimitedCommands() as server:
        yield server


@pytest.fixture
def place(tmp_path):
    small_pool().to_csv(tmp_path / "pool.csv", index=False)
    (tmp_path / "spec.toml").write_text(SPEC, encoding="utf-8")
    (tmp_path / "design.toml").write_text(DESIGN, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("room", ROOM)
@pytest.mark.parametrize("command", _COMMANDS)
def test_without_room_on_the_disk_commands_say_so_and_leave_no_half_file(commands, place, command, room):
    ended = commands.run(_COMMANDS[command], place, harm={"plain": True, "file_size": room}, seconds=60)
    assert ended.code == 3, ended.err
    lines = ended.err.splitlines()
    assert len(lines) == 1, ended.err
    assert "cannot be written" in lines[0]
    assert "File too large" in lines[0]
    assert not [path for path in place.rglob(".biocal-*")]
    if command == "simulate" and (place / "out").exists():  # what is finished is kept
        again = (*_COMMANDS[command], "--resume")
        assert commands.run(again, place, harm={"plain": True}, seconds=60).code == 0
    else:
        assert not (place / "out").exists()


@pytest.mark.parametrize("left", MEMORY)
@pytest.mark.parametrize("command", ["fit", "simulate"])
def test_without_memory_commands_say_so_and_leave_nothing_half(commands, place, command, left):
    harm = {"plain": True, "memory_left": left * 2**20}
    ended = commands.run(_COMMANDS[command], place, harm=harm, seconds=60)
    if ended.code == 0:
        return
    assert ended.code in (3, 4), ended.err
    (line,) = ended.err.splitlines()
    assert line.startswith("error: out of memory while "), ended.err
    assert not [path for path in place.rglob(".biocal-*")]
    shutil.rmtree(place / "out", ignore_errors=True)
