"""Subcortical voxels from CIFTI series to the table of structures over people and music."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from grayordinates import N_EACH, write_atlas, write_dtseries, write_volume
from small_runs import smooth

from bids_app.analyses.folder.records import Record
from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.group.heard import Heard, Presentations
from bids_app.analyses.group.subcortex import (
    STRUCTURE_COLUMNS,
    summarize_subcortex,
    write_group_subcortex,
)
from bids_app.analyses.group.write import GroupWriter
from bids_app.analyses.participant.layers import StimulusSide
from bids_app.analyses.participant.responses import prepare_responses
from bids_app.analyses.participant.subcortex import (
    fit_subcortex,
    map_path,
    subcortical_responses,
    table_path,
    write_subcortex,
)
from bids_app.analyses.participant.voxels import Voxels, check_voxels
from bids_app.analyses.participant.write import presentations
from bids_app.config import Cleaning, Model, Statistics
from bids_app.errors import BadDataError, MissingInputError, UsageError
from bids_app.files import read_json, write_json
from bids_app.inputs.records import BoldRun, Presentation
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.surface.gifti import write_gifti
from bids_app.surface.subcortex import read_subcortex

DURATIONS = {"one": 90.0, "two": 110.0, "three": 130.0}
LAYERS = ("low", "middle", "high")
CLEANING = Cleaning(confounds="none", smoothing=0.0)
MODEL = Model(delays=(3.0, 6.0), crop=8.0, alphas=(1.0, 30.0, 1000.0))
ASKED = replace(MODEL, subcortex=True)
CIFTI = Voxels.of(ASKED)
STATISTICS = Statistics(random_seed=3, n_permutations=200)
LABELS = ("01", "02", "03", "04", "05", "06")
N_VOXELS = 3 * N_EACH


def make_grams():
    rng = np.random.default_rng(8)
    times = tuple(np.arange(0.25, d, 0.5) for d in DURATIONS.values())
    layers = []
    for _ in LAYERS:
        units = [np.stack([smooth(rng, len(t), 2.0) for _ in range(3)], axis=1) for t in times]
        layers.append([(one - one.mean(0)) / one.std(0) for one in units])
    stacked = [np.concatenate(one) for one in layers]
    return SimpleNamespace(
        labels=tuple(DURATIONS),
        checksums=tuple(name * 8 for name in DURATIONS),
        durations=tuple(DURATIONS.values()),
        patch_times=times,
        layer_names=LAYERS,
        n_units=(3,) * 3,
        n_constant=(0,) * 3,
        path=SimpleNamespace(name="folder"),
        told={},
        gram=lambda layer: stacked[layer - 1] @ stacked[layer - 1].T,
        layers=layers,
    )


@dataclass(frozen=True)
class Known(Heard):
    """Features that are in no folder."""

    features: object = None

    def plans(self, data):
        del data
        clock = self.clocks[0]
        side = StimulusSide(
            self.features, clock.labels, clock.times, clock.tr, MODEL, CLEANING.high_pass
        )
        return [[side.plan(side.gram(name)) for name in LAYERS]]


def make_runs(folder: Path, grams, who: str, n_times_off: int = 0) -> list[BoldRun]:
    """The left amygdala follows the second layer 5 s later, the other structures nothing."""
    rng, runs = np.random.default_rng(int(who)), []
    weights = np.random.default_rng(99).standard_normal(3)
    for k, (name, duration) in enumerate(DURATIONS.items()):
        n = int(duration) + 25
        signal = np.zeros(n)
        heard = np.arange(n) + 0.5 - 10.0 - 5.0
        inside = (heard >= 0) & (heard < duration)
        signal[inside] = np.interp(
            heard[inside], grams.patch_times[k], grams.layers[1][k] @ weights
        )
        values = rng.standard_normal((n, N_VOXELS))
        values[:, :N_EACH] += signal[:, np.newaxis] / signal.std()
        path = folder / f"sub-{who}_task-{name}_space-fsLR_den-91k_bold.dtseries.nii"
        write_dtseries(path, 100 + values[: n - n_times_off], 1.0)
        runs.append(
            BoldRun(
                entities={"sub": who, "task": name},
                space="fsaverage5",
                bold_left=folder / "none_hemi-L.func.gii",
                bold_right=folder / "none_hemi-R.func.gii",
                confounds_file=None,
                confounds_json=None,
                tr=1.0,
                tr_source="test",
                start_time=0.5,
                start_time_source="test",
                n_volumes=n,
                n_dummy=0,
                presentations=(Presentation(name, 10.0, 0.0, duration),),
                warnings=(),
                sources=(),
                grayordinates=path,
            )
        )
    return runs


@dataclass(frozen=True)
class Written:
    tree: OutputTree
    grams: object
    fits: dict
    inputs: Path


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Written:
    """Six participants' maps, tables and responses."""
    inputs, tree = tmp_path_factory.mktemp("in"), OutputTree(tmp_path_factory.mktemp("out"))
    grams, fits = make_grams(), {}
    for who in LABELS:
        settings = {"layers": list(LAYERS), "layer_depth": [0.0, 0.5, 1.0], "space": "fsaverage5"}
        record = Record(who, "vggish", settings, (), {})
        runs = make_runs(inputs, grams, who)
        found = fit_subcortex(record, grams, runs, CLEANING, MODEL, STATISTICS, 1)
        places = presentations([(b.run, b.stimulus) for b in found.blocks])
        write_subcortex(tree, record, found, None, {"Sources": []}, places)
        fits[who] = found
        for place in places:  # of the cortex, only when it was sampled counts here
            named = {k: v for k, v in place.items() if v}
            left = tree.participant_bold(who, "L", "fsaverage5", **named)
            write_gifti(left, np.zeros((1, 3)), hemi="L", names=["x"])
            block = next(b for b in found.blocks if b.stimulus == place["stim"])
            told = {"RepetitionTime": 1.0, "StimulusTimes": block.times.tolist()}
            write_json(sidecar_of(left), told)
    return Written(tree, grams, fits, inputs)


