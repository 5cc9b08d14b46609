"""``musenc predict``: predicted time courses of new music, and how they agree with responses."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bids_app import __version__
from bids_app.analyses.folder.read import sample_name
from bids_app.analyses.folder.write import write_map, write_rows, write_table
from bids_app.analyses.participant.layers import common_tr
from bids_app.analyses.participant.new_music import (
    FeatureSource,
    Heard,
    grams_with_new,
    own_label,
    predict_new,
)
from bids_app.analyses.participant.new_tests import DESC, NewMusicTests, write_tests
from bids_app.analyses.participant.responses import Block, prepare_responses
from bids_app.analyses.participant.saved import SAME_TR, SavedModel, read_saved, unified
from bids_app.analyses.participant.weights import ALL
from bids_app.analyses.participant.write import presentations
from bids_app.config import Config
from bids_app.errors import BadDataError, MissingInputError, UsageError
from bids_app.features.audio import audio_duration
from bids_app.features.cache import FeatureGrams
from bids_app.features.timing import step_times
from bids_app.files import write_json
from bids_app.inputs.records import StudyPlan
from bids_app.outputs import OutputTree, map_sidecar, safe_label, sidecar_of
from bids_app.statistics import finite_mean

LOGGER = logging.getLogger("bids_app.analyses")
OWN, OTHERS = "own", "others"
UNTESTED = "not tested here: tests over people and over music are of all participants together"
COLUMNS = {
    "participant": "whose responses",
    "stimulus": "label of the music",
    "run": "run it was heard in",
    "layer": "layer of the model",
    "trained_on": "own: the participant's own model; others: the mean of the predictions of all",
    "n_models": "models whose predictions were averaged",
    "held_out": "yes where all models were fitted to this piece, too, and predict by the fold that "
    "held it out; some where a part of them was; no where none was",
    "n_samples": "samples that crop and delays leave",
    "n_vertices": "vertices with a prediction and a response",
    "mean_r": "mean over vertices of the correlation of predicted and measured responses, untested",
}
VALUES = "in standard deviations of the response to the piece, mean 0"


def saved_models(tree: OutputTree) -> dict[str, list[SavedModel]]:
    """All models that an output folder has, by label.

    Raises
    ------
    MissingInputError
        It has none.
    """
    found: dict[str, list[SavedModel]] = {}
    for path in sorted(tree.root.glob("sub-*/func/sub-*_weights.h5")):
        model = read_saved(path)
        folder = path.parents[1].name
        if folder != f"sub-{model.participant}" or not path.name.startswith(f"{folder}_"):
            raise BadDataError(
                "A saved model is of another person than its file says.",
                where=path,
                found=f"a model of sub-{model.participant}",
                wanted=f"one of {folder}",
                remedy="copy the file of that person again, or run the participant level again "
                "with --save-weights",
            )
        found.setdefault(model.label, []).append(model)
    if not found:
        raise MissingInputError(
            "The output folder has no saved model.",
            where=tree.root,
            found="no such file",
            wanted="sub-*/func/sub-*_weights.h5",
            remedy="run the participant level again with --save-weights",
        )
    return found


def predict_music(
    path: Path,
    audio: Sequence[Path],
    output_dir: Path,
    source: FeatureSource,
    *,
    layers: Sequence[str] = (),
    tr: float | None = None,
    file_format: Literal["gii", "tsv"] = "gii",
) -> list[Path]:
    """Predicted time courses of audio files by one saved model.

    Samples are taken every repetition time of the model, each a mean over as long, from the start
    of the file on.

    Parameters
    ----------
    path : Path
        The model.
    audio : sequence of Path
    output_dir : Path
    source : FeatureSource
    layers : sequence of str
        Default: all of the model.
    tr : float, optional
        Seconds; that of the model, or refused.
    file_format : {"gii", "tsv"}
        Both hemispheres as GIFTI, or a table with a column per vertex.

    Returns
    -------
    list of Path

    Raises
    ------
    MusencError
        The model, the music or the features cannot be used, or do not belong together.
    """
    _check_names(audio)
    model = read_saved(path)
    model.chosen(layers)
    if tr is not None:
        model.check(repetition_time=tr)
    labels = [own_label([model], one.stem, one) for one in audio]
    grams = grams_with_new(
        [model], dict(zip(labels, audio, strict=True)), source, progress=_tell_features
    )
    heard = [
        Heard(label, step_times(audio_duration(one), model.tr))
        for label, one in zip(labels, audio, strict=True)
    ]
    tree, written = OutputTree(output_dir), []
    for found in predict_new(model, grams, heard, layers=layers):
        for one, music, predicted in zip(heard, audio, found, strict=True):
            times = one.times[predicted.rows]
            entities = {"stim": safe_label(music.stem), "feature": safe_label(predicted.layer)}
            sidecar = {
                "Stimulus": music.name,
                "StimulusSHA256": dict(zip(grams.labels, grams.checksums, strict=True))[
                    one.stimulus
                ],
                "StimulusTimes": times,
                **_told([model], predicted.layer, [predicted.weights]),
            }
            written += _write_series(
                tree,
                model.participant,
                [model],
                predicted.values,
                times,
                entities,
                sidecar,
                file_format=file_format,
            )
    return written


def _check_names(audio: Sequence[Path]) -> None:
    """Audio files whose results would have one name are refused."""
    known: dict[str, Path] = {}
    for path in audio:
        label = safe_label(path.stem)
        if known.setdefault(label, path) is not path:
            raise UsageError(
                "Two pieces of music have one name.",
                where=path,
                found=f"stim-{label}, as {known[label]}",
                wanted="names that differ before the ending, in letters or digits",
                remedy="give one of the files another name, or predict them in calls of their own, "
                "each with its -o",
            )


def predict_study(
    saved: OutputTree,
    plan: StudyPlan,
    config: Config,
    source: FeatureSource,
) -> list[Path]:
    """Predicted and measured responses of a study by the models of an output folder.

    A participant whom the folder has a model of is predicted by that model, everybody else by the
    mean of the predictions of all models. Tested over people and over music is the mean of all
    participants.

    Parameters
    ----------
    saved : OutputTree
        With the models.
    plan : StudyPlan
        Runs and music of the new study.
    config : Config
        Its output folder takes what is written; cleaning, delays, crop and hop must be those of
        the models.
    source : FeatureSource

    Returns
    -------
    list of Path

    Raises
    ------
    MusencError
        As `predict_music`.
    """
    by_label = saved_models(saved)
    asked = {
        **config.response_settings(),
        **{name: getattr(config.model, name) for name in ("delays", "crop", "hop")},
    }
    kept = ("space", "smoothing", "confounds", "high_pass", "delays", "crop", "hop")
    for model in (model for models in by_label.values() for model in models):
        model.check(**{name: asked[name] for name in kept})
        for run in plan.runs:
            if abs(run.tr - model.tr) > SAME_TR:
                raise UsageError(
                    "A run has another repetition time than a saved model.",
                    where=f"sub-{run.participant}, {run.label}",
                    found=f"repetition_time {run.tr:g} s",
                    wanted=f"{model.tr:g} s, as {model.path.name}",
                    remedy="leave the run out with --exclude-run, or fit a model with this "
                    "repetition time",
                )
    music = {stimulus.label: stimulus.path for stimulus in plan.stimuli}
    used = [
        Predictors.of(unified(models), music, source, config.model.layers)
        for models in by_label.values()
    ]
    tree, written = OutputTree(config.output_dir), []
    tests = [NewMusicTests() for _ in used]
    for who in plan.participants:
        LOGGER.info("sub-%s: cleaning", who)
        runs = [run for run in plan.runs if run.participant == who]
        cleaned = prepare_responses(
            runs, config.cleaning, random_seed=config.statistics.random_seed
        )
        common_tr(cleaned.blocks)
        for one, collected in zip(used, tests, strict=True):
            written += one.person(who, cleaned.blocks).predict(tree, one, collected)
    for one, collected in zip(used, tests, strict=True):
        first = one.models[0]
        written += write_tests(
            tree,
            collected,
            one.layers,
            config.statistics,
            model=first.label,
            space=first.space,
            about=_told(one.models),
        )
    return written


def shared_layers(models: Sequence[SavedModel], asked: Sequence[str] = ()) -> list[str]:
    """Layers that all models have, or those of them that were asked for; others are named.

    Raises
    ------
    UsageError
        A layer that was asked for and that some model lacks.
    """
    asked = [] if list(asked) == [ALL] else asked
    shared = [layer for layer in models[0].layers if all(layer in model.layers for model in models)]
    if unknown := [layer for layer in asked if layer not in shared]:
        raise UsageError(
            "A saved model has no such layer.",
            where="--layers",
            found=", ".join(unknown),
            wanted=f"layers that all models have: {', '.join(shared)}",
            remedy="give layers of this list",
        )
    if some := {layer for model in models for layer in model.layers}.difference(shared):
        LOGGER.warning("not predicted, since only some models have it: %s", ", ".join(sorted(some)))
    return [layer for layer in shared if not asked or layer in asked]


def _tell_features(message: str) -> None:
    LOGGER.info("features: %s", message)


@dataclass(frozen=True, eq=False)
class Predictors:
    """Saved models of one label, and the music of a new study for them.

    Attributes
    ----------
    models : sequence of SavedModel
    layers : list of str
        Those that are predicted.
    grams : FeatureGrams
        Of the models' music and the new one.
    names : mapping
        What the features call a stimulus.
    """

    models: Sequence[SavedModel]
    layers: list[str]
    grams: FeatureGrams
    names: Mapping[str, str]

    @classmethod
    def of(
        cls,
        models: Sequence[SavedModel],
        music: Mapping[str, Path],
        source: FeatureSource,
        asked: Sequence[str],
    ) -> Predictors:
        """With the features of all music; raises as `predict_music`."""
        layers = shared_layers(models, asked)
        names = {own: own_label(models, own, path) for own, path in music.items()}
        new = {names[own]: path for own, path in music.items()}
        return cls(
            models, layers, grams_with_new(models, new, source, progress=_tell_features), names
        )

    @property
    def checksums(self) -> dict[str, str]:
        """Of the music, by what the features call it."""
        return dict(zip(self.grams.labels, self.grams.checksums, strict=True))

    def person(self, who: str, blocks: Sequence[Block]) -> Person:
        """A participant with the models that predict the responses."""
        own = [model for model in self.models if model.participant == who]
        whose = "their own model, by the label" if own else "the mean of all models"
        if not own and len({one.vertices.tobytes() for one in self.models}) > 1:
            whose += " that have the vertex (models differ in vertices)"
        LOGGER.info("sub-%s: predicting (model-%s) by %s", who, self.models[0].label, whose)
        return Person(who, blocks, self.names, self.checksums, own or self.models)


@dataclass(frozen=True, eq=False)
class Person:
    """A participant of a new study, and the models that predict the responses.

    Attributes
    ----------
    who : str
    blocks : sequence of Block
        Cleaned responses.
    names : mapping
        What the features call a stimulus.
    checksums : mapping
        Of the music, by what the features call it.
    models : sequence of SavedModel
    """

    who: str
    blocks: Sequence[Block]
    names: Mapping[str, str]
    checksums: Mapping[str, str]
    models: Sequence[SavedModel]

    def predict(self, tree: OutputTree, study: Predictors, tests: NewMusicTests) -> list[Path]:
        """Of every layer: time courses, accuracy, and one row per presentation."""
        heard = [Heard(self.names[block.stimulus], block.times) for block in self.blocks]
        places = presentations([(block.run, block.stimulus) for block in self.blocks])
        first, layers, written = self.models[0], study.layers, list[Path]()
        rows: list[dict[str, Any]] = []
        maps, heard_before = [], False
        music = [self.checksums[one.stimulus] for one in heard]
        measured: list[NDArray[np.floating]] = []
        for number, layer in enumerate(layers):
            mean, weights, kept = self._mean(study.grams, heard, layer)
            heard_before |= any(held_out(one) != "no" for one in weights)
            measured = [block.values[rows] for block, rows in zip(self.blocks, kept, strict=True)]
            for k, (block, place) in enumerate(zip(self.blocks, places, strict=True)):
                r = column_correlation(mean[k], measured[k])
                times = block.times[kept[k]]
                sidecar = {
                    "Stimulus": block.stimulus,
                    "StimulusSHA256": self.checksums[heard[k].stimulus],
                    "StimulusTimes": times,
                    **_told(self.models, layer, weights[k]),
                }
                entities = {**place, "feature": safe_label(layer)}
                written += _write_series(
                    tree, self.who, self.models, mean[k], times, entities, sidecar
                )
                rows.append(self._row(block, layer, weights[k], len(times), r))
            maps.append(tests.add_layer(number, music, mean, measured))
        tests.add_participant(self.who, np.stack(maps), measured, heard_before=heard_before)
        sidecar = map_sidecar("r", list(layers), **_told(self.models), Note=UNTESTED)
        path_of = partial(
            tree.map_file, self.who, space=first.space, model=first.label, stat="r", desc=DESC
        )
        written += write_map(path_of, np.stack(maps), layers, sidecar, space=first.space)
        table = tree.participant_file(self.who, "summary.tsv", model=first.label, desc=DESC)
        return [*written, *write_table(table, COLUMNS, rows, {"Note": UNTESTED})]

    @property
    def trained_on(self) -> str:
        """Whose models these are."""
        return OWN if self.models[0].participant == self.who else OTHERS

    def _mean(
        self, grams: FeatureGrams, heard: Sequence[Heard], layer: str
    ) -> tuple[list[NDArray[np.float64]], list[list[str]], list[NDArray[np.intp]]]:
        """Mean prediction on the mesh, weights of every model, kept samples, by presentation."""
        parts: list[list[NDArray[np.float64]]] = [[] for _ in heard]
        weights: list[list[str]] = [[] for _ in heard]
        kept = [np.empty(0, dtype=np.intp)] * len(heard)
        for model in self.models:
            (found,) = predict_new(model, grams, heard, layers=[layer])
            for k, one in enumerate(found):
                parts[k].append(on_mesh(model, one.values))
                weights[k].append(one.weights)
                kept[k] = one.rows
        return [finite_mean(part) for part in parts], weights, kept

    def _row(
        self,
        block: Block,
        layer: str,
        weights: Sequence[str],
        n_samples: int,
        r: NDArray[np.float64],
    ) -> dict[str, Any]:
        known = r[np.isfinite(r)]
        return {
            "participant": self.who,
            "stimulus": block.stimulus,
            "run": block.run,
            "layer": layer,
            "trained_on": self.trained_on,
            "n_models": len(self.models),
            "held_out": held_out(weights),
            "n_samples": n_samples,
            "n_vertices": known.size,
            "mean_r": float(known.mean()) if known.size else float("nan"),
        }


def held_out(weights: Sequence[str]) -> str:
    """Of how many models the fold that did not hear the piece predicts: yes (all), some, no.

    Examples
    --------
    >>> held_out(["01", "02"]), held_out(["01", "all"]), held_out(["all"])
    ('yes', 'some', 'no')
    """
    of_all = [name == ALL for name in weights]
    if all(of_all):
        return "no"
    return "some" if any(of_all) else "yes"


def column_correlation(
    predicted: NDArray[np.floating], measured: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Pearson r of every column, (n_vertices,); NaN where one does not vary or is not finite.

    Examples
    --------
    >>> x = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]])
    >>> column_correlation(x, np.array([[0.0, 2.0], [1.0, 3.0], [2.0, 5.0]])).tolist()
    [1.0, nan]
    """
    x, y = (np.asarray(one, dtype=np.float64) for one in (predicted, measured))
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    size = np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(size > 0, (x * y).sum(axis=0) / size, np.nan))


