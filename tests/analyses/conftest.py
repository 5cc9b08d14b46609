"""Small runs, ratings and Gram matrices that the tests of several analyses share."""

from small_runs import grams, make_run, mesh, ratings

__all__ = ["grams", "make_run", "mesh", "ratings"]