def test_planted_voxels_are_found_and_others_not(written):
    found = written.fits["03"]
    r = found.fits.r
    assert r.shape == (3, N_VOXELS)
    assert r[1, :N_EACH].min() > 0.3
    assert abs(r[:, N_EACH:].mean()) < 0.06
    assert (r[1, :N_EACH] > r[[0, 2], :N_EACH].max(axis=0)).mean() > 0.9
    table = pd.read_csv(table_path(written.tree, "03", "vggish"), sep="\t")
    own = table[(table["structure"] == "Amygdala") & (table["hemisphere"] == "L")]
    np.testing.assert_allclose(own["r"], r[:, :N_EACH].mean(axis=1), rtol=1e-5)
    assert own["share_q05"].tolist()[1] > 0.9
    assert list(table["n_voxels"].unique()) == [N_EACH]
    again, values = read_subcortex(map_path(written.tree, "03", model="vggish", stat="r"))
    np.testing.assert_array_equal(values, r)
    assert again.is_like(found.subcortex)


def test_responses_are_those_of_the_same_series_on_the_cortex(written, tmp_path):
    run = make_runs(tmp_path, written.grams, "01")[0]
    series = read_subcortex(run.grayordinates)[1]
    halves = []
    for hemi in "LR":
        # Vertices of cortex beside the pole; the right ones are turned, so that hemispheres differ.
        whole = np.zeros((run.n_volumes, 10242), dtype=np.float32)
        whole[:, 100 : 100 + N_VOXELS] = series if hemi == "L" else series[:, ::-1]
        path = tmp_path / f"hemi-{hemi}.func.gii"
        names = [str(k) for k in range(len(whole))]
        halves.append(write_gifti(path, whole, hemi=hemi, names=names))
    on_cortex = replace(run, bold_left=halves[0], bold_right=halves[1])
    cleaning = replace(CLEANING, cortex_mask="signal")
    wanted = prepare_responses([on_cortex], cleaning, random_seed=1).blocks[0]
    found = subcortical_responses([run], CLEANING, CIFTI)[1][0]
    np.testing.assert_array_equal(found.times, wanted.times)
    np.testing.assert_allclose(found.values, wanted.values[:, 100 : 100 + N_VOXELS], atol=1e-4)
    np.testing.assert_allclose(found.filter, wanted.filter)
    # Censored volumes leave responses and times.
    kept = np.setdiff1d(np.arange(run.n_volumes), (20, 21))
    write_dtseries(run.grayordinates, series[kept], 1.0)
    less = subcortical_responses([replace(run, censored=(20, 21))], CLEANING, CIFTI)[1][0]
    gone = np.isin(found.times, [10.5, 11.5])
    assert gone.sum() == 2
    np.testing.assert_array_equal(less.times, found.times[~gone])


