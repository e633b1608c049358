"""The folder of a simulation: whose it is, what it holds already, and whether a run may go on in it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biocal.errors import OptionError, OutputError
from biocal.simulation.design.keys import MOST_REPLICATES
from biocal.simulation.running.parts import BlockPlace, DamagedPartError, index_file
from biocal.simulation.running.schedule import Block, Shard, batch_size, blocks_of, parse_shard, shard_blocks
from biocal.system.bytes import LARGEST_TEXT_OF_OPTIONS, file_bytes
from biocal.system.file_set import undo_stopped
from biocal.system.files import remove_abandoned, replace_file

if TYPE_CHECKING:
    from biocal.simulation.design.design import Design

__all__ = ["DESIGN_FILE", "REPLICATES_FILE", "DesignRecord", "RunFolder", "read_record", "record_of"]

DESIGN_FILE, REPLICATES_FILE, PARTS_FOLDER, FIGURES_FOLDER = (
    "design.json",
    "replicates.parquet",
    "parts",
    "figures",
)
#: What is made from the replicates.
DERIVED_FILES = (
    "performance.csv",
    "summary.csv",
    "differences.csv",
    "coefficients.csv",
    "tests.csv",
    "report.html",
)
#: Changes when the random streams, the batches or the columns of the files do: no mixing then.
FORMAT = 1
#: Bytes of design.json: a spec at its largest, and what JSON adds.
LARGEST_RECORD = 4 * LARGEST_TEXT_OF_OPTIONS
#: Packages whose version can change a number in its last digits.
NUMERIC_PACKAGES = ("biocal", "numpy", "scipy", "pandas", "pyarrow")


@dataclass(frozen=True, slots=True)
class DesignRecord:
    """What design.json says.

    Attributes
    ----------
    format : int
        Of the files and the random streams.
    spec : dict
        The design, as a spec file would hold it, with the seed and number of replicates used.
    replicates, seed : int
    batches : list of int
        Replicates of a batch, by scenario.
    shard : str or None
        ``"i/n"`` when the folder holds one shard.
    complete : bool
        Every batch was run, and the results are written.
    versions : dict
        Of Python, the packages and the machine.
    """

    format: int
    spec: dict[str, Any]
    replicates: int
    seed: int
    batches: list[int]
    shard: str | None
    complete: bool
    versions: dict[str, str]

    @property
    def identity(self) -> dict[str, Any]:
        """What makes two runs one study: everything but the number of replicates and the title."""
        apart = ("replicates", "seed", "title")
        spec = {key: value for key, value in self.spec.items() if key not in apart}
        return {"format": self.format, "spec": spec, "seed": self.seed, "batches": self.batches}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the identity."""
        return sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Batches that the folder is to hold, ordered by scenario and replicate."""
        return shard_blocks(blocks_of(self.batches, self.replicates), parse_shard(self.shard))


def record_of(design: Design, shard: Shard | None = None) -> DesignRecord:
    """Describe a run about to begin with these versions."""
    overridden = {**design.to_dict(), "replicates": design.replicates, "seed": design.seed}
    spec = json.loads(json.dumps(overridden, default=_plain))
    batches = [batch_size(scenario) for scenario in design.scenarios]
    shard_text = str(shard) if shard is not None else None
    return DesignRecord(FORMAT, spec, design.replicates, design.seed, batches, shard_text, False, _versions())


def read_record(folder: Path) -> DesignRecord | None:
    """Read a folder's design.json; None when there is none.

    Raises
    ------
    OutputError
        It is there but is not one that biocal wrote.
    """
    path = folder / DESIGN_FILE
    try:
        found = json.loads(file_bytes(path, most=LARGEST_RECORD))
        return _checked(DesignRecord(**found))
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise OutputError(f"'{folder}' is not a folder", path=str(folder)) from None
    except (ValueError, TypeError, OSError, RecursionError) as fault:
        reason = getattr(fault, "strerror", None) or fault
        raise OutputError(
            f"'{path}' is not a design that biocal simulate wrote ({reason}); name another folder",
            path=str(path),
        ) from fault


def _checked(record: DesignRecord) -> DesignRecord:
    """Return a record whose values are of their kinds; TypeError otherwise."""
    kinds = {"format": int, "spec": dict, "replicates": int, "seed": int, "batches": list, "versions": dict}
    for name, kind in kinds.items():
        if not isinstance(getattr(record, name), kind):
            raise TypeError(f"'{name}' is of another kind")
    if not all(isinstance(size, int) and size > 0 for size in record.batches):
        raise TypeError("'batches' holds no numbers of replicates")
    if not 0 < record.replicates <= MOST_REPLICATES:
        raise TypeError("'replicates' is out of bounds")
    if not isinstance(record.shard, str | None):
        raise TypeError("'shard' is of another kind")
    return record


class RunFolder:
    """A folder that holds one design's results, finished or not.

    Make one with :meth:`begin`, while holding the folder's lock.

    Attributes
    ----------
    path : Path
    record : DesignRecord
        Of the run that goes on now.
    began_empty : bool
        There was nothing to go on with.
    notes : list of str
        What was found and should be told.
    """

    def __init__(self, path: Path, record: DesignRecord) -> None:
        self.path = path
        self.record = record
        self.began_empty = True
        self.notes: list[str] = []

    @property
    def parts(self) -> Path:
        """Folder of the parts."""
        return self.path / PARTS_FOLDER

    @classmethod
    def begin(cls, path: Path, record: DesignRecord, *, resume: bool, force: bool) -> RunFolder:
        """Start or go on in a folder.

        Raises
        ------
        OutputError
            Results are there, and neither `resume` nor `force` is given.
        OptionError
            To resume another design than the folder's.
        """
        folder = cls(path, record)
        undo_stopped(path)
        there = read_record(path) if not force else None
        folder.began_empty = there is None
        if force:
            folder._clear()
        elif there is not None and resume:
            folder._require_same(there)
        else:
            folder._require_empty(there)
        folder.parts.mkdir(exist_ok=True)
        for inner in (folder.parts, path / FIGURES_FOLDER):
            remove_abandoned(inner)
        # a finished folder stays so until there is something to add
        if there is None or not there.complete or there.replicates != record.replicates:
            folder.write_record(complete=False)
        return folder

    def write_record(self, *, complete: bool) -> None:
        """Write design.json."""
        self.record = replace(self.record, complete=complete)
        text = json.dumps(asdict(self.record), indent=2) + "\n"
        replace_file(self.path / DESIGN_FILE, text.encode())

    def found(self) -> dict[Block, BlockPlace]:
        """Return the batches that are there, and where; damaged files are removed, and told."""
        places: dict[Block, BlockPlace] = {}
        for path in self.files():
            try:
                places |= index_file(path, self.record.fingerprint)
            except DamagedPartError as damage:
                self.discard(damage)
        return places

    def files(self) -> list[Path]:
        """Files that may hold batches."""
        merged = self.path / REPLICATES_FILE
        return [*sorted(self.parts.glob("*.parquet")), *([merged] if merged.exists() else [])]

    def discard(self, damage: DamagedPartError) -> None:
        """Remove a damaged file, so that its batches are run again."""
        self.notes.append(f"{damage}: its batches are run again")
        damage.path.unlink(missing_ok=True)

    def leave_no_trace(self) -> None:
        """Undo the beginning of a run that stopped before it had anything to keep."""
        if self.began_empty and not self.files():
            (self.path / DESIGN_FILE).unlink(missing_ok=True)
            with suppress(OSError):
                self.parts.rmdir()

    def remove_parts(self) -> None:
        """Remove the parts once replicates.parquet holds all of them."""
        for path in self.parts.glob("*.parquet"):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # a file of the user's may be there
            self.parts.rmdir()

    def _clear(self) -> None:
        """Remove earlier results; first of all design.json no longer says that they are complete."""
        try:
            earlier = read_record(self.path)
        except OutputError:
            earlier = None
        if earlier is not None:
            RunFolder(self.path, earlier).write_record(complete=False)
        else:
            (self.path / DESIGN_FILE).unlink(missing_ok=True)
        for name in (REPLICATES_FILE, *DERIVED_FILES):
            (self.path / name).unlink(missing_ok=True)
        self.remove_parts()
        figures = self.path / FIGURES_FOLDER
        for path in [*figures.glob("*.png"), *figures.glob("*.svg")]:
            path.unlink(missing_ok=True)

    def _require_empty(self, there: DesignRecord | None) -> None:
        names = (DESIGN_FILE, REPLICATES_FILE, *DERIVED_FILES)
        existing = [name for name in names if os.path.lexists(self.path / name)]
        if any(self.parts.glob("*.parquet")):
            existing.append(PARTS_FOLDER)
        if not existing:
            return
        if there is not None and not there.complete:
            what = "holds a simulation that is not finished: add --resume to go on"
        elif there is not None:
            what = "holds a finished simulation: name another folder"
        else:
            what = f"holds {existing[0]}, and no {DESIGN_FILE} that would say of what: name another folder"
        raise OutputError(f"'{self.path}' {what}, or add --force to begin anew", path=str(self.path))

    def _require_same(self, there: DesignRecord) -> None:
        here = self.record
        changes = changes_of(there, here)
        if changes:
            more = f" (and {len(changes) - 1} more)" if len(changes) > 1 else ""
            raise OptionError(
                f"'{self.path}' was begun with another design, {changes[0]}{more}: name another folder, or add "
                "--force to begin anew",
                differences=tuple(changes),
            )
        if there.replicates > here.replicates:
            raise OptionError(
                f"'{self.path}' was begun with {there.replicates:,} replicates, now there are to be "
                f"{here.replicates:,}: a run can be extended, not cut"
            )
        if there.replicates < here.replicates:
            self.notes.append(
                f"extending '{self.path}' from {there.replicates:,} to {here.replicates:,} replicates"
            )
        versions = list(differences(there.versions, here.versions))
        if versions:
            self.notes.append(
                f"'{self.path}' was begun with other versions ({'; '.join(versions)}): numbers of the two runs may "
                "differ in their last digits, or by what biocal's CHANGELOG says"
            )


def changes_of(there: DesignRecord, here: DesignRecord) -> list[str]:
    """What differs between two runs that should be parts of one study, such as ``seed 1 there, 2 here``."""
    before, now = ({**record.identity, "shard": record.shard} for record in (there, here))
    if before == now:
        return []
    # other batches come from another design, and would be named beside it
    if before["spec"] != now["spec"]:
        before["batches"] = now["batches"] = []
    return list(differences(before, now))


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in NUMERIC_PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _plain(value: Any) -> Any:
    """Numbers of NumPy, tuples and paths as JSON holds them."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)


def differences(before: Any, now: Any, key: str = "") -> Iterable[str]:
    """Keys whose values differ, as in a spec file."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in [*before, *(name for name in now if name not in before)]:
            inner = name if key in ("", "spec") else f"{key}.{name}"
            yield from differences(before.get(name), now.get(name), inner)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for index, pair in enumerate(zip(before, now, strict=True)):
            yield from differences(*pair, f"{key}[{index}]")
    elif before != now:
        yield f"{key} {_shown(before)} there, {_shown(now)} here"


def _shown(value: Any) -> str:
    text = "absent" if value is None else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
