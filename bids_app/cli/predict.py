"""``musenc predict``: saved models applied to new music, or to another study."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bids_app.cli.parser import Parser, add_option
from bids_app.config import Model, Running, Stimuli
from bids_app.config.options import positive_number
from bids_app.config.places import Places
from bids_app.errors import UsageError
from bids_app.log import set_up_logging, tell

if TYPE_CHECKING:
    from bids_app.analyses.participant.new_music import FeatureSource
    from bids_app.config import Config

LOGGER = logging.getLogger("bids_app")
DESCRIPTION = """\
musenc predict MODEL MUSIC... -o DIR
    predicted time courses of the responses to audio files, by a model (*_weights.h5 of
    --save-weights).

musenc predict OUT NEW_BIDS -o DIR [options of musenc-bidsapp]
    predicted time courses of the responses of another study (other music, other people), by the
    models of an output folder, and their correlation with the measured ones, tested over people
    and over music.
"""
EPILOG = """\
Both compute the features of the models' own music again, or take them from the cache; the audio
files are looked for where they were, then in --music-dir. A repetition time, delays, features or a
mesh that are not the model's are refused. See docs/predict.md.
"""


def add_predict(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``musenc predict``."""
    parser = commands.add_parser(
        "predict",
        help="predicted responses to new music, and their agreement with those of another study",
        usage="musenc predict MODEL MUSIC... -o DIR [--layers LAYER ...] [--tr SECONDS] "
        "[--format gii|tsv] [options of features]\n"
        "       musenc predict OUT NEW_BIDS -o DIR [options of features] "
        "[options of musenc-bidsapp]",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, help="a *_weights.h5, or an output folder with some")
    parser.add_argument(
        "options",
        nargs=argparse.REMAINDER,
        help="audio files, or a dataset; -o DIR: folder of the results; options of features: "
        "--features SPACE, --vggish-weights, --music-dir DIR..., --notes-dir and --notes-corpus "
        "FOLDER (with the notes of the model's own music, too), --cache-dir, --device",
    )
    parser.set_defaults(work=_run_predict)


def _run_predict(options: argparse.Namespace) -> int:
    path: Path = options.model
    if {"-h", "--help"} & set(options.options):
        tell(_music_parser().format_help())
        return 0
    files = _study(path, options.options) if path.is_dir() else _music(path, options.options)
    tell(f"{len(files)} files written")
    return 0


def _parser() -> argparse.ArgumentParser:
    """What both ways to call it have in common."""
    parser = Parser(prog="musenc predict", add_help=False, allow_abbrev=False)
    parser.add_argument("-o", "--output-dir", type=Path, help="folder of the results")
    parser.add_argument(
        "--music-dir",
        nargs="+",
        type=Path,
        default=[],
        help="folders in which the models' own music is looked for, too",
    )
    one = {"nargs": None, "default": ""}
    add_option(parser, Model, "features", **one)
    add_option(parser, Model, "weights")
    add_option(parser, Stimuli, "notes_dir")
    add_option(parser, Stimuli, "notes_corpus")
    add_option(parser, Running, "cache_dir")
    add_option(parser, Running, "device")
    return parser


def _music_parser() -> argparse.ArgumentParser:
    parser = _parser()
    parser.usage = "musenc predict MODEL MUSIC... -o DIR [options]"
    parser.epilog = f"musenc predict OUT NEW_BIDS takes {_named(USED)} of musenc-bidsapp, too."
    parser.add_argument("music", nargs="+", type=Path, help="audio files")
    parser.add_argument(
        "--tr",
        type=positive_number,
        help="repetition time of the model in seconds, to be sure of it",
    )
    parser.add_argument(
        "--format",
        choices=("gii", "tsv"),
        default="gii",
        help="GIFTI, or a table with a column per vertex (default: gii)",
    )
    add_option(parser, Model, "layers", help="names of saved layers, or all (default: all)")
    add_option(parser, Running, "verbosity")
    return parser


def _named(options: Iterable[str]) -> str:
    """Options as they are typed."""
    positional = ("bids_dir", "output_dir", "analysis_level")
    return ", ".join(f"--{n.replace('_', '-')}" for n in sorted(options) if n not in positional)


def _music(path: Path, words: Sequence[str]) -> list[Path]:
    from bids_app.analyses.participant.predict import predict_music

    chosen = _music_parser().parse_args(words)
    if chosen.verbose:
        set_up_logging(chosen.verbose)
    folder = _folder(chosen.output_dir)
    if len(path.absolute().parents) > 2 and path.parent.name == "func":
        _check_apart(folder, path.absolute().parents[2])
    if folders := [one for one in chosen.music if one.is_dir()]:
        raise UsageError(
            "A single model predicts files of music, an output folder predicts a dataset.",
            where="MUSIC",
            found=f"{folders[0]}, a folder",
            wanted="audio files",
            remedy="give the output folder of the participant level in place of the model to "
            "predict a dataset",
        )
    return predict_music(
        path,
        chosen.music,
        folder,
        _source(chosen, folder),
        layers=chosen.layers,
        tr=chosen.tr,
        file_format=chosen.format,
    )


