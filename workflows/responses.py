"""One participant's runs to cleaned responses on the clock of the music."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.errors import BadDataError
from bids_app.features.timing import high_pass_basis, stimulus_rows
from bids_app.inputs.confounds import select_confounds
from bids_app.inputs.dataset import BoldRun
from bids_app.surface.gifti import read_gifti
from bids_app.surface.responses import clean_responses


@dataclass(frozen=True)
class Block:
    """One presentation of one stimulus.

    Attributes
    ----------
    stimulus : str
        Label of the stimulus.
    run : str
        Label of the run it was heard in.
    tr : float
        Repetition time, in seconds.
    times : array of shape (n_times,)
        Second of the audio file each volume was sampled at.
    values : array of shape (n_times, n_vertices), float32
        Cleaned responses, both hemispheres (left first); NaN at degenerate vertices.
    """

    stimulus: str
    run: str
    tr: float
    times: NDArray[np.float64]
    values: NDArray[np.float32]


def read_bold(run: BoldRun) -> NDArray[np.float32]:
    """Both hemispheres of a run, left first.

    Returns
    -------
    array of shape (n_times, n_vertices)
    """
    left, right = read_gifti(run.bold_left), read_gifti(run.bold_right)
    if len(left) != len(right):
        raise BadDataError(
            "The hemispheres differ in length.",
            where=run.label,
            found=f"{len(left)} volumes left, {len(right)} right",
            remedy="run fMRIPrep again for this run",
        )
    return np.hstack([left, right])


def prepare_responses(
    runs: Sequence[BoldRun], *, confounds: str, high_pass: float
) -> tuple[list[Block], list[dict[str, Any]]]:
    """Clean every run and cut out the music.

    Returns
    -------
    blocks : list of Block
        One per presentation, in the order of the runs.
    summary : list of dict
        One row per run: volumes, confounds, degrees of freedom, degenerate vertices, warnings.
    """
    blocks: list[Block] = []
    summary: list[dict[str, Any]] = []
    for run in runs:
        bold = read_bold(run)
        selected = select_confounds(
            run.confounds_file, run.confounds_json, confounds, len(bold), own_high_pass=True
        )
        drift = high_pass_basis(len(bold), run.tr, high_pass)
        cleaned = clean_responses(bold, selected.values, drift, n_dummy=run.n_dummy)
        kept = 0
        for presentation in run.presentations:
            rows, times = stimulus_rows(
                len(bold),
                run.tr,
                run.start_time,
                presentation.onset,
                presentation.duration,
                presentation.offset,
            )
            steady = rows >= run.n_dummy
            rows, times = rows[steady], times[steady]
            kept += len(rows)
            blocks.append(
                Block(presentation.stimulus, run.label, run.tr, times, cleaned.values[rows])
            )
        summary.append(
            {
                "run": run.label,
                "stimuli": ",".join(p.stimulus for p in run.presentations),
                "onsets_s": ",".join(f"{p.onset:g}" for p in run.presentations),
                "n_volumes": len(bold),
                "n_dummy": run.n_dummy,
                "n_volumes_with_music": kept,
                "repetition_time_s": run.tr,
                "repetition_time_source": run.tr_source,
                "sampling_time_s": run.start_time,
                "n_confounds": len(selected.names),
                "confounds": ",".join(selected.names),
                "design_rank": cleaned.rank,
                "degrees_of_freedom": cleaned.degrees_of_freedom,
                "n_degenerate_vertices": int(cleaned.degenerate.sum()),
                "warnings": "; ".join([*run.warnings, *selected.warnings]),
            }
        )
    return blocks, summary


def save_blocks(path: Path, blocks: Sequence[Block]) -> Path:
    """Write blocks to one uncompressed ``.npz`` file."""
    arrays: dict[str, Any] = {}
    meta = []
    for index, block in enumerate(blocks):
        arrays[f"values_{index}"] = block.values
        arrays[f"times_{index}"] = block.times
        meta.append({k: v for k, v in asdict(block).items() if k in ("stimulus", "run", "tr")})
    np.savez(path, meta=np.array(json.dumps(meta)), **arrays)
    return path


def load_blocks(path: Path) -> list[Block]:
    """Read what `save_blocks` wrote."""
    with np.load(path) as stored:
        meta = json.loads(str(stored["meta"]))
        return [
            Block(times=stored[f"times_{i}"], values=stored[f"values_{i}"], **fields)
            for i, fields in enumerate(meta)
        ]
