"""Sphinx: the pages of this folder, the gallery of `examples/`, and the reference of the code."""

from __future__ import annotations

import sys
from pathlib import Path

from bids_app import __version__

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from generated import write_pages  # noqa: E402

write_pages(HERE / "_generated")

project = "musenc-bidsapp"
author = "the authors of musenc-bidsapp"
copyright = "the authors of musenc-bidsapp, Apache-2.0"
version = release = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_generated/outputs.md"]
smartquotes = False  # two hyphens of an option would become a dash
html_theme = "furo"
templates_path = ["_templates"]
html_title = "musenc-bidsapp"
html_static_path: list[str] = []
myst_heading_anchors = 3
autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
sphinx_gallery_conf = {
    "examples_dirs": str(HERE.parent / "examples"),
    "gallery_dirs": "gallery",
    "filename_pattern": r"/\d\d_",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_signature": False,
    "abort_on_example_error": True,
    "remove_config_comments": True,
}
