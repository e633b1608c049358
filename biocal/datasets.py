"""The bundled data: loaded as tables, or copied as examples to run.

An example is a folder of the bundled data that holds a README.md; its name is the folder's, with hyphens.
"""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from biocal.errors import OptionError, OutputError
from biocal.system.file_set import undo_stopped, write_set

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["copy_example", "data_root", "example_names", "load_infertility", "load_vitamin_d"]

NMOL_PER_NG = 2.496  # nmol/L of 25(OH)D in one ng/mL


def data_root() -> Path:
    """Return the folder of the bundled data.

    Returns
    -------
    Path
        ``biocal/_data`` of an installed wheel, else ``data/`` of the source tree.

    Examples
    --------
    >>> from biocal.datasets import data_root
    >>> (data_root() / "vitamin_d" / "truth.toml").is_file()
    True
    """
    # An editable install has no biocal/_data: only the wheel carries the copy.
    packaged = Path(str(files("biocal"))) / "_data"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "data"


def _with_dictionary(table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Attach the dictionary's units and meanings to a table read from its folder."""
    import pandas as pd

    dictionary = pd.read_csv(folder / "dictionary.csv", dtype=str, keep_default_na=False)
    by_column = dictionary.set_index("column")
    table.attrs["units"] = {str(name): str(unit) for name, unit in by_column["unit"].items() if unit}
    table.attrs["meanings"] = {str(name): str(meaning) for name, meaning in by_column["meaning"].items()}
    table.attrs["dictionary"] = str(folder / "dictionary.csv")
    return table


def load_vitamin_d() -> pd.DataFrame:
    """Load the synthetic vitamin D consortium: 17 nested case-control studies of colorectal cancer.

    The data are synthetic; no row is a person.  See ``data/vitamin_d/README.md``.

    Returns
    -------
    DataFrame, shape (12813, 13)
        The rows of all cohort files as they are, one a participant.  25(OH)D is in ``local`` (the
        cohort's own laboratory) and ``reference``, both in nmol/L, except that ``local`` of cohort Ginkgo
        is in ng/mL.  ``attrs`` holds ``units`` and ``meanings`` by column, ``scale_local`` (the factor that
        brings Ginkgo to nmol/L, as `PooledStudies.from_frame` takes it), ``synthetic`` and ``source``.

    Examples
    --------
    >>> from biocal.datasets import load_vitamin_d
    >>> people = load_vitamin_d()
    >>> int((people["case"] == 1).sum()), int((people["case"] == 0).sum())
    (5706, 7107)
    >>> people.attrs["units"]["reference"], people.attrs["scale_local"]
    ('nmol/L', {'Ginkgo': 2.496})
    """
    import pandas as pd

    folder = data_root() / "vitamin_d"
    cohorts = [pd.read_csv(file) for file in sorted((folder / "cohorts").glob("*.csv"))]
    # A column blank in all of one cohort's rows reads as float there; that is the type it has in the others.
    people = _with_dictionary(pd.concat(cohorts, ignore_index=True), folder)
    people.attrs["scale_local"] = {"Ginkgo": NMOL_PER_NG}
    people.attrs["synthetic"] = True
    people.attrs["source"] = (
        "Synthetic, made by data/vitamin_d/make_data.py after facts published by McCullough et al., "
        "J Natl Cancer Inst 2019;111:158-169; no row is a person."
    )
    return people


def load_infertility() -> pd.DataFrame:
    """Load R's ``infert``: a 1:2 matched study of infertility after abortion.

    Real data without a biomarker, for the plain conditional logistic regression.

    Returns
    -------
    DataFrame, shape (248, 8)
        83 matched sets, a row a woman.  ``attrs`` holds ``units`` and ``meanings`` by column,
        ``synthetic`` and ``source``.

    References
    ----------
    .. [1] Trichopoulos et al. Induced abortion and secondary infertility. Br J Obstet Gynaecol
       1976;83:645-650.

    Examples
    --------
    >>> from biocal.datasets import load_infertility
    >>> women = load_infertility()
    >>> women["set"].nunique(), int(women["case"].sum())
    (83, 83)
    """
    import pandas as pd

    folder = data_root() / "infertility"
    women = _with_dictionary(pd.read_csv(folder / "infert.csv"), folder)
    women.attrs["synthetic"] = False
    women.attrs["source"] = (
        "R package datasets, infert: Trichopoulos et al., Br J Obstet Gynaecol 1976;83:645-650."
    )
    return women


def example_names() -> tuple[str, ...]:
    """Return the names `copy_example` knows, sorted.

    Returns
    -------
    tuple of str
        One for each folder of the bundled data that has a README.md, with hyphens for underscores.

    Examples
    --------
    >>> from biocal.datasets import example_names
    >>> "vitamin-d" in example_names()
    True
    """
    readmes = data_root().glob("*/README.md")
    return tuple(sorted(readme.parent.name.replace("_", "-") for readme in readmes))


def copy_example(
    name: str, target: str | os.PathLike[str] | None = None, *, force: bool = False
) -> tuple[Path, ...]:
    """Copy a bundled example (data, spec, README) into a folder, whole or not at all.

    Parameters
    ----------
    name : str
        One of `example_names`, such as ``"vitamin-d"``.
    target : path, optional
        Folder to copy into, made when absent; default a folder of the example's name in the working
        folder.  Other files in it are left alone.
    force : bool, default False
        Replace files of the same names.

    Returns
    -------
    tuple of Path
        The files written, sorted.

    Raises
    ------
    OptionError
        No example has this name (attributes: name, allowed).
    OutputError
        A file is there already and ``force`` was not given (attribute: existing), or the folder cannot
        be written.

    Examples
    --------
    >>> import tempfile
    >>> from biocal.datasets import copy_example
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = copy_example("infertility", folder)
    >>> "analysis.toml" in [file.name for file in files]
    True
    """
    names = example_names()
    if name not in names:
        raise OptionError(
            f"there is no example named {name!r}; choose one of: {', '.join(names)}", name=name, allowed=names
        )
    source = data_root() / name.replace("-", "_")
    destination = Path(name) if target is None else Path(target)
    try:
        return _copy_tree(source, destination, force=force)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"the example {name!r} cannot be written to {str(destination)!r}: {reason}; "
            "nothing was left half written; choose a folder you may write to",
            path=str(destination),
        ) from error


