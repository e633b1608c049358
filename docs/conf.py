"""Sphinx: how these pages are built.  ``make docs`` builds them and checks every link inside."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

import biocal

project = "biocal"
author = "biocal maintainers"
project_copyright = "biocal maintainers, BSD-3-Clause"
version = release = biocal.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "mathml",
    "repository_pages",
    "percent_scripts",
]
exclude_patterns = ["extensions", "templates", "build"]
templates_path = ["templates"]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3

autosummary_generate = True
# file systems that do not tell upper from lower case would keep one of fit and Fit
autosummary_filename_map = {"biocal.Fit": "biocal.Fit-class"}
autodoc_member_order = "bysource"
# Signatures tell names and defaults; types stand in the sections below them, in words.
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_use_plots = False

html_theme = "furo"
html_title = f"biocal {release}"
html_static_path = ["static"]
html_css_files = ["biocal.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0072b2", "color-brand-content": "#0072b2"},
    "dark_css_variables": {"color-brand-primary": "#56b4e9", "color-brand-content": "#56b4e9"},
}
