"""Files of statistics programs that are broken, and small files that unpack into large ones."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from corpus.hostile_input import HostileInput, content, pool_frame, pool_text

_GIB = 2**30


def _zipped(name: str, inside: bytes) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("pool.csv", inside)

    return write


def _zip_bomb(name: str) -> Callable[[Path], object]:
    """An archive that says, truly, that its 1 MB hold 1 GiB of zeros."""

    def write(folder: Path) -> None:
        with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
            with archive.open("pool.csv", "w") as member:
                for _ in range(64):
                    member.write(bytes(2**24))

    return write


def _gzip_of_zeros(head: bytes, size: int) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1, mtime=0) as file:
        file.write(head)
        for _ in range(size // 2**24):
            file.write(bytes(2**24))
    return buffer.getvalue()


def _gzip_bomb(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(_gzip_of_zeros(b"study,set\n", _GIB))


def _rds_of_zeros() -> bytes:
    """A vector of 2^28 numbers, 2 GiB in memory, in about 9 MB: R's header, then zeros."""
    head = b"X\n" + struct.pack(">iii", 2, 0x00040301, 0x00020300) + struct.pack(">ii", 14, 2**28)
    return _gzip_of_zeros(head, 2 * _GIB)


def _parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _long_parquet(folder: Path) -> None:
    """400 million rows of one value in a few hundred kB."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    size = 20_000_000
    names = ("study", "set", "case", "local", "reference")
    values = pa.array(np.zeros(size, dtype=np.int64))
    table = pa.table(dict.fromkeys(names, values))
    with pq.ParquetWriter(folder / "pool.parquet", table.schema, compression="zstd") as writer:
        for _ in range(20):
            writer.write_table(table)


def _wide_text_parquet(folder: Path) -> None:
    """One cell of 1.2 GiB, well compressed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = pa.array(["x" * (400 * 2**20)])
    table = pa.concat_tables([pa.table({"study": text})] * 3)
    pq.write_table(table, folder / "pool.parquet", compression="zstd", use_dictionary=False, row_group_size=1)


