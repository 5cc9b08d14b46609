"""Nipype wiring, the only folder that imports nipype. Installed and imported as ``bids_app.workflows``."""
