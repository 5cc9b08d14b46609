"""``musenc gradient``: the gradient of resting runs, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from listeners import write_listeners

from bids_app.analyses.group.alignment import load_gradient
from bids_app.cli.tools import main
from bids_app.surface.gifti import read_gifti, write_gifti
from bids_app.surface.mesh import load_mesh

N_TIMES = 240
MESH = load_mesh("fsaverage5")
PLACE = np.concatenate([sphere[:, 1] for sphere in MESH.spheres]) / 100


def pair(folder, name, values):
    """Both hemispheres as the option wants them."""
    files = []
    for hemi, half in zip("LR", np.split(np.asarray(values, dtype=np.float32), 2), strict=True):
        path = folder / f"{name}_hemi-{hemi}.func.gii"
        write_gifti(path, half[np.newaxis], hemi=hemi, names=[name])
        files.append(str(path))
    return ",".join(files)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two people whose connectivity runs from back to front; few vertices are cortex."""
    root = write_listeners(
        tmp_path_factory.mktemp("rest") / "study", onset=10.0, participants=("01", "02")
    )
    rng = np.random.default_rng(3)
    waves = np.cos(np.pi * np.outer(np.arange(1, 9), (PLACE + 1) / 2))
    for participant in ("01", "02"):
        noise = rng.standard_normal((N_TIMES, len(PLACE)))
        bold = rng.standard_normal((N_TIMES, 8)) @ waves + noise
        folder = root / f"derivatives/fmriprep/sub-{participant}/func"
        for hemi, half in zip("LR", np.split(bold + 100, 2, axis=1), strict=True):
            (path,) = folder.glob(f"*hemi-{hemi}*_bold.func.gii")
            names = [str(t) for t in range(N_TIMES)]
            write_gifti(path, half.astype(np.float32), hemi=hemi, names=names, tr=2.0)
    mask = np.zeros(len(PLACE))
    mask[::8] = 1
    return root, pair(root, "mask", mask)


def call(study, out, template):
    root, mask = study
    options = ["--rest-task", "song", "--output-dir", str(out), "--gradient", template]
    options += ["--cortex-mask", mask, "--confounds", "none", "--smoothing", "0"]
    return main(["gradient", str(root), *options])


def test_gradient_is_found_written_and_taken_by_the_group_level(study, tmp_path, capsys):
    template = pair(tmp_path, "template", 3 - PLACE)
    assert call(study, tmp_path / "out", template) == 0
    text = capsys.readouterr().out
    name = "out/tpl-fsaverage_hemi-{}_den-10k_desc-own_gradient.func.gii"
    files = [tmp_path / name.format(hemi) for hemi in "LR"]
    values = np.concatenate([read_gifti(file)[0] for file in files])
    there = np.isfinite(values)
    assert there.sum() == len(PLACE[::8])
    assert np.corrcoef(values[there], -PLACE[there])[0, 1] > 0.9
    record = json.loads(files[0].with_name(files[0].name.replace(".func.gii", ".json")).read_text())
    assert record["CorrelationWithTemplate"] > 0.9
    assert record["SpinP"] < 0.05
    assert len(record["Runs"]) == 2
    assert "2 participants, 2 runs" in text
    option = text.split("--gradient ")[1].strip()
    loaded = load_gradient(option, "fsaverage5")
    assert loaded.label == "own"
    np.testing.assert_array_equal(loaded.values[there], values[there])
    assert loaded.record["MadeFrom"]["Component"] == record["Component"]


def test_a_template_that_no_component_is_like_is_refused(study, tmp_path, capsys):
    noise = np.random.default_rng(0).normal(size=len(PLACE))
    assert call(study, tmp_path / "out", pair(tmp_path, "noise", noise)) == 65
    assert "No component of the resting runs is like the template" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_template_cannot_be_the_own_gradient(tmp_path, capsys):
    options = ["--rest-task", "rest", "--output-dir", str(tmp_path / "out"), "--gradient", "own"]
    assert main(["gradient", str(tmp_path), *options]) == 2
    told = capsys.readouterr().err
    assert "it has no files before it is made" in told
    assert "give the template" in told
    assert not (tmp_path / "out").exists()


def test_what_is_needed_is_said(study, capsys):
    with pytest.raises(SystemExit):
        main(["gradient", str(study[0]), "--output-dir", "x"])
    assert "--rest-task" in capsys.readouterr().err
