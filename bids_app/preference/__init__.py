"""Which layer a vertex prefers, from its accuracy profile over layers."""

from bids_app.preference.profiles import MAX_EXPLAINED as MAX_EXPLAINED
from bids_app.preference.profiles import MIN_DEPTHS as MIN_DEPTHS
from bids_app.preference.profiles import SlopeModel as SlopeModel
from bids_app.preference.profiles import apply_weights as apply_weights
from bids_app.preference.profiles import argmax_stability as argmax_stability
from bids_app.preference.profiles import centroid as centroid
from bids_app.preference.profiles import curvature_weights as curvature_weights
from bids_app.preference.profiles import depth_averages as depth_averages
from bids_app.preference.profiles import depth_explained as depth_explained
from bids_app.preference.profiles import layer_depth as layer_depth
from bids_app.preference.profiles import n_distinct as n_distinct
from bids_app.preference.profiles import preferred_layer as preferred_layer
from bids_app.preference.profiles import residual_slope as residual_slope
from bids_app.preference.profiles import slope_weights as slope_weights
from bids_app.preference.reference import ReferenceProfile as ReferenceProfile
from bids_app.preference.reference import group_residual_slopes as group_residual_slopes
from bids_app.preference.reference import leave_one_out_references as leave_one_out_references
from bids_app.preference.reference import reference_profile as reference_profile
