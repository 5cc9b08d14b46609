"""The demo: a simulated study with a known truth, through both levels of the app."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bids_app.cli.run import run
from bids_app.config import DEFAULT_FEATURES, Cleaning, Config, Model, Running, Statistics
from bids_app.errors import UsageError
from bids_app.files import read_json
from bids_app.outputs import (
    ALIGNMENT_DESC,
    EMOTION_LABEL,
    HEMISPHERES,
    OutputTree,
    labeled,
    safe_label,
)

if TYPE_CHECKING:
    from bids_app.testing.study import Truth

SHORTEST = 180.0  # seconds of music: the shortest piece outlasts what is cropped and delayed
LOGGER = logging.getLogger("bids_app")


@dataclass(frozen=True)
class Feeling:
    """How well came back what was planted about one scale of the ratings.

    Attributes
    ----------
    scale : str
    r : float
        Correlation of the group's effect with the planted one, over the cortex.
    effect, planted : float
        Mean recovered and planted effect where one was planted, percent signal change.
    n_vertices : int
        Vertices where one was planted.
    n_found, n_false : int
        Vertices with corrected p < .05 among them, and elsewhere (smoothing spreads effects).
    layer, layer_r : int, float
        Layer that predicts the ratings best over participants, and its accuracy.
    planted_layer : int
        Layer the ratings were made of.
    """

    scale: str
    r: float
    effect: float
    planted: float
    n_vertices: int
    n_found: int
    n_false: int
    layer: int
    layer_r: float
    planted_layer: int


@dataclass(frozen=True)
class Recovery:
    """How well the planted layer map came back.

    Attributes
    ----------
    r : float
        Correlation of the group's residual slope with the planted depth, over planted vertices.
    n_vertices : int
        Vertices it is taken over.
    rho, p_spin : float
        Mean alignment with the gradient, and its spin p.
    statement : str
        What the group level says of it.
    feelings : tuple of Feeling
        One per scale of the ratings.
    """

    r: float
    n_vertices: int
    rho: float
    p_spin: float
    statement: str
    feelings: tuple[Feeling, ...]


def run_demo(
    output_dir: Path, *, n_participants: int, n_procs: int, seed: int, duration: float
) -> int:
    """Simulate, analyze both levels, compare with the truth; returns the exit code.

    Raises
    ------
    UsageError
        If there are too few participants, or too few seconds of music.
    """
    from bids_app.testing.music import default_pieces
    from bids_app.testing.simulate import simulate_study

    if n_participants < 2 or duration < SHORTEST:
        raise UsageError(
            "The demo is too small to be analyzed.",
            found=f"--n-participants {n_participants} --duration {duration:g}",
            wanted=f"at least 2 participants and {SHORTEST:g} s",
        )

    started = time.monotonic()
    results = output_dir / "results"
    weights = "random:0"
    cache_dir = output_dir / "cache"
    LOGGER.info("demo 1 of 4: simulating music and %d listeners", n_participants)
    study = simulate_study(
        output_dir / "study",
        n_participants=n_participants,
        seed=seed,
        pieces=default_pieces(duration),
        weights=weights,
        feature_cache=cache_dir,
        progress=lambda message: LOGGER.info("simulation: %s", message),
    )
    gradient = f"simulated={','.join(map(str, study.gradient_files))}"
    config = Config(
        bids_dir=study.bids_dir,
        output_dir=results,
        level="participant",
        model=Model(weights=weights),
        statistics=Statistics(gradients=(gradient,)),
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
    recovery = compare_with_truth(results, study.truth)
    print(_summary(results, recovery, time.monotonic() - started))
    return 0


def compare_with_truth(results: Path, truth: Truth) -> Recovery:
    """Correlate the recovered layer preference with the planted one."""
    from bids_app.surface.gifti import read_gifti

    tree = OutputTree(results)
    maps = [
        tree.group_map(hemi, Cleaning.space, model=DEFAULT_FEATURES, stat="slope", desc="layerpref")
        for hemi in HEMISPHERES
    ]
    slope = np.concatenate([read_gifti(path)[0] for path in maps])
    (label,) = tree.group_labels(DEFAULT_FEATURES, ALIGNMENT_DESC)
    desc = labeled(ALIGNMENT_DESC, label)
    table = tree.group_table("statmap.json", model=DEFAULT_FEATURES, desc=desc)
    group = read_json(table)["Group"]
    return Recovery(
        r=truth.recovery(slope),
        n_vertices=int((truth.active & np.isfinite(slope)).sum()),
        rho=group["rho_mean"],
        p_spin=group["p_spin"],
        statement=group["statement"],
        feelings=tuple(_compare_feeling(tree, truth, scale) for scale in truth.feeling),
    )


def _compare_feeling(tree: OutputTree, truth: Truth, scale: str) -> Feeling:
    """The group's map of a scale against the planted effect, and its layer."""
    import pandas as pd

    from bids_app.surface.gifti import read_gifti
    from bids_app.testing.ratings import SCALES

    def group_map(stat: str) -> NDArray[np.floating]:
        paths = [
            tree.group_map(
                hemi, Cleaning.space, model=EMOTION_LABEL, feature=safe_label(scale), stat=stat
            )
            for hemi in HEMISPHERES
        ]
        return np.concatenate([read_gifti(path)[0] for path in paths])

    planted, effect, p = truth.feeling[scale], group_map("effect"), group_map("p")
    known = truth.cortex & np.isfinite(effect)
    where = known & (planted > 0)
    significant = np.nan_to_num(p, nan=1.0) < 0.05
    table = tree.group_table("scores.tsv", model=DEFAULT_FEATURES, desc="ratings")
    profile = pd.read_csv(table, sep="\t").query("scale == @scale").set_index("layer")["r"]
    return Feeling(
        scale=scale,
        r=float(np.corrcoef(effect[known], planted[known])[0, 1]),
        effect=float(effect[where].mean()),
        planted=float(planted[where].mean()),
        n_vertices=int(where.sum()),
        n_found=int((significant & where).sum()),
        n_false=int((significant & known & ~where).sum()),
        layer=int(np.asarray(profile.index)[profile.argmax()]),
        layer_r=float(profile.max()),
        planted_layer=next(s.layer for s in SCALES if s.name == scale),
    )


def _summary(results: Path, recovery: Recovery, seconds: float) -> str:
    tree = OutputTree(results)
    first = tree.participants_of(DEFAULT_FEATURES)[0]
    feelings = "\n".join(
        f"""\
  {f.scale}: recovered versus planted effect of its changes on the brain: r = {f.r:.2f}
      ({f.effect:.2f} % signal change where {f.planted:.2f} % was planted, {f.n_vertices} vertices;
      p < .05 at {f.n_found} of them and at {f.n_false} others)
      predicted best by layer {f.layer} (r = {f.layer_r:.2f}); planted: layer {f.planted_layer}"""
        for f in recovery.feelings
    )
    return f"""
The demo is complete after {seconds:.0f} s.

  recovered versus planted layer preference: r = {recovery.r:.2f}
      (group residual slope against planted depth, {recovery.n_vertices} planted vertices)
  {recovery.statement}
{feelings}

  group report        {tree.group_report}
  participant report  {tree.participant_report(first)}
  maps                {results}
"""
