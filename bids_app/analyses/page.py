"""The page of one participant, composed of the sections of the analyses."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bids_app.analyses.folder.read import broken_outputs, read_completed
from bids_app.analyses.folder.write import checksums_of
from bids_app.analyses.participant.figures import copy_stimulus_figures
from bids_app.analyses.participant_level import ANALYSES
from bids_app.errors import MusencError
from bids_app.features.cache import FeatureGrams
from bids_app.files import write_sealed
from bids_app.outputs import CONDITIONS_LABEL, OutputTree
from bids_app.plain import counted
from bids_app.report.controls import control_banner
from bids_app.report.history import History, read_history
from bids_app.report.honesty import honesty_section
from bids_app.report.page import Section, write_page
from bids_app.report.participant import (
    errors_section,
    methods_section,
    model_summary,
    settings_section,
    summary_section,
)
from bids_app.report.sources import ParticipantFiles, shown_models
from bids_app.status import StatusRow

LOGGER = logging.getLogger("bids_app.analyses")


def write_participant_report(
    output_dir: Path,
    participant: str,
    *,
    status_rows: Sequence[StatusRow] = (),
) -> Path:
    """Write ``sub-XX.html`` from the files of an output folder; nothing is computed again.

    Parameters
    ----------
    output_dir : Path
        The output folder.
    participant : str
        Label without prefix.
    status_rows : sequence of StatusRow
        What became of the participants in this call. Without rows of this participant the newest
        log that names the participant is read.

    Returns
    -------
    Path
        The page. What is absent or cannot be drawn is shown as missing, with the reason.

    Raises
    ------
    CannotWriteError
        If the page cannot be written.
    """
    tree = OutputTree(Path(output_dir))
    # Until somebody closes it the page is not complete.
    tree.page_record(participant).unlink(missing_ok=True)
    models = shown_models(tree.models_of(participant))
    files, *others = (
        ParticipantFiles(Path(output_dir), participant, model=model) for model in models
    )
    history = read_history(files, participant, status_rows)
    if files.only_conditions:
        shown = [one for one in ANALYSES if one.model == CONDITIONS_LABEL or one.of_no_model]
        sections = [s for analysis in shown for s in analysis.sections(files)]
        sections.append(errors_section(history))
    else:
        sections = [
            summary_section(files, history),
            *(
                section.about(files.model if analysis.of_spaces else "")
                for analysis in ANALYSES
                for section in analysis.sections(files)
            ),
            honesty_section(files, history).about(files.model),
            *(section for other in others for section in _model_sections(other, history)),
            methods_section(files),
            errors_section(history),
            settings_section(files),
        ]
    return write_page(
        files.tree.participant_report(participant),
        title=f"Music encoding: sub-{participant}",
        subtitle="Participant report of musenc-bidsapp",
        banner=control_banner(files.root, models, participant),
        sections=sections,
        figures=lambda model, desc: tree.figure(desc, model=model, participant=participant),
    )


def _model_sections(files: ParticipantFiles, history: History) -> list[Section]:
    """What the page shows of a further model."""
    of_spaces = [analysis for analysis in ANALYSES if analysis.of_spaces]
    sections = [
        model_summary(files),
        *(section for analysis in of_spaces for section in analysis.sections(files)),
        honesty_section(files, history),
        methods_section(files),
        settings_section(files),
    ]
    return [section.of_model(files.model) for section in sections]


def draw_page(
    tree: OutputTree,
    participant: str,
    stimuli: Sequence[str],
    skipped: Sequence[tuple[str, str]],
    grams: FeatureGrams | None = None,
    files: Sequence[Sequence[Path]] = (),
) -> Path:
    """The participant's page, once the files it shows are written.

    Parameters
    ----------
    tree : OutputTree
    participant : str
    stimuli : sequence of str
        Labels of what was heard.
    skipped : sequence of (str, str)
        Runs that were left out, and why.
    grams : FeatureGrams, optional
        Beside them lie the pictures of the stimuli.
    files : sequence of sequence of Path
        Of every analysis.
    """
    count = sum(map(len, files))
    written = f" ({counted(count, 'new file')})" if count else ", nothing else is new"
    LOGGER.info("sub-%s: drawing the report%s", participant, written)
    tree.page_record(participant).unlink(missing_ok=True)
    figures = []
    if grams is not None:
        figures = copy_stimulus_figures(grams, tree.root, participant, stimuli)
    rows = [StatusRow(participant, run, "skipped", reason) for run, reason in skipped]
    rows.append(StatusRow(participant, "", "done"))
    page = write_participant_report(tree.root, participant, status_rows=rows)
    _close_page(
        tree, participant, checksums_of(tree, [page, *_around(tree, participant), *figures])
    )
    return page


def redraw_page(tree: OutputTree, participant: str) -> Path:
    """The page once more, from what is there; it stays complete where it was."""
    before = _read_page_record(tree, participant)
    page = write_participant_report(tree.root, participant)
    if before is not None:
        _close_page(
            tree,
            participant,
            {**before["Outputs"], **checksums_of(tree, [page, *_around(tree, participant)])},
        )
    return page


def _around(tree: OutputTree, participant: str) -> list[Path]:
    """What belongs to a page: its figures, and the interactive pages."""
    turned = [tree.explorer(model, participant) for model in tree.models_of(participant)]
    found = [*turned, *tree.figures(participant)]
    return [path for path in found if path.is_file()]


def page_is_current(tree: OutputTree, participant: str) -> bool:
    """Whether page and figures are as they were drawn, of the results that are there now."""
    stored = _read_page_record(tree, participant)
    if stored is None or stored["Shows"] != _shown(tree, participant):
        return False
    for file, problem, _ in broken_outputs(tree, stored):
        LOGGER.warning("%s is not as it was drawn, and is drawn again: %s", file, problem)
        return False
    return True


def _close_page(tree: OutputTree, participant: str, outputs: Mapping[str, str]) -> None:
    """The mark that nothing of a participant is left to do."""
    record = tree.page_record(participant)
    content = {"File": record.name, "Shows": _shown(tree, participant), "Outputs": outputs}
    write_sealed(record, content)


def _read_page_record(tree: OutputTree, participant: str) -> dict[str, Any] | None:
    path = tree.page_record(participant)
    if not path.exists():
        return None
    try:
        return read_completed(path, Shows=dict)
    except MusencError as error:
        LOGGER.warning("%s is not what it was; the page is drawn again: %s", path, error.found)
        return None


def _shown(tree: OutputTree, participant: str) -> dict[str, str]:
    """Checksums of the files that mark the participant's results as complete."""
    found = tree.participant_dir(participant).glob("sub-*_settings.json")
    return checksums_of(tree, found)
