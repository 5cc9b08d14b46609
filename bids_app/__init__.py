"""musenc-bidsapp: surface encoding maps of an audio network's layers from music-listening fMRI."""

__version__ = "0.1.0"
