"""Continuous ratings: brain and ratings, layers and ratings."""
