"""Builder of the group level of ratings; it only wires."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bids_app.workflows.steps import step
from nipype.interfaces.utility import Merge
from nipype.pipeline import engine as pe

from bids_app.analyses.ratings.group_steps import relate_rating_maps, relate_rating_scores
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
        "tree": tree,
        "participants": list(participants),
        "settings": settings,
        "fresh": True,
    }
    n_threads = config.running.n_threads(1)
    nodes, notes = [], []
    wanted = [("rating_maps", EMOTION_LABEL, "")] if maps else []
    for name, label, desc in (*wanted, ("rating_scores", model, RATINGS_DESC)):
        there = set(tree.participants_of(label, desc)) & set(participants)
        if not there:
            lacking = tree.participant_settings("*", label, desc).name
            notes.append(f"{name}: no participant has {lacking}")
        elif desc:
            nodes.append(step(relate_rating_scores, config, name, model=model, **shared))
        else:
            threads = {"n_threads": n_threads, "n_procs": n_threads}
            nodes.append(step(relate_rating_maps, config, name, **threads, **shared))
    if nodes:
        gather = pe.Node(Merge(len(nodes)), name="gather_ratings", run_without_submitting=True)
        for number, node in enumerate(nodes, start=1):
            workflow.connect(node, "out", gather, f"in{number}")
        workflow.connect(gather, "out", workflow.get_node("write"), "rating_files")
    return notes
