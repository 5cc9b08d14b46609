"""Conditions: contrasts, coupling with a seed, lags, from files to maps."""

from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from small_runs import N_HALF, noise

from bids_app.analyses.conditions.participant import analyze_conditions
from bids_app.analyses.conditions.seeds import seed_vertices
from bids_app.analyses.participant import bold as reading
from bids_app.config import Cleaning
from bids_app.emotion import SIGN_CONVENTION, convolved, parse_contrast
from bids_app.errors import BadDataError, InvalidInputError, MissingInputError, UsageError
from bids_app.inputs.conditions import (
    Conditions,
    check_trials,
    odd_trials,
    read_conditions,
    read_rating_differences,
)
from bids_app.inputs.seeds import find_volume, parse_seed, read_volume_seed
from bids_app.inputs.sidecars import Inheritance
from bids_app.surface.labels import read_label

N_TIMES = 330
CONTRAST = "dissonant - consonant"


def trials():
    onsets = 10.0 + 40.0 * np.arange(8)
    names = ["dissonant", "consonant"] * 4
    return onsets, names


@pytest.fixture
def conditions(tmp_path):
    """Read from an events file: eight trials of 30 s."""
    lines = ["onset\tduration\ttrial_type"]
    lines += [f"{onset}\t30\t{name}" for onset, name in zip(*trials(), strict=True)]
    lines.append("320\t5\tn/a")
    path = tmp_path / "raw/sub-01/func/sub-01_task-happy_events.tsv"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(lines))
    return read_conditions(path)


def columns():
    onsets, names = trials()
    frames = 0.5 + np.arange(N_TIMES)
    return {
        name: convolved(
            [o for o, n in zip(onsets, names, strict=True) if n == name], [30.0] * 4, [1.0] * 4,
            frames,
        )
        for name in ("dissonant", "consonant")
    }  # fmt: skip


def bold(seed=0):
    return noise(np.random.default_rng(seed), N_TIMES, 2 * N_HALF)


def label(tmp_path, name, vertices):
    """A FreeSurfer label."""
    path = tmp_path / name
    rows = "\n".join(f"{v} 0 0 0 0" for v in vertices)
    path.write_text(f"#!ascii label\n{len(vertices)}\n{rows}\n")
    return parse_seed(str(path))


CLEANING = Cleaning(confounds="none", smoothing=0.0)


def analyze(run, conditions, *contrasts, cleaning=CLEANING, seed=None, target=None, max_lag=20.0):
    """Results of one run, one per contrast."""
    named = {f"c{k}": text for k, text in enumerate(contrasts or [CONTRAST])}
    regions = {"seed": seed, "target": target}
    trials = conditions if isinstance(conditions, dict) else {run.label: conditions}
    return analyze_conditions([run], trials, named, cleaning, max_lag=max_lag, **regions)


def test_contrast_of_conditions(make_run, conditions, mesh):
    values = bold()
    x = columns()
    values[:, :6] += 2.0 * x["dissonant"][:, None]
    # What both conditions do is no difference between them.
    values[:, 6:12] += 2.0 * (x["dissonant"] + x["consonant"])[:, None]
    run = make_run("happy", 1000 + 10 * values)
    found = analyze(run, conditions)[0].maps
    assert found.names == [CONTRAST]
    assert found.t[0, :6].min() > 4
    assert np.abs(found.t[0, 6:]).mean() < 1.3
    # Percent of a mean near 1000, and ten units of noise: one unit is one percent.
    np.testing.assert_allclose(found.effect[0, :6], 2.0, atol=0.8)


def test_unknown_conditions_are_an_error_that_lists_those_there_are(make_run, conditions):
    run = make_run("happy", 1000 + bold())
    with pytest.raises(UsageError, match=r"loud(.|\n)*conditions: consonant, dissonant"):
        analyze(run, conditions, "loud - consonant")
    with pytest.raises(BadDataError, match="no trials: dissonant"):
        analyze(run, {"sub-01_task-other": conditions})


def coupled(seed, coupling):
    """A seed region in the first five vertices; vertices 25 to 34 couple by condition."""
    rng = np.random.default_rng(seed)
    values = bold(seed)
    x = columns()
    common = noise(rng, N_TIMES, 1)[:, 0]
    values[:, :5] = common[:, None] + 0.2 * values[:, :5]
    difference = x["dissonant"] - x["consonant"]
    values[:, 25:35] += (common * (0.3 + coupling * difference))[:, None] + difference[:, None]
    return values


