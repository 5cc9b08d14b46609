"""The part of a participant's page with checks of the result's validity."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from bids_app.errors import BadDataError
from bids_app.report.charts import (
    lag_figure,
    layer_checks_figure,
    null_figure,
    reliability_figure,
)
from bids_app.report.history import History
from bids_app.report.page import (
    Block,
    Facts,
    Section,
    Text,
    Verdict,
    number,
    percent,
    picture,
)
from bids_app.report.responses import presentations
from bids_app.report.sources import ParticipantFiles, column, to_float
from bids_app.statistics import p_told
from bids_app.surface.lag import CLEAR_PEAK
from bids_app.surface.lag_scan import CLEAR, UNCLEAR, lag_state, peak_lag

_EDGE_WARNING = 0.5


def honesty_section(files: ParticipantFiles, history: History) -> Section:
    """Null, penalties, lag, reliability, effective rank, and what was dropped."""
    section = Section("honesty", "Can it be believed?")
    section.add("null distribution", lambda: null_picture(files))
    section.add("penalties and effective rank per layer", lambda: checks_blocks(files))
    section.add("reliability across held-out stimuli", lambda: reliability_blocks(files))
    section.add("lag check", lambda: lag_picture(files))
    section.add("what was dropped", lambda: dropped_facts(files, history))
    return section


def null_picture(files: ParticipantFiles) -> Block:
    """Best vertex against its null, and z and p of all vertices."""
    z, p = files.map("z"), files.p
    accuracy = files.accuracy
    if not np.isfinite(z).any():
        raise BadDataError(
            "No null distribution was computed",
            where=f"null: {files.sidecar.get('Null')}",
            remedy="run the participant level again with --null analytic",
        )
    layer, vertex = np.unravel_index(np.nanargmax(accuracy), accuracy.shape)
    observed = float(accuracy[layer, vertex])
    null_sd = abs(observed / float(z[layer, vertex]))
    corrected = min(1.0, float(p[layer, vertex]) * int(np.isfinite(p).sum()))
    name = files.layer_names[int(layer)]
    best = int(np.nanargmax(np.nanmean(accuracy, axis=1)))
    share = float(np.nanmean(p[best][np.isfinite(p[best])] < 0.05))
    return picture(
        null_figure(observed, null_sd, corrected, z[best], p[best]),
        alt="Three panels: the null distribution of the best vertex with the observed accuracy, the"
        " distribution of z over vertices against the standard normal, and the distribution of p",
        caption=f"Left: the best vertex (layer {layer + 1}, {name}), r = {observed:.3f}, against"
        f" its null (SD {null_sd:.3f}). It was picked as the best of"
        f" {int(np.isfinite(accuracy).sum())}, so the line lies far out even by chance:"
        f" {p_told(corrected)} corrected for that (Bonferroni). Middle and right:"
        f" all vertices for layer {best + 1} ({files.layer_names[best]}), the layer of"
        f" highest mean accuracy; {percent(share)} have p < .05, of which 5 % are expected"
        " without any encoding.",
        source=f"{files.map_label('r')}, {files.map_label('z')}, {files.map_label('p')}",
    )


def checks_blocks(files: ParticipantFiles) -> list[Block]:
    """Penalty-edge shares and effective rank, with words where they are alarming."""
    rows = files.layers
    low, high, rank = (column(rows, name) for name in ("edge_low", "edge_high", "effective_rank"))
    names = [row["name"] for row in rows]
    blocks: list[Block] = [
        picture(
            layer_checks_figure(names, low, high, rank),
            alt="Bars per layer: share of penalties at the smallest and largest value of the grid,"
            " and effective rank of the features",
            caption="Above: how often the penalty at an end of the grid was chosen. Vertices that"
            " follow nothing in the music choose the largest one, in short pieces either end. Where"
            " layers predict, many at the smallest one say that the grid should go lower. Below:"
            " effective rank (participation ratio of the kernel's eigenvalues), the number of"
            " independent dimensions a layer offers.",
            source=files.name(files.tree.model_summary(files.participant, files.model)),
        )
    ]
    if np.nanmax(low) > _EDGE_WARNING:
        blocks.append(
            Verdict(
                f"In layer {int(np.nanargmax(low)) + 1}, {percent(float(np.nanmax(low)))} of"
                " vertices and folds chose the smallest penalty: the grid ends too early.",
                "warning",
            )
        )
    return blocks


def reliability_blocks(files: ParticipantFiles) -> list[Block]:
    """Does the map come out alike whichever stimulus is held out?"""
    labels = files.held_out
    if len(labels) < 2:
        raise BadDataError(
            "It takes two held-out stimuli",
            found=f"{len(labels)}",
            wanted="two or more",
            remedy="add a stimulus",
        )
    maps = {label: files.held_out_accuracy(label).mean(axis=0) for label in labels}
    pairs = []
    for first, second in combinations(labels, 2):
        finite = np.isfinite(maps[first]) & np.isfinite(maps[second])
        x, y = maps[first][finite], maps[second][finite]
        pairs.append((first, x, second, y, float(np.corrcoef(x, y)[0, 1])))
    return [
        picture(
            reliability_figure(pairs),
            alt="Layer-averaged accuracy with one stimulus held out against another, one point"
            " per vertex; "
            + "; ".join(f"{a} and {b}: correlation {r:.2f}" for a, _, b, _, r in pairs),
            caption="Layer-averaged accuracy of every vertex with one stimulus held out, against"
            " another. Maps of real encoding agree, but those of noise do, too (.31 to .48 in"
            " twelve simulated people and three pieces): what one piece says of another holds the"
            " other way round, and both share training music. So this describes and does not test.",
            source=", ".join(files.map_label("r", stim=label) for label in labels),
        )
    ]


def lag_picture(files: ParticipantFiles) -> Block:
    """By how many seconds auditory cortex follows the loudness of the music."""
    path = files.tree.lag_curves(files.participant)
    rows = files.table(path)
    tested = _peak_p(files)
    curves, peaks = [], []
    for run, stimulus in dict.fromkeys((row["run"], row["stimulus"]) for row in rows):
        own = [row for row in rows if (row["run"], row["stimulus"]) == (run, stimulus)]
        lag, correlation = column(own, "lag_s"), column(own, "r")
        if not np.isfinite(correlation).any():
            curves.append((f"{run}, {stimulus}", lag, correlation))
            continue
        p = tested.get((run, stimulus), float("nan"))
        told = p_told(p)
        curves.append((f"{run}, {stimulus} ({told})", lag, correlation))
        top = int(np.nanargmax(correlation))
        state = lag_state(p, at_edge=top in (0, len(lag) - 1), below=CLEAR_PEAK)
        peak = f"{peak_lag(correlation, lag):.1f} s" if state == CLEAR else state
        peaks.append((f"{stimulus} {peak} ({told})", state))
    words = ", ".join(text for text, _ in peaks) or "none, since no correlation is defined"
    judged = (
        f"A peak is unclear from p = {CLEAR_PEAK:g} on. Where the onset of the music in the run is"
        " right, a clear peak lies at about 5 s."
        if any(state != UNCLEAR for _, state in peaks)
        else f"No peak is clear (p < {CLEAR_PEAK:g}), so the curves say nothing about the onsets."
    )
    return picture(
        lag_figure(curves),
        alt="Correlation of auditory cortex with the loudness of the music over lags; peaks:"
        f" {words}",
        caption="Correlation of the mean response around Heschl's gyrus with the loudness of the"
        " music, for responses taken so many seconds after the sound; p: how often a response"
        f" of the same spectrum and random phases has a peak as high. Peaks: {words}. {judged}",
        source=f"{files.name(path)}, {files.name(files.tree.runs_summary(files.participant))}",
    )


def _peak_p(files: ParticipantFiles) -> dict[tuple[str, str], float]:
    """P of the highest correlation, by run and stimulus."""
    found: dict[tuple[str, str], float] = {}
    for row in files.runs:
        stimuli, values = (row.get(name, "").split(",") for name in ("stimuli", "lag_p"))
        if len(stimuli) == len(values):
            found |= {
                (row["run"], stimulus): to_float(p)
                for stimulus, p in zip(stimuli, values, strict=True)
            }
    return found


def dropped_facts(files: ParticipantFiles, history: History) -> list[Block]:
    """Everything that did not enter the result."""
    runs, layers = files.runs, files.layers
    volumes = column(runs, "n_volumes").sum()
    kept = column(runs, "n_volumes_with_music").sum()
    at_start = column(runs, "n_dummy").sum()
    left = sum(rows for _, rows in presentations(files))
    constant = column(layers, "n_constant_units")
    skipped = [row for row in history.rows if row.run and row.state != "done"]
    facts = [
        ("Runs", f"{len(skipped)} not used" if skipped else "none skipped in the log"),
        ("Volumes at the start", f"{number(at_start)} of {number(volumes)}"),
        ("Volumes without music", f"{number(volumes - at_start - kept)} of {number(volumes)}"),
        (
            "Crop",
            f"{number(to_float(files.sidecar['Crop']), 1)} s at both ends of every presentation, or"
            f" what the delays need: {number(left)} volumes are left of {number(kept)} with music",
        ),
        ("Vertices without a result", number(files.sidecar["DegenerateVertices"])),
        (
            "Units that do not vary",
            f"{number(constant.sum())} over all layers; at most"
            f" {number(np.nanmax(constant))} in one layer (layer"
            f" {int(np.nanargmax(constant)) + 1})"
            if constant.any()
            else "none",
        ),
    ]
    return [Text("What did not enter the result:"), Facts(facts)]
