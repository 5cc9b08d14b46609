"""What --dry-run says and returns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planning import plan_study

from bids_app.analyses.conditions.plan import ConditionPlan
from bids_app.analyses.participant_level import ParticipantLevel
from bids_app.analyses.ratings.plan import StudyRatings
from bids_app.cli.run import main
from bids_app.config import Cleaning, Conditions, Config, Model, Running, Statistics
from bids_app.errors import TryAgainError
from bids_app.inputs.estimate import (
    check_group_memory,
    group_memory,
    need_memory,
)
from bids_app.inputs.ratings import Rating, RatingSet
from bids_app.inputs.records import Presentation

# The music of these trees lasts 16 and 12 s, 8 volumes.
SHORT = ("--crop", "1", "--delays", "0:2", "--vggish-weights", "random:0")


def test_music_too_short_is_refused_or_named(tree, tmp_path, capsys):
    tree.simple()
    arguments = [str(tree.root), str(tmp_path / "out"), "participant", "--dry-run"]
    assert main(arguments) == 65
    assert "too short for --crop 15" in capsys.readouterr().err
    tree.events("14\tn/a\tpiece_a.wav", sub="02", task="a")
    assert main([*arguments, *SHORT]) == 1
    out = capsys.readouterr().out
    assert "problem: sub-02: piecea in sub-02_task-a is too short" in out
    # What the run does without folds is done; it says which models fail.
    assert "warning: sub-01: no encoding model can be fitted: Too few samples" in out


def test_an_output_folder_inside_the_data_is_refused(tree, capsys):
    tree.simple()
    assert main([str(tree.root), str(tree.root / "out"), "participant", "--dry-run", *SHORT]) == 2
    assert "lies inside a dataset" in capsys.readouterr().err


def test_plan_costs_and_outputs_are_printed(tree, tmp_path, capsys):
    tree.simple()
    out = tmp_path / "out"
    assert main([str(tree.root), str(out), "participant", "--dry-run", *SHORT]) == 0
    text = capsys.readouterr().out
    for words in (
        "2 participants, 4 runs, 2 stimuli",
        "EmbeddingBatch (order: the network; NOT trained: random:0)",
        "memory  ",
        "with --nprocs 1",
        "for each of 2 participants",
        "sub-01_hemi-{L,R}_space-fsaverage_den-10k_model-vggish_stat-{r,z,p,q}_statmap.func.gii",
        "sub-01_task-a_stim-piecea_hemi-{L,R}_space-fsaverage_den-10k_desc-clean_bold.func.gii",
        "sub-01.html",
    ):
        assert words in text
    assert not out.exists()


@pytest.mark.parametrize("option", ["", "--cache-dir", "--work-dir"])
def test_a_file_where_a_folder_is_to_be_is_refused(tree, tmp_path, capsys, option):
    tree.simple()
    (tmp_path / "file").write_text("")
    out = tmp_path / ("out" if option else "file")
    call = [str(tree.root), str(out), "participant", "--dry-run", *SHORT]
    assert main([*call, *([option, str(tmp_path / "file" / "x")] if option else [])]) == 73
    assert f"{tmp_path / 'file'} is no folder" in capsys.readouterr().err


def test_weights_that_are_not_installed_end_it_after_the_plan(tree, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MUSENC_RESOURCES", str(tmp_path / "empty"))
    tree.simple()
    call = [str(tree.root), str(tmp_path / "out"), "participant", "--dry-run", *SHORT[:4]]
    assert main(call) == 66
    told = capsys.readouterr()
    assert "2 participants, 4 runs, 2 stimuli" in told.out
    assert "weights are not installed" in told.err
    assert main([*call, "--features", "envelope"]) == 0


def test_options_of_the_group_level_are_named(tree, tmp_path, capsys):
    tree.simple()
    call = [str(tree.root), str(tmp_path / "out"), "participant", "--dry-run", *SHORT]
    assert main(call) == 0
    assert "of the group level" not in capsys.readouterr().err
    more = ("--difference", "a-b", "--train-on", "both", "--atlas", "l.gii,r.gii")
    assert main([*call, *more]) == 0
    told = "nothing is done with them here: --train-on, --difference, --atlas"
    assert told in capsys.readouterr().err


def test_low_level_sound_alone_is_held_against_nothing(tree, tmp_path, capsys):
    tree.simple()
    call = [str(tree.root), str(tmp_path / "out"), "participant", "--dry-run", *SHORT]
    assert main([*call, "--features", "envelope", "--beyond", "low-level"]) == 2
    assert "no feature space to compare with low-level sound" in capsys.readouterr().err


def test_runs_with_unusable_files_are_in_the_exit_code(tree, tmp_path, capsys):
    tree.simple(("01", "02", "03"))
    next(tree.fmriprep.glob("sub-02/func/*task-b*hemi-R*.gii")).write_bytes(b"")
    arguments = [str(tree.root), str(tmp_path / "out"), "participant", "--dry-run", *SHORT]
    assert main([*arguments, "--missing", "use"]) == 1
    assert "skipped: sub-02_task-b: empty file" in capsys.readouterr().out
    assert main([*arguments, "--missing", "use", "--exclude-run", "sub-02"]) == 0


@pytest.mark.parametrize(("option", "code"), [("--participant-label", 18), ("--task-id", 18)])
def test_nothing_selected(tree, tmp_path, option, code):
    tree.simple()
    arguments = [str(tree.root), str(tmp_path / "out"), "participant", "--dry-run"]
    assert main([*arguments, option, "none"]) == code


def test_nothing_fetched(tree, tmp_path):
    tree.simple(("01",))
    for path in tree.fmriprep.glob("sub-01/func/*.func.gii"):
        path.unlink()
        path.symlink_to("../.git/annex/objects/aa/bb/MD5E-s1--x.gii")
    assert main([str(tree.root), str(tmp_path / "out"), "participant", "--dry-run"]) == 66


def costs_of(plan, *, ratings=None, **sections):
    """Estimate of a plan with some sections of the configuration other than usual."""
    config = Config(bids_dir=plan.bids_dir, output_dir=plan.bids_dir, level="participant")
    return ParticipantLevel.of(replace(config, **sections), plan, ratings).costs()


def test_costs_grow_with_people_mesh_and_processes(tree):
    tree.simple(("01", "02", "03", "04"))
    plan = plan_study(tree.root)
    usual = costs_of(plan)
    # 16 s and 12 s of music give 32 and 24 patches of 0.96 s every 0.48 s.
    assert usual.cache_bytes == 23 * (32 + 24) ** 2 * 4
    assert usual.total_bytes == usual.cache_bytes + 4 * usual.participant_bytes
    maps = (4 + 2 * 2) * 23 * 20484 * 4
    # Signal to noise and coverage of two runs, too.
    assert usual.participant_bytes == maps + (5 + 14 + 2 * 2) * 20484 * 4
    finer = costs_of(plan, cleaning=Cleaning(space="fsaverage"))
    assert finer.participant_bytes == pytest.approx(16 * usual.participant_bytes, rel=0.01)
    parallel = costs_of(plan, running=Running(n_procs=4))
    assert parallel.total_seconds == pytest.approx(usual.total_seconds / 4)
    assert parallel.memory >= usual.memory
    half = costs_of(replace(plan, runs=plan.runs[:4]))
    assert half.total_bytes < usual.total_bytes


def test_costs_follow_what_is_asked_for(tree):
    tree.simple()
    plan = plan_study(tree.root)
    usual = costs_of(plan)
    two = costs_of(plan, model=Model(layers=("22", "23")))
    assert two.cache_bytes == pytest.approx(usual.cache_bytes * 2 / 23)
    assert two.participant_seconds < usual.participant_seconds
    assert two.feature_seconds < usual.feature_seconds / 2
    # No layer preference, so five maps less.
    maps = usual.participant_bytes - two.participant_bytes
    assert maps == (21 * (4 + 2 * 2) + 5) * 20484 * 4
    spaces = costs_of(plan, model=Model(features=("vggish", "envelope", "cochleagram")))
    assert spaces.participant_bytes - usual.participant_bytes == 2 * (4 + 2 * 2) * 20484 * 4
    assert spaces.feature_seconds > usual.feature_seconds
    refits = [costs_of(plan, statistics=Statistics(null="phase", n_nulls=n)) for n in (200, 1000)]
    extra = [cost.participant_seconds - usual.participant_seconds for cost in refits]
    assert extra[1] == pytest.approx(5 * extra[0])
    assert refits[0].participant_bytes - usual.participant_bytes == 23 * 20484 * 4
    assert refits[0].participant_memory > usual.participant_memory
    heard = [(label, scale) for label in ("piecea", "pieceb") for scale in ("a", "b")]
    clock = np.arange(20.0)
    felt = RatingSet(tuple(Rating(None, s, name, clock, clock, "") for s, name in heard))
    rated = costs_of(plan, ratings=StudyRatings(felt, ("a", "b"), "table"))
    assert rated.participant_seconds > usual.participant_seconds
    # 16 s and 12 s of music and 12 s after each: 4 and 3 cycles below .15 Hz, of each scale.
    turned = 2 * (1 + 2 * 4 + 1 + 2 * 3)
    # Two windows of two scales: four statistics, and penalties of two held-out pieces.
    maps = (2 * 3 + 2 * 4 * 2 + 2 * 2 * 2 + turned) * 20484 * 4
    assert rated.participant_bytes - usual.participant_bytes == maps


def test_costs_of_contrasts_follow_their_number_and_the_seed(tree):
    tree.simple(("01",))
    plan = plan_study(tree.root)
    conditions = {run.label: None for run in plan.runs}

    def costs(*contrasts, **options):
        asked = ConditionPlan(plan, conditions, dict.fromkeys(contrasts, ""), None, None, {}, {})
        sections = {"conditions": Conditions(contrasts=contrasts, **options)}
        config = Config(bids_dir=tree.root, output_dir=tree.root, level="participant")
        return ParticipantLevel.of(replace(config, **sections), conditions=asked).costs()

    one, three, seeded = costs("a-b"), costs("a-b", "a", "b"), costs("a-b", seed="-40,-20,10")
    assert (one.feature_memory, one.feature_seconds, one.cache_bytes) == (0, 0, 0)
    assert one.participant_bytes == 3 * 20484 * 4
    assert three.participant_bytes == 3 * one.participant_bytes
    assert seeded.participant_bytes == 2 * one.participant_bytes
    assert one.participant_seconds < three.participant_seconds < seeded.participant_seconds
    assert one.participant_memory < seeded.participant_memory < three.participant_memory


def test_measured_studies_are_within_a_factor_of_two(tree):
    """benchmarks/README.md: 939 volumes, 23 layers, one thread for the time of the processor."""
    tree.simple(("01",))
    plan = plan_study(tree.root)
    (first, *_), label = plan.runs, "long"
    run = replace(
        first, n_volumes=939, tr=1.0, presentations=(Presentation(label, 0.0, 0.0, 939.0),)
    )
    plan = replace(
        plan, runs=(run,), stimuli=(replace(plan.stimuli[0], label=label, duration=939.0),)
    )
    costs = costs_of(plan)
    assert 99.3 / 2 < costs.participant_seconds < 2 * 99.3
    assert 235.8 / 2 < costs.feature_seconds < 2 * 235.8
    # 300 s of music: processor seconds of each space.
    for name, measured in {"cochleagram": 3.6, "envelope": 4.8, "modulation": 7.2}.items():
        estimated = costs_of(plan, model=Model(features=(name,))).feature_seconds * 300 / 939
        assert measured / 2 < estimated < 2 * measured, name
    assert 1.68e9 < costs.feature_memory < 2 * 1.68e9


@pytest.mark.parametrize(("n_participants", "measured"), [(39, 1.00), (100, 2.17), (200, 4.07)])
def test_the_estimate_of_a_group_is_above_what_was_measured_and_near(n_participants, measured):
    estimate = group_memory(n_participants, 23, "fsaverage5") / 1e9
    assert measured < estimate < 1.2 * measured
    check_group_memory(1e9 * estimate, int(1e10), n_participants)
    with pytest.raises(TryAgainError, match=f"the maps of {n_participants} participants"):
        check_group_memory(1e9 * estimate, int(1e9), n_participants)


FSAVERAGE5, FSAVERAGE = "fsaverage5", "fsaverage"
# Peaks of benchmarks/memory.py --share .3, in GB: 281 volumes with music in runs of 65, 92 and 169,
# two scales rated; a run of 300 volumes with one contrast; 23 layers on fsaverage5, 3 on fsaverage.
MEASURED = {
    "clean_runs": {FSAVERAGE5: 0.27, FSAVERAGE: 0.98},
    "write_responses": {FSAVERAGE5: 0.19, FSAVERAGE: 0.54},
    "fit_model": {FSAVERAGE5: 0.33, FSAVERAGE: 0.93},
    "write_model": {FSAVERAGE5: 0.20, FSAVERAGE: 0.22},
    "relate_ratings": {FSAVERAGE5: 0.31},
    "predict_from_ratings": {FSAVERAGE5: 0.30},
    "write_rating_maps": {FSAVERAGE5: 0.20},
    "write_rating_scores": {FSAVERAGE5: 0.17},
    "analyze_conditions": {FSAVERAGE5: 0.35},
    "write_conditions": {FSAVERAGE5: 0.17},
    "draw_page": {FSAVERAGE5: 0.43, FSAVERAGE: 1.19},
}


def steps_of(tree, space):
    """What the steps of the study that was measured are estimated to take."""
    tree.simple(("01",))
    plan = plan_study(tree.root)
    (first, *_), lengths = plan.runs, {"happy": 50, "sadsh": 77, "sadln": 154}
    runs = [
        replace(
            first, n_volumes=n + 15, tr=1.0, presentations=(Presentation(name, 0.0, 0.0, float(n)),)
        )
        for name, n in lengths.items()
    ]
    (stimulus, *_) = plan.stimuli
    stimuli = [replace(stimulus, label=k, duration=float(n)) for k, n in lengths.items()]
    plan = replace(plan, runs=tuple(runs), stimuli=tuple(stimuli))
    clock = np.arange(200.0)
    heard = [(label, scale) for label in lengths for scale in ("a", "b")]
    felt = RatingSet(tuple(Rating(None, s, name, clock, clock, "") for s, name in heard))
    layers = tuple(str(k) for k in range(1, 24 if space == FSAVERAGE5 else 4))
    config = Config(
        bids_dir=tree.root,
        output_dir=tree.root,
        level="participant",
        cleaning=Cleaning(space=space),
        model=Model(layers=layers),
        conditions=Conditions(contrasts=("a-b",)),
    )
    asked = ConditionPlan(
        replace(plan, runs=(replace(first, n_volumes=300),)),
        {first.label: None},
        {"a-b": ""},
        None,
        None,
        {},
        {},
    )
    ratings = StudyRatings(felt, ("a", "b"), "table")
    return ParticipantLevel.of(config, plan, ratings, asked).costs().steps


@pytest.mark.parametrize(
    ("name", "space", "measured"),
    [(name, space, peak) for name, of in MEASURED.items() for space, peak in of.items()],
)
def test_steps_are_estimated_within_a_third_of_what_was_measured(tree, name, space, measured):
    estimate = steps_of(tree, space)[name] / 1e9
    assert measured / 1.05 < estimate < 1.3 * measured


def test_what_does_not_fit_is_refused():
    need_memory(1e9, int(1.01e9), "for a test")
    with pytest.raises(TryAgainError, match="for a test"):
        need_memory(1e9, int(0.99e9), "for a test")


def test_resting_runs_that_cannot_be_used_cost_no_music(tree, tmp_path, capsys):
    """One without confounds, one without a surface: the music goes on, and they are named."""
    tree.simple(tr=0.4, n_volumes=60)
    tree.bold(sub="01", task="rest", tr=0.4, n_volumes=60, confounds=False)
    tree.bold(sub="02", task="rest", tr=0.4, n_volumes=60, space="fsnative")
    call = [str(tree.root), str(tmp_path / "out"), "participant", "--dry-run", *SHORT]
    assert main([*call, "--rest-task", "rest"]) == 1
    text = capsys.readouterr().out
    assert "2 participants, 4 runs, 2 stimuli" in text
    assert "sub-01_task-rest: no confounds table" in text
    assert "sub-02_task-rest: no surface BOLD in fsaverage5 (there: fsnative)" in text
