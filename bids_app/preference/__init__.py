"""Which layer a vertex prefers, from its accuracy profile over layers."""

from bids_app.preference.profiles import (
    argmax_stability,
    centroid,
    layer_depth,
    preferred_layer,
    residual_slope,
)
from bids_app.preference.reference import (
    ReferenceProfile,
    group_residual_slopes,
    leave_one_out_references,
    reference_profile,
)

__all__ = [
    "ReferenceProfile",
    "argmax_stability",
    "centroid",
    "group_residual_slopes",
    "layer_depth",
    "leave_one_out_references",
    "preferred_layer",
    "reference_profile",
    "residual_slope",
]
