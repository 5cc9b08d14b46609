"""One command fetches all content that is needed and not there, and nothing else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from input_trees import Tree
from planning import plan_study

from bids_app.cli.run import main
from bids_app.errors import MusencError
from bids_app.inputs.fetch import absent, fetch_command

FAKE = """#!/usr/bin/env bash
[ "$1" = get ] || exit 9
shift
for name in "$@"; do printf '%s/%s\\n' "$PWD" "$name" >> "$FETCHED"; done
"""


def annexed(path: Path) -> Path:
    """A file whose content git-annex has elsewhere."""
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(f"../../.git/annex/objects/{path.name}")
    return path


def fetched(command: str, tmp_path: Path) -> set[Path]:
    """What the command asks DataLad for, as the shell has it."""
    program = tmp_path / "bin" / "datalad"
    program.parent.mkdir(exist_ok=True)
    program.write_text(FAKE)
    program.chmod(0o755)
    record = tmp_path / "fetched.txt"
    record.write_text("")
    environment = {"PATH": f"{program.parent}:{os.environ['PATH']}", "FETCHED": str(record)}
    subprocess.run(["bash", "-c", command], check=True, env=environment)
    found = [Path(line) for line in record.read_text().splitlines()]
    assert len(set(found)) == len(found)
    assert all(os.path.lexists(path) for path in found)
    return {path for path in found if absent(path)}  # of the others nothing is fetched


@pytest.fixture
def tree(tmp_path):
    built = Tree(tmp_path / "my study")
    built.simple(("01", "02", "03"))
    (built.root / ".datalad").mkdir()
    return built


def surfaces(tree, pattern="sub-*/func/*_bold.func.gii"):
    return [annexed(path) for path in sorted(tree.fmriprep.glob(pattern))]


def test_one_command_with_patterns_fetches_everything(tree, tmp_path):
    needed = [
        *surfaces(tree),
        *(annexed(path) for path in sorted(tree.fmriprep.glob("sub-*/func/*confounds*.tsv"))),
        *(annexed(path) for path in sorted((tree.root / "stimuli").iterdir())),
    ]
    told: list[str] = []
    with pytest.raises(MusencError):
        plan_study(tree.root, tell_fetch=told.append)
    (command,) = told
    assert command.count("datalad get") == 1
    assert len(command.split(" && ", 1)[1].split()) == 2 + 3
    assert fetched(command, tmp_path) == set(needed)


def test_what_is_not_needed_is_not_fetched(tree, tmp_path):
    needed = surfaces(tree, "sub-02/func/*task-a*_bold.func.gii")
    for path in (
        "sub-02/func/sub-02_task-rest_hemi-L_space-fsaverage5_bold.func.gii",
        "sub-02/func/sub-02_task-a_hemi-L_space-fsnative_bold.func.gii",
        "sub-02/anat/sub-02_T1w.nii.gz",
    ):
        annexed(tree.fmriprep / path)
    annexed(tree.root / "stimuli" / "other.wav")
    plan = plan_study(tree.root, missing="use")
    assert fetched(plan.fetch, tmp_path) == set(needed)
    assert plan.participants == ("01", "02", "03")


def test_only_the_participants_asked_for_are_fetched(tree, tmp_path):
    surfaces(tree)
    needed = {
        path
        for who in ("01", "03")
        for path in (tree.fmriprep / f"sub-{who}/func").glob("*.func.gii")
    }
    told: list[str] = []
    with pytest.raises(MusencError):
        plan_study(tree.root, participants=["01", "03"], tell_fetch=told.append)
    assert fetched(told[0], tmp_path) == needed
    assert len(told[0].split()) < 3 + len(needed)


def test_events_that_are_not_there_bring_all_music(tree, tmp_path):
    events = [annexed(path) for path in tree.root.glob("sub-*/func/*_events.tsv")]
    audio = [annexed(path) for path in (tree.root / "stimuli").iterdir()]
    told: list[str] = []
    with pytest.raises(MusencError):
        plan_study(tree.root, tell_fetch=told.append)
    assert fetched(told[0], tmp_path) == {*events, *audio}


def test_names_with_spaces_and_signs_survive_the_shell(tree, tmp_path):
    names = ["Etude in C# (slow).wav", "it's $HOME.wav", "a*b.wav"]
    needed = [annexed(tree.root / "stimuli" / name) for name in names]
    annexed(tree.root / "stimuli" / "unheard.wav")
    command = fetch_command(needed)
    assert fetched(command, tmp_path) == set(needed)


def test_pointers_and_sidecars_count_and_files_that_are_there_do_not(tree, tmp_path):
    (first, *_) = sorted(tree.fmriprep.glob("sub-01/func/*hemi-L*_bold.func.gii"))
    first.write_text("/annex/objects/MD5E-s1--0.gii\n")
    sidecar = annexed(first.with_name(first.name.replace(".func.gii", ".json")))
    assert absent(first)
    assert absent(sidecar)
    assert not absent(tree.root / "stimuli" / "piece_a.wav")
    assert not absent(tree.root / "nowhere")
    plan = plan_study(tree.root, missing="use")
    assert fetched(plan.fetch, tmp_path) == {first, sidecar}


def test_datasets_of_their_own_have_a_command_each(tmp_path):
    files = []
    for name in ("raw", "prep"):
        (tmp_path / name / ".datalad").mkdir(parents=True)
        files += [annexed(tmp_path / name / f"sub-0{k}/func/x_bold.nii.gz") for k in (1, 2)]
    command = fetch_command(files)
    assert command.count("datalad get") == 2
    assert fetched(command, tmp_path) == set(files)


def test_nothing_absent_needs_no_command(tree):
    assert plan_study(tree.root).fetch == ""
    assert fetch_command([tree.root / "nowhere"]) == ""


@pytest.mark.parametrize("everything", [True, False])
def test_a_dry_run_prints_and_writes_it(tree, tmp_path, capsys, everything):
    needed = surfaces(tree) if everything else surfaces(tree, "sub-02/func/*_bold.func.gii")
    out = tmp_path / "out"
    arguments = [str(tree.root), str(out), "participant", "--vggish-weights", "random:0"]
    code = main([*arguments, "--dry-run", "--missing", "use", "--crop", "1", "--delays", "0:2"])
    assert code == (66 if everything else 1)
    script = out / "logs" / "fetch.sh"
    command = script.read_text().splitlines()[-1]
    assert command in "".join(capsys.readouterr())
    assert fetched(f"bash {script}", tmp_path) == set(needed)
