"""Plans of studies with some settings, given by their names whatever their sections."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from bids_app.config import Cleaning, Selection, Stimuli
from bids_app.inputs import dataset
from bids_app.inputs.records import StudyPlan


def plan_study(
    root: Path, *, derivatives=(), database_dir=None, tell_fetch=None, **options
) -> StudyPlan:
    if "bids_filters" in options:
        options["filter_file"] = Path(root).parent / "filters.json"
        options["filter_file"].write_text(json.dumps(options.pop("bids_filters")))
    sections = {}
    for section in (Selection, Stimuli, Cleaning):
        names = {entry.name for entry in dataclasses.fields(section)} & set(options)
        sections[section.__name__.lower()] = section(**{n: options.pop(n) for n in names})
    assert not options
    return dataset.plan_study(
        root, derivatives, database_dir=database_dir, tell_fetch=tell_fetch, **sections
    )
