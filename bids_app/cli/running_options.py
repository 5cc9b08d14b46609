"""Options of how the work is done; none of them changes a result."""

from __future__ import annotations

import argparse
from pathlib import Path

from bids_app.cli.option_types import absolute, gigabytes, positive
from bids_app.config import Running


def add_running(parser: argparse.ArgumentParser) -> None:
    """Add the options to the app's parser."""
    group = parser.add_argument_group("running")
    _add_resources(group)
    _add_modes(group)


def _add_resources(group: argparse._ArgumentGroup) -> None:
    """Folders, processes, memory, device."""
    group.add_argument(
        "-w",
        "--work-dir",
        "--work_dir",
        type=Path,
        help="folder of intermediate files; may be deleted (default: a temporary folder)",
    )
    group.add_argument(
        "--cache-dir",
        "--cache_dir",
        type=Path,
        help="stimulus features, shared by participants and jobs (default: output_dir/.musenc)",
    )
    group.add_argument(
        "--nprocs",
        "--n-cpus",
        "--n_cpus",
        type=positive,
        default=Running.n_procs,
        metavar="N",
        help="processes (default: %(default)d)",
    )
    group.add_argument(
        "--omp-nthreads",
        "--omp_nthreads",
        type=positive,
        metavar="N",
        help="threads of each process (default: nprocs, shared by the participants worked on)",
    )
    group.add_argument(
        "--mem",
        "--mem-gb",
        "--mem_gb",
        type=gigabytes,
        metavar="GB",
        help="memory that all processes together may take; a run that cannot keep to it is refused "
        "(default: what the machine, the container or SLURM allows)",
    )
    group.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default=Running.device,
        help="what the audio network runs on; auto: a GPU where torch sees one (default: "
        "%(default)s)",
    )
    group.add_argument(
        "--use-plugin",
        "--use_plugin",
        type=Path,
        metavar="FILE.yml",
        help="nipype plugin and its plugin_args, to make every step a job of a cluster; replaces "
        "--nprocs and needs --work-dir on shared storage",
    )


def _add_modes(group: argparse._ArgumentGroup) -> None:
    """What is done of the work, and how much is told."""
    group.add_argument(
        "--stop-on-first-crash",
        "--stop_on_first_crash",
        action="store_true",
        help="begin nothing more when a step has failed (default: the other participants go on)",
    )
    group.add_argument(
        "--dry-run",
        "--dry_run",
        action="store_true",
        help="print the plan, what it costs and what it leaves, and do nothing",
    )
    group.add_argument(
        "--reports-only",
        "--reports_only",
        action="store_true",
        help="draw the pages again from the derivatives in output_dir and compute nothing",
    )
    group.add_argument(
        "--boilerplate-only",
        "--boilerplate_only",
        action="store_true",
        help="print the methods text of these settings, with its references, and do nothing",
    )
    group.add_argument(
        "--config-file",
        "--config_file",
        type=Path,
        metavar="FILE.toml",
        help="options by their long names, such as task-id = ['music']; those of the command line "
        "come before the file's",
    )
    group.add_argument("-v", "--verbose", action="count", default=0, help="log details")


def running_of(options: argparse.Namespace) -> Running:
    """The settings that the options give."""
    return Running(
        work_dir=absolute(options.work_dir),
        cache_dir=absolute(options.cache_dir),
        database_dir=absolute(options.bids_database_dir),
        n_procs=options.nprocs,
        omp_nthreads=options.omp_nthreads,
        memory=options.mem,
        device=options.device,
        plugin_file=absolute(options.use_plugin),
        stop_on_first_crash=options.stop_on_first_crash,
        boilerplate_only=options.boilerplate_only,
        dry_run=options.dry_run,
        reports_only=options.reports_only,
        verbosity=options.verbose,
    )