@pytest.mark.parametrize("coupling", [0.8, 0.0])
def test_interaction_with_a_surface_seed(make_run, conditions, mesh, tmp_path, coupling):
    run = make_run("happy", 1000 + 10 * coupled(1, coupling))
    seed = label(tmp_path, "lh.ic.label", range(5))
    found = analyze(run, conditions, seed=seed)[0].ppi
    assert found.names == ["interaction"]
    inside = found.t[0, 25:35]
    assert inside.min() > 3 if coupling else np.abs(inside).mean() < 1.6
    assert found.details["Seed"] == "lh.ic.label"


def test_interaction_with_a_seed_in_the_volume(make_run, conditions, mesh, tmp_path):
    values = coupled(2, 0.8)
    run = make_run("happy", 1000 + 10 * values)
    volume = 1000 + 10 * np.random.default_rng(0).standard_normal((4, 4, 4, N_TIMES))
    volume[:2, :2, :2] = 1000 + 10 * values[:, 0]
    affine = np.diag([4.0, 4, 4, 1])
    path = tmp_path / "sub-01_task-happy_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"
    with pytest.raises(MissingInputError, match="MNI152NLin2009cAsym"):
        find_volume(run)
    nib.save(nib.Nifti1Image(volume.astype(np.float32), affine), path)
    assert find_volume(run) == path
    # The mask has voxels of half the size.
    mask = np.zeros((8, 8, 8), np.uint8)
    mask[:4, :4, :4] = 1
    fine = np.diag([2.0, 2, 2, 1])
    fine[:3, 3] = -1.0
    nib.save(nib.Nifti1Image(mask, fine), tmp_path / "ic.nii.gz")
    assert read_volume_seed(path, tmp_path / "ic.nii.gz").shape == (N_TIMES, 8)
    seed = parse_seed(str(tmp_path / "ic.nii.gz"))
    found = analyze(run, conditions, seed=seed)[0].ppi
    assert found.t[0, 25:35].min() > 3
    moved = fine.copy()
    moved[:3, 3] = 500.0
    nib.save(nib.Nifti1Image(mask, moved), tmp_path / "far.nii.gz")
    with pytest.raises(BadDataError, match="covers no voxel"):
        read_volume_seed(path, tmp_path / "far.nii.gz")


@pytest.mark.parametrize("shift", [5, -5])
def test_positive_lag_means_that_the_target_leads(make_run, conditions, mesh, tmp_path, shift):
    rng = np.random.default_rng(3)
    common = rng.standard_normal(N_TIMES + 20)
    values = bold(3)
    target = common[10 : 10 + N_TIMES]
    later = common[10 - shift : 10 - shift + N_TIMES]
    onsets, names = trials()
    dissonant = np.zeros(N_TIMES, bool)
    for onset, name in zip(onsets, names, strict=True):
        if name == "dissonant":
            dissonant[int(onset) - 5 : int(onset) + 45] = True
    values[:, :5] = later[:, None] + 0.3 * values[:, :5]
    values[:, 30:35] = np.where(dissonant, target, values[:, 36])[:, None] + (
        0.3 * values[:, 30:35]
    )
    run = make_run("happy", 1000 + 10 * values)
    seed = label(tmp_path, "lh.ic.label", range(5))
    region = label(tmp_path, "rh.aSTG.label", range(10, 15))
    found = analyze(run, conditions, seed=seed, target=region)[0].lags
    assert found.convention == SIGN_CONVENTION
    assert found.names == ["dissonant", "consonant", CONTRAST]
    assert found.lags[found.r[0].argmax()] == shift
    assert found.r[0].max() > 0.7
    assert np.abs(found.r[1]).max() < 0.5
    np.testing.assert_allclose(found.r[2], found.r[0] - found.r[1])
    assert (found.positive[0] > found.negative[0]) == (shift > 0)
    rows = found.rows()
    assert len(rows) == 3 * 41
    assert all(row["convention"] == "positive lag means: target leads seed" for row in rows)


