"""Saved models as predictors of a study: whose models predict whom, and what is written."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bids_app import __version__
from bids_app.analyses.folder.read import sample_name
from bids_app.analyses.folder.write import write_map, write_rows, write_table
from bids_app.analyses.mapped import new_array
from bids_app.analyses.participant.new_music import (
    FeatureSource,
    Heard,
    grams_with_new,
    own_label,
    predict_new,
)
from bids_app.analyses.participant.new_tests import DESC, NewMusicTests
from bids_app.analyses.participant.responses import Block
from bids_app.analyses.participant.saved import SavedModel, layers_meant
from bids_app.analyses.participant.weights import ALL
from bids_app.analyses.participant.write import presentations
from bids_app.errors import UsageError
from bids_app.features.cache import FeatureGrams
from bids_app.files import as_plain, read_json, write_json
from bids_app.labels import distinct_labels
from bids_app.loading import load_array
from bids_app.outputs import OutputTree, map_sidecar, sidecar_of

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
IDENTITY = ("Models", "TrainedOnMusic", "StimulusSHA256", "Features", "Layer", "Delays", "Crop")
"""Fields of a sidecar: a prediction that differs in one is another prediction."""


def shared_layers(models: Sequence[SavedModel], asked: Sequence[str] = ()) -> list[str]:
    """Layers that all models have, or those of them that were asked for; others are named.

    Raises
    ------
    UsageError
        A layer that was asked for and that some model lacks.
    """
    shared = [layer for layer in models[0].layers if all(layer in model.layers for model in models)]
    asked = layers_meant(asked, shared)
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


def tell_features(message: str) -> None:
    """What computing features reports."""
    LOGGER.info("features: %s", message)


class MeanPrediction(NamedTuple):
    """Mean prediction of a presentation by some models.

    Attributes
    ----------
    values : (n_times, n_vertices) array
        On both hemispheres; NaN where no model has the vertex.
    weights : list of str
        Of every model, as `Predicted.weights`.
    rows : (n_times,) int
        Samples of the presentation that crop and delays leave.
    """

    values: NDArray[np.float64]
    weights: list[str]
    rows: NDArray[np.intp]


def mean_predictions(
    models: Sequence[SavedModel], grams: FeatureGrams, heard: Sequence[Heard], layer: str
) -> list[MeanPrediction]:
    """Mean over models that have the vertex, one per presentation.

    Models are added up one by one: predictions of all together do not fit into memory.
    """
    totals: list[Any] = [0.0] * len(heard)
    counts: list[Any] = [0] * len(heard)
    weights: list[list[str]] = [[] for _ in heard]
    rows = [np.empty(0, dtype=np.intp)] * len(heard)
    for model in models:
        (found,) = predict_new(model, grams, heard, layers=[layer])
        for k, one in enumerate(found):
            values = on_mesh(model, one.values)
            known = np.isfinite(values)
            counts[k] = counts[k] + known
            totals[k] = totals[k] + np.where(known, values, 0.0)
            weights[k].append(one.weights)
            rows[k] = one.rows
    return [
        MeanPrediction(np.where(count > 0, total / np.maximum(count, 1), np.nan), names, kept)
        for total, count, names, kept in zip(totals, counts, weights, rows, strict=True)
    ]


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
    folder : Path
        Where means of all models are kept: they are the same for all who heard a piece at the same
        times.
    """

    models: Sequence[SavedModel]
    layers: list[str]
    grams: FeatureGrams
    names: Mapping[str, str]
    folder: Path
    _kept: dict[tuple[str, str, bytes], tuple[Path, MeanPrediction]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        models: Sequence[SavedModel],
        music: Mapping[str, Path],
        source: FeatureSource,
        asked: Sequence[str],
        folder: Path,
    ) -> Predictors:
        """With the features of all music; raises as `predict_music`."""
        layers = shared_layers(models, asked)
        names = {own: own_label(models, own, path) for own, path in music.items()}
        new = {names[own]: path for own, path in music.items()}
        grams = grams_with_new(models, new, source, progress=tell_features)
        return cls(models, layers, grams, names, folder)

    @cached_property
    def checksums(self) -> dict[str, str]:
        """Of the music, by what the features call it."""
        return dict(zip(self.grams.labels, self.grams.checksums, strict=True))

    def mean_of_all(self, heard: Sequence[Heard], layer: str) -> list[MeanPrediction]:
        """The mean prediction of all models, made once for a piece, its times and a layer."""
        keys = [(layer, one.stimulus, np.asarray(one.times).tobytes()) for one in heard]
        new = {key: one for key, one in zip(keys, heard, strict=True) if key not in self._kept}
        if new:
            means = mean_predictions(self.models, self.grams, list(new.values()), layer)
            for key, mean in zip(new, means, strict=True):
                path = self.folder / f"{self.models[0].label}_{len(self._kept)}.npy"
                new_array(path, mean.values.shape, dtype=np.float64)[:] = mean.values
                self._kept[key] = path, mean._replace(values=np.empty(0))
        kept = [self._kept[key] for key in keys]
        return [mean._replace(values=load_array(path, mapped=True)) for path, mean in kept]

    def person(self, who: str, blocks: Sequence[Block]) -> Person:
        """A participant with the models that predict the responses."""
        person = Person(who, blocks, self)
        own = person.trained_on == OWN
        whose = "their own model, by the label" if own else "the mean of all models"
        if not own and len({one.vertices.tobytes() for one in self.models}) > 1:
            whose += " that have the vertex (models differ in vertices)"
        LOGGER.info("sub-%s: predicting (model-%s) by %s", who, self.models[0].label, whose)
        return person