def group_of(written):
    """Data, preference and presentations of the group level."""
    fits = written.fits["01"]
    settings = {
        "space": "fsaverage5",
        "alphas": list(MODEL.alphas),
        "layer_depth": [0.0, 0.5, 1.0],
        "selection": "r",
    }
    rows = [{"participant_id": f"sub-{who}", "sha256_left": who} for who in LABELS]
    data = GroupData(
        model="vggish",
        participants=list(LABELS),
        r=np.zeros((len(LABELS), 3, 5), dtype=np.float32),
        layer_names=list(LAYERS),
        stimuli=sorted(DURATIONS),
        held_out=list(fits.fits.fold_stimuli),
        settings=settings,
        rows=rows,
    )
    order = sorted(fits.blocks, key=lambda block: block.stimulus)
    clock = Presentations(tuple(b.stimulus for b in order), tuple(b.times for b in order), 1.0)
    heard = Known(
        people=tuple(range(len(LABELS))),
        clock_of=(0,) * len(LABELS),
        clocks=(clock,),
        checksums=dict(zip(written.grams.labels, written.grams.checksums, strict=True)),
        features=written.grams,
    )
    weights = np.tile([-1.0, 0.0, 1.0], (len(LABELS), 1))
    return data, SimpleNamespace(slope_weights=weights), heard


def test_structures_over_people_and_over_music(written, tmp_path):
    tree, n_folds = written.tree, len(DURATIONS)
    data, preference, heard = group_of(written)
    found = summarize_subcortex(tree, data, preference, heard, STATISTICS, tmp_path, 1)
    assert len(list(tmp_path.glob("*_*.npy"))) >= len(LABELS) * n_folds
    summary = found.summary
    # Two to the sixth flips: all of them.
    assert summary.accuracy_p[0] == pytest.approx(1 / 64)
    assert summary.accuracy_p_music[0] < 0.05
    assert summary.accuracy_p[1:].min() > 0.05
    assert summary.accuracy_p_music[1:].min() > 0.05
    assert list(summary.predicted) == [True, False, False]
    r = np.stack([written.fits[who].fits.r for who in LABELS])
    wanted = r.reshape(len(LABELS), 3, 3, N_EACH).mean(axis=3)
    np.testing.assert_allclose(summary.profiles.values, wanted, rtol=1e-5)
    np.testing.assert_allclose(summary.slopes, wanted[:, 2] - wanted[:, 0], atol=1e-6)
    assert summary.profiles.area.tolist() == pytest.approx([8.0 * N_EACH] * 3)

    writer = GroupWriter(tree, found.data, {"n_permutations": 200}, desc="subcortex")
    write_group_subcortex(writer, found)
    writer.finish()
    table = pd.read_csv(tree.root / "group_model-vggish_desc-subcortex_summary.tsv", sep="\t")
    assert set(STRUCTURE_COLUMNS) <= set(table)
    assert list(table["hemisphere"]) == ["L", "R", "both"]
    (path,) = tree.root.glob("group_model-vggish_stat-r_desc-subcortex_statmap.dscalar.nii")
    np.testing.assert_allclose(
        read_subcortex(path)[1], np.tanh(np.arctanh(r.astype(float)).mean(axis=0)), rtol=1e-5
    )
    (path,) = tree.root.glob("group_model-vggish_stat-p_desc-subcortexmaxt_statmap.dscalar.nii")
    p = read_subcortex(path)[1]
    assert (p[1, :N_EACH] <= 2 / 64).all()
    assert (p[:, N_EACH:] > 0.05).mean() > 0.95
    # What cannot be tested again over music stays as it was.
    nothing = replace(heard, reasons=("no features",))
    again = summarize_subcortex(tree, data, preference, nothing, STATISTICS, tmp_path, 1).summary
    np.testing.assert_allclose(again.accuracy_p_music, summary.accuracy_p_music, rtol=1e-9)
    # Where somebody has no maps, nothing is said.
    more = replace(data, participants=[*LABELS, "07"])
    assert summarize_subcortex(tree, more, preference, heard, STATISTICS, tmp_path, 1) is None


