"""Felt emotion: ratings, conditions and coupling in relation to the brain; arrays in and out."""

from bids_app.emotion.contrasts import parse_contrast
from bids_app.emotion.design import (
    Design,
    build_design,
    convolved,
    convolved_course,
    delayed_course,
)
from bids_app.emotion.differences import DifferenceResult, difference_glm
from bids_app.emotion.glm import GlmEstimate, fit_run, fixed_effects
from bids_app.emotion.lags import (
    SIGN_CONVENTION,
    change_correlation,
    lagged_correlation,
)
from bids_app.emotion.ppi import first_eigenvariate, ppi_columns
from bids_app.emotion.ratings import (
    absolute_change,
    common_times,
    is_constant,
    sample_course,
)

__all__ = [
    "SIGN_CONVENTION",
    "Design",
    "DifferenceResult",
    "GlmEstimate",
    "absolute_change",
    "build_design",
    "change_correlation",
    "common_times",
    "convolved",
    "convolved_course",
    "delayed_course",
    "difference_glm",
    "first_eigenvariate",
    "fit_run",
    "fixed_effects",
    "is_constant",
    "lagged_correlation",
    "parse_contrast",
    "ppi_columns",
    "sample_course",
]
