"""Columns of a file that are converted when they are asked for, and let go of when they are done with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from biocal.study.cells import RawColumn


class FileColumns(Mapping[str, RawColumn]):
    """Raw columns by name, in the order of the file.

    A table of millions of rows is held once: what was read of a column goes as soon as the pool has its own
    array of it, while the name stays for messages.

    Parameters
    ----------
    columns : mapping of str to callable
        Gives the raw column, anew each time.
    """

    __slots__ = ("_columns",)

    @classmethod
    def held(cls, columns: Mapping[str, RawColumn]) -> FileColumns:
        """Return columns that are there already."""
        return cls({name: partial(itself, column) for name, column in columns.items()})

    def __init__(self, columns: Mapping[str, Callable[[], RawColumn]]) -> None:
        self._columns: dict[str, Callable[[], RawColumn] | None] = dict(columns)

    def __getitem__(self, name: str) -> RawColumn:
        column = self._columns[name]
        assert column is not None, f"column {name} was let go of"
        return column()

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def release(self, name: str) -> None:
        """Let go of the cells of a column; its name stays."""
        import pyarrow as pa

        self._columns[name] = None
        pa.default_memory_pool().release_unused()  # Arrow would keep the room for columns of its own


def itself(column: RawColumn) -> RawColumn:
    """Return the column: what gives one that is there already."""
    return column
