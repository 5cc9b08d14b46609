"""The parts of a participant's page about stimuli and responses."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from bids_app.encoding.gram import delay_samples, kept_rows
from bids_app.errors import BadDataError, MusencError
from bids_app.report.brain import ColorScale, surface_figure
from bids_app.report.charts import carpet_figure, series_figure
from bids_app.report.page import (
    PRINT_DPI,
    Block,
    Missing,
    Section,
    Table,
    Text,
    Verbatim,
    number,
    picture,
    picture_from_file,
)
from bids_app.report.sources import FloatArray, ParticipantFiles, column, to_float
from bids_app.report.stimuli import vector_file


def response_sections(files: ParticipantFiles) -> list[Section]:
    """What was heard, and what it was heard with."""
    return [stimuli_section(files), responses_section(files)]


def stimuli_section(files: ParticipantFiles) -> Section:
    """What was heard, and how the network sees it."""
    section = Section("stimuli", "Stimuli")
    section.add("stimuli", lambda: stimuli_table(files))
    try:
        stimuli = list(files.settings["Stimuli"])
    except Exception:  # noqa: BLE001  (the block above says what is missing)
        return section
    undrawn = [name for name in stimuli if not files.figure_file(name).is_file()]
    for stimulus in stimuli:
        if stimulus not in undrawn:
            section.add(f"drawing of {stimulus}", partial(stimulus_picture, files, stimulus))
    if undrawn:
        section.blocks.append(
            Missing(
                f"waveform, log-mel spectrogram and layers of {', '.join(undrawn)}",
                "Sound and activations are not kept in the derivatives, and no drawing of them was"
                f" saved ({files.name(files.figure_file(undrawn[0]))}).",
            )
        )
    return section


def stimulus_picture(files: ParticipantFiles, stimulus: str) -> Block:
    """The drawing that was saved when the features were computed."""
    path = files.figure_file(stimulus)
    there = [(vector_file(path), "SVG"), (path, f"PNG, {PRINT_DPI} dpi")]
    return picture_from_file(
        path,
        files=[(files.name(one), name) for one, name in there if one.is_file()],
        alt=f"Waveform, log-mel spectrogram and layer activations of {stimulus} over time",
        caption=f"{stimulus}: sound, log-mel spectrogram, and some layers over time. Every row of a"
        " layer is a unit or a component, as its title says, scaled to its own standard deviation."
        " Numbers are those of all layers of the network, also where the model has only some.",
    )


def stimuli_table(files: ParticipantFiles) -> Block:
    """One row per presentation."""
    checksums = files.settings["Stimuli"]
    tr = float(files.sidecar["RepetitionTime"])
    rows = [
        [
            str(item["Stimulus"]),
            str(item["Run"]),
            number(item["First"], 2),
            number(item["First"] + tr * (item["Count"] - 1), 2),
            number(item["Count"]),
            number(left),
            str(checksums.get(item["Stimulus"], "n/a"))[:16],
        ]
        for item, left in presentations(files)
    ]
    return Table(
        "Presentations (seconds of the audio file at the first and last volume)",
        [
            *("stimulus", "run", "first (s)", "last (s)", "volumes", "left by crop and delays"),
            "SHA-256 (first 16)",
        ],
        rows,
        numeric=(2, 3, 4, 5),
    )


def presentations(files: ParticipantFiles) -> list[tuple[dict[str, Any], int]]:
    """Every presentation, and how many of its volumes crop and delays leave to the model."""
    told = files.sidecar
    tr, (first, last) = float(told["RepetitionTime"]), told["Delays"]
    shifts = delay_samples((float(first), float(last)), tr)
    counts = [int(item["Count"]) for item in told["SamplingTimes"]]
    rows = kept_rows(counts, shifts, float(told["Crop"]), tr)
    return [
        (item, stop - start)
        for item, (start, stop) in zip(told["SamplingTimes"], rows, strict=True)
    ]


def responses_section(files: ParticipantFiles) -> Section:
    """Confounds, degrees of freedom, motion, and the cleaned responses."""
    section = Section("responses", "Responses")
    section.add("confounds and degrees of freedom", lambda: confounds_blocks(files))
    section.add("temporal signal-to-noise ratio", lambda: tsnr_picture(files))
    section.add("coverage", lambda: coverage_block(files))
    section.add("motion", lambda: motion_picture(files))
    section.add("carpet of the cleaned responses", lambda: carpet_picture(files))
    return section


def confounds_blocks(files: ParticipantFiles) -> list[Block]:
    """Degrees of freedom per run, and the names of the regressors."""
    shown = {
        "run": "run",
        "n_confounds": "confounds",
        "design_rank": "rank of the design",
        "degrees_of_freedom": "degrees of freedom",
        "n_degenerate_vertices": "vertices without signal",
        "smoothing_mm": "smoothing (mm)",
    }
    table = Table(
        "Cleaning per run",
        list(shown.values()),
        [[row.get(name) or "n/a" for name in shown] for row in files.runs],
        numeric=range(1, len(shown)),
    )
    names = "\n\n".join(
        f"{row['run']}\n  {row.get('confounds', 'n/a').replace(',', ', ')}" for row in files.runs
    )
    return [table, Verbatim("Names of the confound regressors", names)]


HIGHEST_TSNR = 100.0
"""End of the scale of every such map: those of participants and studies compare."""


def tsnr_picture(files: ParticipantFiles) -> Block:
    """Mean over standard deviation of the responses before they were cleaned."""
    left = files.quality_map("tsnr")
    values = files.both(left)
    known = np.isfinite(values)
    if not known.any():
        return Text(
            "There is no temporal signal-to-noise ratio: the mean was taken out of the series"
            " before they came here."
        )
    counts = known.sum(axis=0)
    mean = np.where(known, values, 0.0).sum(axis=0) / np.maximum(counts, 1)
    mean[counts == 0] = np.nan
    scale = ColorScale("temporal signal-to-noise ratio", 0.0, HIGHEST_TSNR, "viridis").reaching(
        mean
    )
    medians = ", ".join(
        f"{row['run']} {number(to_float(row.get('tsnr')), 1)}" for row in files.runs
    )
    return picture(
        surface_figure(mean, scale, mesh=files.mesh),
        alt="Temporal signal-to-noise ratio on the inflated cortex, lateral and medial views of"
        f" both hemispheres; median {np.nanmedian(mean):.1f}",
        caption="Temporal signal-to-noise ratio: mean of the preprocessed series over the standard"
        " deviation of what slow drift does not explain, before confounds are removed and anything"
        " is smoothed. Mean over runs; median over vertices of each run:"
        f" {medians}. Gray: outside the cortex mask, or without a signal.",
        source=files.both_names(left),
    )


def coverage_block(files: ParticipantFiles) -> Block:
    """Where runs have a signal; drawn only where some have none."""
    left = files.quality_map("coverage")
    runs = files.both(left)
    inside = np.isfinite(runs).all(axis=0)
    count = np.where(inside, np.nan_to_num(runs).sum(axis=0), np.nan)
    n_runs, n_inside = len(runs), int(inside.sum())
    fewer = int((count[inside] < n_runs).sum())
    every = f"all {n_runs} runs" if n_runs > 1 else "the run"
    if fewer == 0:
        return Text(f"Coverage: each of the {n_inside} vertices has a signal in {every}.")
    scale = ColorScale("runs with a signal", 0.0, float(n_runs), "viridis", whole=True)
    return picture(
        surface_figure(count, scale, mesh=files.mesh),
        alt="Number of runs with a signal on the inflated cortex, lateral and medial views of both"
        f" hemispheres; {fewer} vertices lack one somewhere",
        caption=f"Coverage: {fewer} of {n_inside} vertices have no signal in some run, so they"
        f" have no result; the others have one in {every}. Gray: outside the cortex mask.",
        source=files.both_names(left),
    )


def motion_picture(files: ParticipantFiles) -> Block:
    """Framewise displacement, where the design was saved."""
    path = files.own_table("timeseries.tsv", desc="design")
    rows = files.table(path)
    if "framewise_displacement" not in rows[0]:
        raise BadDataError(
            "The design holds no framewise displacement",
            where=files.name(path),
            remedy="add the column framewise_displacement to the confounds",
        )
    series: dict[str, FloatArray] = {}
    for run in dict.fromkeys(row.get("run", "") for row in rows):
        own = [row for row in rows if row.get("run", "") == run]
        series[run] = column(own, "framewise_displacement")
    return picture(
        series_figure(series, FD),
        alt=f"Framewise displacement over volumes in {len(series)} runs",
        caption="Head motion: framewise displacement (FD) from volume to volume, all runs on one"
        " scale.",
        source=files.name(path),
    )


FD, DVARS = "FD (mm)", "DVARS"
SHOWN_MOTION = {FD: "framewise_displacement", DVARS: "std_dvars"}
"""Columns of the design that are shown above the carpet."""


def motion_during(files: ParticipantFiles, sidecar: dict[str, Any]) -> dict[str, FloatArray]:
    """Motion at the volumes of a presentation; empty where the folder does not say it.

    Volumes are found by their times: onset, repetition time and sampling time of the run.
    """
    times = np.asarray(sidecar["StimulusTimes"], dtype=float)
    with suppress(MusencError, KeyError, ValueError, StopIteration):
        run = _run_of(files, sidecar)
        heard = run["stimuli"].split(",").index(str(sidecar["Stimulus"]))
        onset = float(run["onsets_s"].split(",")[heard])
        tr, start = float(run["repetition_time_s"]), float(run["sampling_time_s"])
        volumes = np.rint((times + onset - start) / tr).astype(int)
        if np.abs(volumes * tr + start - onset - times).max() > tr / 4:
            return {}
        rows = files.table(files.own_table("timeseries.tsv", desc="design"))
        own = [row for row in rows if row.get("run") == run["run"]]
        if volumes.min() < 0 or volumes.max() >= len(own):
            return {}
        found = {
            name: column(own, stored)[volumes]
            for name, stored in SHOWN_MOTION.items()
            if stored in own[0]
        }
        return {name: line for name, line in found.items() if np.isfinite(line).any()}
    return {}


def _run_of(files: ParticipantFiles, sidecar: dict[str, Any]) -> dict[str, str]:
    """The row of the run in which the stimulus was heard once."""
    stimulus = str(sidecar["Stimulus"])
    found = [row for row in files.runs if row["stimuli"].split(",").count(stimulus)]
    if len(found) != 1 or found[0]["stimuli"].split(",").count(stimulus) != 1:
        raise StopIteration  # heard twice: which presentation it is cannot be told
    return found[0]


def carpet_picture(files: ParticipantFiles) -> Block:
    """All presentations, well-predicted vertices on top."""
    responses = files.responses
    presentations = [
        (str(sidecar["Stimulus"]), np.asarray(sidecar["StimulusTimes"], dtype=float), values)
        for sidecar, values in responses
    ]
    finite = np.all([np.isfinite(values).all(axis=0) for _, _, values in presentations], axis=0)
    # A participant without maps still has responses to show.
    try:
        rank, sorting = files.accuracy.max(axis=0), "best predicted on top"
    except Exception:  # noqa: BLE001  (the accuracy section says what is missing)
        rank, sorting = np.zeros(len(finite)), "left hemisphere on top"
    usable = np.flatnonzero(finite)
    order = usable[np.argsort(-np.nan_to_num(rank[usable], nan=-np.inf), kind="stable")]
    motion = [motion_during(files, sidecar) for sidecar, _ in responses]
    told = [name for name in SHOWN_MOTION if any(name in lines for lines in motion)]
    names = {FD: "framewise displacement (mm)", DVARS: "standardized DVARS"}
    above = (
        f"Above, on the same axis: {' and '.join(names[name] for name in told)}. " if told else ""
    )
    return picture(
        carpet_figure(presentations, order, motion),
        alt=f"Carpet of cleaned responses during {len(presentations)} presentations, one row per"
        " vertex, with the mean over vertices above each",
        caption="Responses after confounds and drift were removed, volumes with music only."
        f" {above}Every row is a vertex in units of its own standard deviation ({sorting}; evenly"
        f" spaced among {len(usable)} vertices); the line above is the mean of these rows. Stripes"
        " from top to bottom are what the whole cortex shares, often motion or breathing.",
        source=f"sub-{files.participant}/func/*_desc-clean_bold.func.gii",
    )
