"""Pieces that a participant hears repeatedly are compared once, for all models."""

from __future__ import annotations

from pathlib import Path

from bids_app.workflows.participant import Music, init_participant_level_wf

from bids_app.analyses.folder.records import Record
from bids_app.analyses.participant.joint_models import JointWork
from bids_app.analyses.participant.plan import EncodingModel
from bids_app.analyses.ratings.plan import RatingWork, StudyRatings
from bids_app.config import Config, Model
from bids_app.features.layers import FittedLayers
from bids_app.inputs.estimate import Estimate
from bids_app.inputs.ratings import RatingSet
from bids_app.inputs.records import BoldRun, Presentation, Stimulus, StudyPlan

FEATURES = ("envelope", "cochleagram")


def wired(tmp_path, heard):
    """The workflow of a participant who heard these pieces, one per run."""
    config = Config(
        bids_dir=tmp_path,
        output_dir=tmp_path / "out",
        level="participant",
        model=Model(features=FEATURES),
    )
    runs = [
        BoldRun(
            entities={"sub": "01", "task": "listen", "run": str(k)},
            space="fsaverage5",
            bold_left=tmp_path / f"{k}.gii",
            bold_right=tmp_path / f"{k}.gii",
            confounds_file=None,
            confounds_json=None,
            tr=1.0,
            tr_source="test",
            start_time=0.5,
            start_time_source="test",
            n_volumes=120,
            n_dummy=0,
            presentations=(Presentation(piece, 0.0, 0.0, 100.0),),
            warnings=(),
            sources=(),
        )
        for k, piece in enumerate(heard)
    ]
    stimuli = tuple(Stimulus(one, Path(f"{one}.wav"), one, 100.0) for one in sorted(set(heard)))
    plan = StudyPlan(
        bids_dir=tmp_path,
        raw_dir=None,
        derivatives=(),
        found="",
        runs=tuple(runs),
        stimuli=stimuli,
        skipped=(),
    )
    layers = FittedLayers(("one",), (), "", "")
    models = {space.label: EncodingModel(space, "", layers, {}) for space in config.model.spaces}
    jobs = {"01": [Record("01", label, {}, (), {}) for label in models]}
    ratings = RatingWork(StudyRatings(RatingSet(()), (), ""))
    music = Music(plan, models, jobs, ratings, JointWork())
    costs = Estimate(*[1e9] * 9)
    return init_participant_level_wf(
        music, None, [], ["01"], config=config, costs=costs, n_threads=1
    )


def test_one_comparison_serves_all_models(tmp_path):
    workflow = wired(tmp_path, ["fugue", "march", "fugue"])
    node = workflow.get_node("compare_presentations_01")
    assert node.inputs.durations == {"fugue": 100.0, "march": 100.0}
    taken = {target.name for _, target in workflow._graph.out_edges(node)}
    assert taken == {f"write_model_01_{name}" for name in FEATURES}


def test_without_repeats_nothing_is_compared(tmp_path):
    names = wired(tmp_path, ["fugue", "march"]).list_node_names()
    assert "write_model_01_envelope" in names
    assert not [name for name in names if name.startswith("compare")]
