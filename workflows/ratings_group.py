"""Builder of the group level of ratings; it only wires."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bids_app.workflows.interfaces.ratings_group import InferRatingMaps, InferRatingScores
from nipype.interfaces.utility import Merge
from nipype.pipeline import engine as pe

from bids_app.config import Config
from bids_app.outputs import EMOTION_LABEL, RATINGS_DESC, OutputTree


def connect_group_emotion(
    workflow: pe.Workflow,
    tree: OutputTree,
    model: str,
    participants: Sequence[str],
    settings: dict[str, Any],
    *,
    config: Config,
    maps: bool,
) -> list[str]:
    """Add the group analyses of ratings that the output folder has inputs for.

    Parameters
    ----------
    workflow : Workflow
        Of the group level, with the node ``write``, which draws the page.
    tree : OutputTree
    model : str
        Label of the encoding model.
    participants : sequence of str
    settings : dict
        From `emotion_group_settings`.
    config : Config
    maps : bool
        Whether this workflow also gets the maps of ratings and brain, which belong to no model.

    Returns
    -------
    list of str
        What is not done, and why.
    """
    if config.emotion.mode == "off":
        return ["ratings: switched off (--emotion off)"]
    shared = {
        "output_dir": str(config.output_dir),
        "participants": list(participants),
        "settings": settings,
        "n_permutations": config.statistics.n_permutations,
        "seed": config.statistics.random_seed,
        "verbosity": config.running.verbosity,
    }
    nodes, notes = [], []
    wanted = [("rating_maps", EMOTION_LABEL, "")] if maps else []
    for name, label, desc in (*wanted, ("rating_scores", model, RATINGS_DESC)):
        there = set(tree.participants_of(label, desc)) & set(participants)
        if not there:
            lacking = tree.participant_settings("*", label, desc).name
            notes.append(f"{name}: no participant has {lacking}")
            continue
        files = [str(tree.participant_settings(p, label, desc)) for p in sorted(there)]
        if desc:
            interface: Any = InferRatingScores(files=files, model=model, **shared)
        else:
            threads = config.running.n_threads(1)
            interface = InferRatingMaps(files=files, n_threads=threads, **shared)
        nodes.append(pe.Node(interface, name=name))
    if nodes:
        gather = pe.Node(Merge(len(nodes)), name="gather_ratings")
        for number, node in enumerate(nodes, start=1):
            workflow.connect(node, "files", gather, f"in{number}")
        workflow.connect(gather, "out", workflow.get_node("write"), "rating_files")
    return notes
