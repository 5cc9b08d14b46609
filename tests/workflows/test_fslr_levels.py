"""fsLR through both levels, on a small mesh that is numbered as it is."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.cifti2 import BrainModelAxis, SeriesAxis

from bids_app.cli.run import main
from bids_app.files import read_json, write_json
from bids_app.outputs import OutputTree, cifti_of, hemispheres_of
from bids_app.surface.cortex import cortex_vertices
from bids_app.surface.gifti import read_gifti, write_gifti, write_labels
from bids_app.surface.mesh import load_mesh
from bids_app.surface.project import read_cifti
from bids_app.surface.resample import sphere_map
from bids_app.surface.smooth import smooth_surface
from bids_app.testing.fslr import small_fslr
from bids_app.testing.music import Piece
from bids_app.testing.simulate import SimulatedStudy, simulate_study

pytestmark = pytest.mark.slow
PIECES = (
    Piece("allegro", 96.0, tempo=126.0, minor=False, tonic=60, energy=0.7),
    Piece("adagio", 112.0, tempo=72.0, minor=True, tonic=57, energy=0.4),
    Piece("andante", 128.0, tempo=84.0, minor=True, tonic=62, energy=0.5),
)
LAYERS = ("loudness", "timbre", "tonality", "rhythm", "all")
SIMULATED: dict[str, Any] = {
    "pieces": PIECES,
    "features": "descriptors",
    "weights": None,
    "strength": 0.6,
}


@dataclass(frozen=True)
class Study:
    study: SimulatedStudy
    out: Path
    cortex: np.ndarray
    arguments: list[str]

    def own(self, who: str, **entities: str) -> np.ndarray:
        tree = OutputTree(self.out)
        halves = [read_gifti(tree.participant_map(who, h, "fsLR", **entities)) for h in "LR"]
        return np.hstack(halves)

    def group(self, **entities: str) -> np.ndarray:
        tree = OutputTree(self.out)
        return np.hstack([read_gifti(tree.group_map(h, "fsLR", **entities)) for h in "LR"])


def as_grayordinates(folder: Path, cortex: np.ndarray) -> None:
    """Surface series of a participant as 91k files, and no longer as GIFTI."""
    for left in folder.glob("*_hemi-L_*_bold.func.gii"):
        right = left.with_name(left.name.replace("hemi-L", "hemi-R"))
        sidecar = left.with_name(left.name.replace(".func.gii", ".json"))
        tr = read_json(sidecar)["RepetitionTime"]
        halves = [read_gifti(path) for path in (left, right)]
        axis, values = None, []
        for name, half, inside in zip(
            ("CORTEX_LEFT", "CORTEX_RIGHT"), halves, np.split(cortex, 2), strict=True
        ):
            own = BrainModelAxis.from_surface(np.flatnonzero(inside), len(inside), name=name)
            axis = own if axis is None else axis + own
            values.append(half[:, inside])
        stem = left.name.split("_hemi-")[0] + "_space-fsLR_den-91k_bold"
        image = nib.Cifti2Image(np.hstack(values), header=(SeriesAxis(0, tr, len(halves[0])), axis))
        nib.save(image, folder / f"{stem}.dtseries.nii")
        sidecar.rename(folder / f"{stem}.json")
        for path in (left, right):
            path.unlink()


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Study:
    """Three listeners; the series of the second are grayordinates."""
    root = tmp_path_factory.mktemp("fslr")
    with small_fslr(root / "neuromaps"):
        study = simulate_study(
            root / "study",
            n_participants=3,
            space="fsLR",
            feature_cache=root / "cache",
            **SIMULATED,
        )
        cortex = cortex_vertices("template", load_mesh("fsLR"))
        as_grayordinates(study.fmriprep_dir / "sub-02" / "func", cortex)
        arguments = [
            *("--features", "descriptors", "--layers", *LAYERS, "--slope-model", "linear"),
            *("--layer-depth", "0", "0.25", "0.5", "0.75", "1"),
            *("--space", "fsLR", "--emotion", "off", "--cache-dir", str(root / "cache")),
            *("--n-spins", "99", "--n-permutations", "100"),
            *("--gradient", f"truth={','.join(map(str, study.gradient_files))}"),
        ]
        paths = []
        for hemi, half in zip("LR", np.split(study.truth.active, 2), strict=True):
            path = root / f"active_hemi-{hemi}.label.gii"
            paths.append(write_labels(path, half + 1, ["???", "silent", "active"], hemi=hemi))
        atlas = f"own={','.join(map(str, paths))}"
        found = Study(study, root / "out", cortex, arguments)
        call = [str(study.bids_dir), str(found.out)]
        assert main([*call, "participant", *arguments]) == 0
        assert main([*call, "group", *arguments, "--atlas", atlas]) == 0
        yield found


def test_maps_have_what_was_planted(done):
    truth, cortex = done.study.truth, done.cortex
    for who in ("01", "02", "03"):
        r = done.own(who, model="descriptors", stat="r")
        assert r.shape == (len(LAYERS), len(cortex))
        assert np.isnan(r[:, ~cortex]).all()
        best = r.max(axis=0)
        silent = best[~truth.active & cortex]
        assert np.nanmean(best[truth.active & cortex]) > 2 * np.nanmean(silent)
        there = np.isfinite(best)
        assert np.corrcoef(best[there], truth.share[there])[0, 1] > 0.5
    settings = read_json(OutputTree(done.out).model_settings("descriptors"))["Settings"]
    assert settings["space"] == "fsLR"
    assert settings["cortex_mask"]["Name"] == "template"


def test_the_group_has_maps_tests_and_tables_on_the_mesh(done):
    r = done.group(model="descriptors", stat="r")
    people = [done.own(who, model="descriptors", stat="r") for who in ("01", "02", "03")]
    there = np.isfinite(r[0])
    assert there.sum() > 0.95 * done.cortex.sum()
    np.testing.assert_allclose(
        r[:, there], np.tanh(np.arctanh(people).mean(axis=0))[:, there], atol=1e-5
    )
    assert np.corrcoef(r.max(axis=0)[there], done.study.truth.share[there])[0, 1] > 0.5
    table = pd.read_csv(
        done.out / "group_model-descriptors_desc-alignmenttruth_statmap.tsv", sep="\t"
    )
    assert np.isfinite(table.select_dtypes("number").iloc[0]).any()
    isc = done.group(stat="isc", desc="pairwise")[0]
    active = done.study.truth.active
    assert np.nanmean(isc[active]) > 1.4 * np.nanmean(isc[~active])
    told = read_json(next(done.out.glob("tpl-fsLR/func/*_hemi-L_*_stat-r_statmap.json")))
    assert told["SpatialReference"].endswith("tpl-fsLR_hemi-L_den-32k_sphere.surf.gii")


def test_every_map_lies_beside_its_cifti_file(done):
    for folder in (done.out / "sub-01" / "func", done.out / "tpl-fsLR" / "func"):
        lefts = sorted(folder.glob("*_hemi-L_*_statmap.func.gii"))
        assert len(lefts) > 5
        for left in lefts:
            dense = nib.load(cifti_of(left))
            models = dense.header.get_axis(1)
            values = np.hstack([read_gifti(path) for path in hemispheres_of(left)])
            inside = done.cortex | np.isfinite(values).any(axis=0)
            np.testing.assert_array_equal(np.asarray(dense.dataobj), values[:, inside])
            assert len(models) == inside.sum()
    (path,) = done.out.glob("tpl-fsLR/func/*_stat-r_desc-parcelsown_statmap.pscalar.nii")
    parcels = nib.load(path)
    assert list(parcels.header.get_axis(1).name) == ["L_silent", "L_active", "R_silent", "R_active"]
    table = pd.read_csv(done.out / "group_model-descriptors_desc-parcelsown_summary.tsv", sep="\t")
    found = np.asarray(parcels.dataobj)
    np.testing.assert_allclose(found[0], table["r_1"], rtol=1e-5)
    assert found[:, [1, 3]].max() > 2 * found[:, [0, 2]].max()


def test_pages_say_the_mesh(done):
    page = (done.out / "group.html").read_text()
    assert "fsLR 32k surface" in page
    assert "fsaverage family" not in page
    explorer = (done.out / "group_model-descriptors_explore.html").read_text()
    assert f'"n":{2 * 1442}' in explorer


def test_grayordinates_and_surface_files_have_the_same_result(done, tmp_path):
    """The second listener's series once more, as GIFTI."""
    bids = tmp_path / "bids"
    shutil.copytree(done.study.bids_dir, bids)
    folder = bids / "derivatives" / "fmriprep" / "sub-02" / "func"
    for path in folder.glob("*_den-91k_bold.dtseries.nii"):
        stem = path.name.split("_space-")[0]
        tr = read_json(path.with_name(path.name.replace(".dtseries.nii", ".json")))
        for hemi, half in zip("LR", read_cifti(path), strict=True):
            name = f"{stem}_hemi-{hemi}_space-fsLR_den-32k_bold"
            names = [str(k) for k in range(len(half))]
            write_gifti(
                folder / f"{name}.func.gii", half, hemi=hemi, names=names, tr=tr["RepetitionTime"]
            )
            write_json(folder / f"{name}.json", tr)
        path.unlink()
    out = tmp_path / "out"
    call = [str(bids), str(out), "participant", "--participant-label", "02", *done.arguments]
    assert main(call) == 0
    other = Study(done.study, out, done.cortex, [])
    for stat in ("r", "z"):
        named = {"model": "descriptors", "stat": stat}
        np.testing.assert_array_equal(done.own("02", **named), other.own("02", **named))


