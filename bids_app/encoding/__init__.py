"""Kernel ridge encoding, scores and nulls."""

from bids_app.encoding.gram import delay_samples
from bids_app.encoding.leakage import FeatureSimilarity, check_checksums, feature_similarity
from bids_app.encoding.nested import nested_ridge
from bids_app.encoding.phases import pareto_tail_p, phase_null
from bids_app.encoding.plan import DEFAULT_ALPHAS, EncodingPlan, plan_encoding
from bids_app.encoding.ridge import EncodingResult, fit_encoding
from bids_app.statistics import benjamini_hochberg

__all__ = [
    "DEFAULT_ALPHAS",
    "EncodingPlan",
    "EncodingResult",
    "FeatureSimilarity",
    "benjamini_hochberg",
    "check_checksums",
    "delay_samples",
    "feature_similarity",
    "fit_encoding",
    "nested_ridge",
    "pareto_tail_p",
    "phase_null",
    "plan_encoding",
]
