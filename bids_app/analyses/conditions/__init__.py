"""Conditions of an experiment: contrasts, coupling with a seed, lagged correlations."""
