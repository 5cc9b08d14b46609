"""The demo: a simulated study with a known truth, through both levels of the app."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.group.claims import told_claims
from bids_app.cli.run import run
from bids_app.config import DEFAULT_FEATURES, Cleaning, Config, Model, Running, Statistics
from bids_app.config.sections import Joint
from bids_app.errors import UsageError
from bids_app.inputs.tables import read_frame
from bids_app.labels import safe_label
from bids_app.log import tell
from bids_app.outputs import (
    EMOTION_LABEL,
    HEMISPHERES,
    LOW_LEVEL_DESC,
    OutputTree,
    model_label,
)

if TYPE_CHECKING:
    from bids_app.testing.study import Truth

SHORTEST = 180.0  # seconds of music: the shortest piece outlasts what is cropped and delayed
TR = 2.0  # seconds
HOP = 0.96  # seconds between patches: two per volume
STRENGTH = 0.3  # of the variance of a vertex, at most, is the music's
LAYERS = ("InputBatch", "conv1", "conv2", "conv3_1", "conv4_1", "fc1_1", "fc1_2", "fc2")
"""Of VGGish, fitted by the demo; listeners follow all 23."""
CANDIDATES = 18
"""Fewest that low-level sound and a layer can have."""
LOGGER = logging.getLogger("bids_app")


def run_demo(
    output_dir: Path,
    *,
    n_participants: int,
    n_procs: int,
    seed: int,
    duration: float,
    network: str | None = None,
    beyond: bool = False,
) -> int:
    """Simulate, analyze both levels, compare with the truth; returns the exit code.

    With a network of musicnn, listeners follow its layers, and its untrained twin is fitted
    beside it; without one they follow those of an untrained VGGish. With `beyond`, the unique
    accuracy of the layers beside low-level sound is fitted too.

    Raises
    ------
    UsageError
        If there are too few participants, too few seconds of music, or no such network.
    MissingInputError
        If the trained weights are not installed.
    """
    from bids_app.testing.music import default_pieces
    from bids_app.testing.simulate import simulate_study

    _check_size(n_participants, duration)
    if network is not None:
        _check_network(network)
    features = () if network is None else (network, f"{network}@random:0")
    started = time.monotonic()
    results = output_dir / "results"
    weights = "random:0" if network is None else None
    cache_dir = output_dir / "cache"
    LOGGER.info("demo 1 of 4: simulating music and %d listeners", n_participants)
    study = simulate_study(
        output_dir / "study",
        n_participants=n_participants,
        seed=seed,
        pieces=default_pieces(duration),
        features=network or DEFAULT_FEATURES,
        weights=weights,
        tr=TR,
        hop=HOP,
        strength=STRENGTH,
        feature_cache=cache_dir,
        progress=lambda message: LOGGER.info("simulation: %s", message),
    )
    gradient = f"simulated={','.join(map(str, study.gradient_files))}"
    config = Config(
        bids_dir=study.bids_dir,
        output_dir=results,
        level="participant",
        model=Model(features=features, weights=weights, hop=HOP, layers=() if network else LAYERS),
        # All 4,096 flips of twelve listeners would take half of the time.
        statistics=Statistics(gradients=(gradient,), n_permutations=1000),
        joint=Joint(beyond="low-level", candidates=CANDIDATES) if beyond else Joint(),
        running=Running(cache_dir=cache_dir, n_procs=n_procs),
    )
    LOGGER.info("demo 2 of 4: participant level")
    code = run(config)
    if code == 0:
        LOGGER.info("demo 3 of 4: group level")
        code = run(replace(config, level="group"))
    if code != 0:
        return code
    LOGGER.info("demo 4 of 4: comparing with the truth")
    tree = OutputTree(results)
    tell(f"""
The demo is complete after {time.monotonic() - started:.0f} s.

{_compared(tree, study.truth, features or (DEFAULT_FEATURES,), beyond)}

  group report        {tree.group_report}
  participant report  {tree.participant_report(study.participants[0])}
  maps                {results}
