"""Conditions through the command line: contrast, interaction with a seed, lags, group."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import soundfile
from dissonance import CONTRAST, COUPLED, SHIFT, SILENT, write_dissonance

from bids_app.cli.run import main
from bids_app.files import read_json
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.surface.gifti import read_gifti

LABEL = "dissonantMinusconsonant"
CLEANING = ["--confounds", "none", "--smoothing", "0"]


def arguments(root, level="participant", *extra):
    return [str(root), str(root / "out"), level, *CLEANING, *extra]


def seeded(root):
    return ["--seed", f"{root}/lh.seed.label", "--target", f"{root}/lh.target.label"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Six participants, analyzed at the participant level."""
    root = write_dissonance(tmp_path_factory.mktemp("music") / "study")
    call = arguments(root, "participant", "--contrast", "dissonant-consonant", *seeded(root))
    assert main(call) == 0
    return root


def left(root, stat, *, participant="01", **entities):
    path = OutputTree(root / "out").participant_map(
        participant, "L", "fsaverage5", model="conditions", feature=LABEL, stat=stat, **entities
    )
    return read_gifti(path)[0]


def test_planted_contrast_and_interaction_are_found_where_they_are(study):
    for participant, effect in (("01", 0.0), ("05", 4.0)):
        found = left(study, "effect", participant=participant)[CONTRAST].mean()
        assert found == pytest.approx(effect, abs=0.4)
    assert left(study, "t", participant="05")[CONTRAST].min() > 4
    interaction = left(study, "t", desc="ppi")
    assert interaction[COUPLED].min() > 2
    for values in (interaction[CONTRAST], interaction[SILENT], left(study, "z")[SILENT]):
        assert np.abs(values).mean() < 1.6
    assert np.isnan(left(study, "t")[5000])


def test_sidecars_say_what_was_done(study):
    tree = OutputTree(study / "out")
    path = tree.participant_map(
        "01", "R", "fsaverage5", model="conditions", feature=LABEL, stat="effect", desc="ppi"
    )
    told = read_json(sidecar_of(path))
    assert told["Contrast"] == "dissonant-consonant"
    assert told["Seed"].endswith("lh.seed.label")
    assert told["Runs"][0]["used"] is True
    settings = read_json(tree.condition_settings("01"))
    assert settings["Contrasts"] == {LABEL: "dissonant-consonant"}
    assert tree.participants_of("conditions") == []  # it is no encoding model


def test_positive_lag_means_that_the_target_leads(study):
    tree = OutputTree(study / "out")
    path = tree.condition_table("01", "timeseries.tsv", feature=LABEL, desc="lags")
    table = pd.read_csv(path, sep="\t")
    for condition in ("dissonant", "consonant"):
        curve = table[table["condition"] == condition]
        assert curve.loc[curve["r"].idxmax(), "lag_s"] == SHIFT
    told = read_json(sidecar_of(path))
    assert told["SignConvention"] == "positive lag means: target leads seed"
    assert set(table["convention"]) == {told["SignConvention"]}
    means = pd.read_csv(
        tree.condition_table("01", "summary.tsv", feature=LABEL, desc="lags"), sep="\t"
    )
    assert (means["r_positive"] > means["r_negative"]).iloc[:2].all()


def test_unknown_conditions_are_listed_before_anything_is_written(study, tmp_path, capsys):
    call = [str(study), str(tmp_path / "out"), "participant", *CLEANING]
    call += ["--contrast", "loud-consonant"]
    assert main(call) == 2
    assert "conditions: consonant, dissonant" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_is_done_is_not_done_again_and_other_settings_are_refused(study, capsys):
    call = arguments(study, "participant", "--contrast", "dissonant-consonant", *seeded(study))
    before = {p: p.stat().st_mtime_ns for p in (study / "out").rglob("*conditions*.gii")}
    assert main(call) == 0
    assert before == {p: p.stat().st_mtime_ns for p in before}
    assert main(arguments(study, "participant", "--contrast", "consonant-dissonant")) == 16
    assert "contrasts" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("extra", "code", "words"),
    [
        (["--seed", "nowhere.label"], 2, "hemisphere"),
        (["--seed", "lh.nowhere.label"], 66, "not found"),
        (["--seed=-500,0,0"], 65, "far from the cortex"),
        (["--condition-column", "emotion"], 16, "emotion"),
    ],
)
def test_errors_before_computing(study, tmp_path, capsys, extra, code, words):
    call = [str(study), str(tmp_path / "out"), "participant", *CLEANING]
    call += ["--contrast", "dissonant-consonant"]
    assert main([*call, *extra]) == code
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_music_and_conditions_are_planned_side_by_side(study, tmp_path, capsys):
    audio = tmp_path / "song.wav"
    soundfile.write(audio, np.random.default_rng(0).uniform(-0.1, 0.1, 16000 * 300), 16000)
    table = tmp_path / "music.tsv"
    table.write_text(f"task\tstim_file\tonset\nmusic\t{audio}\t10\n")
    call = [str(study), str(tmp_path / "out"), "participant", *CLEANING, "--dry-run"]
    assert main([*call, "--stimuli", str(table), "--contrast", "dissonant-consonant"]) == 0
    printed = capsys.readouterr().out
    assert "sub-01: 1 runs with conditions" in printed
    assert "model-vggish" in printed
    # Without contrasts, a dataset without music is the error it always was.
    assert main(call) == 66
    assert "There is no stimulus" in capsys.readouterr().err
