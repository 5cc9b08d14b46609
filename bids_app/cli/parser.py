"""The command line of the BIDS-App: one function per group of options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bids_app import __version__
from bids_app.cli.condition_options import add_conditions, conditions_of
from bids_app.cli.config_file import read_defaults
from bids_app.cli.model_options import add_model, model_of
from bids_app.cli.option_types import absolute, non_negative, positive
from bids_app.cli.rating_options import add_ratings, ratings_of
from bids_app.cli.running_options import add_running, running_of
from bids_app.config import (
    DEFAULT_SEED,
    Cleaning,
    Config,
    Selection,
    Statistics,
    Stimuli,
)
from bids_app.outputs import DENSITIES
from bids_app.resources import cortex_mask_paths

DESCRIPTION = """\
Encoding maps of an audio network's layers from music-listening fMRI that went through fMRIPrep.

participant  cleans the surface BOLD of every run, computes VGGish's 23 layers for every piece of
             music, fits one cross-validated ridge model per layer and vertex, and writes accuracy
             and layer-preference maps (GIFTI on --space).
group        combines the participants in output_dir: group maps, layer preference, and its
             alignment with a cortical gradient (spin test). Needs nothing but output_dir.
"""

EXAMPLES = """\
examples:
  musenc-bidsapp /data /out participant --participant-label 01 02
  musenc-bidsapp /data /out participant --stimuli music.tsv --nprocs 4 -w /scratch
  musenc-bidsapp /data /out participant --vggish-weights random:0     (untrained control)
  musenc-bidsapp /data /out participant --contrast dissonant-consonant --seed lh.seed.label
  musenc-bidsapp /data /out group --gradient left.func.gii,right.func.gii

A stimuli table has the columns task, stim_file and onset (seconds after the first volume); without
it the events.tsv files must name the music (stim_file). The onset is never guessed.

