"""Participants' maps over people, music and place."""
