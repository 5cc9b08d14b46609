"""Tables of the documentation that come from studies which are kept."""

import ast
import re
from pathlib import Path

import pytest

from bids_app.analyses import participant_level
from bids_app.analyses.declare import MapOutput
from bids_app.analyses.registry import CONDITION_ANALYSES, GROUP_ANALYSES, STUDY_ANALYSES

ROOT = Path(__file__).parents[1]
STUDIES = ROOT / "benchmarks/results/calibration_claims.jsonl"


@pytest.fixture
def results(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from claims_table import read_results

    return read_results(STUDIES)


def test_tables_are_those_of_the_studies(results):
    from claims_table import tables

    written = (ROOT / "docs/calibration.md").read_text()
    for table in tables(results).split("\n\n"):
        assert table in written


def test_the_table_of_what_layers_add_is_that_of_the_studies(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from beyond_table import table
    from claims_table import read_results

    found = read_results(STUDIES.with_name("calibration_beyond.jsonl"))
    assert table(found) in (ROOT / "docs/models.md").read_text()
    nothing = [r for name in found if "followed" not in name for r in found[name].values()]
    for claim in ("unique", "slope", "aligned"):
        assert sum(one[f"{claim}: claimed"] < 0.05 for one in nothing) <= 0.05 * len(nothing)


def test_the_table_of_lags_is_that_of_the_studies_and_no_claim_is_above_its_level(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from claims_table import read_results
    from lags_table import table

    found = read_results(STUDIES.with_name("calibration_lags.jsonl"))
    assert table(found) in (ROOT / "docs/lags.md").read_text()
    studies = [r for name in found if "planted" not in name for r in found[name].values()]
    assert len(studies) >= 1000
    for family in ("auditory cortex", "regions", "regions, two features"):
        assert sum(one[f"{family}: claimed"] < 0.05 for one in studies) <= 0.05 * len(studies)


def test_the_tables_of_maps_are_those_of_the_studies_and_no_claim_is_above_its_level(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from claims_table import read_results
    from maps_table import tables

    found = read_results(STUDIES.with_name("calibration_maps.jsonl"))
    written = (ROOT / "docs/calibration.md").read_text()
    for table in tables(found).split("\n\n"):
        assert table in written
    studies = [study for name in found for study in found[name].values()]
    for what in ("layers", "average"):
        assert sum(one[f"{what}: corrected"] < 0.05 for one in studies) <= 0.05 * len(studies)
    for what in ("layers", "average", "slope", "curvature", "difference"):
        assert sum(one[f"{what}: both"] < 0.05 for one in studies) <= 0.05 * len(studies)


def test_the_table_of_other_p_is_that_of_the_studies(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from claims_table import read_results
    from rest_table import table

    found = read_results(STUDIES.with_name("calibration_rest.jsonl"))
    assert table(found) in (ROOT / "docs/calibration.md").read_text()


def test_the_table_of_untrained_networks_is_that_of_the_studies(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from claims_table import read_results
    from twins_table import table

    found = read_results(STUDIES.with_name("calibration_twins.jsonl"))
    assert table(found) in (ROOT / "docs/calibration.md").read_text()
    nothing = [r for name in found if "planted" not in name for r in found[name].values()]
    assert sum(one["claimed"] < 0.05 for one in nothing) <= 0.05 * len(nothing)


def test_no_claim_is_above_its_level_where_there_is_nothing(results):
    from claims_table import nothing_to_find

    studies = [r for name in filter(nothing_to_find, results) for r in results[name].values()]
    assert len(studies) >= 1000
    for claim in ("predicted", "slope", "curvature"):
        claimed = sum(study[f"{claim}: claimed"] < 0.05 for study in studies)
        assert claimed <= 0.05 * len(studies)


P = re.compile(r"[pq](_\w+)?|\w+_[pq](_\w+)?|[A-Z]\w+P")
FOLDERS = ("analyses", "cli", "recognition")
TITLE = "## Which calibration stands behind which p"


def _text(node):
    if isinstance(node, ast.JoinedStr):
        return "".join(v.value if isinstance(v, ast.Constant) else "*" for v in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else "*"


def _in_source(path):
    """Names of columns and fields, and maps that are written without a declaration."""
    found, maps = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Dict):
            found |= {name for key in node.keys if key and P.fullmatch(name := _text(key))}
        of = getattr(node, "elts", None) or getattr(node, "args", None)
        if not isinstance(of, list) or len(of) < 2 or (stat := _text(of[0])) not in ("p", "q"):
            continue
        if len(of) > 2 or isinstance(of[1], ast.JoinedStr):
            maps.add(f"stat-{stat}_desc-{_text(of[1])}")
    return found, maps


def _declared():
    """Declared maps of p and q, by the file of their analysis."""
    rows = [(row.parts, row.maps) for row in participant_level.ANALYSES]
    group = (*GROUP_ANALYSES, *STUDY_ANALYSES, *CONDITION_ANALYSES)
    rows += [(row.function, row.outputs) for row in group]
    found = {}
    for function, outputs in rows:
        names = {
            f"stat-{one.stat}" + (f"_desc-{one.desc}" if one.desc else "")
            for one in outputs
            if isinstance(one, MapOutput) and one.stat in ("p", "q")
        }
        if names:
            found[function.__module__.removeprefix("bids_app.").replace(".", "/") + ".py"] = names
    return found


def written_p():
    """Every p and q that the program writes, by the file that does so."""
    found = _declared()
    for path in sorted(one for f in FOLDERS for one in (ROOT / "bids_app" / f).rglob("*.py")):
        name = str(path.relative_to(ROOT / "bids_app"))
        fields, maps = _in_source(path)
        names = fields | found.get(name, maps)
        if names:
            found[name] = names
    return found


def test_every_p_has_a_calibration():
    """The table names each p by the file that writes it; a new one needs a row."""
    section = (ROOT / "docs/calibration.md").read_text().split(TITLE)[1].split("\n## ")[0]
    known = {}
    for row in section.splitlines():
        name = ""
        for word in re.findall(r"`([^`]+)`", row.split("|")[1]) if row.startswith("| `") else ():
            name = word if word.endswith(".py") else name
            known.setdefault(name, set())
            if word != name:
                known[name].add(word)
    assert known == written_p()


def test_the_table_of_predicted_studies_is_that_of_the_studies_and_no_p_is_above_its_level(
    monkeypatch,
):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from claims_table import read_results
    from predict_table import table

    found = read_results(STUDIES.with_name("calibration_predict.jsonl"))
    assert table(found) in (ROOT / "docs/predict.md").read_text()
    nothing = [r for name in found if name != "planted" for r in found[name].values()]
    assert len(nothing) >= 1000
    for p in ("music", "both"):
        assert sum(one[p] < 0.05 for one in nothing) <= 0.05 * len(nothing)
    alone = [
        one
        for name in found
        if "ISC 0.3" not in name and name != "planted"
        for one in found[name].values()
    ]
    assert sum(one["people"] < 0.05 for one in alone) <= 0.06 * len(alone)
