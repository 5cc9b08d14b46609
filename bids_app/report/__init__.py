"""Figures and HTML pages, drawn from the files of an output folder."""

from bids_app.report.methods import boilerplate, citation_bib, citation_md
from bids_app.report.sources import stimulus_figure_path
from bids_app.report.stimuli import stimulus_figure

__all__ = [
    "boilerplate",
    "citation_bib",
    "citation_md",
    "stimulus_figure",
    "stimulus_figure_path",
]