def on_mesh(model: SavedModel, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of the model's vertices on both hemispheres, (n_times, n_vertices); NaN elsewhere."""
    whole = np.full((len(values), model.n_vertices), np.nan)
    whole[:, model.vertices] = values
    return whole


def _told(
    models: Sequence[SavedModel], layer: str = "", weights: Sequence[str] = ()
) -> dict[str, Any]:
    """What sidecars say of the models behind a prediction; `weights` are one for each."""
    first = models[0]
    told: dict[str, Any] = {
        "Models": [f"sub-{model.participant} model-{model.label}" for model in models],
        "ModelFiles": [model.path.name for model in models],
        "TrainedOnMusic": {k: v for model in models for k, v in model.identity["Music"].items()},
        "RepetitionTime": first.tr,
        "Delays": first.delays,
        "Crop": first.settings["crop"],
        "Features": first.identity["Features"],
    }
    if layer:
        told |= {"Layer": layer, "Units": VALUES}
    if weights:
        told["Weights"] = weights[0] if len(models) == 1 else list(weights)
    return told


def _write_series(
    tree: OutputTree,
    who: str,
    models: Sequence[SavedModel],
    values: NDArray[np.float64],
    times: NDArray[np.float64],
    entities: Mapping[str, str],
    sidecar: Mapping[str, Any],
    *,
    file_format: str = "gii",
) -> list[Path]:
    """A predicted presentation as GIFTI or as a table."""
    model = models[0]
    named = {**entities, "model": model.label, "desc": DESC}
    told = {
        "Description": "predicted response to music",
        **sidecar,
        "SoftwareVersion": __version__,
    }
    if file_format == "gii":
        path_of = partial(tree.map_file, who, space=model.space, suffix="bold", **named)
        whole = values if values.shape[1] == model.n_vertices else on_mesh(model, values)
        names = [sample_name(second) for second in times]
        return write_map(path_of, whole, names, told, space=model.space, tr=model.tr)
    half = model.n_vertices // 2
    columns = [f"{'L' if v < half else 'R'}{v % half}" for v in model.vertices.tolist()]
    path = tree.mesh_file(who, "timeseries.tsv", model.space, **named)
    rows = [
        {"time": float(second), **dict(zip(columns, map(float, line), strict=True))}
        for second, line in zip(times, values, strict=True)
    ]
    write_rows(path, rows)
    about = {"time": {"Description": "second of the audio file"}, "Columns": "hemisphere, vertex"}
    return [path, write_json(sidecar_of(path), {**told, **about})]
