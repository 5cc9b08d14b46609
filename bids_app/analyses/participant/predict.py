"""``musenc predict``: predicted time courses of new music, and how they agree with responses."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Literal

from bids_app.analyses.participant.new_music import (
    FeatureSource,
    Heard,
    grams_with_new,
    own_label,
    predict_new,
)
from bids_app.analyses.participant.new_tests import NewMusicTests, write_tests
from bids_app.analyses.participant.predictors import (
    Predictors,
    tell_features,
    told_of,
    write_series,
)
from bids_app.analyses.participant.responses import prepare_responses
from bids_app.analyses.participant.saved import SAME_TR, SavedModel, read_saved, unified
from bids_app.config import Config
from bids_app.errors import BadDataError, MissingInputError, UsageError
from bids_app.features.audio import audio_duration
from bids_app.features.timing import step_times
from bids_app.held import private_folder, remove_unowned
from bids_app.inputs.records import StudyPlan, common_tr
from bids_app.labels import distinct_labels, safe_label
from bids_app.outputs import OutputTree

LOGGER = logging.getLogger("bids_app.analyses")


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
        [model], dict(zip(labels, audio, strict=True)), source, progress=tell_features
    )
    heard = [
        Heard(label, step_times(audio_duration(one), model.tr))
        for label, one in zip(labels, audio, strict=True)
    ]
    tree, written = OutputTree(output_dir), []
    own_labels = distinct_labels(model.layers)
    for found in predict_new(model, grams, heard, layers=layers):
        for one, music, predicted in zip(heard, audio, found, strict=True):
            times = one.times[predicted.rows]
            entities = {"stim": safe_label(music.stem), "feature": own_labels[predicted.layer]}
            sidecar = {
                "Stimulus": music.name,
                "StimulusSHA256": dict(zip(grams.labels, grams.checksums, strict=True))[
                    one.stimulus
                ],
                "StimulusTimes": times,
                **told_of([model], predicted.layer, [predicted.weights]),
            }
            written += write_series(
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
    _check_fit(by_label, plan, config)
    music = {stimulus.label: stimulus.path for stimulus in plan.stimuli}
    tree, written = OutputTree(config.output_dir), []
    tree.root.mkdir(parents=True, exist_ok=True)
    remove_unowned(tree.root)
    with private_folder("predict", parent=tree.root) as folder:
        used = [
            Predictors.of(unified(models), music, source, config.model.layers, folder)
            for models in by_label.values()
        ]
        tests = [NewMusicTests(Path(mkdtemp(dir=folder))) for _ in used]
        for who in plan.participants:
            LOGGER.info("sub-%s: cleaning", who)
            runs = [run for run in plan.runs if run.participant == who]
            cleaned = prepare_responses(
                runs, config.cleaning, random_seed=config.statistics.random_seed
            )
            common_tr({block.run: block.tr for block in cleaned.blocks})
            for one, collected in zip(used, tests, strict=True):
                written += one.person(who, cleaned.blocks).predict(tree, collected)
        for one, collected in zip(used, tests, strict=True):
            first = one.models[0]
            written += write_tests(
                tree,
                collected,
                one.layers,
                config.statistics,
                model=first.label,
                space=first.space,
                about=told_of(one.models),
            )
    return written


def _check_fit(
    by_label: Mapping[str, Sequence[SavedModel]], plan: StudyPlan, config: Config
) -> None:
    """Refuse a study that is sampled or cleaned otherwise than the models' responses were.

    Raises
    ------
    UsageError
    """
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