def _odd_parquet(column: object) -> Callable[[Path], object]:
    """The pool with `local` of another type."""

    def write(folder: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(pool_frame(), preserve_index=False)
        made = column(table.num_rows) if callable(column) else column
        pq.write_table(table.set_column(3, "local", made), folder / "pool.parquet")

    return write


def _structs(n: int) -> object:
    import pyarrow as pa

    return pa.array([{"value": 1.0, "unit": "nmol/L"}] * n)


def _lists(n: int) -> object:
    import pyarrow as pa

    return pa.array([[1.0, 2.0]] * n)


def _bytes(n: int) -> object:
    import pyarrow as pa

    return pa.array([b"cos\nsystem\n(S'true'\ntR."] * n)


def _dates(n: int) -> object:
    import pyarrow as pa

    return pa.array([19_000] * n, type=pa.date32())


def _twice_named_parquet(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(pool_frame(), preserve_index=False)
    pq.write_table(table.append_column("case", table["case"]), folder / "pool.parquet")


def _false_metadata(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(pool_frame(), preserve_index=False)
    pq.write_table(table.replace_schema_metadata({b"pandas": b"{" * 5000}), folder / "pool.parquet")


def _dta() -> bytes:
    buffer = io.BytesIO()
    names = {"case": "_case", "local": "_local"}  # as pandas spells them in Stata files
    pool_frame().rename(columns=names).to_stata(buffer, write_index=False, version=117)
    return buffer.getvalue()


def _dta_of_rows(rows: int) -> bytes:
    """A Stata file whose header tells of more rows than there are."""
    data = _dta()
    return data.replace(b"<N>" + struct.pack("<I", 120) + b"</N>", b"<N>" + struct.pack("<I", rows) + b"</N>")


def _xpt(observations: bytes = b"") -> bytes:
    """The head of a transport file, then what follows."""
    head = "HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!000000000000000000000000000000  "
    return head.encode() + observations


SUFFIXES = (".parquet", ".dta", ".sas7bdat", ".xpt", ".rds")
_NOISE = bytes((7 * i * i + 3 * i + (i >> 8)) % 256 for i in range(30_000))


def _fit(name: str) -> tuple[str, ...]:
    return ("fit", name, "--exposure", "linear", "--out", "out")


# fmt: off
BINARIES = (
    *(HostileInput(f"{what} named {suffix}", content(data, f"pool{suffix}"), (f"pool{suffix}",), _fit(f"pool{suffix}")) for suffix in SUFFIXES for what, data in (("nothing", b""), ("random bytes", _NOISE), ("a CSV table", pool_text()), ("zeros", bytes(8192)))),
    *(HostileInput(f"a CSV table packed as {suffix}", content(pack(pool_text().encode()), f"pool.csv{suffix}"), (f"pool.csv{suffix}", "compressed"), _fit(f"pool.csv{suffix}")) for suffix, pack in ((".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress))),
    HostileInput("a CSV table packed as .zip", _zipped("pool.csv.zip", pool_text().encode()), ("pool.csv.zip", "zip"), _fit("pool.csv.zip")),
    HostileInput("an archive named .csv", _zipped("pool.csv", pool_text().encode()), ("pool.csv", "zip")),
    HostileInput("a gzip bomb", _gzip_bomb("pool.csv.gz"), ("pool.csv.gz", "compressed"), _fit("pool.csv.gz"), heavy=True),
    HostileInput("a gzip bomb named .csv", _gzip_bomb("pool.csv"), ("pool.csv", "compressed"), heavy=True),
    HostileInput("a zip bomb", _zip_bomb("pool.csv.zip"), ("pool.csv.zip",), _fit("pool.csv.zip"), heavy=True),
    HostileInput("a zip bomb named .csv", _zip_bomb("pool.csv"), ("pool.csv",), heavy=True),
    HostileInput("an R file that unpacks into 2 GiB", lambda folder: (folder / "pool.rds").write_bytes(_rds_of_zeros()), ("pool.rds",), _fit("pool.rds"), heavy=True),
    HostileInput("a Parquet file of 400 million equal rows", _long_parquet, ("pool.parquet",), _fit("pool.parquet"), heavy=True),
    HostileInput("a Parquet file of three cells of 400 MB", _wide_text_parquet, ("pool.parquet",), _fit("pool.parquet"), heavy=True),
    HostileInput("a Parquet file named .csv", content(_parquet(pool_frame())), ("pool.csv", ".parquet")),
    HostileInput("a Parquet file cut off", content(_parquet(pool_frame())[:-100], "pool.parquet"), ("pool.parquet",), _fit("pool.parquet")),
    HostileInput("a Parquet file overwritten in its middle", content(_parquet(pool_frame())[:400] + _NOISE[:500] + _parquet(pool_frame())[900:], "pool.parquet"), ("pool.parquet",), _fit("pool.parquet")),
    HostileInput("a Parquet file with structures in cells", _odd_parquet(_structs), ("pool.parquet", "local"), _fit("pool.parquet")),
    HostileInput("a Parquet file with lists in cells", _odd_parquet(_lists), ("pool.parquet", "local"), _fit("pool.parquet")),
    HostileInput("a Parquet file with pickles in cells", _odd_parquet(_bytes), ("pool.parquet", "local"), _fit("pool.parquet")),
    HostileInput("a Parquet file with dates for numbers", _odd_parquet(_dates), ("pool.parquet", "local"), _fit("pool.parquet")),
    HostileInput("a Parquet file with a column twice", _twice_named_parquet, ("pool.parquet", "case"), _fit("pool.parquet")),
    HostileInput("a Parquet file with broken metadata", _false_metadata, ("pool.parquet", "cannot be read"), ("check", "pool.parquet")),
    HostileInput("a Stata file cut off", content(_dta()[:-3000], "pool.dta"), ("pool.dta",), _fit("pool.dta")),
    HostileInput("a Stata file that claims 4 billion rows", content(_dta_of_rows(2**32 - 1), "pool.dta"), ("pool.dta",), _fit("pool.dta")),
    HostileInput("a Stata file with a hundred bytes too many", content(_dta().replace(b"<varnames>", b"<barnames>" + b"x" * 99), "pool.dta"), ("pool.dta",), _fit("pool.dta")),
    HostileInput("a transport file of a header only", content(_xpt(), "pool.xpt"), ("pool.xpt",), _fit("pool.xpt")),
    HostileInput("a transport file of noise", content(_xpt(_NOISE), "pool.xpt"), ("pool.xpt",), _fit("pool.xpt")),
    HostileInput("a workbook", content(b"PK\x03\x04" + _NOISE, "pool.xlsx"), ("pool.xlsx", "save the sheet as CSV"), _fit("pool.xlsx")),
    HostileInput("an old workbook", content(b"\xd0\xcf\x11\xe0" + _NOISE, "pool.xls"), ("pool.xls", "save the sheet as CSV"), _fit("pool.xls")),
    HostileInput("a PDF", content(b"%PDF-1.7" + _NOISE, "pool.pdf"), ("pool.pdf", "PDF"), _fit("pool.pdf")),
    HostileInput("a pickle", content(b"\x80\x04\x95" + b"cposix\nsystem\n(S'touch pwned'\ntR.", "pool.pkl"), ("pool.pkl",), _fit("pool.pkl")),
    HostileInput("a pickle named .parquet", content(b"cposix\nsystem\n(S'touch pwned'\ntR.", "pool.parquet"), ("pool.parquet",), _fit("pool.parquet")),
    HostileInput("a web page instead of a table", content("<!DOCTYPE html>\n<html><body>Please log in, first</body></html>\n"), ("pool.csv",)),
    HostileInput("a Git LFS pointer instead of a table", content("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n"), ("pool.csv",)),
)
# fmt: on
