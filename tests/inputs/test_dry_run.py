"""What --dry-run says and returns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bids_app.cli.run import main
from bids_app.errors import TryAgainError
from bids_app.inputs.dataset import plan_study
from bids_app.inputs.estimate import (
    check_group_memory,
    estimate_costs,
    glm_memory,
    group_memory,
    need_memory,
)


def test_plan_costs_and_outputs_are_printed(tree, tmp_path, capsys):
    tree.simple()
    out = tmp_path / "out"
    assert main([str(tree.root), str(out), "participant", "--dry-run"]) == 0
    text = capsys.readouterr().out
    for words in (
        "2 participants, 4 runs, 2 stimuli",
        "memory  ",
        "with --nprocs 1",
        "for each of 2 participants",
        "sub-01_hemi-{L,R}_space-fsaverage5_model-vggish_stat-{r,z,p,q}_statmap.func.gii",
        "sub-01_stim-{piecea,pieceb}_hemi-{L,R}_space-fsaverage5_desc-clean_bold.func.gii",
        "sub-01.html",
    ):
        assert words in text
    assert not out.exists()


def test_runs_with_unusable_files_are_in_the_exit_code(tree, tmp_path, capsys):
    tree.simple(("01", "02", "03"))
    next(tree.fmriprep.glob("sub-02/func/*task-b*hemi-R*.gii")).write_bytes(b"")
    arguments = [str(tree.root), str(tmp_path / "out"), "participant", "--dry-run"]
    assert main([*arguments, "--missing", "use"]) == 1
    assert "skipped: sub-02_task-b: empty file" in capsys.readouterr().out
    assert main([*arguments, "--missing", "use", "--exclude-run", "sub-02_task-b"]) == 0


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


def test_costs_grow_with_people_mesh_and_processes(tree):
    tree.simple(("01", "02", "03", "04"))
    plan = plan_study(tree.root)
    usual = estimate_costs(plan)
    # 16 s and 12 s of music give 32 and 24 patches of 0.96 s every 0.48 s.
    assert usual.cache_bytes == 23 * (32 + 24) ** 2 * 4
    assert usual.total_bytes == usual.cache_bytes + 4 * usual.participant_bytes
    maps = (4 + 2 * 2) * 23 * 20484 * 4
    assert usual.participant_bytes == maps + 14 * 20484 * 4
    finer = estimate_costs(plan, space="fsaverage")
    assert finer.participant_bytes == pytest.approx(16 * usual.participant_bytes, rel=0.01)
    parallel = estimate_costs(plan, n_procs=4)
    assert parallel.total_seconds == pytest.approx(usual.total_seconds / 4)
    assert parallel.memory >= usual.memory
    half = estimate_costs(replace(plan, runs=plan.runs[:4]))
    assert half.total_bytes < usual.total_bytes


@pytest.mark.parametrize(("n_participants", "measured"), [(39, 1.00), (100, 2.17), (200, 4.07)])
def test_the_estimate_of_a_group_is_above_what_was_measured_and_near(n_participants, measured):
    estimate = group_memory(n_participants, 23, "fsaverage5") / 1e9
    assert measured < estimate < 1.2 * measured
    check_group_memory(1e9 * estimate, int(1e10), n_participants)
    with pytest.raises(TryAgainError, match=f"the maps of {n_participants} participants"):
        check_group_memory(1e9 * estimate, int(1e9), n_participants)


@pytest.mark.parametrize(("n_volumes", "measured"), [(300, 0.53), (600, 0.61)])
def test_the_estimate_of_linear_models_is_above_what_was_measured_and_near(
    tree, n_volumes, measured
):
    tree.simple(("01",))
    run = replace(plan_study(tree.root).runs[0], n_volumes=n_volumes)
    estimate = glm_memory([run], 6, "fsaverage5")
    assert measured < estimate / 1e9 < 2 * measured
    assert glm_memory([run] * 4, 60, "fsaverage5") > estimate + 1e8
    need_memory(estimate, int(1.01 * estimate), "for a test")
    with pytest.raises(TryAgainError, match="for a test"):
        need_memory(estimate, int(0.99 * estimate), "for a test")
