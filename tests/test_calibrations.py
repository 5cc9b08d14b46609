"""Tables of the documentation that come from studies which are kept."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STUDIES = ROOT / "benchmarks/results/calibration_claims.jsonl"


@pytest.fixture
def results(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from claims_table import read_results

    return read_results(STUDIES)


def test_tables_are_those_of_the_studies(results):
    from claims_table import tables

    written = (ROOT / "docs/group.md").read_text()
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


def test_the_table_of_maps_is_that_of_the_studies_and_no_map_is_above_its_level(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from claims_table import read_results
    from maps_table import table

    found = read_results(STUDIES.with_name("calibration_maps.jsonl"))
    assert table(found) in (ROOT / "docs/group.md").read_text()
    studies = [study for name in found for study in found[name].values()]
    assert len(studies) >= 184
    for what in ("layers", "average"):
        assert sum(one[f"{what}: corrected"] < 0.05 for one in studies) <= 0.05 * len(studies)


def test_the_table_of_untrained_networks_is_that_of_the_studies(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from claims_table import read_results
    from twins_table import table

    found = read_results(STUDIES.with_name("calibration_twins.jsonl"))
    assert table(found) in (ROOT / "docs/group.md").read_text()
    nothing = [r for name in found if "planted" not in name for r in found[name].values()]
    assert sum(one["claimed"] < 0.05 for one in nothing) <= 0.05 * len(nothing)


def test_no_claim_is_above_its_level_where_there_is_nothing(results):
    from claims_table import nothing_to_find

    studies = [r for name in filter(nothing_to_find, results) for r in results[name].values()]
    assert len(studies) >= 1000
    for claim in ("predicted", "slope", "curvature"):
        claimed = sum(study[f"{claim}: claimed"] < 0.05 for study in studies)
        assert claimed <= 0.05 * len(studies)
