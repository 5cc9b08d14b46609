"""Tests of predictions over people and over music, participants taken in one after the other."""

from __future__ import annotations

import numpy as np
import pytest

from bids_app.analyses.participant.new_tests import HEARD_BEFORE, NewMusicTests, write_tests
from bids_app.analyses.participant.predictors import column_correlation
from bids_app.config import Statistics
from bids_app.meshes import N_VERTICES as N_VERTICES_OF
from bids_app.outputs import OutputTree
from bids_app.statistics import fisher_mean

N_TIMES, N_VERTICES, N_PEOPLE = (90, 101), 40, 6
FLIPS = {"n_permutations": 64, "n_draws": 400, "seed": 0}
FOLLOWS = slice(0, 5)


def collected(rng, n_people=N_PEOPLE, *, heard_before=False, layers=2):
    """Two layers predict; the second one's first vertices follow it."""
    predicted = [[rng.standard_normal((n, N_VERTICES)) for n in N_TIMES] for _ in range(layers)]
    tests, maps = NewMusicTests(), []
    for who in range(n_people):
        measured = [rng.standard_normal((n, N_VERTICES)).astype(np.float32) for n in N_TIMES]
        for y, x in zip(measured, predicted[-1], strict=True):
            y[:, FOLLOWS] += x[:, FOLLOWS]
            y[:, 39] = 7.0
        r = np.stack(
            [tests.add_layer(k, ["a", "b"], own, measured) for k, own in enumerate(predicted)]
        )
        expected = [
            fisher_mean([column_correlation(x, y) for x, y in zip(own, measured, strict=True)])
            for own in predicted
        ]
        np.testing.assert_allclose(r, expected, atol=1e-12)
        maps.append(r)
        tests.add_participant(f"{who:02d}", r, measured, heard_before=heard_before)
    return tests, np.array(maps)


def test_what_follows_is_found_and_the_mean_is_that_of_the_participants():
    tests, maps = collected(np.random.default_rng(0))
    found = tests.test(**FLIPS)
    np.testing.assert_allclose(found.r, fisher_mean(maps), atol=1e-12)
    assert found.predicted[1, FOLLOWS].tolist() == [1] * 5
    assert np.nansum(found.predicted) == 5
    assert np.isnan(found.predicted[:, 39]).all()
    assert np.nanmin(found.people.p[0]) > 0.02


def test_music_that_models_were_fitted_to_widens_the_draws():
    once, before = (
        collected(np.random.default_rng(1), heard_before=known)[0].test(**FLIPS)
        for known in (False, True)
    )
    assert before.wider / once.wider == pytest.approx(HEARD_BEFORE)
    assert once.wider >= 1
    assert np.nanmin(before.p_max - once.p_max) >= 0


def test_one_person_is_not_tested():
    tests, _ = collected(np.random.default_rng(2), n_people=1)
    assert tests.test(**FLIPS) is None


def test_who_has_no_result_at_all_does_not_count():
    rng = np.random.default_rng(4)
    tests, _ = collected(rng, n_people=0)
    assert tests.test(**FLIPS) is None
    predicted = [rng.standard_normal((n, N_VERTICES)) for n in N_TIMES]
    for who in range(4):
        measured = [rng.standard_normal((n, N_VERTICES)) * (who > 0) for n in N_TIMES]
        r = tests.add_layer(0, ["a", "b"], predicted, measured)[np.newaxis]
        tests.add_participant(str(who), r, measured, heard_before=False)
    found = tests.test(**FLIPS)
    assert found.people.n.max() == 3
    assert np.isfinite(found.p_max).all()


def test_who_lacks_a_vertex_counts_at_the_others():
    rng = np.random.default_rng(3)
    predicted = [rng.standard_normal((n, N_VERTICES)) for n in N_TIMES]
    tests, all_of_them = NewMusicTests(), NewMusicTests()
    for who in range(5):
        measured = [rng.standard_normal((n, N_VERTICES)) for n in N_TIMES]
        for one in (tests, all_of_them):
            if who == 4 and one is tests:
                measured[0][:, 3] = np.nan
            if who == 4 and one is all_of_them:
                continue
            r = one.add_layer(0, ["a", "b"], predicted, measured)[np.newaxis]
            one.add_participant(str(who), r, measured, heard_before=False)
    with_missing, without = tests.test(**FLIPS), all_of_them.test(**FLIPS)
    assert with_missing.people.n[0, 3] == 4
    assert with_missing.people.n[0, 4] == 5
    assert with_missing.r[0, 3] == pytest.approx(without.r[0, 3])
    # The same draws of the same four people; what widens them differs by who is there.
    ratio = with_missing.wider / without.wider
    assert ratio == pytest.approx(1, abs=0.02)
    assert with_missing.p[0, 3] == pytest.approx(without.p[0, 3], abs=0.01)


def test_sums_in_mapped_files_are_those_in_memory(tmp_path):
    """Of pieces of which somebody heard more than others, too."""
    rng = np.random.default_rng(5)
    predicted = [rng.standard_normal((n, N_VERTICES)) for n in N_TIMES]
    kinds = NewMusicTests(), NewMusicTests(tmp_path)
    for who in range(4):
        measured = [rng.standard_normal((n, N_VERTICES)) for n in N_TIMES]
        length = 60 + 10 * who
        for one in kinds:
            shown = [x[:length] for x in predicted], [y[:length] for y in measured]
            r = one.add_layer(0, ["a", "b"], *shown)[np.newaxis]
            one.add_participant(str(who), r, shown[1], heard_before=False)
    in_memory, mapped = (one.test(**FLIPS) for one in kinds)
    assert list(tmp_path.glob("spectra_*.npy"))
    np.testing.assert_array_equal(mapped.p, in_memory.p)
    np.testing.assert_array_equal(mapped.p_max, in_memory.p_max)


def test_tests_of_other_people_are_replaced_with_a_word(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(N_VERTICES_OF, "fsaverage3", N_VERTICES // 2)
    options = {"model": "envelope", "space": "fsaverage3", "about": {}}
    statistics = Statistics(n_permutations=64)
    for n_people, told in ((3, ""), (3, ""), (4, "of sub-00, sub-01, sub-02, are replaced")):
        tests, _ = collected(np.random.default_rng(6), n_people=n_people, layers=1)
        caplog.clear()
        write_tests(OutputTree(tmp_path), tests, ["envelope"], statistics, **options)
        assert ("replaced" in caplog.text) == bool(told)
        assert told in caplog.text
