"""Recognition from files."""

from __future__ import annotations

import numpy as np
import pytest

from bids_app.errors import BadDataError, InvalidInputError, MissingInputError
from bids_app.recognition.clips import ClipLabel, read_clip_features, read_clip_labels
from bids_app.recognition.folders import recognize_files


def write(path, text):
    path.write_text(text)
    return path


def study(tmp_path, suffix):
    rng = np.random.default_rng(0)
    names = [f"clip{k:02d}" for k in range(40)]
    labels = np.array(["Q1", "Q2", "Q3", "Q4"])[np.arange(40) % 4]
    centers = 3 * rng.standard_normal((4, 3))
    deep = centers[np.arange(40) % 4] + rng.standard_normal((40, 3))
    spaces = {"conv1": rng.standard_normal((40, 2)), "fc2": deep}
    rows = ["clip\tlabel", *(f"audio/{n}.mp3\t{x}" for n, x in zip(names, labels, strict=True))]
    table = write(tmp_path / "labels.tsv", "\n".join([*rows, "unknown.mp3\tQ1"]))
    if suffix == "npz":
        np.savez(tmp_path / "f.npz", clips=np.array(names), **spaces)
        return tmp_path / "f.npz", table
    header = ["clip", *(f"{s}:{k}" for s, v in spaces.items() for k in range(v.shape[1]))]
    body = np.hstack(list(spaces.values()))
    separator = {"tsv": "\t", "csv": ","}[suffix]
    lines = [separator.join(header)]
    lines += [
        separator.join([f"{n}.wav", *map(repr, map(float, v))])
        for n, v in zip(names, body, strict=True)
    ]
    return write(tmp_path / f"f.{suffix}", "\n".join(lines)), table


def test_all_forms_give_the_same_accuracy_per_layer(tmp_path):
    found = []
    for suffix in ("npz", "tsv", "csv"):
        results, rows, left_out = recognize_files(
            *study(tmp_path, suffix), n_folds=4, n_permutations=9, seed=0
        )
        assert left_out == ("unknown",)
        assert [row["features"] for row in rows] == ["conv1", "fc2"]
        assert rows[1]["accuracy"] == results["fc2"].accuracy > 0.7
        assert rows[0]["accuracy"] < 0.5
        found.append([row["accuracy"] for row in rows])
    assert found[0] == found[1] == found[2]


def test_valence_and_arousal_make_quadrants(tmp_path):
    text = "stim_file,song,valence,arousal\na.wav,s,1,1\nb.wav,s,-1,1\nc,t,-1,-1\nd,t,1,n/a\n"
    found = read_clip_labels(write(tmp_path / "l.csv", text))
    assert found == {
        "a": ClipLabel("Q1", "s"),
        "b": ClipLabel("Q2", "s"),
        "c": ClipLabel("Q3", "t"),
    }


def test_bad_files(tmp_path):
    with pytest.raises(MissingInputError, match="not found"):
        read_clip_features(tmp_path / "x.npz")
    with pytest.raises(InvalidInputError, match="0 clips"):
        read_clip_features(write(tmp_path / "a.tsv", "x\ty\n1\t2\n"))
    with pytest.raises(InvalidInputError, match="1 different"):
        read_clip_features(write(tmp_path / "a.tsv", "clip\ty\na\t2\na\t2\n"))
    with pytest.raises(InvalidInputError, match="'loud'"):
        read_clip_features(write(tmp_path / "a.tsv", "clip\ty\na\tloud\n"))
    with pytest.raises(InvalidInputError, match="clip, mood"):
        read_clip_labels(write(tmp_path / "a.tsv", "clip\tmood\na\tsad\n"))
    with pytest.raises(InvalidInputError, match="two labels"):
        read_clip_labels(write(tmp_path / "a.tsv", "clip\tlabel\na\tQ1\na\tQ2\n"))
    features = write(tmp_path / "f.tsv", "clip\ty\na\t2\n")
    labels = write(tmp_path / "l.tsv", "clip\tlabel\nb\tQ1\n")
    with pytest.raises(BadDataError, match="features of a; labels of b"):
        recognize_files(features, labels, seed=0)