exit codes: 0 done, 1 something failed or a run was skipped because of its files, 2 wrong usage,
            16 input invalid, 18 nothing selected, 65 bad data, 66 input missing,
            73 cannot write, 75 try again
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``musenc-bidsapp``."""
    parser = argparse.ArgumentParser(
        prog="musenc-bidsapp",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_positional(parser)
    _add_selection(parser)
    _add_stimuli(parser)
    add_model(parser)
    _add_responses(parser)
    add_conditions(parser)
    _add_statistics(parser)
    add_ratings(parser)
    add_running(parser)
    return parser


def parse_config(argv: Sequence[str] | None = None) -> Config:
    """Turn a command line into a `Config`; exits with code 2 on wrong usage."""
    parser = build_parser()
    options = parser.parse_args(argv)
    if options.config_file is not None:
        parser.set_defaults(**read_defaults(parser, options.config_file))
        options = parser.parse_args(argv)
    return Config(
        bids_dir=options.bids_dir.absolute(),
        output_dir=options.output_dir.absolute(),
        level=options.analysis_level,
        derivatives=tuple(options.derivatives),
        selection=Selection(
            tuple(options.participant_label),
            tuple(options.session_label),
            tuple(options.task_id),
            tuple(options.run_id),
            tuple(options.exclude_run),
            absolute(options.bids_filter_file),
        ),
        stimuli=Stimuli(absolute(options.stimuli), options.missing),
        model=model_of(options),
        cleaning=Cleaning(
            space=options.space,
            cortex_mask=cortex_mask_paths(options.cortex_mask, options.space),
            confounds=options.confounds,
            high_pass=options.high_pass,
            smoothing=options.smoothing,
            dummy_scans=options.dummy_scans,
            repetition_time=options.repetition_time,
            slice_time_ref=options.slice_time_ref,
        ),
        conditions=conditions_of(parser, options),
        statistics=Statistics(
            null=options.null,
            n_nulls=options.n_nulls,
            gradients=tuple(options.gradient),
            n_spins=options.n_spins,
            spin_method=options.spin_method,
            n_permutations=options.n_permutations,
            atlases=tuple(options.atlas),
            random_seed=options.random_seed,
        ),
        emotion=ratings_of(options),
        running=running_of(options),
    )


def _add_positional(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "bids_dir",
        type=Path,
        help="raw BIDS dataset with fMRIPrep in derivatives/fmriprep, its derivatives folder, or "
        "the fMRIPrep folder itself (the group level does not read it)",
    )
    parser.add_argument("output_dir", type=Path, help="folder of the results")
    parser.add_argument("analysis_level", choices=("participant", "group"), help="what to do")
    parser.add_argument("--version", action="version", version=f"musenc-bidsapp {__version__}")


def _add_selection(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what to work on (default: everything with a stimulus)")
    _add_labels(group, "participant", "sub", "--participant-label", "--participant_label")
    _add_labels(group, "session", "ses", "--session-label", "--session_label")
    _add_labels(group, "task", "task", "-t", "--task-id", "--task_id")
    _add_labels(group, "run", "run", "--run-id", "--run_id")
    group.add_argument(
        "--exclude-run",
        "--exclude_run",
        nargs="+",
        default=[],
        metavar="RUN",
        help="runs to leave out, such as sub-01_task-happy_run-1; fewer entities exclude more",
    )
    group.add_argument(
        "--bids-filter-file",
        "--bids_filter_file",
        type=Path,
        metavar="FILE.json",
        help="fMRIPrep's filter file; its part `bold` chooses among several files of a run",
    )
    group.add_argument(
        "--bids-database-dir",
        "--bids_database_dir",
        type=Path,
        metavar="DIR",
        help="where the index of the dataset is kept for the next call",
    )
    group.add_argument(
        "-d",
        "--derivatives",
        nargs="+",
        default=[],
        metavar="[NAME=]PATH",
        help="fMRIPrep derivatives, where they are not in bids_dir/derivatives/fmriprep",
    )


def _add_labels(group: Any, what: str, entity: str, *flags: str) -> None:
    group.add_argument(
        *flags,
        nargs="+",
        default=[],
        metavar="LABEL",
        type=lambda text: text.removeprefix(f"{entity}-"),
        help=f"{what} labels, with or without {entity}-",
    )


def _add_stimuli(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("music")
    group.add_argument(
        "--stimuli",
        type=Path,
        metavar="TABLE.tsv",
        help="which file was heard in which task and when (columns task, stim_file, onset; "
        "optional session, run, participant_id, offset, duration); files relative to the table",
    )
    group.add_argument(
        "--missing",
        choices=("error", "skip", "use"),
        default=Stimuli.missing,
        help="a participant who lacks a piece the others have: stop, leave the participant out, or "
        "use what is there (default: %(default)s; other folds are not comparable)",
    )


def _add_responses(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("responses")
    group.add_argument(
        "--space",
        choices=tuple(DENSITIES),
        default=Cleaning.space,
        help="mesh of BOLD and maps, as in fMRIPrep's --output-spaces (default: %(default)s; the "
        "finer ones need their surfaces in TemplateFlow's folder)",
    )
    group.add_argument(
        "--cortex-mask",
        "--cortex_mask",
        default="",
        metavar="LEFT,RIGHT|neuromaps|templateflow",
        help="label or shape GIFTI, or tables of 0 and 1; or the fetched label of all but the "
        "medial wall (neuromaps) or Desikan parcels (templateflow); vertices outside get no result "
        "(default: vertices with a signal)",
    )
    group.add_argument(
        "--confounds",
        default=Cleaning.confounds,
        metavar="NAME|FILE|none",
        help="confounds to regress out: minimal, motion6+acompcor6+cosine, 24P, 36P, aroma, none, "
        "or a YAML file (default: %(default)s; the high-pass replaces the cosine columns)",
    )
    group.add_argument(
        "--high-pass",
        "--high_pass",
        type=non_negative,
        default=Cleaning.high_pass,
        metavar="SECONDS",
        help="slower drifts are removed, from responses and features (default: %(default)g)",
    )
    group.add_argument(
        "--smoothing",
        type=non_negative,
        default=Cleaning.smoothing,
        metavar="MM",
        help="smoothing on the surface, full width at half maximum; 0 for none "
        "(default: %(default)g)",
    )
    group.add_argument(
        "--dummy-scans",
        "--dummy_scans",
        default=Cleaning.dummy_scans,
        metavar="auto|N",
        help="volumes to drop at the start; auto: those fMRIPrep marked (default: %(default)s)",
    )
    group.add_argument(
        "--repetition-time",
        "--repetition_time",
        type=non_negative,
        metavar="SECONDS",
        help="where no sidecar gives it",
    )
    group.add_argument(
        "--slice-time-ref",
        "--slice_time_ref",
        type=non_negative,
        metavar="0..1",
        help="moment of a volume that slice timing was corrected to (default: from the sidecars)",
    )


def _add_statistics(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("statistics")
    group.add_argument(
        "--null",
        choices=("analytic", "phase", "none"),
        default=Statistics.null,
        help="null of a participant's accuracy under random phases of the responses: its standard "
        "deviation in closed form, --n-nulls refits, which also give p corrected for the maximum "
        "over vertices and layers, or none (default: %(default)s)",
    )
    group.add_argument(
        "--n-nulls",
        "--n_nulls",
        type=positive,
        default=Statistics.n_nulls,
        metavar="N",
        help="refits of --null phase (default: %(default)d)",
    )
    group.add_argument(
        "--gradient",
        nargs="+",
        default=list(Statistics.gradients),
        metavar="NAME|[NAME=]LEFT,RIGHT",
        help="cortical gradients, each with results of its own beside those of earlier calls: "
        "margulies2016 (the first), fcgradient02 to fcgradient10, or two GIFTI files on --space or "
        f"fsLR 32k (default: {' '.join(Statistics.gradients)}; the first is turned so that "
        "transmodal cortex is high, every other stays as it is)",
    )
    group.add_argument(
        "--n-spins",
        "--n_spins",
        type=positive,
        default=Statistics.n_spins,
        metavar="N",
        help="rotations of the spin test (default: %(default)d)",
    )
    group.add_argument(
        "--spin-method",
        "--spin_method",
        choices=("spearman", "pearson"),
        default=Statistics.spin_method,
        help="kind of correlation with the gradient (default: %(default)s)",
    )
    group.add_argument(
        "--n-permutations",
        "--n_permutations",
        type=positive,
        default=Statistics.n_permutations,
        metavar="N",
        help="sign flips over participants; all of them where there are fewer "
        "(default: %(default)d)",
    )
    group.add_argument(
        "--atlas",
        nargs="+",
        default=[],
        metavar="[NAME=]LEFT,RIGHT",
        help="atlases on --space (.annot or .label.gii): accuracy, layer profile and preference "
        "per region and participant, beside those of atlases of earlier calls; the first names the "
        "peaks of clusters",
    )
    group.add_argument(
        "--random-seed",
        "--random_seed",
        type=int,
        default=DEFAULT_SEED,
        metavar="N",
        help="seed of every random draw (default: %(default)d)",
    )
