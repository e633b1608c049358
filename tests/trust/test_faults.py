"""Commands that are killed, and that find no room: a few of each; `make test-faults` kills many more."""

from __future__ import annotations

import shutil

import pytest
from cli_pool import SPEC, small_pool
from kill_commands import DESIGN, MODES, kill_modes, tree
from kill_sessions import SITES, begin, kill_sessions, run_well
from limited_commands import LimitedCommands

from biocal.datasets import data_root

#: Bytes of a file at most, as when a disk is full: less than any table, than a figure, than a report.
ROOM = (250, 3_000, 20_000)
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


#: Commands that write besides `fit` and `simulate`, each with what was made for it before.
_NEWER = {
    "partition": ("partition", "pool.csv", "--rows", "60", "--out", "deep/out"),
    "plan": ("plan", "planning.toml", "--out", "deep/out"),
    "site init": ("site", "init", "--spec", "site_a/site.toml", "--dir", "deep/out"),
    "site answer": ("site", "answer", "centre/request_000.json", "--dir", "kept_a", "--out", "answer.json"),
    "coordinate init": ("coordinate", "init", "analysis.toml", "--dir", "deep/out"),
    "coordinate step": ("coordinate", "step", "a.json", "d.json", "--dir", "centre"),
}


@pytest.fixture(scope="module")
def federated(commands, tmp_path_factory):
    """Two sites that have answered a centre's first request, and what the other commands need."""
    folder = tmp_path_factory.mktemp("federated")
    begin(commands, folder)
    small_pool().to_csv(folder / "pool.csv", index=False)
    shutil.copy(data_root() / "planning" / "planning.toml", folder)
    for site in SITES:
        words = (
            "site",
            "answer",
            "centre/request_000.json",
            "--dir",
            f"kept_{site}",
            "--out",
            f"{site}.json",
        )
        run_well(commands, words, folder)
    return folder


#: Bytes of a file at most: the key of a site is shorter, and the lines that are told, and nothing else.
_LITTLE = 120


@pytest.mark.parametrize("command", _NEWER)
def test_without_room_on_the_disk_nothing_changes_and_the_same_command_goes_on(
    commands, federated, tmp_path, command
):
    place = tmp_path / "place"
    shutil.copytree(federated, place)
    before = tree(place)
    words = (*_NEWER[command], "--quiet")
    ended = commands.run(words, place, harm={"plain": True, "file_size": _LITTLE}, seconds=60)
    assert ended.code == 3, ended.err
    (line,) = ended.err.splitlines()
    assert "cannot be written" in line
    assert "File too large" in line
    assert not [path for path in place.rglob(".biocal-*")]
    assert not (place / "deep").exists()
    assert tree(place) == before
    assert commands.run(words, place, harm={"plain": True}, seconds=60).code == 0
