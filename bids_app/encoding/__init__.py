"""Kernel ridge encoding, scores and nulls."""