def test_an_atlas_in_volumes_has_the_results_of_cifti(written, tmp_path):
    """The same series in volumes: the regions of the atlas have what the structures have."""
    model = replace(MODEL, subcortex_atlas=write_atlas(tmp_path / "atlas.nii.gz"))
    tree = OutputTree(tmp_path / "out")
    shutil.copytree(written.tree.root, tree.root, ignore=shutil.ignore_patterns("group_*"))
    order = np.r_[N_EACH : 2 * N_EACH, :N_EACH, 2 * N_EACH : 3 * N_EACH]
    for who in LABELS:
        runs = make_runs(tmp_path / who, written.grams, who)
        for run in runs:
            name = f"{run.label}_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"
            write_volume(tmp_path / who / name, read_subcortex(run.grayordinates)[1], 1.0)
        runs = [replace(run, grayordinates=None) for run in runs]
        check_voxels(runs, model)
        record = Record(
            who,
            "vggish",
            {"layers": list(LAYERS), "layer_depth": [0.0, 0.5, 1.0], "space": "fsaverage5"},
            (),
            {},
        )
        found = fit_subcortex(record, written.grams, runs, CLEANING, model, STATISTICS, 1)
        assert found.subcortex.space == "MNI152NLin2009cAsym"
        names = list(found.subcortex.atlas.names.values())
        assert names == ["Amygdala (R)", "Amygdala (L)", "region 7"]
        known = written.fits[who]
        np.testing.assert_allclose(found.subcortex.points, known.subcortex.points[order])
        np.testing.assert_allclose(found.fits.r, known.fits.r[:, order], atol=1e-5)
        for path in (tree.root / f"sub-{who}" / "func").glob("*den-91k*subcortex*"):
            path.unlink()
        places = presentations([(b.run, b.stimulus) for b in found.blocks])
        write_subcortex(tree, record, found, None, {"Sources": []}, places)
    data, preference, heard = group_of(written)
    told = summarize_subcortex(tree, data, preference, heard, STATISTICS, tmp_path, 1)
    assert list(told.summary.predicted) == [False, True, False]
    assert told.summary.accuracy_p_music[1] < 0.05
    path = map_path(tree, "01", "MNI152NLin2009cAsym", model="vggish", stat="r")
    again = read_subcortex(path)[0]
    assert again.is_like(found.subcortex)
    assert not again.is_like(written.fits["01"].subcortex)


def test_an_atlas_that_cannot_be_used_is_told(written, tmp_path):
    runs = make_runs(tmp_path, written.grams, "01")
    model = replace(MODEL, subcortex_atlas=write_atlas(tmp_path / "atlas.nii.gz"))
    with pytest.raises(MissingInputError, match=r"(?s)no volume in MNI space.*--subcortex-atlas"):
        check_voxels(runs, model)
    with pytest.raises(UsageError, match="not from both"):
        check_voxels(runs, replace(model, subcortex=True))
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)), model.subcortex_atlas)
    with pytest.raises(BadDataError, match="An atlas cannot be read"):
        check_voxels(runs, model)


def test_runs_without_their_series_or_of_another_length_are_told(written, tmp_path):
    run = make_runs(tmp_path, written.grams, "01", n_times_off=3)[0]
    with pytest.raises(BadDataError, match="another length"):
        subcortical_responses([run], CLEANING, CIFTI)
    with pytest.raises(MissingInputError, match="--cifti-output 91k") as caught:
        check_voxels([replace(run, grayordinates=None)], ASKED)
    assert "sub-01_task-one" in str(caught.value)
    run.grayordinates.unlink()
    with pytest.raises(MissingInputError, match="some runs lack"):
        check_voxels([run], ASKED)


@pytest.mark.parametrize("content", [None, "{"])
def test_responses_without_a_good_sidecar_cost_the_test_over_music_alone(
    written, tmp_path, content
):
    tree = OutputTree(tmp_path / "out")
    shutil.copytree(written.tree.root, tree.root, ignore=shutil.ignore_patterns("group_*"))
    sidecar = next(tree.root.glob("sub-02/func/*_den-91k_*bold.json"))
    sidecar.unlink() if content is None else sidecar.write_text(content)
    found = summarize_subcortex(tree, *group_of(written), STATISTICS, tmp_path, 1)
    assert np.isfinite(found.summary.accuracy_p).all()
    assert np.isnan(found.summary.accuracy_p_music).all()
    assert sidecar.stem in str(found.summary.music)


def test_the_sidecar_says_that_volumes_are_missing(written, tmp_path):
    found = written.fits["01"]
    (first, second, *others) = found.blocks
    kept = np.delete(np.arange(len(first.times)), [5, 6])
    less = replace(first, times=first.times[kept], values=first.values[kept])
    blocks = [less, second, *others]
    record = Record(
        "01",
        "vggish",
        {"layers": list(LAYERS), "layer_depth": [0.0, 0.5, 1.0], "space": "fsaverage5"},
        (),
        {},
    )
    places = presentations([(b.run, b.stimulus) for b in blocks])
    tree = OutputTree(tmp_path)
    write_subcortex(tree, record, replace(found, blocks=blocks), None, {"Sources": []}, places)
    told = {}
    for path in tree.root.glob("sub-01/func/*bold.json"):
        one = read_json(path)
        told[one["Stimulus"]] = "equal steps" in one["Description"]
    assert told == {b.stimulus: b is less for b in blocks}
