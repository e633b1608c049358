"""Merging the shards of an array job into one result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from biocal.errors import InputError, OptionError
from biocal.simulation.running.engine import Finish, RunReport, made_folder, told_of_lost_places
from biocal.simulation.running.folder import REPLICATES_FILE, DesignRecord, RunFolder, changes_of, read_record
from biocal.simulation.running.lock import FolderLock, is_locked
from biocal.simulation.running.merging import merge_blocks
from biocal.simulation.running.parts import BlockPlace, DamagedPartError, index_file
from biocal.simulation.running.schedule import Block, Shard, parse_shard

__all__ = ["ShardError", "merge_folders"]

#: Shards named in a message before the rest are only counted.
MOST_NAMED = 8


class ShardError(InputError):
    """Shards do not make one whole (attribute: problems)."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems), problems=tuple(problems))


def merge_folders(folders: Sequence[Path], path: Path, *, force: bool, finish: Finish | None) -> RunReport:
    """Put the shards' batches together in a folder of their own.

    Parameters
    ----------
    folders : sequence of Path
        One a shard, each finished.
    path : Path
        Where the results go.
    force : bool
        Replace results that are there.
    finish : callable, optional
        Called with the folder once its replicates.parquet is there.

    Raises
    ------
    ShardError
        Shards are missing, doubled, unfinished, or of different designs: every problem found.
    OutputError
        The results cannot be written.
    """
    if path.resolve() in {folder.resolve() for folder in folders}:
        raise OptionError(f"'{path}' is one of the shards: merge them into a folder of its own", option="out")
    records = _one_study({folder: _record(folder) for folder in folders})
    places = _places(records)
    record = replace(next(iter(records.values())), shard=None)
    with made_folder(path), told_of_lost_places(path):
        with FolderLock(path):
            # what a merge that was stopped left is no result yet: it is begun anew unasked
            there = None if force else read_record(path)
            unfinished = there is not None and not there.complete
            target = RunFolder.begin(path, record, resume=unfinished, force=force)
            try:
                merge_blocks(record.blocks, places, path / REPLICATES_FILE, record.fingerprint)
            except DamagedPartError as damage:
                raise ShardError([_damaged(damage)]) from damage
            if finish is not None:
                finish(path)
            target.remove_parts()
            target.write_record(complete=True)
    total = sum(block.count for block in record.blocks)
    return RunReport(path, total, 0, tuple(target.notes))


def _record(folder: Path) -> DesignRecord:
    record = read_record(folder)
    if record is None:
        where = "has no design.json" if folder.is_dir() else "is not a folder"
        raise ShardError([f"'{folder}' {where}: name the --out folders of the shards"])
    return record


def _one_study(records: dict[Path, DesignRecord]) -> dict[Path, DesignRecord]:
    """The records, if they are all shards of one design, each once."""
    first_folder, first = next(iter(records.items()))
    problems = []
    for folder, record in records.items():
        changes = changes_of(replace(first, shard=None), replace(record, shard=None))
        if first.replicates != record.replicates:
            changes.append(f"replicates {first.replicates} there, {record.replicates} here")
        if changes:
            problems.append(f"'{folder}' has another design than '{first_folder}': {changes[0]}")
    if problems:
        raise ShardError(problems)
    shards = {folder: parse_shard(record.shard) or Shard(1, 1) for folder, record in records.items()}
    counts = Counter(shard.of for shard in shards.values())
    if len(counts) > 1:
        found = " and ".join(f"{number} shards of {of}" for of, number in sorted(counts.items()))
        raise ShardError([f"the folders are parts of different divisions: {found}"])
    of = next(iter(counts))
    held = Counter(shard.index for shard in shards.values())
    for index, number in sorted(held.items()):
        if number > 1:
            folders = ", ".join(f"'{folder}'" for folder, shard in shards.items() if shard.index == index)
            problems.append(f"shard {index}/{of} is there {number} times: {folders}")
    missing = [index for index in range(1, of + 1) if index not in held]
    if missing:
        named = ", ".join(map(str, missing[:MOST_NAMED])) + (", ..." if len(missing) > MOST_NAMED else "")
        problems.append(f"{len(missing)} of {of} shards are missing: {named}")
    if problems:
        raise ShardError(problems)
    return records


def _places(records: dict[Path, DesignRecord]) -> dict[Block, BlockPlace]:
    """Where the batches of all shards are, if all of them are there."""
    places: dict[Block, BlockPlace] = {}
    problems = []
    for folder, record in records.items():
        found: dict[Block, BlockPlace] = {}
        for path in RunFolder(folder, record).files():
            try:
                found |= index_file(path, record.fingerprint)
            except DamagedPartError as damage:
                problems.append(_damaged(damage))
        lacking = sum(block not in found for block in record.blocks)
        if lacking:
            state = "is still running" if is_locked(folder) else "is not finished: run it again with --resume"
            problems.append(f"'{folder}' {state} (it lacks {lacking} of {len(record.blocks)} batches)")
        places |= found
    if problems:
        raise ShardError(problems)
    return places


def _damaged(damage: DamagedPartError) -> str:
    return f"{damage}: run that shard again with --resume"
