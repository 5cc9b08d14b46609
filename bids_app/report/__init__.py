"""Figures and HTML pages, drawn from the files of an output folder."""

from bids_app.report.methods import boilerplate as boilerplate
from bids_app.report.methods import citation_bib as citation_bib
from bids_app.report.methods import citation_md as citation_md
from bids_app.report.sources import stimulus_figure_path as stimulus_figure_path
from bids_app.report.stimuli import stimulus_figure as stimulus_figure
