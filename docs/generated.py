"""Pages made from the program's own declarations: what comes out, options, messages."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

from bids_app.analyses.declare import MapOutput, TableOutput
from bids_app.analyses.participant_level import ANALYSES
from bids_app.analyses.registry import CONDITION_ANALYSES, GROUP_ANALYSES, STUDY_ANALYSES
from bids_app.cli import parser, tools
from bids_app.cli.messages import messages_page, sources
from bids_app.outputs import STAT_DESCRIPTIONS

Output = MapOutput | TableOutput
EACH = {
    "contrast": "contrast",
    "fold": "held-out piece",
    "lags": "seed and target",
    "maps": "feature scanned",
    "piece": "feature scanned and piece",
    "presentation": "presentation of a piece",
    "rest": "resting run",
    "run": "run with music",
    "scale": "rating scale",
    "share": "space of a joint model",
    "tables": "feature scanned",
    "turned": "rating scale",
    "unique": "space of a joint model",
    "window": "direction of time",
}
"""What there is one of each of, in words; of all else there is one."""


def write_pages(folder: Path) -> None:
    """Write `outputs.md`, `options.md` and `messages.md` into a folder."""
    folder.mkdir(exist_ok=True)
    (folder / "outputs.md").write_text("\n".join(outputs_page()), encoding="utf-8")
    (folder / "options.md").write_text("\n".join(options_page()), encoding="utf-8")
    (folder / "messages.md").write_text("\n".join(messages_page(*sources())), encoding="utf-8")


def outputs_page() -> Iterator[str]:
    """Every declared map and table of both levels."""
    yield "## Of a participant"
    yield ""
    participant = [one for row in ANALYSES for one in (*row.maps, *row.tables)]
    yield from _table(participant, "sub-<label>")
    yield ""
    yield "## Of the group"
    yield ""
    rows = (*GROUP_ANALYSES, *STUDY_ANALYSES, *CONDITION_ANALYSES)
    group = [one for row in rows for one in row.outputs]
    yield from _table(group, "group")
    yield ""


def _table(outputs: Iterable[Output], start: str) -> Iterator[str]:
    yield "| file | one for each | what it holds |"
    yield "|---|---|---|"
    yield from dict.fromkeys(_row(one, start) for one in outputs)


HEARD = {
    "fold": "_stim-<piece>",
    "piece": "_stim-<piece>",
    "presentation": "[_ses-<session>]_task-<task>[_run-<run>]_stim-<piece>",
    "rest": "[_ses-<session>]_task-<task>[_run-<run>]",
    "run": "[_ses-<session>]_task-<task>[_run-<run>]",
    "turned": "_stim-<piece>",
}
"""Entities of what was heard, which come first."""
FEATURES = {
    "contrast": "_feature-<contrast>",
    "maps": "_feature-<feature>",
    "piece": "_feature-<feature>",
    "scale": "_feature-<scale>",
    "tables": "_feature-<feature>",
    "turned": "_feature-<scale>",
}
"""Entities before the statistic."""
DESCS = {
    "fold": "{joint,beyond,past,future}",
    "r": "beyond",
    "reduced": "lowlevel",
    "share": "share<Space>",
    "table": "{joint,beyond}",
    "unique": "unique<Space>",
    "window": "{past,future}",
}
"""Descriptions that outputs have by what there is one of each of."""
PLAIN = ("fold", "r")
"""Of these, what some analyses have without a description."""
BOLD = {"clean": "cleaned response, from which confounds and drift are removed"}
"""Series, which have no statistic, by their description."""


def _row(one: Output, start: str) -> str:
    heard = HEARD.get(one.each, "")
    place = ("_model-<model>" if one.of_model else "") + FEATURES.get(one.each, "")
    desc = f"_desc-{name}" if (name := one.desc or DESCS.get(one.each, "")) else ""
    if isinstance(one, TableOutput):
        suffix = f"_{one.suffix}" if one.suffix else ""
        columns = ", ".join(f"`{name}`" for name in list(one.columns)[:12])
        more = ", ..." if len(one.columns) > 12 else ""
        name = f"`{start}{heard}{place}{desc}{suffix}.tsv`"
        return _cells(name, EACH.get(one.each, ""), columns + more)
    stat = f"_stat-{one.stat}" if one.stat else ""
    if one.each in PLAIN:
        desc = f"[{desc}]"
    text = one.description or STAT_DESCRIPTIONS.get(one.stat) or BOLD[one.desc]
    name = f"`*{heard and heard + '_*'}{place}{stat}{desc}_{one.suffix}.func.gii`"
    return _cells(name, EACH.get(one.each, ""), text)


def _cells(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def options_page() -> Iterator[str]:
    """Options of both programs, from their parsers."""
    yield "# Command line"
    yield ""
    yield "`musenc-bidsapp` is the BIDS-App; `musenc` has the tools around it."
    yield ""
    yield "## musenc-bidsapp"
    yield ""
    yield from _options(parser.build_parser())
    commands = next(
        action
        for action in tools.build_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    for name, command in commands.choices.items():
        yield f"## musenc {name}"
        yield ""
        if command.description:
            yield " ".join(command.description.split())
            yield ""
        yield from _options(command)


def _options(program: argparse.ArgumentParser) -> Iterator[str]:
    formatter = program._get_formatter()
    for group in program._action_groups:
        actions = [one for one in group._group_actions if one.help != argparse.SUPPRESS]
        if not actions:
            continue
        yield f"**{group.title}**" + (f": {group.description}" if group.description else "")
        yield ""
        yield "| option | what it does |"
        yield "|---|---|"
        for one in actions:
            value = formatter._format_args(one, one.metavar or one.dest.upper())
            if one.option_strings:
                flags = ", ".join(f"`{flag}`" for flag in one.option_strings)
                name = f"{flags} `{value}`" if value else flags
            else:
                name = f"`{value}`"
            text = formatter._expand_help(one) if one.help else ""
            yield _cells(name, _plain(text))
        yield ""


def _plain(text: str) -> str:
    """Text in which no mark of the page's language is taken for one."""
    return " ".join(text.split()).replace("*", "\\*").replace("<", "\\<").replace("_", "\\_")