def test_lags_of_runs_with_different_repetition_times_are_refused(
    make_run, conditions, mesh, tmp_path
):
    runs = [make_run(name, 1000 + bold()) for name in ("happy", "sadsh")]
    runs[1] = replace(runs[1], tr=2.0)
    trials = {run.label: conditions for run in runs}
    regions = {name: label(tmp_path, f"lh.{name}.label", range(5)) for name in ("seed", "target")}
    with pytest.raises(BadDataError, match=r"task-happy: 1 s, sub-01_task-sadsh: 2 s"):
        analyze_conditions(runs, trials, {"x": CONTRAST}, CLEANING, max_lag=20.0, **regions)


def mask_files(tmp_path, inside):
    """Tables of the vertices that are cortex."""
    files = tmp_path / "left.csv", tmp_path / "right.csv"
    for path, half in zip(files, np.split(inside, 2), strict=True):
        np.savetxt(path, half, fmt="%d")
    return files


def test_what_is_outside_the_cortex_mask_does_not_leak_inside(make_run, conditions, mesh, tmp_path):
    inside = np.ones(2 * N_HALF, dtype=bool)
    inside[8:12] = False
    files = mask_files(tmp_path, inside)
    cleaning = Cleaning(confounds="none", smoothing=12.0, cortex_mask=files)
    quiet, loud = bold(), bold()
    loud[:, 8:12] += 20.0 * columns()["dissonant"][:, None]
    seed = label(tmp_path, "lh.ic.label", range(6, 10))
    found = [
        analyze(make_run("happy", 1000 + 10 * values), conditions, cleaning=cleaning, seed=seed)[0]
        for values in (quiet, loud)
    ]
    for a, b in zip(*((result.maps, result.ppi) for result in found), strict=True):
        np.testing.assert_array_equal(np.isfinite(b.effect[0]), inside)
        np.testing.assert_array_equal(a.effect, b.effect)


def test_without_a_high_pass_filter_seeds_work_too(make_run, conditions, mesh, tmp_path):
    run = make_run("happy", 1000 + 10 * coupled(1, 0.8))
    seed = label(tmp_path, "lh.ic.label", range(5))
    cleaning = Cleaning(confounds="none", smoothing=0.0, high_pass=0.0)
    found = analyze(run, conditions, cleaning=cleaning, seed=seed)[0].ppi
    assert found.t[0, 25:35].min() > 3


def test_all_analyses_of_a_run_read_it_once(make_run, conditions, mesh, tmp_path, monkeypatch):
    run = make_run("happy", 1000 + 10 * coupled(1, 0.8))
    regions = {
        "seed": label(tmp_path, "lh.ic.label", range(5)),
        "target": label(tmp_path, "rh.aSTG.label", range(10, 15)),
    }
    contrasts = CONTRAST, "dissonant + consonant"
    alone = [analyze(run, conditions, text, **regions)[0] for text in contrasts]
    reads = []
    read = reading.read_into
    monkeypatch.setattr(
        reading,
        "read_into",
        lambda path, *rest, **more: reads.append(path) or read(path, *rest, **more),
    )
    together = analyze(run, conditions, *contrasts, **regions)
    assert reads == [run.bold_left, run.bold_right]
    assert [result.contrast for result in together] == list(contrasts)
    for one, other in zip(alone, together, strict=True):
        for a, b in ((one.maps, other.maps), (one.ppi, other.ppi)):
            assert a.names == b.names
            for stat in ("effect", "t", "z"):
                np.testing.assert_allclose(getattr(a, stat), getattr(b, stat), rtol=2e-7)
        np.testing.assert_array_equal(one.lags.r, other.lags.r)


def test_a_contrast_that_cannot_be_estimated_keeps_no_other_from_it(make_run, tmp_path, mesh):
    onsets, names = trials()
    runs, events = [make_run(task, 1000 + bold()) for task in ("happy", "sadsh")], {}
    for run, shift in zip(runs, (0, 7), strict=True):
        path = tmp_path / f"{run.label}_events.tsv"
        rows = [f"{onset}\t30\t{name}" for onset, name in zip(onsets, names, strict=True)]
        # In the first run at the same times as dissonant music.
        rows += [f"{onset + shift}\t30\ttwin" for onset in onsets[::2]]
        path.write_text("\n".join(["onset\tduration\ttrial_type", *rows]))
        events[run.label] = read_conditions(path)
    contrasts = {"a": "consonant", "b": "dissonant - twin"}
    options = {"seed": None, "target": None, "max_lag": 20.0}
    first, second = analyze_conditions(runs, events, contrasts, CLEANING, **options)
    assert [row["used"] for row in first.maps.table] == [True, True]
    assert [row["used"] for row in second.maps.table] == [False, True]
    assert "cannot be estimated" in second.maps.table[0]["reason"]


