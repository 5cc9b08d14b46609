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

__all__ = [
    "AlignmentResult",
    "GradientBins",
    "GroupAlignment",
    "OmnibusAlignment",
    "gradient_bins",
    "group_alignment",
    "omnibus_alignment",
    "spin_alignment",
    "two_sided_p",
]
