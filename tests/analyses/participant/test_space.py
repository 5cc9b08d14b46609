"""Another mesh than fsaverage5, from BOLD to alignment; its surfaces come from TemplateFlow."""

from __future__ import annotations

from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from listeners import HEMODYNAMIC, write_listeners, write_table
from planning import plan_study
from real_data import DATA

from bids_app.analyses.group.alignment import align, load_gradient
from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.group.music_alignment import MusicAlignment
from bids_app.analyses.group.write import GroupWriter
from bids_app.analyses.participant.lags import read_loudness
from bids_app.analyses.participant.responses import prepare_responses
from bids_app.cli.parser import parse_config
from bids_app.config import Cleaning, Statistics
from bids_app.errors import BadDataError
from bids_app.meshes import DENSITIES
from bids_app.outputs import OutputTree
from bids_app.report.sources import GroupFiles, ParticipantFiles
from bids_app.surface.gifti import read_surface, write_gifti
from bids_app.surface.mesh import load_mesh
from bids_app.surface.resample import resample_barycentric

SPACE = "fsaverage6"
N_VERTICES = 2 * 40962


@pytest.fixture(scope="module")
def finer_mesh(tmp_path_factory):
    """Surfaces of fsaverage6 where TemplateFlow would have them: real spheres, made-up folds."""
    spheres = {
        h: DATA / "surfaces" / f"fsaverage6_std_sphere.{h}.41k_fsavg_{h}.surf.gii" for h in "LR"
    }
    if not spheres["L"].is_file():
        pytest.skip(f"no test data in {DATA}")
    coarse, tmp_path = load_mesh(), tmp_path_factory.mktemp("surfaces")
    files = {}
    for hemi, part in zip("LR", coarse.hemispheres, strict=True):
        points, faces = read_surface(spheres[hemi])
        for name in ("white", "pial"):
            columns = getattr(part, name).T
            finer = resample_barycentric(columns, part.sphere, part.faces, points).T
            files[hemi, name] = _surface(tmp_path / f"{hemi}.{name}.surf.gii", finer, faces)
        files[hemi, "sphere"] = spheres[hemi]
        files[hemi, "sulc"] = write_gifti(
            tmp_path / f"{hemi}.sulc.shape.gii", points[None, :, 2], hemi=hemi, names=["sulc"]
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("templateflow.api.ls", lambda _, *, hemi, suffix, **__: [files[hemi, suffix]])
        yield load_mesh(SPACE)


def _surface(path, points, faces):
    image = nib.gifti.GiftiImage()
    for values, intent in (
        (points.astype("f4"), "NIFTI_INTENT_POINTSET"),
        (faces.astype("i4"), "NIFTI_INTENT_TRIANGLE"),
    ):
        image.add_gifti_data_array(nib.gifti.GiftiDataArray(values, intent=intent))
    nib.save(image, path)
    return path


def test_responses_are_on_the_mesh_asked_for(finer_mesh, tmp_path):
    root = write_listeners(
        tmp_path / "study", onset=20.0, participants=("01",), tr=4.0, space=SPACE
    )
    table = write_table(root, "song\tstimuli/song.wav\t20")
    plan = plan_study(root, table=table, confounds="none", space=SPACE)
    assert plan.runs[0].space == SPACE
    sounds = read_loudness([(s.label, s.path) for s in plan.stimuli])
    cleaning = Cleaning(confounds="none", smoothing=0.0, space=SPACE)
    prepared = prepare_responses(plan.runs, cleaning, sounds=sounds, random_seed=1)
    (row,) = prepared.summary
    assert prepared.blocks[0].values.shape[1] == N_VERTICES == finer_mesh.n_vertices
    assert row["bold"] == "gifti in fsaverage6"
    assert float(row["lag_s"]) == pytest.approx(HEMODYNAMIC, abs=2.0)


def test_group_results_are_on_the_participants_mesh(finer_mesh, tmp_path):
    rng = np.random.default_rng(2)
    depth = np.concatenate([sphere[:, 1] for sphere in finer_mesh.spheres])
    slopes = depth + 20 * rng.standard_normal((4, N_VERTICES))
    r = rng.uniform(0, 0.3, (4, 6, N_VERTICES))
    data = GroupData(
        model="vggish",
        participants=list("abcd"),
        r=r,
        layer_names=list("uvwxyz"),
        stimuli=["s"],
        held_out=["s"],
        settings={"space": SPACE, "layer_depth": np.linspace(0, 1, 6).tolist()},
        rows=[],
    )
    for hemi, half in zip("LR", np.split(depth, 2), strict=True):
        write_gifti(tmp_path / f"{hemi}.func.gii", half[None], hemi=hemi, names=["g"])
    option = f"{tmp_path}/L.func.gii,{tmp_path}/R.func.gii"
    gradient = load_gradient(option, data.space)
    assert gradient.values.shape == (N_VERTICES,)
    with pytest.raises(BadDataError, match="fsaverage5"):
        load_gradient(option, "fsaverage5")
    accuracy = SimpleNamespace(mask=np.arange(N_VERTICES) % 3 == 0, mean_r=r.mean(axis=0))
    statistics = Statistics(n_spins=19, random_seed=0)
    nothing = MusicAlignment(reason="no responses")
    preference = SimpleNamespace(slopes=slopes, doubt="", curvature_weights=np.array([np.nan]))
    report = align(data, accuracy, preference, gradient, nothing, statistics)
    assert report.plain.r > 0.8
    assert report.curvature is None
    music = report.levels("slope")[1]
    assert (music.level, music.reason) == ("music", "no responses")
    writer = GroupWriter(OutputTree(tmp_path / "out"), data, {})
    writer.statmap("value", gradient.values[None], ["gradient"], desc="gradient")
    assert writer.written[0].name == (
        "tpl-fsaverage_hemi-L_den-41k_model-vggish_stat-value_desc-gradient_statmap.func.gii"
    )


@pytest.mark.parametrize("space", ["fsaverage5", "fsaverage6", "fsaverage"])
def test_the_report_looks_for_maps_on_the_mesh_of_the_settings(tmp_path, space):
    config = parse_config([str(tmp_path), str(tmp_path), "participant", "--space", space])
    tree = OutputTree(tmp_path)
    path = tree.participant_settings("01", "vggish")
    path.parent.mkdir(parents=True)
    settings = config.participant_settings("random:0")
    assert settings["space"] == space
    path.write_text(f'{{"Settings": {{"space": "{space}"}}}}')
    assert f"_space-fsaverage_den-{DENSITIES[space]}_" in ParticipantFiles(
        tmp_path, "01"
    ).map_label("r")
    den = {"fsaverage5": "10k", "fsaverage6": "41k", "fsaverage": "164k"}[space]
    assert f"_den-{den}_" in GroupFiles(tmp_path).map_label("r")