def test_seeds_as_people_write_them(mesh, tmp_path):
    left, right = parse_seed("-30,52,0@6"), parse_seed("30, 52, 0")
    assert seed_vertices(left, mesh).tolist() == [10, 11]
    assert seed_vertices(right, mesh).tolist() == [N_HALF + 10, N_HALF + 11]
    assert seed_vertices(parse_seed("-30,52.4,0@0.1"), mesh).tolist() == [10]
    with pytest.raises(BadDataError, match="far from the cortex"):
        seed_vertices(parse_seed("-90,0,0"), mesh)
    for text, words in (("aSTG.label", "hemisphere"), ("somewhere", "cannot be understood")):
        with pytest.raises(UsageError, match=words):
            parse_seed(text)
    other = label(tmp_path, "rh.x.label", [3, 1])
    assert seed_vertices(other, mesh).tolist() == [N_HALF + 1, N_HALF + 3]
    with pytest.raises(BadDataError, match="another mesh"):
        seed_vertices(label(tmp_path, "lh.y.label", [N_HALF]), mesh)
    with pytest.raises(MissingInputError, match="not found"):
        seed_vertices(parse_seed("lh.none.label"), mesh)


def test_gifti_labels_by_name(tmp_path):
    data = np.zeros(N_HALF, np.int32)
    data[4:7] = 2
    array = nib.gifti.GiftiDataArray(data, intent="NIFTI_INTENT_LABEL")
    table = nib.gifti.GiftiLabelTable()
    for key, name in ((0, "unknown"), (2, "aSTG")):
        entry = nib.gifti.GiftiLabel(key=key)
        entry.label = name
        table.labels.append(entry)
    image = nib.gifti.GiftiImage(darrays=[array], labeltable=table)
    path = tmp_path / "atlas_hemi-L.label.gii"
    nib.save(image, path)
    assert read_label(parse_seed(f"{path}:aSTG"), N_HALF).tolist() == [4, 5, 6]
    assert read_label(parse_seed(str(path)), N_HALF).tolist() == [4, 5, 6]
    with pytest.raises(BadDataError, match="aSTG, unknown"):
        read_label(parse_seed(f"{path}:IC"), N_HALF)


def test_events_by_inheritance(make_run, conditions, tmp_path):
    run = make_run("happy", 1000 + bold()[:5])
    found = Inheritance(tmp_path / "raw", raw=True).events(run.entities)
    assert found is not None
    assert found.name == "sub-01_task-happy_events.tsv"
    assert conditions.conditions == ("consonant", "dissonant")
    assert conditions.trials("consonant")[0].tolist() == [50.0, 130.0, 210.0, 290.0]
    assert len(conditions.names) == 8


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("onset\tduration\n1\t2\n", "trial_type"),
        ("onset\tduration\ttrial_type\n1\t2\tn/a\n", "no value in trial_type"),
        ("onset\tduration\ttrial_type\nsoon\t2\ta\n", "soon"),
        ("onset\tduration\ttrial_type\n1\t-2\ta\n", "no number of seconds"),
        ("onset\ttrial_type\n1\ta\n", "do not say when"),
        ("onset\tduration\ttrial_type\n1\t2\ta\n1.0\t2\ta\n", r"lines 2 and 3"),
    ],
)
def test_bad_events(tmp_path, text, words):
    path = tmp_path / "x_events.tsv"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=words):
        read_conditions(path)


