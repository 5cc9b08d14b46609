"""The demo: a simulated study with a known truth, through both levels of the app."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bids_app.cli.run import run
from bids_app.config import DEFAULT_FEATURES, SPACE, Config, Model, Running, Statistics
from bids_app.errors import UsageError
from bids_app.files import read_json
from bids_app.outputs import HEMISPHERES, OutputTree

if TYPE_CHECKING:
    from bids_app.testing.study import Truth

SHORTEST = 180.0  # seconds of music: the shortest piece outlasts what is cropped and delayed
LOGGER = logging.getLogger("bids_app")


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
    """

    r: float
    n_vertices: int
    rho: float
    p_spin: float
    statement: str


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
    config = Config(
        bids_dir=study.bids_dir,
        output_dir=results,
        level="participant",
        model=Model(weights=weights),
        statistics=Statistics(gradient=",".join(map(str, study.gradient_files))),
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
        tree.group_map(hemi, SPACE, model=DEFAULT_FEATURES, stat="slope", desc="layerpref")
        for hemi in HEMISPHERES
    ]
    slope = np.concatenate([read_gifti(path)[0] for path in maps])
    table = tree.group_table("statmap.json", model=DEFAULT_FEATURES, desc="alignment")
    group = read_json(table)["Group"]
    return Recovery(
        r=truth.recovery(slope),
        n_vertices=int((truth.active & np.isfinite(slope)).sum()),
        rho=group["rho_mean"],
        p_spin=group["p_spin"],
        statement=group["statement"],
    )


def _summary(results: Path, recovery: Recovery, seconds: float) -> str:
    tree = OutputTree(results)
    first = tree.participants_of(DEFAULT_FEATURES)[0]
    return f"""
The demo is complete after {seconds:.0f} s.

  recovered versus planted layer preference: r = {recovery.r:.2f}
      (group residual slope against planted depth, {recovery.n_vertices} planted vertices)
  {recovery.statement}

  group report        {tree.group_report}
  participant report  {tree.participant_report(first)}
  maps                {results}
"""
