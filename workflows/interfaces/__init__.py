"""Thin nipype interfaces: load, call one function of ``bids_app``, save."""