def test_names_of_conditions(tmp_path):
    path = tmp_path / "x_events.tsv"
    names = ["fr\u00f6h", "fro\u0308h", "none", "null", "NA", "n/a", ""]
    rows = [f"{10 * k}\t2\t{name}\tx" for k, name in enumerate(names)]
    path.write_text("\n".join(["onset\tduration\ttrial_type\tother", *rows]))
    found = read_conditions(path)
    assert found.names == ("fr\u00f6h", "fr\u00f6h", "none", "null")
    assert parse_contrast("fro\u0308h - none", found.names) == {"fr\u00f6h": 1.0, "none": -1.0}
    assert [text.split(" counts")[0] for text in odd_trials(found, 80.0)] == ["none", "null"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["10 5 a", "20 5 b", "30 5 a"], []),
        (["10 10 a", "20 10.05 b", "30 5 a"], []),
        (["10 5 a", "90 5 b", "78 5 a"], ["1 of 3 trials begins behind", "1 of 3 trials ends"]),
        (["-10 5 a", "10 5 b"], ["1 of 2 trials ends before the run begins: a at -10 s"]),
        (["10 30 a", "18 4 b", "26 30 a"], ["1 of 2 trials of a last beyond the onset"]),
        (["10 50 a", "18 50 b"], ["1 of 1 trials of a last beyond the onset of the next"]),
        (["6 60 music", "10 4 a", "18 4 b"], []),
        (["5 12 a", "6 60 music", "20 12 b", "35 12 a"], []),
        (["10 5 a", "10 6 a"], ["1 of 2 trials of a"]),
    ],
)
def test_odd_trials_are_told(rows, words):
    onsets, durations, names = zip(*(row.split() for row in rows), strict=True)
    trials = Conditions(names, np.array(onsets, float), np.array(durations, float), "x")
    told = odd_trials(trials, 80.0)
    assert len(told) == len(words)
    for text, part in zip(told, words, strict=True):
        assert part in text


def test_rating_differences(tmp_path):
    path = tmp_path / "participants.tsv"
    path.write_text("participant_id\tage\tdislike\nsub-01\t3\t0.5\n02\t4\t-1\nsub-03\t4\tn/a\n")
    assert read_rating_differences(path, column="dislike") == {"01": 0.5, "02": -1.0}
    with pytest.raises(InvalidInputError, match="participant_id, age, dislike"):
        read_rating_differences(path, column="like")
    path.write_text("participant_id\tx\nsub-01\t3\n01\t4\n")
    with pytest.raises(InvalidInputError, match="two rows"):
        read_rating_differences(path, column="x")


@pytest.mark.parametrize("written", ["1", "1.0", "sub-001", "sub-1"])
def test_rating_differences_of_labels_that_a_spreadsheet_wrote(tmp_path, written):
    path = tmp_path / "participants.tsv"
    path.write_text(f"participant_id\tx\n{written}\t3\nsub-10\t4\nsub-3b\t5\n\t6\n")
    notes = []
    found = read_rating_differences(path, column="x", there=["01", "02", "10"], notes=notes)
    assert {label: found[label] for label in ("01", "10")} == {"01": 3.0, "10": 4.0}
    assert notes == [
        f"participant {written.removeprefix('sub-')} is taken for sub-01",
        "sub-3b, line 5 (without a participant) of participants.tsv: no participant of the dataset",
    ]
    path.write_text(f"participant_id\tx\nsub-01\t3\n{written}\t4\n")
    with pytest.raises(InvalidInputError, match="two rows"):
        read_rating_differences(path, column="x", there=["01", "02"])


def test_a_code_for_missing_values_among_rating_differences_is_told(tmp_path):
    path = tmp_path / "participants.tsv"
    values = [0.5, -1.0, 2.0, 0.1, -999]
    rows = [f"sub-0{n}\t{value}\n" for n, value in enumerate(values, start=1)]
    path.write_text("participant_id\tx\n" + "".join(rows))
    notes = []
    read_rating_differences(path, column="x", notes=notes)
    (told,) = notes
    assert "x of participants.tsv: -999 (1 of 5 participants) lies far from all others" in told
    path.write_text("participant_id\tx\n" + "".join(rows[:-1]))
    notes = []
    read_rating_differences(path, column="x", notes=notes)
    assert notes == []


@pytest.mark.parametrize(("factor", "extra"), [(1000, 0), (1, 1.7e9), (1, -500)])
def test_trials_of_another_clock_are_refused(factor, extra):
    onsets = np.array([10.0, 20.0, 30.0]) * factor + extra
    trials = Conditions(("a", "b", "a"), onsets, np.full(3, 4.0) * factor, "events.tsv")
    with pytest.raises(BadDataError, match=r"do not fit into the run(.|\n)*3 of 3"):
        check_trials(trials, 60.0)
    check_trials(Conditions(("a",), np.array([50.0]), np.array([20.0]), ""), 60.0)
