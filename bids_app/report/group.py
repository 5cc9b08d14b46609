"""The page of the group: what holds over participants, graded by the tests behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from bids_app.errors import MusencError
from bids_app.files import write_text
from bids_app.group.claims import MUSIC, PEOPLE, LevelTest, holds
from bids_app.outputs import OutputTree, has_others_weights
from bids_app.report.alignment import alignment_section, gradient_ends
from bids_app.report.analyses import gradients_section
from bids_app.report.citations import CitedText
from bids_app.report.claims import all_claims, claim_verdict, claims_blocks
from bids_app.report.controls import control_banner
from bids_app.report.explorers import link_group
from bids_app.report.group_details import left_out
from bids_app.report.history import call_facts, not_used
from bids_app.report.methods import Done, citation_files, group_methods
from bids_app.report.page import (
    Block,
    Facts,
    Links,
    Section,
    Table,
    Text,
    Verdict,
    number,
    write_page,
)
from bids_app.report.participant import methods_blocks
from bids_app.report.provenance import settings_blocks
from bids_app.report.sources import (
    GroupFiles,
    ParticipantFiles,
    column,
    shown_models,
    to_float,
)
from bids_app.statistics import SIGNIFICANCE, p_number
from bids_app.surface.lag_scan import UNCLEAR

OTHERS_TEXT = (
    "Weights of the others: every participant's models were trained on the mean response of all"
    " other participants, and scored on the participant's own responses to the held-out piece."
    " Listeners who are alike are predicted better so; what is peculiar to one listener is lost."
    " Everybody trains everybody else, so that participants depend on one another: their t is"
    " scaled down by sqrt((n - 2) / (2 (n - 1))) before it is tested. The claims are corrected"
    " together with all others but the primary one, which is of participants' own weights."
)
"""What the page says of results with the others' weights."""

SectionOf = Callable[[GroupFiles], Section | Sequence[Section]]


@dataclass(frozen=True)
class Shown:
    """What the page shows of an analysis.

    Attributes
    ----------
    summary : callable, optional
        Adds what may be said of it to the summary.
    sections, appendix : tuple of callables
        Its sections, and those behind the sections of all analyses.
    once : bool
        Whether a page of several models has its sections once.
    alone : bool
        Whether it is shown where conditions are all that was analyzed.
    """

    summary: Callable[[Section, GroupFiles], None] | None = None
    sections: tuple[SectionOf, ...] = ()
    appendix: tuple[SectionOf, ...] = ()
    once: bool = False
    alone: bool = False


def write_group_page(output_dir: Path, analyses: Sequence[Shown]) -> Path:
    """Write ``group.html`` from the files of an output folder; nothing is computed again.

    Parameters
    ----------
    output_dir : Path
        The output folder.
    analyses : sequence of Shown
        In the order of their sections.

    Returns
    -------
    Path
        The page. What is absent or cannot be drawn is shown as missing, with the reason.

    Raises
    ------
    CannotWriteError
        If the page cannot be written.
    """
    models = shown_models(OutputTree(Path(output_dir)).group_models())
    files, *others = (GroupFiles(Path(output_dir), model=model) for model in models)
    if files.only_conditions:
        sections = _drawn(files, _shown_once([one for one in analyses if one.alone]))
    else:
        appendix = [draw for analysis in analyses for draw in analysis.appendix]
        sections = [
            *result_sections(files, analyses),
            *(
                section.of_model(other.model)
                for other in others
                for section in (
                    *result_sections(other, analyses),
                    *_drawn(other, [*appendix, settings_section]),
                )
            ),
            *_drawn(files, _shown_once(analyses)),
            *_drawn(files, [*appendix, signs_section, methods_section, settings_section]),
        ]
    if not files.only_conditions:
        with suppress(MusencError):  # the page says what is missing
            for extension, text in citation_files(study_methods(files)).items():
                write_text(files.root / f"CITATION.{extension}", text)
    return write_page(
        files.tree.group_report,
        title="Music encoding: group",
        subtitle="Group report of musenc-bidsapp",
        banner=control_banner(files.root, models),
        sections=sections,
        figures=lambda model, desc: files.tree.figure(desc, model=model),
    )


