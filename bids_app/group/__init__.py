"""Group statistics on arrays."""

from bids_app.group.alignment import AlignmentResult, spin_alignment, two_sided_p
from bids_app.group.alignment_summary import (
    GradientBins,
    GroupAlignment,
    OmnibusAlignment,
    gradient_bins,
    group_alignment,
    omnibus_alignment,
)
from bids_app.group.clusters import Cluster, cluster_table
from bids_app.group.enhancement import TfceResult, tfce_sign_flip
from bids_app.group.inference import SignFlipResult, sign_flip_max_t
from bids_app.group.isc import IscResult, isc
from bids_app.group.orientation import orient_gradient
from bids_app.group.parcels import ParcelTable, parcel_table
from bids_app.group.reliability import (
    split_half,
    stimulus_reliability,
)
from bids_app.group.stimulus_null import (
    StimulusNull,
    median_penalty,
    refit_stimulus_null,
    stimulus_null,
)
from bids_app.group.stimulus_weights import PredictionModel

__all__ = [
    "AlignmentResult",
    "Cluster",
    "GradientBins",
    "GroupAlignment",
    "IscResult",
    "OmnibusAlignment",
    "ParcelTable",
    "PredictionModel",
    "SignFlipResult",
    "StimulusNull",
    "TfceResult",
    "cluster_table",
    "gradient_bins",
    "group_alignment",
    "isc",
    "median_penalty",
    "omnibus_alignment",
    "orient_gradient",
    "parcel_table",
    "refit_stimulus_null",
    "sign_flip_max_t",
    "spin_alignment",
    "split_half",
    "stimulus_null",
    "stimulus_reliability",
    "tfce_sign_flip",
    "two_sided_p",
]
