"""Kernel ridge encoding, scores and nulls."""

from bids_app.encoding.gram import delay_samples as delay_samples
from bids_app.encoding.leakage import FeatureSimilarity as FeatureSimilarity
from bids_app.encoding.leakage import check_checksums as check_checksums
from bids_app.encoding.leakage import feature_similarity as feature_similarity
from bids_app.encoding.nested import nested_ridge as nested_ridge
from bids_app.encoding.noise import NoiseNull as NoiseNull
from bids_app.encoding.noise import noise_null as noise_null
from bids_app.encoding.phases import phase_null as phase_null
from bids_app.encoding.plan import DEFAULT_ALPHAS as DEFAULT_ALPHAS
from bids_app.encoding.plan import EncodingPlan as EncodingPlan
from bids_app.encoding.plan import plan_encoding as plan_encoding
from bids_app.encoding.responses import Chosen as Chosen
from bids_app.encoding.ridge import EncodingResult as EncodingResult
from bids_app.encoding.ridge import fit_encoding as fit_encoding
from bids_app.statistics import benjamini_hochberg as benjamini_hochberg