def result_sections(files: GroupFiles, analyses: Sequence[Shown]) -> list[Section]:
    """What was found about a model."""
    own = [draw for one in analyses if not one.once for draw in one.sections]
    drawn = [summary_section(files, analyses), *_drawn(files, [participants_section, *own])]
    return [section.about(files.model) for section in drawn]


def _shown_once(analyses: Sequence[Shown]) -> list[SectionOf]:
    """Sections of analyses that belong to no model, each once."""
    return list(dict.fromkeys(draw for one in analyses if one.once for draw in one.sections))


def _drawn(files: GroupFiles, sections: Sequence[SectionOf]) -> list[Section]:
    drawn = (draw(files) for draw in sections)
    return list(chain.from_iterable([s] if isinstance(s, Section) else s for s in drawn))


def summary_section(files: GroupFiles, analyses: Sequence[Shown]) -> Section:
    """The result in a few graded sentences."""
    section = Section("summary", "Summary")
    if has_others_weights(files.model):
        section.blocks.append(Text(OTHERS_TEXT))
    section.add("features", lambda: guess_blocks(files))
    for analysis in analyses:
        if analysis.summary is not None:
            analysis.summary(section, files)
    link_group(section, files)
    section.add("claims", lambda: claims_blocks(files))
    section.add("summary of the result", lambda: summary_facts(files))
    return section


def guess_blocks(files: GroupFiles) -> list[Block]:
    """That the features of the model are a guess."""
    guess = files.settings.get("Guess")
    return [Verdict(f"The features are a guess: {guess}.", "warning")] if guess else []


def tell_accuracy(section: Section, files: GroupFiles) -> None:
    """What is predicted, and what is there over people alone."""
    section.add("what is predicted", lambda: claim_verdict(files, "accuracy"))
    section.add("accuracy over participants", lambda: accuracy_verdict(files))


def tell_alignment(section: Section, files: GroupFiles) -> None:
    """The claim about every gradient."""
    if not files.preference_missing and nothing_to_align_with(files):
        told = "Nothing was aligned with a gradient: see Gradients without a result."
        section.blocks.append(Verdict(told, "warning"))
        return
    for own in () if files.preference_missing else each_gradient(files):
        section.add(
            "alignment with the gradient", partial(claim_verdict, own, "slope", own.gradient)
        )


def each_gradient(files: GroupFiles) -> list[GroupFiles]:
    """The same files seen with each gradient that there are results of."""
    root, model = files.root, files.model
    return [GroupFiles(root, model=model, gradient=label) for label in files.gradients]


def alignment_sections(files: GroupFiles) -> list[Section]:
    """One section per gradient, after a summary where there are several."""
    if files.preference_missing:
        return [alignment_section(files)]
    if nothing_to_align_with(files):
        return absent_gradients(files)
    own = [alignment_section(one) for one in each_gradient(files)]
    return [*gradients_section(files), *own, *absent_gradients(files)]


def nothing_to_align_with(files: GroupFiles) -> bool:
    """Whether every gradient that was asked for is absent, and no earlier call aligned with one."""
    return bool(left_out(files, "alignment")) and not files.aligned


def absent_gradients(files: GroupFiles) -> list[Section]:
    """Gradients that are not installed; no section without any."""
    reasons = left_out(files, "alignment")
    if not reasons:
        return []
    section = Section("alignment-absent", "Gradients without a result")
    section.blocks += [Verdict(f"{reason}.", "warning") for reason in reasons]
    return [section]


def accuracy_verdict(files: GroupFiles) -> Block:
    """One number of significant vertices, why it is not larger, and what was possible."""
    people = files.map("p", desc="maxt")
    n_people = int((np.nan_to_num(people, nan=1.0) < SIGNIFICANCE).any(axis=0).sum())
    n = len(files.rows("summary.tsv", desc="participants"))
    possible = f"With {n} participants no p over people below {smallest_p(files, n)} is possible."
    if not files.map_path("L", "q", desc="music").is_file():
        return Text(
            f"Nothing was tested over music, so no vertex is predicted; {_vertices(n_people)} hold"
            f" over people alone. {possible}"
        )
    music = np.nan_to_num(files.map("q", desc="music"), nan=1.0)
    n_music = int((music < SIGNIFICANCE).any(axis=0).sum())
    n_both = int(np.asarray(holds(people, music)).any(axis=0).sum())
    return Text(
        f"Significant: {_vertices(n_both)}, where one layer holds over people (max-T over layers"
        f" and vertices) and over music (q). {n_people} hold over people and {n_music} over music"
        f"{_limit(n_people, n_music)}. {possible}"
    )


