"""Felt emotion: ratings, conditions and coupling in relation to the brain; arrays in and out."""

from bids_app.emotion.contrasts import parse_contrast as parse_contrast
from bids_app.emotion.design import Design as Design
from bids_app.emotion.design import build_design as build_design
from bids_app.emotion.design import convolved as convolved
from bids_app.emotion.design import convolved_course as convolved_course
from bids_app.emotion.design import delayed_course as delayed_course
from bids_app.emotion.differences import DifferenceResult as DifferenceResult
from bids_app.emotion.differences import difference_glm as difference_glm
from bids_app.emotion.glm import GlmEstimate as GlmEstimate
from bids_app.emotion.glm import fit_run as fit_run
from bids_app.emotion.glm import fixed_effects as fixed_effects
from bids_app.emotion.lags import SIGN_CONVENTION as SIGN_CONVENTION
from bids_app.emotion.lags import change_correlation as change_correlation
from bids_app.emotion.lags import lagged_correlation as lagged_correlation
from bids_app.emotion.music import PhaseTest as PhaseTest
from bids_app.emotion.music import add_turned as add_turned
from bids_app.emotion.music import combine_turned as combine_turned
from bids_app.emotion.music import n_frequencies as n_frequencies
from bids_app.emotion.music import phase_test as phase_test
from bids_app.emotion.music import turned_effects as turned_effects
from bids_app.emotion.ppi import first_eigenvariate as first_eigenvariate
from bids_app.emotion.ppi import ppi_columns as ppi_columns
from bids_app.emotion.ratings import absolute_change as absolute_change
from bids_app.emotion.ratings import common_times as common_times
from bids_app.emotion.ratings import is_constant as is_constant
from bids_app.emotion.ratings import sample_course as sample_course