def test_results_agree_with_those_on_fsaverage5(done, tmp_path):
    """Smooth series of one listener, carried over: maps of both meshes, held against each other."""
    study = simulate_study(
        tmp_path / "study",
        n_participants=1,
        feature_cache=done.study.root.parent / "cache",
        **SIMULATED,
    )
    fine, mesh = load_mesh("fsaverage5"), load_mesh("fsLR")
    maps = [
        sphere_map(one.sphere, one.faces, other.registered)
        for one, other in zip(fine.hemispheres, mesh.hemispheres, strict=True)
    ]
    for left in study.fmriprep_dir.glob("sub-*/func/*_hemi-L_*_bold.func.gii"):
        for hemi, side, onto in zip("LR", fine.hemispheres, maps, strict=True):
            path = left.with_name(left.name.replace("hemi-L", f"hemi-{hemi}"))
            sidecar = path.with_name(path.name.replace(".func.gii", ".json"))
            told = read_json(sidecar)
            smooth = smooth_surface(read_gifti(path), side.white, side.faces, 12.0)
            for values, name in (
                (smooth, path.name),
                (onto.apply(smooth), path.name.replace("fsaverage5", "fsLR_den-32k")),
            ):
                names = [str(k) for k in range(len(values))]
                target = path.with_name(name)
                write_gifti(target, values, hemi=hemi, names=names, tr=told["RepetitionTime"])
                write_json(target.with_name(name.replace(".func.gii", ".json")), told)
    halves = {}
    for space in ("fsaverage5", "fsLR"):
        out = tmp_path / space
        call = [str(study.bids_dir), str(out), "participant", *done.arguments]
        assert main([*call, "--smoothing", "0", "--null", "none", "--space", space]) == 0
        tree = OutputTree(out)
        halves[space] = [
            read_gifti(tree.participant_map("01", h, space, model="descriptors", stat="r"))
            for h in "LR"
        ]
    carried = np.hstack([m.apply(h) for m, h in zip(maps, halves["fsaverage5"], strict=True)])
    found = np.hstack(halves["fsLR"])
    both = np.isfinite(carried) & np.isfinite(found)
    assert both.mean() > 0.8
    for own, other, there in zip(carried, found, both, strict=True):
        assert np.corrcoef(own[there], other[there])[0, 1] > 0.99
