"""Bundled data are found, loaded with their units, and copied whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from biocal import datasets
from biocal.datasets import copy_example, data_root, example_names, load_infertility, load_vitamin_d
from biocal.errors import OptionError, OutputError


def files_below(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_data_root_holds_the_examples() -> None:
    assert (data_root() / "vitamin_d" / "analysis.toml").is_file()
    assert {"vitamin-d", "infertility"} <= set(example_names())


def test_data_root_prefers_the_copy_inside_an_installed_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "_data").mkdir()
    monkeypatch.setattr(datasets, "files", lambda package: tmp_path)
    assert data_root() == tmp_path / "_data"


@pytest.mark.parametrize("load", [load_vitamin_d, load_infertility])
def test_tables_carry_units_and_meanings_of_their_columns(load: object) -> None:
    table = load()  # type: ignore[operator]
    assert set(table.attrs["meanings"]) == set(table.columns)
    assert set(table.attrs["units"]) <= set(table.columns)
    assert table.attrs["units"]["age"] == "years"
    assert isinstance(table.attrs["synthetic"], bool)


def test_vitamin_d_can_be_saved_and_read_with_its_attributes(tmp_path: Path) -> None:
    people = load_vitamin_d()
    people.to_parquet(tmp_path / "people.parquet")  # refuses attributes that JSON cannot hold
    assert pd.read_parquet(tmp_path / "people.parquet").shape == people.shape


@pytest.mark.parametrize("name", ["vitamin-d", "infertility"])
def test_copy_has_every_file_of_the_example(name: str, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "folder"
    written = copy_example(name, target)
    source = files_below(data_root() / name.replace("-", "_"))
    expected = {path: content for path, content in source.items() if "__pycache__" not in path.parts}
    assert files_below(target) == expected
    assert sorted(written) == sorted(target / path for path in expected)
    assert {Path("README.md"), Path("analysis.toml"), Path("dictionary.csv")} <= set(expected)


def test_copy_goes_to_a_folder_of_its_name_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copy_example("infertility")
    assert (tmp_path / "infertility" / "infert.csv").is_file()


def test_copy_leaves_other_files_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    copy_example("infertility", tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_copy_refuses_to_overwrite_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(OutputError, match=r"README\.md.*--force") as raised:
        copy_example("vitamin-d", tmp_path)
    assert raised.value.existing == (str(tmp_path / "README.md"),)  # type: ignore[attr-defined]
    assert files_below(tmp_path) == {Path("README.md"): b"mine"}
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_force_replaces_files_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("old")
    copy_example("infertility", tmp_path, force=True)
    assert (tmp_path / "README.md").read_bytes() == (data_root() / "infertility" / "README.md").read_bytes()


def test_a_folder_in_the_place_of_a_file_is_refused_even_with_force(tmp_path: Path) -> None:
    (tmp_path / "README.md").mkdir()
    with pytest.raises(OutputError, match="folder"):
        copy_example("infertility", tmp_path, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_unknown_example_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"'vitamin_c'.*infertility.*vitamin-d") as raised:
        copy_example("vitamin_c", tmp_path / "new")
    assert raised.value.allowed == example_names()  # type: ignore[attr-defined]
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["..", "../vitamin-d", "vitamin-d/cohorts", ""])
def test_names_that_are_paths_are_unknown_examples(name: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError):
        copy_example(name, tmp_path)


def test_a_file_where_the_folder_should_be_is_told(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.write_text("mine")
    with pytest.raises(OutputError, match="is a file"):
        copy_example("infertility", place)
    with pytest.raises(OutputError):
        copy_example("infertility", place / "below")
    assert place.read_text() == "mine"


@pytest.mark.skipif(os.name == "nt", reason="folder permissions are POSIX")
def test_a_copy_that_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("biocal.system.file_set.os.fsync", no_space)
    with pytest.raises(OutputError, match="No space left"):
        copy_example("vitamin-d", tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_new_folder_with_a_readme_is_an_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_design").mkdir()
    (tmp_path / "my_design" / "README.md").write_text("# A design")
    (tmp_path / "not_an_example").mkdir()
    monkeypatch.setattr(datasets, "data_root", lambda: tmp_path)
    assert example_names() == ("my-design",)
    copy_example("my-design", tmp_path / "copied")
    assert (tmp_path / "copied" / "README.md").is_file()
