from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from fake_grams import FakeGrams

from bids_app.features import cache
from bids_app.features.audio import audio_duration
from bids_app.surface.gifti import read_gifti
from bids_app.surface.mesh import load_mesh
from bids_app.testing.music import Piece, write_music
from bids_app.testing.simulate import simulate_study

PIECES = (
    Piece("second", 24.0, tempo=100.0, minor=True, tonic=57, energy=0.5),
    Piece("first", 30.0, tempo=120.0, minor=False, tonic=60, energy=0.6),
)


@pytest.fixture(autouse=True, scope="module")
def fake_network():
    """The features do not matter here, so the network is not run."""

    def fake(stimuli, weights, **_):
        labels = [label for label, _ in stimuli]
        return FakeGrams(labels, [audio_duration(path) for _, path in stimuli])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "load_or_compute_grams", fake)
        yield


def simulate(root, **options):
    return simulate_study(root, n_participants=2, pieces=PIECES, space="fsaverage3", **options)


@pytest.fixture(scope="module")
def written(tmp_path_factory, fake_network):
    return simulate(tmp_path_factory.mktemp("study"))


def test_layout(written):
    assert written.participants == ("01", "02")
    assert [run.stimulus for run in written.runs] == ["first", "second"]
    expected = [
        "bids/stimuli/first.wav",
        "bids/sub-01/func/sub-01_task-second_events.tsv",
        "bids/sub-02/func/sub-02_task-first_bold.json",
        "bids/sub-02/beh/sub-02_task-first_stim.tsv.gz",
        "bids/derivatives/fmriprep/dataset_description.json",
        "truth/truth.tsv",
        "truth/truth.json",
        "truth/hemi-L_space-fsaverage3_desc-gradient.func.gii",
    ]
    func = "bids/derivatives/fmriprep/sub-01/func/sub-01_task-first"
    expected += [
        f"{func}_hemi-L_space-fsaverage3_bold.func.gii",
        f"{func}_hemi-R_space-fsaverage3_bold.json",
        f"{func}_desc-confounds_timeseries.tsv",
        f"{func}_desc-confounds_timeseries.json",
    ]
    assert [name for name in expected if not (written.root / name).is_file()] == []


