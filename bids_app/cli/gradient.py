"""``musenc gradient``: the gradient of a dataset's own resting runs."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np

from bids_app.held import private_folder
from bids_app.log import tell

LOGGER = logging.getLogger("bids_app")
STEM = "tpl-{template}_hemi-{hemi}_den-{den}_desc-own{what}_gradient.func.gii"


def add_gradient(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``musenc gradient``."""
    parser = commands.add_parser(
        "gradient",
        help="find the cortical gradient in the dataset's own resting runs",
        usage="musenc gradient BIDS_DIR --rest-task TASK --output-dir DIR "
        "[options of musenc-bidsapp]",
        description="Embeds the mean resting-state connectivity of all participants (diffusion "
        "map), selects the component that correlates most with that of --gradient (default: "
        "margulies2016), and writes it as two GIFTI files with a sidecar. "
        "Below a Spearman correlation of .3 with the template nothing is written. The group level "
        "takes the files: --gradient own=LEFT,RIGHT.",
        epilog="All other options are those of musenc-bidsapp (--participant-label, --confounds, "
        "--high-pass, --smoothing, --derivatives, ...).",
    )
    parser.add_argument("bids_dir", help="as of musenc-bidsapp")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="see above")
    parser.set_defaults(work=_run_gradient)


def _run_gradient(options: argparse.Namespace) -> int:
    from bids_app.analyses.group.alignment import load_gradient
    from bids_app.analyses.group.own_gradient import RestSeries, find_gradient, spin_p
    from bids_app.analyses.participant.rest_runs import clean_rest_run
    from bids_app.cli.parser import parse_config
    from bids_app.cli.run import make_plan
    from bids_app.files import write_json
    from bids_app.meshes import MESHES
    from bids_app.outputs import HEMISPHERES, sidecar_of
    from bids_app.surface.gifti import write_gifti
    from bids_app.surface.mesh import load_mesh

    own = argparse.ArgumentParser(prog="musenc gradient", add_help=False, allow_abbrev=False)
    own.add_argument("--rest-task", required=True, metavar="TASK")
    own.add_argument("--output-dir", type=Path, required=True, metavar="DIR")
    chosen, rest = own.parse_known_args(options.options)
    task = ["--task-id", chosen.rest_task.removeprefix("task-")]
    config = parse_config([options.bids_dir, str(chosen.output_dir), "participant", *rest, *task])
    row = MESHES[config.cleaning.space]
    space, seed = row.name, config.statistics.random_seed
    option = config.statistics.gradients[0]
    template = load_gradient(option, space)
    plan = make_plan(config, music=False)
    mesh = load_mesh(space)
    with private_folder("gradient") as folder:
        series = RestSeries(folder, mesh)
        for one in plan.runs:
            LOGGER.info("gradient: %s", one.label)
            run = clean_rest_run(one, config.cleaning, mesh)
            series.add(one.participant, run.label, run.values, run.warnings)
        found = find_gradient(
            series, template.values, lambda text: LOGGER.info("gradient: %s", text)
        )
    for warning in found.warnings:
        LOGGER.warning("gradient: %s", warning)
    p = spin_p(found, template.values, mesh, n_spins=1000, seed=seed)
    record = found.record | {"Template": template.record, "SpinP": p}
    files = []
    for what, values in (("", found.values[np.newaxis]), ("components", found.components)):
        names = [f"component {k}" for k in range(1, len(values) + 1)] if what else ["gradient"]
        for hemi, half in zip(HEMISPHERES, np.split(values, 2, axis=1), strict=True):
            name = STEM.format(template=row.template, hemi=hemi, den=row.density, what=what)
            path = chosen.output_dir / name
            write_gifti(path, half, hemi=hemi, names=names)
            write_json(sidecar_of(path), record)
            files += [] if what else [str(path)]
    choice = found.choice
    tell(
        f"component {choice.number} is the gradient: Spearman r {choice.r:.2f} with {option} "
        f"(spin p {p:.3f}); next: component {choice.second} with {choice.second_r:.2f}\n"
        f"{len(plan.participants)} participants, {len(found.runs)} runs\n"
        f"use it: musenc-bidsapp ... group --gradient own={','.join(files)}"
    )
    return 0
