"""What was asked for: the options of the command line over those of a spec."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from biocal.cli.options.options import Option, from_words, option_of
from biocal.cli.options.table import EXCLUSIVE, OPTIONS, READING
from biocal.system.bytes import is_text

if TYPE_CHECKING:
    from biocal.pool.pooled import PooledStudies

#: Options of files and folders, whose names may be any bytes.
_PLACES = ("files", "spec", "out")


@dataclass(frozen=True, slots=True)
class Settings:
    """Values that were given, by key; defaults are those of the functions that take them.

    Attributes
    ----------
    values : mapping of str
        Options and keys given, the command line's over the file's.
    typed : frozenset of str
        Keys given on the command line.
    spec : str
        Path of the spec; blank without one.
    """

    values: Mapping[str, Any]
    typed: frozenset[str]
    spec: str = ""

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or the default when it was not given."""
        return self.values.get(key, default)

    def given(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return those of some keys that were given."""
        return {key: self.values[key] for key in keys if key in self.values}

    def reading(self, keys: Iterable[str] = READING) -> dict[str, Any]:
        """Return what was given of how the data are read, as `biocal.read_studies` takes it."""
        found = self.given(keys)
        if found.get("person") == "":
            found["person"] = None  # every row a person of its own
        return found

    @property
    def quiet(self) -> bool:
        """Whether only errors are told."""
        return bool(self.get("quiet", False))

    def require(self, key: str, what: str) -> Any:
        """Return the value of a key that the command cannot do without."""
        if self.values.get(key) in (None, [], ()):
            usage_error(f"{what} (or give --spec FILE.toml with '{key}')")
        return self.values[key]


def usage_error(message: str) -> NoReturn:
    """Refuse the words typed: exit code 2."""
    raise _UsageError(message)


#: click's UsageError, wherever this version of typer keeps click.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def takes(*options: str | Option) -> Callable[[Callable[[Settings], None]], Callable[..., None]]:
    """Make a command of a function of the settings: it takes these options, of the table unless of its own."""
    chosen = {one.key: one for one in (OPTIONS[one] if isinstance(one, str) else one for one in options)}

    def command_of(function: Callable[[Settings], None]) -> Callable[..., None]:
        def command(context: typer.Context, **_: Any) -> None:
            function(_gather(context.params, chosen))

        of_context = Parameter("context", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        parameters = [of_context, *(one.parameter() for one in chosen.values())]
        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {one.name: one.annotation for one in parameters}
        return command

    return command_of


def _gather(parameters: Mapping[str, Any], options: Mapping[str, Option]) -> Settings:
    """Put together a command's options and the spec they name."""
    typed = _typed(parameters, options)
    path = parameters.get("spec")
    if not path:
        return Settings(_expanded(typed), frozenset(typed))
    from biocal.cli.options.spec import read_spec

    values = read_spec(path)
    for group in EXCLUSIVE:
        if any(key in typed for key in group):
            values = {key: value for key, value in values.items() if key not in group}
    return Settings(values | _expanded(typed), frozenset(typed), path)


def _typed(parameters: Mapping[str, Any], options: Mapping[str, Option]) -> dict[str, Any]:
    """Options given on the command line, read and checked."""
    typed = {}
    for key, value in parameters.items():
        if key == "spec" or value is None or value is False or value in ([], ()):
            continue
        if key not in _PLACES:
            _require_text(key, value)
        try:
            typed[key] = from_words(options[key], list(value) if isinstance(value, tuple) else value)
        except ValueError as fault:
            usage_error(f"Invalid value for '{option_of(key)}': {fault}")
    for group in EXCLUSIVE:
        several = [option_of(key) for key in group if key in typed]
        if len(several) > 1:
            usage_error(f"{' and '.join(several)} say the same thing in different ways; give one of them")
    return typed


def _require_text(key: str, value: Any) -> None:
    """Refuse bytes that are not UTF-8, which no table and no report could hold."""
    for word in value if isinstance(value, list | tuple) else [value]:
        if isinstance(word, str) and not is_text(word):
            usage_error(
                f"Invalid value for '{option_of(key)}': '{word}' is not text in UTF-8; type it in a terminal that is "
                "set to UTF-8, or write it into a spec (--spec FILE.toml)"
            )


def _expanded(typed: dict[str, Any]) -> dict[str, Any]:
    """Expand patterns among the files, for shells that do not."""
    if "files" not in typed:
        return typed
    import os

    from biocal.cli.options.spec import PatternTooWideError, matching_files
    from biocal.errors import InputError

    try:
        files = [name if os.path.exists(name) else matching_files("", name) for name in typed["files"]]
    except (FileNotFoundError, PatternTooWideError) as fault:
        raise InputError(str(fault)) from None
    flat = [name for one in files for name in ([one] if isinstance(one, str) else one)]
    return typed | {"files": flat}


def read_pool(settings: Settings) -> PooledStudies:
    """Read the studies that the settings name.

    Raises
    ------
    click.UsageError
        No files.
    InputError
        Data that cannot be used.
    """
    from biocal.pool.reading import read_studies

    files, options = reading_options(settings)
    return read_studies(files, **options)


def reading_options(settings: Settings) -> tuple[list[str], dict[str, Any]]:
    """Return the files, and the arguments of `biocal.read_studies`.

    Raises
    ------
    click.UsageError
        No files.
    """
    files = settings.require("files", "No data: name at least one FILE")
    return files, settings.reading()


def read_pools(settings: Settings) -> tuple[PooledStudies, ...]:
    """Read the imputations that the settings name, or the one pool without any.

    Raises
    ------
    click.UsageError
        No files, or two ways to tell imputations apart.
    InputError
        Data that cannot be used.
    """
    column, each_file = settings.get("imputation"), settings.get("imputation_files", False)
    if not column and not each_file:
        return (read_pool(settings),)
    from biocal.pool.imputed_files import read_imputations

    if column and each_file:
        usage_error(
            "--imputation and --imputation-files tell imputations apart in two ways; give one of them"
        )
    if settings.get("bootstrap") or settings.get("aic"):
        usage_error("--bootstrap and --aic cannot be used with imputations")
    files, options = reading_options(settings)
    return read_imputations(files, imputation=column or None, **options)


def require_calibration(pool: PooledStudies) -> None:
    """Tell every study that cannot be calibrated, with its file.

    Raises
    ------
    DataProblemsError
        There are such studies.
    """
    from biocal.errors import DataProblemsError
    from biocal.pool.checks.report import calibration_problems

    problems = calibration_problems(pool)
    if problems:
        raise DataProblemsError(problems)
