"""What cleaned responses and encoding models cost, for plans and limits."""

from __future__ import annotations

from bids_app.analyses.participant.analysis import Scope
from bids_app.analyses.participant.repeats import heard_repeatedly
from bids_app.analyses.participant.subcortex import N_VOXELS
from bids_app.features.registry import find_space
from bids_app.inputs.estimate import FLOAT, Cost, page_memory

# Measured for 939 volumes on fsaverage5 and 939 s of music (benchmarks/README.md).
RUN_SECONDS_PER_VOLUME = 0.05
_LAYER_SECONDS = 5.0
_REFIT_SECONDS = 0.4
_NETWORK_SECONDS_PER_SECOND = 0.05
_LAYER_SECONDS_PER_SECOND = 0.0085
# Envelope, cochleagram, modulation and descriptors: .015 to .024 for 300 s of music.
_OTHER_SECONDS_PER_SECOND = 0.016
_PATCH_SECONDS = 0.96
# Copies of the responses while presentations are compared: 147 MB beside 98 MB of responses.
_COMPARING = 2.5


def cost_of_responses(scope: Scope) -> Cost:
    """Of cleaning the runs and writing the responses."""
    steps = {
        "clean_runs": scope.series.cleaning,
        "write_responses": scope.series.holding(scope.n_rows),
    }
    return Cost(scope.seconds(scope.music, RUN_SECONDS_PER_VOLUME), steps)


def cost_of_models(scope: Scope, n_maps: float) -> Cost:
    """Of the features, of the encoding models and of the page.

    Parameters
    ----------
    scope : Scope
    n_maps : float
        Maps of the surface that are written.
    """
    model, statistics, n_layers = scope.config.model, scope.config.statistics, len(scope.layers)
    heard = sum(scope.durations.values())
    of_space = [s.features for s in model.spaces if s.label == scope.model]
    row = find_space(of_space[0]) if of_space else None
    step = row.step if row else None
    of_music = _OTHER_SECONDS_PER_SECOND
    if row is None or row.is_network:
        of_music = _NETWORK_SECONDS_PER_SECOND + n_layers * _LAYER_SECONDS_PER_SECOND
    n_patches = sum(
        max(0, int((duration - _PATCH_SECONDS) / (step or model.hop)) + 1)
        for duration in scope.durations.values()
    )
    refits = statistics.n_nulls if statistics.null == "phase" else 0
    layer = _LAYER_SECONDS + refits * _REFIT_SECONDS
    series = scope.series
    steps = {
        "fit_model": series.fitting(n_maps + refits),
        "write_model": series.holding(2 * n_maps),
        "save_model_weights": series.fitting(n_maps),
        "draw_page": page_memory(series.space, n_maps),
    }
    if heard_repeatedly(scope.heard):
        steps["compare_presentations"] = series.holding(_COMPARING * scope.n_rows)
    share = 1.0
    if model.has_voxels:
        share += N_VOXELS / scope.n_vertices
        steps["fit_subcortex"] = share * series.fitting(n_maps + refits)
        steps["write_model"] = share * steps["write_model"]
    return Cost(
        seconds=n_layers * layer * scope.fit_scale * share,
        steps=steps,
        shared_seconds=heard * of_music,
        shared_disk=n_layers * n_patches**2 * FLOAT,
    )