""")
    return 0


def _check_size(n_participants: int, duration: float) -> None:
    if n_participants < 2 or duration < SHORTEST:
        raise UsageError(
            "The demo is too small to be analyzed.",
            found=f"--n-participants {n_participants} --duration {duration:g}",
            wanted=f"at least 2 participants and {SHORTEST:g} s",
            remedy="give larger numbers",
        )


def _check_network(network: str) -> None:
    """Whether it is one of musicnn, and installed."""
    from bids_app.features.registry import find_space

    if not network.startswith("musicnn:") or "@random" in network:
        raise UsageError(
            "The demo has a control for the trained networks of musicnn only.",
            where="--network",
            found=network,
            wanted="musicnn:NAME, as in docs/networks.md",
            remedy="give such a network, or leave --network out",
        )
    find_space(network).streamed()


def _compared(tree: OutputTree, truth: Truth, features: Sequence[str], beyond: bool) -> str:
    """Lines about what was planted and what was found; the second space is a control."""
    first, *controls = (model_label(name) for name in features)
    found = [_layers_found(tree, truth, first)]
    if beyond:
        found.append(_beyond_found(tree, truth, first))
    for control in controls:
        found.append(f"  the untrained control: {_layers_found(tree, truth, control).strip()}")
    found += [_feeling_found(tree, truth, scale, first) for scale in truth.feeling]
    return "\n".join(found)


def _group_map(tree: OutputTree, **entities: str) -> NDArray[np.floating]:
    from bids_app.surface.gifti import read_gifti

    paths = [tree.group_map(hemi, Cleaning.space, **entities) for hemi in HEMISPHERES]
    return np.concatenate([read_gifti(path)[0] for path in paths])


def _layers_found(tree: OutputTree, truth: Truth, model: str) -> str:
    """How well the planted layers came back, and what the group level says of the gradient."""
    slope = _group_map(tree, model=model, stat="slope", desc="layerpref")
    predicted = _group_map(tree, model=model, stat="n", desc="predicted") > 0
    n_vertices = (truth.active & np.isfinite(slope)).sum()
    hits = (predicted & truth.active).sum()
    claims = "\n  ".join(told_claims(tree.root))
    return f"""\
  planted: {truth.active.sum()} vertices follow the music, their layers follow the gradient
  found: {predicted.sum()} vertices are predicted over people and over music, {hits} of them \
planted, {predicted.sum() - hits} not
  recovered versus planted layer preference: r = {truth.recovery(slope):.2f}
      (group residual slope against planted depth, {n_vertices} planted vertices)
  {claims}"""


def _beyond_found(tree: OutputTree, truth: Truth, model: str) -> str:
    """Where layers add to low-level sound; only layers were planted."""
    adds = np.nan_to_num(_group_map(tree, model=model, stat="n", desc="adds")) > 0
    low = _group_map(tree, model=model, stat="r", desc=LOW_LEVEL_DESC)
    inside, hits = truth.active & np.isfinite(low), int((adds & truth.active).sum())
    return f"""\
  layers add to low-level sound at {adds.sum()} vertices over people and over music, {hits} of them
      planted (envelope, cochleagram, modulation and descriptors alone: r = \
{low[inside].mean():.2f} at the {inside.sum()} planted vertices)"""


def _feeling_found(tree: OutputTree, truth: Truth, scale: str, model: str) -> str:
    """How well the planted effect and layer of a scale were recovered."""
    from bids_app.features.vggish import LAYER_NAMES
    from bids_app.testing.ratings import scales_of

    feature, planted = safe_label(scale), truth.feeling[scale]
    effect = _group_map(tree, model=EMOTION_LABEL, feature=feature, stat="effect")
    p = _group_map(tree, model=EMOTION_LABEL, feature=feature, stat="p")
    known = truth.cortex & np.isfinite(effect)
    where = known & (planted > 0)
    # Smoothing spreads effects beyond where they were planted.
    significant = known & (np.nan_to_num(p, nan=1.0) < 0.05)
    table = tree.group_table("scores.tsv", model=model, desc="ratings")
    profile = read_frame(table).query("scale == @scale").set_index("name")["r"]
    (layer,) = (made.layer for made in scales_of(truth.n_layers) if made.name == scale)
    # Of VGGish some layers are fitted, of other networks all.
    names = LAYER_NAMES if len(profile) < truth.n_layers else list(profile.index)
    best, accuracy = profile.idxmax(), profile.max()
    r = np.corrcoef(effect[known], planted[known])[0, 1]
    return f"""\
  {scale}: recovered versus planted effect of its changes on the brain: r = {r:.2f}
      ({effect[where].mean():.2f} % signal change where {planted[where].mean():.2f} % was planted, \
{where.sum()} vertices;
      p < .05 at {(significant & where).sum()} of them and at {(significant & ~where).sum()} others)
      predicted best by layer {best} (r = {accuracy:.2f}); planted: layer {names[layer - 1]}"""
