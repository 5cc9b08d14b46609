"""Subcortical voxels through both levels: they have the results of vertices of the same series."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from grayordinates import N_EACH, write_dtseries
from scipy import stats

from bids_app.cli.run import main
from bids_app.files import read_json
from bids_app.outputs import OutputTree
from bids_app.surface.gifti import read_gifti
from bids_app.surface.subcortex import read_subcortex
from bids_app.testing.music import Piece
from bids_app.testing.simulate import SimulatedStudy, simulate_study

pytestmark = pytest.mark.integration
PIECES = (
    Piece("allegro", 48.0, tempo=126.0, minor=False, tonic=60, energy=0.7),
    Piece("adagio", 56.0, tempo=72.0, minor=True, tonic=57, energy=0.4),
    Piece("andante", 64.0, tempo=84.0, minor=True, tonic=62, energy=0.5),
)
LAYERS = ("conv1", "pool1", "pool2", "pool3", "pool4")


@dataclass(frozen=True)
class Study:
    study: SimulatedStudy
    out: Path
    vertices: np.ndarray
    arguments: list[str]

    def both(self, **entities: str) -> np.ndarray:
        """A group map of the cortex at the vertices that the voxels have the series of."""
        tree = OutputTree(self.out)
        halves = [read_gifti(tree.group_map(h, "fsaverage5", **entities)) for h in "LR"]
        return np.hstack(halves)[:, self.vertices]

    def own(self, who: str, **entities: str) -> np.ndarray:
        tree = OutputTree(self.out)
        halves = [read_gifti(tree.participant_map(who, h, "fsaverage5", **entities)) for h in "LR"]
        return np.hstack(halves)[:, self.vertices]

    def voxels(self, pattern: str) -> np.ndarray:
        (path,) = self.out.glob(pattern)
        return read_subcortex(path)[1]


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Study:
    """The left amygdala has series of cortex that follows the music, the others of silent cortex.

    Without smoothing little of it is found in three short pieces: it is compared with the cortex.
    """
    root = tmp_path_factory.mktemp("subcortex")
    study = simulate_study(
        root / "study", n_participants=3, pieces=PIECES, feature_cache=root / "cache"
    )
    truth = study.truth
    silent = np.flatnonzero(truth.cortex & ~truth.active)
    rng = np.random.default_rng(0)
    vertices = np.concatenate(
        [np.argsort(-truth.share)[:N_EACH], rng.choice(silent, 2 * N_EACH, replace=False)]
    )
    for left in study.fmriprep_dir.glob("sub-*/func/*_hemi-L_*_bold.func.gii"):
        right = left.with_name(left.name.replace("hemi-L", "hemi-R"))
        bold = np.hstack([read_gifti(left), read_gifti(right)])[:, vertices]
        stem = left.name.split("_hemi-")[0]
        tr = read_json(left.with_name(left.name.replace(".func.gii", ".json")))["RepetitionTime"]
        write_dtseries(left.with_name(f"{stem}_space-fsLR_den-91k_bold.dtseries.nii"), bold, tr)
    arguments = [
        *("--vggish-weights", "random:0", "--cache-dir", str(root / "cache"), "--smoothing", "0"),
        *("--emotion", "off", "--layers", *LAYERS, "--n-spins", "19", "--n-permutations", "100"),
        *("--gradient", f"truth={','.join(map(str, study.gradient_files))}", "--subcortex"),
    ]
    found = Study(study, root / "out", vertices, arguments)
    call = [str(study.bids_dir), str(found.out)]
    assert main([*call, "participant", "--nprocs", "2", *arguments]) == 0
    assert main([*call, "group", *arguments]) == 0
    return found


def test_a_voxel_has_the_result_of_the_vertex_whose_series_it_has(done):
    for stat in ("r", "alpha"):
        stims = ("adagio", "allegro") if stat == "alpha" else ("", "adagio")
        for stim in stims:
            named = {"model": "vggish", "stat": stat, **({"stim": stim} if stim else {})}
            head = "sub-01/func/sub-01_" + (f"stim-{stim}_" if stim else "")
            pattern = f"{head}space-fsLR_den-91k_model-vggish_stat-{stat}_desc-subcortex_*.nii"
            np.testing.assert_allclose(
                done.voxels(pattern), done.own("01", **named), rtol=1e-3, atol=2e-4
            )
    slope = done.voxels("sub-01/func/*_stat-slope_desc-subcortex_statmap.dscalar.nii")
    wanted = done.own("01", model="vggish", stat="slope", desc="layerpref")
    np.testing.assert_allclose(slope, wanted, rtol=1e-2, atol=1e-3)


def test_the_table_of_a_participant_has_means_of_structures(done):
    table = pd.read_csv(next(done.out.glob("sub-02/func/*desc-subcortex_summary.tsv")), sep="\t")
    assert list(table["structure"].unique()) == ["Amygdala", "Brain stem"]
    r = done.voxels("sub-02/func/sub-02_space-*_stat-r_desc-subcortex_statmap.dscalar.nii")
    own = table[(table["structure"] == "Amygdala") & (table["hemisphere"] == "L")]
    np.testing.assert_allclose(own["r"], r[:, :N_EACH].mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(own["max_r"], r[:, :N_EACH].max(axis=1), rtol=1e-5)
    page = (done.out / "sub-02.html").read_text()
    assert "Subcortical structures" in page
    assert "horizontal slices" in page


def test_structures_are_tested_over_people_and_music(done):
    table = pd.read_csv(done.out / "group_model-vggish_desc-subcortex_summary.tsv", sep="\t")
    assert list(table["name"]) == ["Amygdala", "Amygdala", "Brain stem"]
    assert list(table["n_voxels"]) == [N_EACH] * 3
    assert table["volume"].tolist() == pytest.approx([8.0 * N_EACH] * 3)
    r = done.voxels("group_model-vggish_stat-r_desc-subcortex_statmap.dscalar.nii")
    np.testing.assert_allclose(r, done.both(model="vggish", stat="r"), rtol=1e-3, atol=2e-4)
    # Accuracy is that of the cortex, weighted alike; of three participants p is 1/8 or more.
    wanted = r.reshape(len(LAYERS), 3, N_EACH).mean(axis=(0, 2))
    np.testing.assert_allclose(table["accuracy"], wanted, atol=5e-3)
    assert table["accuracy_p"].min() >= 1 / 8
    assert table["accuracy_p_music"].between(0, 1).all()
    assert table["predicted"].astype(str).isin(["False", "n/a"]).all()
    people = pd.read_csv(
        done.out / "group_model-vggish_desc-subcortexparticipants_summary.tsv", sep="\t"
    )
    assert len(people) == 3 * 3
    first = people[people["region"] == 1]["accuracy"]
    assert first.mean() == pytest.approx(table["accuracy"][0], rel=1e-5)
    page = (done.out / "group.html").read_text()
    assert "Subcortical structures" in page
    assert "horizontal slices" in page


def test_single_voxels_are_tested_over_people_and_music(done):
    """A voxel has the null of the vertex whose series it has, up to width and tails of the set."""
    start = "group_model-vggish_stat-"
    for stat, desc, cortex, tail in (
        ("p", "subcortexmusic", {"desc": "music"}, 1),
        ("p", "subcortexlayerprefmusic", {"desc": "layerprefmusic"}, 2),
    ):
        p = done.voxels(f"{start}{stat}_desc-{desc}_statmap.dscalar.nii").astype(np.float64)
        wanted = done.both(model="vggish", stat=stat, **cortex).astype(np.float64)
        z, theirs = (stats.norm.isf(one / tail) for one in (p, wanted))
        clear = (np.abs(theirs) > 1) & np.isfinite(z) & np.isfinite(theirs)
        ratio = z[clear] / theirs[clear]
        assert clear.sum() >= 10
        np.testing.assert_allclose(ratio, np.median(ratio), rtol=0.1)
        assert np.corrcoef(z[clear], theirs[clear])[0, 1] > 0.99
        assert 0.5 < np.median(ratio) < 2
    for kind in ("music", "layerprefmusic"):
        largest = done.voxels(f"{start}p_desc-subcortex{kind}max_statmap.dscalar.nii")
        p = done.voxels(f"{start}p_desc-subcortex{kind}_statmap.dscalar.nii")
        assert (largest >= p)[p > 0.01].all()  # beyond the draws it is a Pareto tail
        q = done.voxels(f"{start}q_desc-subcortex{kind}_statmap.dscalar.nii")
        assert np.isfinite(q).all()
    # Of three participants no p over people is below .05.
    assert (done.voxels(f"{start}n_desc-subcortexpredicted_statmap.dscalar.nii") == 0).all()
    table = pd.read_csv(done.out / "group_model-vggish_desc-subcortex_summary.tsv", sep="\t")
    assert table["n_predicted"].tolist() == [0, 0, 0]
    claims = pd.read_csv(done.out / "group_desc-claims_summary.tsv", sep="\t")
    told = claims[claims["measure"] == "accuracy of subcortical voxels"].iloc[0]
    assert "people" in told["impossible"]
    assert "any subcortical voxel of model-vggish is predicted" in told["sentence"]
    page = (done.out / "group.html").read_text()
    section = page[page.index('id="subcortex"') :]
    assert "any subcortical voxel of model-vggish is predicted" in section
    assert "accuracy, deciding subcortical voxel" in page


def test_a_run_without_grayordinates_is_told_before_work_begins(done, tmp_path, capfd):
    path = next(done.study.fmriprep_dir.glob("sub-02/func/*adagio*dtseries.nii"))
    away = path.rename(tmp_path / path.name)
    call = [str(done.study.bids_dir), str(tmp_path / "other"), "participant"]
    assert main([*call, *done.arguments]) == 66
    told = capfd.readouterr().err
    assert "--cifti-output 91k" in told
    assert "sub-02_task-adagio" in told
    away.rename(path)


def test_without_the_option_nothing_else_is_written(done, tmp_path):
    call = [str(done.study.bids_dir), str(tmp_path / "other"), "participant"]
    rest = [one for one in done.arguments if one != "--subcortex"]
    assert main([*call, *rest, "--dry-run"]) == 0
    assert not list((tmp_path).glob("other/sub-*/func/*subcortex*"))
