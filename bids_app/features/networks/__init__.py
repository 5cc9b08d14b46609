"""Audio networks whose layers are feature spaces, behind one contract."""

from bids_app.features.networks.contract import AudioNetwork as AudioNetwork