@dataclass(frozen=True, eq=False)
class Person:
    """A participant of a new study, and the models that predict the responses.

    Attributes
    ----------
    who : str
    blocks : sequence of Block
        Cleaned responses.
    study : Predictors
    """

    who: str
    blocks: Sequence[Block]
    study: Predictors

    @cached_property
    def models(self) -> Sequence[SavedModel]:
        """The participant's own model where there is one, else all."""
        own = [model for model in self.study.models if model.participant == self.who]
        return own or self.study.models

    @property
    def trained_on(self) -> str:
        """Whose models these are."""
        return OWN if self.models[0].participant == self.who else OTHERS

    def predict(self, tree: OutputTree, tests: NewMusicTests) -> list[Path]:
        """Of every layer: time courses, accuracy, and one row per presentation."""
        heard = [Heard(self.study.names[block.stimulus], block.times) for block in self.blocks]
        places = presentations([(block.run, block.stimulus) for block in self.blocks])
        first, layers, written = self.models[0], self.study.layers, list[Path]()
        rows: list[dict[str, Any]] = []
        maps, heard_before = [], False
        labels = distinct_labels(first.layers)
        music = [self.study.checksums[one.stimulus] for one in heard]
        measured: list[NDArray[np.floating]] = []
        for number, layer in enumerate(layers):
            means = self._means(heard, layer)
            heard_before |= any(held_out(mean.weights) != "no" for mean in means)
            measured = [b.values[mean.rows] for b, mean in zip(self.blocks, means, strict=True)]
            for k, (block, place) in enumerate(zip(self.blocks, places, strict=True)):
                values, weights, kept = means[k]
                r = column_correlation(values, measured[k])
                times = block.times[kept]
                sidecar = {
                    "Stimulus": block.stimulus,
                    "StimulusSHA256": self.study.checksums[heard[k].stimulus],
                    "StimulusTimes": times,
                    **told_of(self.models, layer, weights),
                }
                entities = {**place, "feature": labels[layer]}
                written += write_series(
                    tree, self.who, self.models, values, times, entities, sidecar
                )
                rows.append(self._row(block, layer, weights, len(times), r))
            predicted = [mean.values for mean in means]
            maps.append(tests.add_layer(number, music, predicted, measured))
        tests.add_participant(self.who, np.stack(maps), measured, heard_before=heard_before)
        sidecar = map_sidecar("r", list(layers), **told_of(self.models), Note=UNTESTED)
        path_of = partial(
            tree.map_file, self.who, space=first.space, model=first.label, stat="r", desc=DESC
        )
        written += write_map(path_of, np.stack(maps), layers, sidecar, space=first.space)
        table = tree.participant_file(self.who, "summary.tsv", model=first.label, desc=DESC)
        return [*written, *write_table(table, COLUMNS, rows, {"Note": UNTESTED})]

    def _means(self, heard: Sequence[Heard], layer: str) -> list[MeanPrediction]:
        if self.trained_on == OTHERS:
            return self.study.mean_of_all(heard, layer)
        return mean_predictions(self.models, self.study.grams, heard, layer)

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


def told_of(
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


def write_series(
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
    """A predicted presentation as GIFTI or as a table.

    Raises
    ------
    UsageError
        Another prediction has the name.
    """
    model = models[0]
    named = {**entities, "model": model.label, "desc": DESC}
    told = {
        "Description": "predicted response to music",
        **sidecar,
        "SoftwareVersion": __version__,
    }
    if file_format == "gii":
        path_of: Callable[[str], Path] = partial(
            tree.map_file, who, space=model.space, suffix="bold", **named
        )
        _refuse_another(path_of("L"), told)
        whole = values if values.shape[1] == model.n_vertices else on_mesh(model, values)
        names = [sample_name(second) for second in times]
        return write_map(path_of, whole, names, told, space=model.space, tr=model.tr)
    half = model.n_vertices // 2
    columns = [f"{'L' if v < half else 'R'}{v % half}" for v in model.vertices.tolist()]
    path = tree.mesh_file(who, "timeseries.tsv", model.space, **named)
    _refuse_another(path, told)
    rows = [
        {"time": float(second), **dict(zip(columns, map(float, line), strict=True))}
        for second, line in zip(times, values, strict=True)
    ]
    write_rows(path, rows)
    about = {"time": {"Description": "second of the audio file"}, "Columns": "hemisphere, vertex"}
    return [path, write_json(sidecar_of(path), {**told, **about})]


def _refuse_another(path: Path, told: Mapping[str, Any]) -> None:
    """Nothing is written over a prediction by other models, or of other music."""
    sidecar = sidecar_of(path)
    earlier = read_json(sidecar) if sidecar.is_file() else {}
    now = as_plain(told)
    if differing := [name for name in IDENTITY if earlier and earlier.get(name) != now[name]]:
        raise UsageError(
            "Another prediction has this name.",
            where=path,
            found="other " + ", ".join(differing),
            wanted=f"those of {sidecar.name}, to predict the same again",
            remedy="give another folder with -o, or delete the earlier prediction",
        )
