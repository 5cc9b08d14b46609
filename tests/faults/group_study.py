"""Output folders as the participant level leaves them, small, and the group level run on them.

The maps are written, not computed: what is wanted here is every file the group level reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import nibabel as nib
import numpy as np
import soundfile
from fault_study import Outcome, Study, observe

from bids_app.analyses.folder.write import write_map, write_rows, write_settings
from bids_app.cli.run import main
from bids_app.config import settings_hash
from bids_app.features.cache import load_or_compute_grams
from bids_app.features.timing import SAMPLING
from bids_app.files import write_json
from bids_app.outputs import EMOTION_LABEL, RATINGS_DESC, OutputTree, sidecar_of
from bids_app.surface.gifti import write_gifti
from bids_app.surface.mesh import load_mesh

PEOPLE = ("01", "02", "03")
TESTED = ("01", "02", "03", "04")
MODEL = "own"
SPACE = "fsaverage5"
LAYERS = ["conv1", "conv2", "conv3", "conv4", "conv5"]
STIMULI = {"calm": 60.0, "lively": 52.0}
SCALES = ("Enjoyment", "Sadness")
CONTRAST = "calmMinuslively"
TR = 2.0
SETTINGS: dict[str, Any] = {
    "space": SPACE,
    "features": MODEL,
    "alphas": [1.0, 10.0, 100.0],
    "delays": [2, 6],
    "crop": 4.0,
    "high_pass": 128.0,
    "confounds": "24P",
    "smoothing": 6.0,
    "selection": "r",
    "null": "none",
    "layer_depth": [0.0, 0.25, 0.5, 0.75, 1.0],
    "sampling": SAMPLING,
    "random_seed": 1,
}
_AGAIN = "run the participant level again"


@dataclass(frozen=True)
class GroupStudy(Study):
    """Paths of the files that cases of the group level break; all below `root`."""

    @property
    def out(self) -> Path:
        """Encoding models and ratings of three participants."""
        return self.root / "out"

    @property
    def tested(self) -> Path:
        """Contrasts of conditions of four participants."""
        return self.root / "tested"

    def map(self, stat: str = "r", hemi: str = "L", sub: str = "02", **entities: str) -> Path:
        return OutputTree(self.out).participant_map(
            sub, hemi, SPACE, **{"model": MODEL, "stat": stat, **entities}
        )

    @property
    def left(self) -> Path:
        return self.map()

    @property
    def right(self) -> Path:
        return self.map(hemi="R")

    @property
    def left_json(self) -> Path:
        return sidecar_of(self.left)

    @property
    def fold(self) -> Path:
        return self.map(stim="lively")

    @property
    def penalties(self) -> Path:
        return self.map("alpha", stim="calm")

    @property
    def settings(self) -> Path:
        return OutputTree(self.out).participant_settings("02", MODEL)

    @property
    def clean(self) -> Path:
        return OutputTree(self.out).participant_bold("02", "L", SPACE, stim="lively")

    @property
    def clean_json(self) -> Path:
        return sidecar_of(self.clean)

    @property
    def grams(self) -> Path:
        (folder,) = (self.out / ".musenc").glob("precomputed-*")
        return folder / "features.json"

    @property
    def gram(self) -> Path:
        return self.grams.with_name("layer-02.npy")

    @property
    def patch_times(self) -> Path:
        return self.grams.with_name("patch_times.npy")

    @property
    def felt(self) -> Path:
        return self.map("effect", model=EMOTION_LABEL, feature="Enjoyment")

    @property
    def felt_json(self) -> Path:
        return sidecar_of(self.felt)

    @property
    def felt_settings(self) -> Path:
        return OutputTree(self.out).participant_settings("02", EMOTION_LABEL)

    @property
    def past(self) -> Path:
        return self.map("r", model=EMOTION_LABEL, desc="past")

    @property
    def scores(self) -> Path:
        return OutputTree(self.out).scores("02", MODEL, "ratings")

    @property
    def changes(self) -> Path:
        return OutputTree(self.out).scores("02", MODEL, "changes")

    @property
    def scores_settings(self) -> Path:
        return OutputTree(self.out).participant_settings("02", MODEL, RATINGS_DESC)

    @property
    def right_gradient(self) -> Path:
        return self.gradient.with_name("gradient-R.func.gii")

    @property
    def atlas(self) -> Path:
        return self.root / "extra" / "hemi-L_three.label.gii"

    @property
    def right_atlas(self) -> Path:
        return self.root / "extra" / "hemi-R_three.label.gii"

    @property
    def effect(self) -> Path:
        return OutputTree(self.tested).participant_map(
            "02", "L", SPACE, model="conditions", feature=CONTRAST, stat="effect"
        )

    @property
    def interaction(self) -> Path:
        return OutputTree(self.tested).participant_map(
            "02", "R", SPACE, model="conditions", feature=CONTRAST, stat="effect", desc="ppi"
        )

    @property
    def condition_settings(self) -> Path:
        return OutputTree(self.tested).participant_settings("02", "conditions")

    def _lags(self, suffix: str) -> Path:
        tree = OutputTree(self.tested)
        return tree.condition_table("02", suffix, feature=CONTRAST, desc="lags")

    @property
    def lags(self) -> Path:
        return self._lags("summary.tsv")

    @property
    def lag_curves(self) -> Path:
        return self._lags("timeseries.tsv")

    @property
    def differences(self) -> Path:
        return self.root / "extra" / "differences.tsv"


def write_group_study(root: Path) -> GroupStudy:
    """Write the intact folders."""
    study, rng = GroupStudy(root), np.random.default_rng(7)
    _write_extras(study)
    features, checksums = _write_features(study)
    tree = OutputTree(study.out)
    for person in PEOPLE:
        files = _write_encoding(tree, person, rng)
        told = {
            "FeaturesFolder": features,
            "HeldOutStimuli": list(STIMULI),
            "DegenerateVertices": 0,
            "ReferenceVertices": 300,
            "Inputs": {},
            "Stimuli": checksums,
            "Features": {"Features": MODEL, "Untrained": False},
        }
        write_settings(tree, tree.participant_settings(person, MODEL), SETTINGS, files, **told)
        _write_ratings(tree, person, rng)
    for person in TESTED:
        _write_conditions(OutputTree(study.tested), person, rng)
    return study


def _write_extras(study: GroupStudy) -> None:
    extra = study.root / "extra"
    extra.mkdir(parents=True)
    for hemi, mesh in zip("LR", load_mesh(SPACE).hemispheres, strict=True):
        path = extra / f"gradient-{hemi}.func.gii"
        write_gifti(path, mesh.pial[:, 1][None], hemi=hemi, names=["gradient"])
        keys = np.digitize(mesh.pial[:, 1], (-40, 0)) + 1
        write_labels(extra / f"hemi-{hemi}_three.label.gii", keys)
    rows = [f"sub-{p}\t{k}" for k, p in enumerate(TESTED)]
    study.differences.write_text("\n".join(["participant_id\tdifference", *rows]) + "\n")


def write_labels(path: Path, keys: np.ndarray) -> None:
    """An atlas of three regions."""
    table = nib.gifti.GiftiLabelTable()
    for key, name in enumerate(("???", "back", "middle", "front")):
        label = nib.gifti.GiftiLabel(key)
        label.label = name
        table.labels.append(label)
    array = nib.gifti.GiftiDataArray(keys.astype(np.int32), "NIFTI_INTENT_LABEL")
    nib.save(nib.gifti.GiftiImage(darrays=[array], labeltable=table), path)


def _write_features(study: GroupStudy) -> tuple[str, dict[str, str]]:
    """Gram matrices of the music in the cache of the folder; its name and the checksums."""
    sounds, rng = [], np.random.default_rng(3)
    with h5py.File(study.root / "extra" / "own.h5", "w") as file:
        for name, seconds in STIMULI.items():
            path = study.root / "extra" / f"{name}.wav"
            soundfile.write(path, rng.uniform(-0.2, 0.2, int(seconds * 8000)), 8000)
            sounds.append((name, path))
            times = np.arange(0, seconds + 1, 0.5)
            group = file.create_group(name)
            group["time"] = times
            for layer in LAYERS:
                group[layer] = rng.standard_normal((len(times), 4)).cumsum(axis=0)
    grams = load_or_compute_grams(
        sounds, cache_dir=study.out / ".musenc", features=f"precomputed:{file_path(study)}"
    )
    return grams.path.name, dict(zip(grams.labels, grams.checksums, strict=True))


def file_path(study: GroupStudy) -> Path:
    return study.root / "extra" / "own.h5"


def _write_encoding(tree: OutputTree, person: str, rng: np.random.Generator) -> list[Path]:
    """Deep layers toward the front, with cleaned responses of noise."""
    y = np.concatenate([hemi.pial[:, 1] for hemi in load_mesh(SPACE).hemispheres]) / 100
    depth = np.linspace(-0.5, 0.5, len(LAYERS))[:, np.newaxis]
    folds = 0.1 + 0.1 * depth * y + 0.02 * rng.standard_normal((2, len(LAYERS), len(y)))
    folds = np.round(folds, 2)
    maps: list[tuple[str, str, np.ndarray]] = [("r", "", folds.mean(axis=0))]
    for name, values in zip(STIMULI, folds, strict=True):
        maps += [("r", name, values), ("alpha", name, np.full_like(values, 10.0))]
    files = []
    for stat, stim, values in maps:
        path_of = partial(
            tree.participant_map, person, space=SPACE, model=MODEL, stat=stat, stim=stim
        )
        files += write_map(path_of, values, LAYERS, {"DataArrays": LAYERS}, space=SPACE)
    for name, seconds in STIMULI.items():
        times = np.arange(0, seconds - TR, TR)
        values = rng.integers(-8, 8, (len(times), len(y))).astype(float)
        path_of = partial(tree.participant_bold, person, space=SPACE, stim=name)
        sidecar = {"Stimulus": name, "RepetitionTime": TR, "StimulusTimes": times}
        names = [f"{t:.4f} s" for t in times]
        files += write_map(path_of, values, names, sidecar, space=SPACE, tr=TR)
    path = tree.model_summary(person, MODEL)
    rows = [{"layer": k + 1, "name": name, "mean_r": 0.1} for k, name in enumerate(LAYERS)]
    return [*files, write_rows(path, rows)]


def _write_ratings(tree: OutputTree, person: str, rng: np.random.Generator) -> None:
    files = []
    for scale in SCALES:
        path_of = partial(
            tree.participant_map,
            person,
            space=SPACE,
            model=EMOTION_LABEL,
            feature=scale,
            stat="effect",
        )
        values = np.round(rng.standard_normal((1, 20484)), 1)
        files += write_map(path_of, values, [scale], {"DataArrays": [scale]}, space=SPACE)
    for window in ("past", "future"):
        path_of = partial(
            tree.participant_map, person, space=SPACE, model=EMOTION_LABEL, stat="r", desc=window
        )
        values = np.round(0.1 * rng.standard_normal((2, 20484)), 2)
        files += write_map(path_of, values, SCALES, {"DataArrays": SCALES}, space=SPACE)
    path = tree.participant_settings(person, EMOTION_LABEL)
    write_settings(tree, path, SETTINGS, files, Inputs={}, Stimuli={}, LeftOut={})
    rows = [
        {"scale": scale, "layer": k + 1, "name": name, "held_out": "mean"}
        | {stat: rng.uniform(0, 0.3) for stat in "rzpq"}
        for scale in SCALES
        for k, name in enumerate(LAYERS)
    ]
    changes = [
        {"scale": scale, "layer": k + 1, "name": name, "lag_s": lag, "r": rng.uniform(0, 0.3)}
        for scale in SCALES
        for k, name in enumerate(LAYERS)
        for lag in (0, 1, 2)
    ]
    files = [
        write_rows(tree.scores(person, MODEL, "ratings"), rows),
        write_rows(tree.scores(person, MODEL, "changes"), changes),
    ]
    path = tree.participant_settings(person, MODEL, RATINGS_DESC)
    told = {"LeftOut": {}, "Details": {"SamplingFrequency": 0.5}, "Skipped": {}}
    settings = {key: value for key, value in SETTINGS.items() if key not in ("space", "smoothing")}
    write_settings(tree, path, settings, files, Inputs={}, Stimuli={}, **told)


def _write_conditions(tree: OutputTree, person: str, rng: np.random.Generator) -> None:
    settings = {**SETTINGS, "seed": "0,0,0", "target": "1,1,1"}
    contrast, files = "calm-lively", []
    for desc in ("", "ppi"):
        path_of = partial(
            tree.participant_map,
            person,
            space=SPACE,
            model="conditions",
            feature=CONTRAST,
            stat="effect",
            desc=desc,
        )
        values = np.round(rng.standard_normal((1, 20484)), 1)
        files += write_map(path_of, values, [contrast], {"DataArrays": [contrast]}, space=SPACE)
    names = ("calm", "lively", contrast)
    means = [
        {"condition": name, "r_negative": rng.uniform(), "r_positive": rng.uniform()}
        for name in names
    ]
    curves = [
        {"condition": name, "lag_s": lag, "r": rng.uniform()} for name in names for lag in (-2, 2)
    ]
    for suffix, rows in (("summary.tsv", means), ("timeseries.tsv", curves)):
        path = tree.condition_table(person, suffix, feature=CONTRAST, desc="lags")
        files.append(write_rows(path, rows))
    runs = tree.condition_table(person, "summary.tsv", desc="runs")
    files.append(write_rows(runs, [{"run": "calm", "used": True}]))
    told = {"Contrasts": {CONTRAST: contrast}, "Inputs": {}}
    write_settings(tree, tree.participant_settings(person, "conditions"), settings, files, **told)
    path = tree.model_settings("conditions")
    write_json(path, {"SettingsHash": settings_hash(settings), "Settings": settings})


def _group(study: GroupStudy, out: Path, *options: str) -> Outcome:
    arguments = ["/nowhere", str(out), "group", "--stop-on-first-crash"]
    arguments += ["--n-permutations", "2", "--n-spins", "5", "--random-seed", "1"]
    given = f"{study.gradient},{study.right_gradient}"
    if "--gradient" not in options:
        arguments += ["--gradient", given]
    return observe(lambda: main([*arguments, *options]))


def _filled(study: GroupStudy, options: tuple[str, ...]) -> list[str]:
    names = ("gradient", "right_gradient", "atlas", "right_atlas", "differences", "root")
    return [option.format(**{name: getattr(study, name) for name in names}) for option in options]


def group_models(study: Study, options: tuple[str, ...] = ()) -> Outcome:
    """The group level of an encoding model, without ratings."""
    own = GroupStudy(study.root)
    return _group(own, own.out, "--emotion", "off", *_filled(own, options))


def group_ratings(study: Study, options: tuple[str, ...] = ()) -> Outcome:
    """The same with ratings."""
    own = GroupStudy(study.root)
    return _group(own, own.out, *_filled(own, options))


def group_conditions(study: Study, options: tuple[str, ...] = ()) -> Outcome:
    """The group level of conditions."""
    own = GroupStudy(study.root)
    return _group(own, own.tested, *_filled(own, options))


GROUP_ROUTES = {
    "group": group_models,
    "group_ratings": group_ratings,
    "group_conditions": group_conditions,
}