def test_official_validator_finds_no_error(written, tmp_path):
    validator = Path(sys.executable).with_name("bids-validator-deno")
    if not validator.exists():
        pytest.skip("bids-validator-deno is not installed")
    result = subprocess.run(
        [validator, str(written.bids_dir), "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    issues = json.loads(result.stdout)["issues"]["issues"]
    errors = [(i["code"], i.get("location")) for i in issues if i["severity"] == "error"]
    assert errors == []


def test_surface_series_load_in_nibabel(written):
    run = written.runs[0]
    for hemi, structure in (("L", "CortexLeft"), ("R", "CortexRight")):
        stem = f"sub-01_task-first_hemi-{hemi}_space-fsaverage3_bold"
        folder = written.fmriprep_dir / "sub-01" / "func"
        image = nib.load(folder / f"{stem}.func.gii")
        assert len(image.darrays) == run.n_volumes == 45
        assert image.darrays[0].data.shape == (642,)
        assert image.meta["AnatomicalStructurePrimary"] == structure
        assert float(image.meta["TimeStep"]) == 1000.0
        sidecar = json.loads((folder / f"{stem}.json").read_text())
        assert sidecar["RepetitionTime"] == 1.0
        assert sidecar["SliceTimingCorrected"] is False
        assert sidecar["TaskName"] == "first"


def test_wall_is_zero_in_the_files(written):
    folder = written.fmriprep_dir / "sub-02" / "func"
    both = np.concatenate(
        [
            read_gifti(folder / f"sub-02_task-second_hemi-{h}_space-fsaverage3_bold.func.gii")
            for h in "LR"
        ],
        axis=1,
    )
    cortex = written.truth.cortex
    assert not both[:, ~cortex].any()
    assert (both[:, cortex].std(axis=0) > 0).all()


def test_tables_load_in_pandas(written):
    func = written.bids_dir / "sub-01" / "func"
    events = pd.read_csv(func / "sub-01_task-first_events.tsv", sep="\t")
    assert events.loc[0, "stim_file"] == "first.wav"
    assert (events.loc[0, "onset"], events.loc[0, "duration"]) == (6.0, 30.0)
    path = written.fmriprep_dir / "sub-01/func/sub-01_task-first_desc-confounds_timeseries.tsv"
    assert "n/a" in path.read_text().splitlines()[1].split("\t")
    table = pd.read_csv(path, sep="\t", na_values="n/a")
    assert len(table) == written.runs[0].n_volumes
    people = pd.read_csv(written.bids_dir / "participants.tsv", sep="\t")
    assert people["participant_id"].tolist() == ["sub-01", "sub-02"]


def test_nilearn_reads_the_confounds(written):
    from nilearn.interfaces.fmriprep import load_confounds

    image = (
        written.fmriprep_dir / "sub-01/func/sub-01_task-first_hemi-L_space-fsaverage3_bold.func.gii"
    )
    confounds, _ = load_confounds(
        str(image),
        strategy=("motion", "high_pass", "wm_csf", "compcor"),
        motion="full",
        compcor="anat_combined",
        n_compcor=5,
    )
    assert confounds.shape[0] == written.runs[0].n_volumes
    assert np.isfinite(confounds.to_numpy()).all()
    assert {"rot_z_power2", "a_comp_cor_04", "csf"} <= set(confounds)


def test_ratings_cover_the_music_at_five_hertz(written):
    folder = written.bids_dir / "sub-01" / "beh"
    sidecar = json.loads((folder / "sub-01_task-second_stim.json").read_text())
    assert sidecar["SamplingFrequency"] == 5.0
    assert sidecar["Columns"] == ["Emotionality", "Enjoyment"]
    values = pd.read_csv(folder / "sub-01_task-second_stim.tsv.gz", sep="\t", header=None)
    assert values.shape == (24 * 5 + 1, 2)
    assert values.min().min() >= 0
    assert values.max().max() <= 100
    assert (values.std() > 1).all()


def test_listeners_agree_in_part(written):
    def rating(participant):
        folder = written.bids_dir / f"sub-{participant}" / "beh"
        return np.concatenate(
            [
                pd.read_csv(
                    folder / f"sub-{participant}_task-{task}_stim.tsv.gz", sep="\t", header=None
                )[0]
                for task in ("first", "second")
            ]
        )

    assert 0.2 < np.corrcoef(rating("01"), rating("02"))[0, 1] < 0.98


def test_truth_on_disk_is_the_truth(written):
    truth, mesh = written.truth, load_mesh("fsaverage3")
    table = pd.read_csv(written.truth_dir / "truth.tsv", sep="\t", na_values="n/a")
    assert len(table) == mesh.n_vertices
    np.testing.assert_array_equal(table["layer"], truth.layers)
    np.testing.assert_array_equal(table["active"].to_numpy() > 0, truth.active)
    np.testing.assert_allclose(table["snr"], truth.share, atol=1e-6)
    for name, values in (("depth", truth.depth), ("layer", truth.layers), ("snr", truth.share)):
        both = np.concatenate(
            [
                read_gifti(written.truth_dir / f"hemi-{h}_space-fsaverage3_desc-{name}.func.gii")[0]
                for h in "LR"
            ]
        )
        np.testing.assert_allclose(both, values, atol=1e-6)
    gradient = np.concatenate([read_gifti(path)[0] for path in written.gradient_files])
    assert np.isnan(gradient[~truth.cortex]).all()
    settings = json.loads((written.truth_dir / "truth.json").read_text())
    assert settings["Weights"] == "random:0"
    assert [scale["name"] for scale in settings["Ratings"]] == ["Emotionality", "Enjoyment"]


def test_same_seed_same_files(written, tmp_path):
    def digest(root):
        return {
            path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }

    again = simulate(tmp_path / "again")
    assert digest(again.root) == digest(written.root)


def test_given_audio_labels_and_progress(tmp_path):
    (path,) = write_music(tmp_path / "audio", PIECES[:1], seed=0)
    messages = []
    study = simulate_study(
        tmp_path / "study",
        pieces=[path],
        participants=["A1"],
        space="fsaverage3",
        effect="none",
        progress=messages.append,
    )
    assert study.participants == ("A1",)
    assert (study.bids_dir / "stimuli" / "second.wav").read_bytes() == path.read_bytes()
    assert not study.truth.active.any()
    assert any("participant 1 of 1" in message for message in messages)


def test_without_music_or_with_missing_audio(tmp_path):
    with pytest.raises(ValueError, match="music"):
        simulate_study(tmp_path, pieces=[], space="fsaverage3")
    with pytest.raises(FileNotFoundError, match="audio"):
        simulate_study(tmp_path, pieces=[tmp_path / "no.wav"], space="fsaverage3")