def _copy_tree(source: Path, destination: Path, *, force: bool) -> tuple[Path, ...]:
    """Copy the files of one folder into another, all or none."""
    if destination.exists() and not destination.is_dir():
        raise OutputError(
            f"{str(destination)!r} is a file; the example needs a folder", existing=(str(destination),)
        )
    found = [path for path in source.rglob("*") if path.is_file() and not _is_no_example_file(path, source)]
    relative = sorted(path.relative_to(source) for path in found)
    undo_stopped(destination)
    _refuse_to_overwrite([destination / path for path in relative], force=force)
    write_set(destination, {path.as_posix(): (source / path).read_bytes() for path in relative})
    return tuple(destination / path for path in relative)


def _is_no_example_file(path: Path, source: Path) -> bool:
    """Whether a file is hidden, or Python's own."""
    return any(
        part == "__pycache__" or part.startswith(".") or part.endswith(".pyc")
        for part in path.relative_to(source).parts
    )


def _refuse_to_overwrite(paths: list[Path], *, force: bool) -> None:
    """Raise when a file to be written is there already (or, even with force, a folder in its place)."""
    existing = [str(path) for path in paths if path.exists() and (path.is_dir() or not force)]
    if existing:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise OutputError(
            f"{existing[0]!r}{more} would be overwritten; choose another folder, or give --force to replace",
            existing=tuple(existing),
        )
