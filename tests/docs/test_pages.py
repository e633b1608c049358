"""The parts that build the documentation: links, percent scripts, and that nothing public is left out."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path, PurePosixPath

import pytest

import biocal

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def loaded(name: str, path: Path):
    """A module of the documentation's own, which is no part of the package."""
    specification = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


check_links = loaded("check_links", DOCS / "check_links.py")
run_cells = loaded("run_cells", DOCS / "extensions" / "run_cells.py")
repository_pages = loaded("repository_pages", DOCS / "extensions" / "repository_pages.py")
percent_scripts = loaded("percent_scripts", DOCS / "extensions" / "percent_scripts.py")


def test_every_public_name_is_in_the_reference():
    listed = set(re.findall(r"^   ([\w.]+)$", (DOCS / "api" / "index.rst").read_text("utf-8"), re.MULTILINE))
    assert set(biocal.__all__) - {"__version__"} <= listed


def test_every_vignette_is_reached_from_an_index():
    indexed = "".join(path.read_text("utf-8") for path in DOCS.rglob("index.md"))
    for script in (ROOT / "vignettes").glob("*.py"):
        assert script.stem in indexed, script.name


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ('<a href="b.html">b</a>', None),
        ('<a href="b.html#there">b</a>', None),
        ('<a href="https://example.org/x">b</a>', None),
        ('<img src="data:image/png;base64,AA==" alt="a dot">', None),
        ('<a href="c.html">c</a>', "c.html: no such file"),
        ('<a href="b.html#nowhere">b</a>', "no such place in that page"),
        ('<a href="#nowhere">b</a>', "no such place in that page"),
        (
            '<script src="https://example.org/x.js"></script>',
            "loads https://example.org/x.js from the network",
        ),
        ('<link rel="stylesheet" href="missing.css">', "missing.css: no such file"),
        ('<img src="data:image/png;base64,AA==">', "a picture without a description"),
    ],
)
def test_the_link_checker_finds_what_is_broken_and_nothing_else(page, fault, tmp_path):
    (tmp_path / "a.html").write_text(f"<body>{page}</body>", "utf-8")
    (tmp_path / "b.html").write_text('<body><p id="there">here</p></body>', "utf-8")
    found = check_links.problems_of(tmp_path)
    assert bool(found) == bool(fault)
    if fault:
        assert fault in found[0]
        assert found[0].startswith("a.html")


def test_a_folder_without_pages_is_a_fault(tmp_path):
    assert check_links.problems_of(tmp_path)


def test_a_cell_shows_what_it_prints_and_its_last_expression():
    shown = run_cells.run_cell("print('one')\n[1 + 1]", {}, "cell 1")
    assert shown == [("text", "one\n"), ("text", "[2]\n")]


def test_a_cell_that_ends_with_a_figure_shows_the_same_picture_each_time():
    source = "from matplotlib.figure import Figure\nf = Figure()\nf.add_subplot().plot([1, 2])\nf"
    (kind, content), *rest = run_cells.run_cell(source, {}, "cell 1")
    assert (kind, rest) == ("svg", [])
    assert content.startswith("<?xml")
    assert "<dc:date>" not in content


def test_a_data_frame_shows_as_a_table_without_a_meaningless_index():
    [(kind, content)] = run_cells.run_cell(
        "import pandas as pd\npd.DataFrame({'method': ['full']})", {}, "cell 1"
    )
    assert kind == "html"
    assert "<td>full</td>" in content
    assert "<th>0</th>" not in content


SCRIPT = """ignored
# %% [markdown]
# # A title
#
# Text.
# %% alt="a line"
from matplotlib.figure import Figure
n = 2
figure = Figure()
figure.add_subplot().plot([1, n])
figure
# %% tags=["text"]
print(f"There are **{n}** points.")
# %%
print("as typed")
"""


def test_a_percent_script_becomes_a_page_with_its_figures_and_computed_sentences(tmp_path):
    script = tmp_path / "small.py"
    script.write_text(SCRIPT, "utf-8")
    page, figures = percent_scripts.page_of(script)
    assert page.startswith("# A title\n\nText.\n")
    assert list(figures) == ["small-1.svg"]
    assert "![a line](small-1.svg)" in page
    assert "\nThere are **2** points.\n" in page
    assert "print(f" not in page
    assert ":class: shown\nas typed\n" in page
    assert "ignored" not in page


def test_a_figure_without_a_description_is_refused(tmp_path):
    script = tmp_path / "small.py"
    script.write_text(SCRIPT.replace(' alt="a line"', ""), "utf-8")
    with pytest.raises(RuntimeError, match="alt="):
        percent_scripts.page_of(script)


def test_a_script_that_fails_tells_its_name_and_the_error(tmp_path):
    script = tmp_path / "small.py"
    script.write_text("# %%\n1 / 0\n", "utf-8")
    with pytest.raises(RuntimeError, match=r"(?s)small\.py failed:.*ZeroDivisionError"):
        percent_scripts.page_of(script)


@pytest.mark.parametrize(
    ("written", "turned"),
    [
        ("[note](../notes/0001-plain-numpy-engine.md)", "[note](../notes/0001-plain-numpy-engine.md)"),
        ("[stored](../../data/simulation/RESULTS.md#a)", "[stored](../data/simulation-results.md#a)"),
        ("[notes](../notes)", "[notes](../notes/index.md)"),
        ("[algebra](../../vignettes/algebra.py)", "[algebra](../vignettes/algebra.md)"),
        ("[the script](../../data/vitamin_d/make_data.py)", "`the script`"),
        ("[web](https://example.org)", "[web](https://example.org)"),
        ("`[code](../notes)`", "`[code](../notes)`"),
        ("[gone](../no-such-page.md)", "[gone](../no-such-page.md)"),
    ],
)
def test_links_of_the_repository_lead_to_pages(written, turned):
    home, page = PurePosixPath("docs/how-to"), "how-to/units"
    assert repository_pages.turn_links(written, home, page) == turned


def test_a_picture_of_the_benchmarks_is_linked_where_it_is_copied_to():
    text = repository_pages.turn_links(
        "![t](figures/fit.png)", PurePosixPath("benchmarks"), "project/benchmarks"
    )
    assert text == "![t](figures/fit.png)"
    assert repository_pages.PICTURES["benchmarks/figures"] == "project/figures"