def _vertices(count: int) -> str:
    return f"{count} {'vertex' if count == 1 else 'vertices'}"


def _limit(n_people: int, n_music: int) -> str:
    """Which level holds at fewer vertices, and what would find more; nothing where none does."""
    if n_people == n_music:
        return ""
    if n_people < n_music:
        return ", so people set the limit: more participants would find more"
    return (
        ", so music sets the limit: everybody heard the same pieces, and more participants cannot"
        " tell an accident of these pieces from an effect; more or longer music can"
    )


def summary_facts(files: GroupFiles) -> Block:
    """Who and how many."""
    rows = files.rows("summary.tsv", desc="layers")
    participants = files.rows("summary.tsv", desc="participants")
    return Facts(
        [
            *call_facts(files, "group"),
            ("Participants in the tables", number(len(participants))),
            ("Cortex", files.cortex),
            ("Layers", number(len(rows))),
            ("Deciding vertex", deciding_vertex(files)),
        ]
    )


def deciding_vertex(files: GroupFiles) -> str:
    """Layer and vertex at which the claim about accuracy was decided, with both p."""
    told = files.settings.get("Predicted") or {}
    if "Layer" not in told:
        return "none: nothing was tested"
    tests = {one["level"]: LevelTest.of(one) for one in told["Tests"]}
    shown = [f"p over people {p_number(tests[PEOPLE].p)} (corrected)"]
    if tests[MUSIC].tested:
        shown.append(f"q over music {p_number(tests[MUSIC].p)}")
    layer = int(told["Layer"])
    return (
        f"{', '.join(shown)}: mean r = {number(told['Effect'])} in layer {layer}"
        f" ({files.layer_names[layer - 1]}), {told['Hemisphere']} {told['Vertex']}"
    )


def smallest_p(files: GroupFiles, n_participants: int) -> str:
    """What a sign-flip test of so many participants can reach at best."""
    least, (n_flips, every) = files.smallest_p(n_participants), files.flips(n_participants)
    told = f"all {n_flips} sign flips" if every else f"{n_flips} sign flips drawn"
    return f"{p_number(least)} ({told})"


def participants_section(files: GroupFiles) -> Section:
    """One row per participant."""
    section = Section("participants", "Participants")
    section.add("participants", lambda: participants_table(files))
    section.add("pages of the participants", lambda: participant_links(files))
    section.add("who is not in the group", lambda: absent_table(files))
    return section


def participant_links(files: GroupFiles) -> list[Block]:
    """Pages of participants that lie beside this one."""
    rows = files.rows("summary.tsv", desc="participants")
    pages = [files.tree.participant_report(row["participant_id"][4:]).name for row in rows]
    there = [(name, name.removesuffix(".html")) for name in pages if (files.root / name).is_file()]
    return [Links("Pages of the participants", there)] if there else []


def quality_of(files: GroupFiles, participant: str) -> list[str]:
    """Mean framewise displacement, tSNR, and the lags of auditory cortex whose peak is clear."""
    one = ParticipantFiles(files.root, participant, model=files.model)
    told = ["n/a", "n/a", "n/a"]
    with suppress(MusencError):
        rows = one.table(one.own_table("timeseries.tsv", desc="design"))
        displacement = column(rows, "framewise_displacement")
        if np.isfinite(displacement).any():
            told[0] = number(float(np.nanmean(displacement)))
    with suppress(MusencError):
        ratios = column(one.runs, "tsnr")
        if np.isfinite(ratios).any():
            told[1] = number(float(np.nanmean(ratios)), 1)
    with suppress(MusencError):
        lags = [lag for row in one.runs for lag in row.get("lag_s", "").split(",")]
        told[2] = ", ".join(lag for lag in lags if lag not in ("", "n/a", UNCLEAR)) or "none"
    return told