def _study(out: Path, words: Sequence[str]) -> list[Path]:
    from bids_app.analyses.participant.foresee import check_output_folder
    from bids_app.analyses.participant.plan import write_descriptions
    from bids_app.analyses.participant.predict import predict_study
    from bids_app.analyses.participant_level import ignored_suffixes
    from bids_app.cli.parser import parse_config
    from bids_app.cli.run import make_plan, still_to_clean
    from bids_app.outputs import OutputTree

    chosen, rest = _parser().parse_known_args(words)
    folder = _folder(chosen.output_dir)
    _check_apart(folder, out)
    if not rest or rest[0].startswith("-"):
        raise UsageError(
            "There is no study to predict.",
            where="NEW_BIDS",
            found=f"{rest[0]} after the models" if rest else "nothing after the models",
            wanted="a BIDS dataset right after the folder of the models",
            remedy="give the dataset whose runs are to be predicted before all options",
        )
    if Path(rest[0]).is_file():
        raise UsageError(
            "An output folder predicts a dataset, a single model predicts files of music.",
            where="NEW_BIDS",
            found=f"{rest[0]}, a file",
            wanted="a BIDS dataset",
            remedy="give a *_weights.h5 in place of the folder to predict music",
        )
    config = parse_config([rest[0], str(folder), "participant", *rest[1:]])
    set_up_logging(config.running.verbosity)
    _refuse_what_predicts_nothing(config)
    if "missing" not in config.given:
        # Nothing is fitted, so that nobody needs all music.
        config = replace(config, stimuli=replace(config.stimuli, missing="use"))
    plan = make_plan(config)
    check_output_folder(config, plan)
    config = still_to_clean(config, plan)
    tell_other_data(folder, [path.resolve().as_uri() for _, path in plan.dataset_links])
    write_descriptions(OutputTree(folder), plan, ignored_suffixes(), config.cleaning.space)
    return predict_study(OutputTree(out), plan, config, _source(chosen, folder))


def tell_other_data(folder: Path, sources: Sequence[str]) -> None:
    """Warn where the folder has predictions of other datasets, by where those lay."""
    from bids_app.inputs.locate import read_description

    earlier = {
        str(one.get("URL"))
        for one in read_description(folder).get("SourceDatasets") or ()
        if isinstance(one, dict)
    }
    if earlier and not earlier.intersection(sources):
        LOGGER.warning(
            "%s has predictions of other datasets (%s): those of the same names are replaced; give "
            "another folder with -o to keep both",
            *(folder, ", ".join(sorted(earlier))),
        )


def _check_apart(folder: Path, models: Path) -> None:
    """Predictions go beside models, not among them."""
    own = models.resolve()
    if own == folder.resolve() or own in folder.resolve().parents:
        raise UsageError(
            "Predictions need a folder of their own.",
            where="-o",
            found=folder,
            wanted=f"another folder than that of the models, {own}",
            remedy="give another folder with -o",
        )


USED = {
    *("bids_dir", "output_dir", "analysis_level", "derivatives", "config_file"),
    *("participant_label", "session_label", "task_id", "run_id", "exclude_run"),
    *("bids_filter_file", "stimuli", "missing", "layers", "delays", "crop", "hop"),
    *("confounds", "high_pass", "smoothing", "dummy_scans", "repetition_time", "slice_time_ref"),
    *("space", "cortex_mask", "n_permutations", "random_seed"),
    *("bids_database_dir", "omp_nthreads", "verbose"),
}
"""Options of musenc-bidsapp that say which runs are predicted, how they are cleaned and tested."""


def _refuse_what_predicts_nothing(config: Config) -> None:
    """Options of the participant level that saved models have decided, or that they lack.

    Raises
    ------
    UsageError
    """
    given = {
        "--joint": config.joint.asked,
        "--beyond": config.joint.beyond != "none",
        "--lag-scan": config.lag_scan.asked,
        "--save-weights": config.model.save_weights,
        "--subcortex": config.model.has_voxels,
        "--dry-run": config.running.dry_run,
        "--reports-only": config.running.reports_only,
    }
    if found := [option for option, value in given.items() if value]:
        raise UsageError(
            "Saved models are predicted from, not fitted.",
            where="musenc predict",
            found=", ".join(found),
            wanted="options of what is read and cleaned, and --layers",
            remedy="leave them out; `musenc-bidsapp NEW_BIDS DIR participant --dry-run` shows the "
            "runs",
        )
    if unused := config.given - USED:
        LOGGER.warning("saved models have decided it, nothing is done with: %s", _named(unused))


def _folder(given: Path | None) -> Path:
    if given is None:
        raise UsageError(
            "The predictions need a folder to be written to.",
            where="-o",
            found="nothing",
            wanted="a folder",
            remedy="give one with -o DIR",
        )
    return given.absolute()


def _source(chosen: argparse.Namespace, folder: Path) -> FeatureSource:
    from bids_app.analyses.participant.new_music import FeatureSource

    return FeatureSource(
        cache_dir=chosen.cache_dir or folder / ".musenc",
        features=chosen.features,
        weights=chosen.vggish_weights,
        music_dirs=tuple(chosen.music_dir),
        device=chosen.device,
        notes=Places(chosen.notes_dir, chosen.notes_corpus),
    )
