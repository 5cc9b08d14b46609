"""Nipype wiring, the only folder that imports nipype; imported as ``bids_app.workflows``."""