def absent_table(files: GroupFiles) -> list[Block]:
    """Participants whom the participant level left out, with the reason; nothing without any."""
    used = {row["participant_id"][4:] for row in files.rows("summary.tsv", desc="participants")}
    rows = not_used(files, used)
    if not rows:
        return []
    body = [[f"sub-{row.participant}", row.run or "all", row.state, row.reason] for row in rows]
    return [
        Table("Not in the group", ["participant", "run", "state", "reason"], body),
    ]


def participants_table(files: GroupFiles) -> list[Block]:
    """The participants table as it is in the derivatives."""
    shown = {
        "participant_id": "participant",
        "status": "status",
        "mean_r": "mean r",
        "reference_vertices": "reference vertices",
        "n_degenerate": "vertices without a result",
        "settings_hash": "settings",
    }
    rows = files.rows("summary.tsv", desc="participants")
    numbers = {"mean_r": 4, "reference_vertices": 0, "n_degenerate": 0}
    body = [
        [
            number(to_float(row.get(name)), numbers[name])
            if name in numbers
            else row.get(name) or "n/a"
            for name in shown
        ]
        + quality_of(files, row["participant_id"][4:])
        for row in rows
    ]
    columns = [*shown.values(), "mean FD (mm)", "tSNR", "clear lags (s)"]
    blocks: list[Block] = [
        Table("Participants", columns, body, numeric=(2, 3, 4, 6, 7)),
        Text(
            "Reference vertices: those whose accuracy, averaged over layers, is significant in this"
            " participant (q < .05). Their mean profile is the reference of the participant's own"
            " residual slope. Clear lags: seconds from the music to auditory cortex, run by run."
        ),
    ]
    hashes = {row.get("settings_hash") for row in rows}
    if len(hashes) > 1:
        blocks.append(
            Verdict("The participants' maps were made with different settings.", "warning")
        )
    return blocks


def signs_section(files: GroupFiles) -> Section:
    """What plus and minus mean."""
    section = Section("signs", "What the signs mean")
    section.blocks.append(
        Facts(
            [
                ("Accuracy", "positive: the model predicts music it was not fitted to"),
                (
                    "Residual slope",
                    "positive: deeper layers than the reference profile; negative: shallower",
                ),
                *((gradient_name(own), told_ends(own)) for own in each_gradient(files)),
                (
                    "Alignment",
                    "positive: deep layers toward the high end of the gradient, shallow ones"
                    " toward the low end",
                ),
                ("Delays", "positive: the brain follows the music"),
                (
                    "Lagged correlation",
                    "rho_ij(h) = corr(i(t + h), j(t)): at positive h, j leads i",
                ),
            ]
        )
    )
    return section


def gradient_name(files: GroupFiles) -> str:
    """How the page calls the gradient."""
    return f"Gradient {files.gradient}" if files.gradient else "Gradient"


def told_ends(files: GroupFiles) -> str:
    """What the ends of the gradient mean, or that nothing says so."""
    try:
        return gradient_ends(files)
    except MusencError:  # the alignment's section says what is missing
        return "not in the output folder"


def methods_section(files: GroupFiles) -> Section:
    """What a paper would say of both levels."""
    section = Section("methods", "Methods")
    section.add("methods text", lambda: methods_blocks(study_methods(files)))
    return section


def study_methods(files: GroupFiles) -> CitedText:
    """Methods of both levels, from what is in the folder.

    Raises
    ------
    MissingInputError
        If the group's settings file is not there.
    """
    alignments = []
    for own in () if files.preference_missing else each_gradient(files):
        with suppress(Exception):  # the alignment's section says what is missing
            alignments.append(own.alignment)
    people = [str(who).removeprefix("sub-") for who in files.settings.get("Participants", ())]
    content: dict[str, Any] = {}
    sidecar: dict[str, Any] = {}
    runs: list[dict[str, str]] = []
    for who in people:
        one = ParticipantFiles(files.root, who, model=files.model)
        with suppress(MusencError):  # its own page says what is missing
            runs += one.runs
            content, sidecar = content or one.settings, sidecar or one.sidecar
    done = Done(files.preprocessing, runs, len(people), all_claims(files))
    return group_methods(files.settings, alignments, content, sidecar, done)


def settings_section(files: GroupFiles) -> Section:
    """Settings, versions, seeds."""
    section = Section("settings", "Settings, inputs and versions")

    section.add("settings", lambda: settings_blocks(files.settings, files.sidecar))
    return section
