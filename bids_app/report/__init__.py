"""Figures and HTML pages, drawn from the files of an output folder."""

from bids_app.report.methods import boilerplate as boilerplate
from bids_app.report.methods import citation as citation
from bids_app.report.methods import citation_files as citation_files
from bids_app.report.sources import stimulus_figure_path as stimulus_figure_path
from bids_app.report.stimuli import stimulus_figure as stimulus_figure
