"""Examples run; what the pages of the site quote and list is there."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_draws(example, monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    plt.close("all")
    runpy.run_path(str(example))
    assert plt.get_fignums()
    plt.close("all")


def test_examples_are_numbered_from_one():
    assert [int(path.name[:2]) for path in EXAMPLES] == list(range(1, len(EXAMPLES) + 1))


def test_messages_of_the_page_on_troubles_are_those_of_the_program():
    page = (ROOT / "docs/troubleshooting.md").read_text()
    sources = "".join(path.read_text() for path in (ROOT / "bids_app").rglob("*.py"))
    quoted = re.findall(r'^\| "([^"]+)"', page, flags=re.M)
    assert len(quoted) > 10
    assert [text for text in quoted if text not in sources] == []


def test_every_page_is_in_the_table_of_contents():
    index = (ROOT / "docs/index.md").read_text()
    pages = {path.stem for path in (ROOT / "docs").iterdir() if path.suffix in (".md", ".rst")}
    assert {
        page for page in pages - {"index", "sg_execution_times"} if f"\n{page}\n" not in index
    } == set()


def test_generated_pages_name_every_option_and_output(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    from generated import write_pages

    write_pages(tmp_path)
    options = (tmp_path / "options.md").read_text()
    for name in ("--participant-label", "--train-on", "## musenc demo", "--high-pass"):
        assert name in options
    outputs = (tmp_path / "outputs.md").read_text()
    for name in (
        "stat-r_statmap",
        "desc-layerpref",
        "group_model-<model>_desc-prevalence",
        "stat-isc",
    ):
        assert name in outputs, name


def test_the_list_of_outputs_has_the_names_that_files_get(tmp_path):
    from listed_names import unlisted

    from bids_app.analyses.declare import Part
    from bids_app.analyses.participant.analysis import map_entities, table_entities
    from bids_app.analyses.participant.joint import BEYOND, JOINT, joint_parts
    from bids_app.analyses.participant.lag_maps import LAG_SCAN, lag_parts
    from bids_app.analyses.participant.rest_runs import REST
    from bids_app.outputs import OutputTree

    place = {"ses": "1", "task": "rest", "run": "2"}
    cases = (
        (LAG_SCAN, lag_parts("envelope", ["a piece"])),
        (JOINT, joint_parts("both", ["envelope", "vggish"], ["calm"], [])),
        (BEYOND, joint_parts("vggish", [], ["calm"], ["fc1", "fc2"])),
        (REST, [Part(), Part("rest", place)]),
    )
    tree, names = OutputTree(tmp_path), []
    for row, parts in cases:
        model = row.model or "vggish"
        own = []
        for part in parts:
            for one in (one for one in row.maps if one.each == part.each):
                entities = map_entities(one, part, model)
                path = tree.map_file("01", "L", "fsaverage5", suffix=one.suffix, **entities)
                own.append(path.name)
            for one in (one for one in row.tables if one.each == part.each):
                entities = table_entities(one, part, model)
                own.append(tree.participant_file("01", f"{one.suffix}.tsv", **entities).name)
        assert len(own) >= len(row.maps) + len(row.tables), row
        names += own
    assert unlisted(names, "Of a participant") == []


def test_every_message_has_a_place_of_its_own_and_tells_it(tmp_path, capfd):
    from bids_app.cli import tools
    from bids_app.cli.messages import messages, messages_page, sources
    from bids_app.cli.run import main

    found = messages(*sources())
    assert len(found) > 400
    bare = {what for what, message in found.items() if not message.remedies}
    # Both stand on the page alone, for a part that is not there.
    assert bare <= {"No intersubject correlation was saved.", "No cluster table was written"}
    assert "A file of an earlier step is not as it was written." in found
    assert found["A stimulus has no onset."].codes == {16}
    assert "fill the column onset" in found["A stimulus has no onset."].remedies[0]
    page = "\n".join(messages_page(*sources()))
    anchors = re.findall(r"^\((.*)\)=$", page, flags=re.M)
    assert len(anchors) == len(set(anchors)) == len(found)
    (tmp_path / "dataset_description.json").write_text("{")
    for call in (["/nowhere", str(tmp_path)], [str(tmp_path), str(tmp_path / "out")]):
        assert main([*call, "participant"]) != 0
        named = re.findall(r"more: musenc messages (\S+)", capfd.readouterr().err)
        assert named
        assert set(named) <= set(anchors)
        assert tools.main(["messages", named[0]]) == 0
        assert "Exit code" in capfd.readouterr().out
    assert tools.main(["messages", "no-such-thing-at-all"]) == 2


def test_options_that_remedies_name_are_there():
    from bids_app.cli.messages import messages, sources
    from bids_app.cli.parser import build_parser

    known = {name for action in build_parser()._actions for name in action.option_strings}
    for tool in (ROOT / "bids_app/cli").glob("*.py"):
        known.update(re.findall(r'"(--[a-z-]+)"', tool.read_text()))
    known |= {"--output-spaces", "--cifti-output", "--no-deps"}  # of fMRIPrep and pip
    texts = [text for one in messages(*sources()).values() for text in (one.what, *one.remedies)]
    named = {(o, text) for text in texts for o in re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)}
    assert len(named) > 100
    assert sorted((option, text) for option, text in named if option not in known) == []


def test_a_message_that_is_put_together_is_noticed(tmp_path):
    from bids_app.cli.messages import messages

    (tmp_path / "one.py").write_text("raise UsageError(f'{name} is unknown.', where=name)\n")
    with pytest.raises(ValueError, match="put together"):
        messages(tmp_path)
