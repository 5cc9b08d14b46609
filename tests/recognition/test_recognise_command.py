"""``musenc recognise`` through its command line."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import soundfile

from bids_app.cli.tools import main
from bids_app.errors import BadDataError, InvalidInputError, MissingInputError
from bids_app.recognition.clip_folders import read_clip_folder
from bids_app.recognition.clips import read_clip_features


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Twelve clips: loud or soft, high or low; and a table of their labels."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    times = np.arange(int(1.5 * 16000)) / 16000
    lines = ["clip\tlabel"]
    for k in range(12):
        high = k % 2
        sound = np.sin(
            2 * np.pi * (2000 if high else 250) * times * (1 + 0.02 * rng.standard_normal())
        )
        soundfile.write(
            folder / f"c{k:02d}.wav", 0.3 * sound + 0.01 * rng.standard_normal(times.size), 16000
        )
        lines.append(f"c{k:02d}.wav\t{'high' if high else 'low'}")
    (folder / "labels.tsv").write_text("\n".join([*lines, "absent.wav\tlow"]) + "\n")
    return folder


def export(clips, target, *options):
    audio = [str(path) for path in sorted(clips.glob("*.wav"))]
    assert main(["features", *audio, "-o", str(target), "--no-picture", *options]) == 0
    return target


@pytest.mark.parametrize("file_format", ["tsv", "h5"])
def test_what_features_writes_is_recognised(clips, tmp_path, capsys, file_format):
    folder = export(clips, tmp_path / "f", "--features", "descriptors", "--format", file_format)
    out = tmp_path / "out"
    arguments = ["recognise", str(folder), str(clips / "labels.tsv"), "-o", str(out)]
    arguments += ["--classifier", "logistic", "--n-folds", "3", "--n-permutations", "19"]
    assert main([*arguments, "--random-seed", "3"]) == 0
    printed = capsys.readouterr().out
    table = pd.read_csv(out / "recognition.tsv", sep="\t")
    best = table.loc[table["accuracy"].idxmax()]
    assert best["accuracy"] == 1.0
    assert best["p"] == 1 / 20
    assert 0.2 < best["chance"] < 0.8
    assert best["features"] in printed
    assert "12 clips, 2 classes (high, low), 3 folds" in printed
    assert "left out: absent" in printed
    about = json.loads((out / "recognition.json").read_text())
    assert set(table.columns) <= set(about)
    assert about["Settings"]["seed"] == 3
    assert about["ClipsLeftOut"] == ["absent"]
    assert np.sum(about["Confusion"][best["features"]]["TrueByPredicted"]) == 12


def test_layers_of_the_network(clips, tmp_path, capsys):
    folder = export(clips, tmp_path / "f", "--vggish-weights", "random:0", "--layers", "1", "fc2")
    code = main(["recognize", str(folder), str(clips / "labels.tsv"), "--n-permutations", "0"])
    assert code == 0
    lines = capsys.readouterr().out.splitlines()
    found = [line.split()[0] for line in lines if line.startswith(("InputBatch", "fc2"))]
    assert found == ["InputBatch", "fc2"]
    mean = read_clip_folder(folder).spaces["fc2"]
    table = next(folder.glob("c03_*-fc2.tsv"))
    assert mean[3] == pytest.approx(pd.read_csv(table, sep="\t").drop(columns="time").mean())


def test_two_feature_spaces_in_a_folder_are_told_apart(clips, tmp_path):
    folder = export(clips, tmp_path / "f", "--features", "envelope")
    export(clips, folder, "--features", "descriptors")
    assert all(":" in name for name in read_clip_folder(folder).spaces)


def test_components_of_two_calls_are_not_the_same_features(clips, tmp_path):
    more = ("--vggish-weights", "random:0", "--layers", "1", "--n-components", "2", "--no-picture")
    folder, files = tmp_path / "f", sorted(clips.glob("*.wav"))
    for own in (files[:6], files[6:]):
        assert main(["features", *map(str, own), "-o", str(folder), *more]) == 0
    with pytest.raises(BadDataError, match=f"{files[6].stem}.*6 files"):
        read_clip_folder(folder)


@pytest.mark.parametrize(
    "names", [np.array([b"a", b"b"]), np.array([[1], [2]]), np.array(["a", "b"])[:, None]]
)
def test_names_of_clips_are_texts_whatever_they_were_saved_as(tmp_path, names):
    np.savez(tmp_path / "f.npz", clips=names, layer=np.eye(2))
    found = read_clip_features(tmp_path / "f.npz")
    assert found.clips in {("a", "b"), ("1", "2")}
    assert found.spaces["layer"].tolist() == np.eye(2).tolist()


@pytest.mark.parametrize(
    "values",
    [
        np.eye(2) * 1j,
        np.zeros(2, dtype=[("x", float)]),
        np.zeros((2, 1), "datetime64[s]"),
        np.array([["1"], ["2"]]),
    ],
)
def test_features_that_are_no_real_numbers_are_refused(tmp_path, values):
    np.savez(tmp_path / "f.npz", clips=["a", "b"], layer=values)
    with pytest.raises(InvalidInputError, match=r"layer: values of the type"):
        read_clip_features(tmp_path / "f.npz")


@pytest.mark.parametrize("wrong", [("--n-folds", "1"), ("--n-permutations", "-5")])
def test_numbers_that_make_no_test_are_usage_errors(tmp_path, capsys, wrong):
    with pytest.raises(SystemExit, match="2"):
        main(["recognise", str(tmp_path), "labels.tsv", *wrong])
    assert wrong[0] in capsys.readouterr().err


def test_errors_say_what_to_do(clips, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingInputError, match="musenc features"):
        read_clip_folder(tmp_path / "empty")
    code = main(["recognise", str(tmp_path / "empty"), str(clips / "labels.tsv")])
    assert code == MissingInputError.exit_code
    assert "do this" in capsys.readouterr().err
    folder = export(clips, tmp_path / "f", "--features", "envelope")
    victim = next(folder.glob("c03*.tsv"))
    rows = victim.read_text()
    victim.write_text("time\ta\tb\n0\t1\t2\n")
    with pytest.raises(BadDataError, match="1, 2"):
        read_clip_folder(folder)
    victim.write_text(rows.replace(rows.split()[-1], "loud"))
    with pytest.raises(BadDataError, match=victim.name):
        read_clip_folder(folder)
    victim.with_suffix(".json").unlink()
    export(clips, folder, "--features", "descriptors", "--format", "h5")
    with pytest.raises(InvalidInputError, match="not of c03"):
        read_clip_folder(folder)
