"""Tests over music beside brute force: responses turned in time, models fitted again."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import signal

from bids_app.analyses.group import over_music, refits
from bids_app.analyses.group.heard import Heard, Presentations
from bids_app.analyses.group.over_music import MusicSide
from bids_app.analyses.group.summaries import LayerMeans, Scaled, Summary
from bids_app.encoding import fit_encoding, plan_encoding
from bids_app.group import refit_width
from bids_app.statistics import benjamini_hochberg, fisher_mean

LENGTHS = {"a": 70, "b": 80, "c": 90}
GRID = (1.0, 30.0, 1000.0)
N_VERTICES, N_LAYERS, N_PEOPLE = 84, 3, 4
OPTIONS = {"delays": (0, 3), "crop": 2, "tr": 1.0, "alphas": np.array(GRID)}


def make_plans(labels, *, shift=0.0):
    """Models of three layers of features, sampled `shift` of a volume later."""
    plans = []
    for layer in range(N_LAYERS):
        rows = []
        for label in labels:
            rng = np.random.default_rng([layer, ord(label)])
            steps = np.cumsum(rng.normal(size=(LENGTHS[label] + 1, 4)), axis=0)
            rows.append((1 - shift) * steps[:-1] + shift * steps[1:])
        features = np.vstack(rows)
        lengths = [LENGTHS[label] for label in labels]
        plans.append(plan_encoding(features @ features.T, lengths, stimuli=labels, **OPTIONS))
    return plans


def make_side(folder, labels_of, *, seed=0, shift=0.0):
    """A study of nothing: every participant has presentations of its own, listeners share some."""
    rng = np.random.default_rng(seed)
    shapes = list(dict.fromkeys(labels_of))
    clocks = [
        Presentations(shape, tuple(np.arange(float(LENGTHS[one])) for one in shape), 1.0)
        for shape in shapes
    ]
    plans = [make_plans(shape, shift=shift * k) for k, shape in enumerate(shapes)]
    shared = {one: rng.standard_normal((size, N_VERTICES)) for one, size in LENGTHS.items()}
    paths, r, alphas = [], [], []
    for person, labels in enumerate(labels_of):
        own = []
        for k, label in enumerate(labels):
            noise = rng.standard_normal((LENGTHS[label], N_VERTICES))
            path = folder / f"{person}_{k}.npy"
            np.save(path, (0.5 * shared[label] + noise).astype(np.float32))
            own.append(path)
        paths.append(tuple(own))
        fits = [
            fit_encoding(plan, [np.load(path) for path in own], null="none")
            for plan in plans[shapes.index(labels)]
        ]
        r.append([fit.mean_r for fit in fits])
        alphas.append([fit.alpha for fit in fits])
    heard = Heard(
        people=tuple(range(len(labels_of))),
        clock_of=tuple(shapes.index(labels) for labels in labels_of),
        clocks=tuple(clocks),
        responses=tuple(paths),
        checksums={one: one * 8 for one in LENGTHS},
    )
    data = SimpleNamespace(
        r=np.array(r, dtype=np.float32),
        settings={"alphas": list(GRID)},
        layer_names=[f"layer{k}" for k in range(N_LAYERS)],
        model="vggish",
    )
    return MusicSide(heard, data, plans, np.array(alphas, dtype=np.float32), 5, 1)


def turned(series, rng_seed):
    """Series with random phases, the same for every vertex."""
    spectrum = np.fft.rfft(series, axis=0)
    phases = np.random.default_rng(rng_seed).uniform(0, 2 * np.pi, len(spectrum))
    phases[0] = 0
    if len(series) % 2 == 0:
        phases[-1] = 0
    return np.fft.irfft(spectrum * np.exp(1j * phases)[:, np.newaxis], n=len(series), axis=0)


def brute_force(side, summaries, n_draws, vertices):
    """Sums of accuracies of responses whose kept rows were turned, penalties chosen again.

    Draws are further columns of one fit.
    """
    r = []
    for person, clock in enumerate(side.heard.clock_of):
        plans, responses = side.plans[clock], []
        for segment, one in zip(plans[0].segments, side.responses[person], strict=True):
            own = np.array(one[:, vertices], dtype=float)
            kept = slice(segment.start, segment.stop)
            columns = np.tile(own, n_draws)
            columns[kept] = np.hstack(
                [turned(own[kept], [draw, ord(segment.stimulus)]) for draw in range(n_draws)]
            )
            responses.append(columns)
        r.append([fit_encoding(plan, responses, null="none").mean_r for plan in plans])
    drawn = np.array(r).reshape(len(r), N_LAYERS, n_draws, len(vertices))
    few = [Summary(one.name, one.layers, one.vertices[vertices]) for one in summaries]
    return np.array([[one.of(drawn[:, :, draw]) for one in few] for draw in range(n_draws)])


def summaries_of(n_people=N_PEOPLE):
    ramp = np.linspace(-1, 1, N_VERTICES) / N_VERTICES
    mean = np.full((n_people, N_LAYERS), 1 / (n_people * N_LAYERS))
    slope = np.tile([-1.0, 0.0, 1.0], (n_people, 1)) / n_people
    return [
        Summary("mean", mean, np.full(N_VERTICES, 1 / N_VERTICES)),
        Summary("ramp", mean, ramp),
        Summary("slope", slope, ramp),
    ]


EVERYBODY = [("a", "b", "c")] * N_PEOPLE
MAP_VERTICES = np.arange(40, 60)


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    monkeypatch.setattr(over_music, "N_DRAWS", 1000)
    monkeypatch.setattr(refits, "N_REFITS", 30)


@pytest.fixture(scope="module")
def side(tmp_path_factory):
    return make_side(tmp_path_factory.mktemp("responses"), EVERYBODY)


@pytest.fixture(scope="module")
def forced(side):
    """Sixty refits of the three summaries."""
    return brute_force(side, summaries_of(), 60, np.arange(N_VERTICES))


def test_a_summary_is_the_weighted_sum_of_accuracies(side):
    for one in summaries_of():
        weights = one.layers[:, :, np.newaxis] * one.vertices
        assert one.of(side.r) == pytest.approx((weights * side.r).sum())
    holed = side.r.copy()
    holed[:, :, 0] = np.nan
    one = summaries_of()[0]
    assert one.of(holed) == pytest.approx((one.layers[..., None] * side.r[:, :, 1:]).sum() / 84)


def test_draws_are_as_wide_as_brute_force(side, forced):
    for summary, wanted in zip(summaries_of(), forced.T, strict=True):
        (found,) = side.test([summary], np.ones(N_VERTICES, dtype=bool))
        assert found.statistic == pytest.approx(summary.of(side.r), rel=1e-5)
        assert found.sd == pytest.approx(wanted.std(), rel=0.3)
        assert found.level.n_draws == len(found.draws)
        rank = (1 + (np.abs(found.draws) >= abs(found.statistic)).sum()) / (1 + len(found.draws))
        assert found.p == pytest.approx(rank, abs=2 / len(found.draws))


def test_more_refits_are_drawn_where_a_few_leave_the_width_open(side, monkeypatch):
    everywhere = np.ones(N_VERTICES, dtype=bool)
    mean, *_ = summaries_of()
    monkeypatch.setattr(refit_width, "SURE", 0.0)
    sure = side.compare([mean], everywhere, sure=True)
    assert sure.ratio.n_draws == 30
    assert not sure.unsure
    monkeypatch.setattr(refit_width, "SURE", 50.0)
    unsure = side.compare([mean], everywhere, sure=True)
    assert unsure.ratio.n_draws == 30 * over_music.UNSURE
    assert unsure.refits_instead
    assert unsure.ratio.se < sure.ratio.se
    assert side.compare([mean], everywhere).ratio.n_draws == 30
    few = np.arange(5)
    np.testing.assert_array_equal(side.refits(few, 2)[:30], side.refits(few))
    again = side.refits(few, 2)[30:]
    assert np.abs(again - side.refits(few)).max() > 0.01
    # Far too narrow is no open question.
    monkeypatch.setattr(refit_width, "SMALLEST_RATIO", 5.0)
    assert side.compare([mean], everywhere, sure=True).ratio.n_draws == 30


def test_refits_are_widened_for_series_that_end(side, monkeypatch):
    """Responses are not periodic; what only compares widths does not change."""
    everywhere = np.ones(N_VERTICES, dtype=bool)
    mean = summaries_of()[0]
    monkeypatch.setattr(refit_width, "SURE", 0.0)
    monkeypatch.setattr(side, "ends", 1.0)
    plain = side.compare([mean], everywhere)
    usable = np.arange(N_VERTICES) > 3
    weights = [summaries_of()[2].layers]
    maps = side.test_maps(weights, usable, "", tail="two-sided")
    _, draws = side.at_coarser_vertices([mean], everywhere)
    monkeypatch.setattr(side, "ends", 1.5)
    wide = side.compare([mean], everywhere)
    assert (wide.ratio.ratio, wide.ratio.action) == (plain.ratio.ratio, "scaled")
    assert wide.divisor == pytest.approx(plain.ratio.ratio / 1.5)
    assert "1.50 of it for series that end" in wide.told
    _, wider = side.at_coarser_vertices([mean], everywhere)
    np.testing.assert_allclose(wider, 1.5 * draws)
    (before,), (after,) = (
        maps.scaled.shapes,
        side.compare_maps(weights, maps.sd, usable, shaped=True).shapes,
    )
    assert after.factor > before.factor
    assert after.degrees == before.degrees


def test_slow_responses_end_and_fast_ones_hardly(tmp_path):
    """The factor is how much more windows of longer series vary, beside a slow prediction."""
    side = make_side(tmp_path, [("a", "b", "c")] * N_PEOPLE)
    assert 1 <= side.ends < 1.015

    def slowed(steps):
        return signal.lfilter([1], [1, -0.85], steps, axis=0)

    for path in np.ravel(side.heard.responses):
        np.save(path, slowed(np.load(path)))
    slow = MusicSide(side.heard, side.data, side.plans, side.alphas, 5, 1)
    rng = np.random.default_rng(0)
    prediction, windows = (slowed(rng.standard_normal((200, n)))[-80:] for n in (400, 400))
    prediction, windows = (one - one.mean(axis=0) for one in (prediction, windows))
    turned = np.fft.rfft(windows, axis=0)
    turned *= np.exp(2j * np.pi * rng.uniform(size=(len(turned), 1)))
    periodic = np.fft.irfft(turned, 80, axis=0)
    sizes = [
        ((prediction.T @ one) / np.linalg.norm(one, axis=0)).std() for one in (windows, periodic)
    ]
    assert slow.ends == pytest.approx(sizes[0] / sizes[1], abs=0.02)
    assert slow.ends > 1.02


def test_maps_are_as_wide_as_brute_force_and_one_or_two_sided(side):
    weights = [summaries_of()[0].layers, summaries_of()[2].layers]
    usable = np.arange(N_VERTICES) > 3
    found = side.test_maps(weights, usable, "maps", tail="two-sided")
    assert np.isnan(found.sd[:, ~usable]).all()
    each = [
        Summary("", own, np.eye(N_VERTICES)[vertex]) for own in weights for vertex in MAP_VERTICES
    ]
    wanted = brute_force(side, each, 40, MAP_VERTICES).std(axis=0).reshape(2, -1)
    ratio = (found.sd[:, MAP_VERTICES] / wanted).mean(axis=1)
    np.testing.assert_allclose(ratio, 1, atol=0.25)
    layers = side.test_each_layer(usable)
    assert layers.p.shape == layers.p_max.shape == (N_LAYERS, N_VERTICES)
    assert np.all(layers.p_max[:, usable] >= layers.p[:, usable] - 1e-3)
    np.testing.assert_array_equal(layers.p_max[layers.z < 0], 1)
    assert np.isnan(layers.p_max[:, ~usable]).all()
    one = [np.tile(np.eye(N_LAYERS)[1], (N_PEOPLE, 1)) / N_PEOPLE]
    alone = side.test_maps(one, usable, "layer 2", tail="greater")
    assert np.nanmedian(layers.sd[1] / alone.sd[0]) == pytest.approx(1, abs=0.1)
    greater = side.test_maps(weights, usable, "maps", tail="greater")
    positive = usable & (found.z[0] > 0)
    assert np.all(greater.p[0, positive] < 0.5)
    assert np.corrcoef(greater.z[:, usable].ravel(), found.z[:, usable].ravel())[0, 1] > 0.98
    # The width of a single vertex is that of refits of both maps; only two-sided ones have it.
    assert len(found.scaled.shapes) == len(found.scaled.record["shapes"]) == 2
    assert not greater.scaled.shapes
    assert benjamini_hochberg(greater.p[0]).shape == (N_VERTICES,)


def test_layers_and_sets_agree_with_single_summaries(side, monkeypatch):
    # The closed form, after as few refits as here.
    monkeypatch.setattr(refit_width, "SURE", 0.0)
    ramp = summaries_of()[1].vertices
    mask = np.ones(N_VERTICES, dtype=bool)
    layers = side.test([], mask, LayerMeans(ramp, [1.0, 2.0, 4.0]))
    assert len(layers) == N_LAYERS
    for index, found in enumerate(layers):
        own = np.tile(np.eye(N_LAYERS)[index], (N_PEOPLE, 1)) / (N_PEOPLE * 2**index)
        (alone,) = side.test([Summary("", own, ramp)], mask)
        assert found.statistic == pytest.approx(alone.statistic)
        ratio = found.scaled.divisor / alone.scaled.divisor
        assert found.sd * ratio == pytest.approx(alone.sd, rel=0.03)
        assert np.corrcoef(found.draws, alone.draws)[0, 1] > 0.99
    sets = np.repeat([-1, 0, 1], N_VERTICES // 3)
    p = side.test_sets(sets, None)
    assert p.shape == (2, N_LAYERS)
    area = np.linspace(1, 2, N_VERTICES)
    corrected, record = side.test_regions(sets, area, np.array([-1.0, 0.0, 1.0]))
    assert set(corrected) == set(record) == {"accuracy", "slope"}
    assert corrected["accuracy"].shape == (2,)
    assert ((corrected["slope"] > 0) & (corrected["slope"] <= 1)).all()


def test_other_clocks_and_repeats_share_the_phases(tmp_path):
    labels = [("a", "b", "c")] * 3 + [("a", "b", "b", "c")]
    side = make_side(tmp_path, labels, shift=0.3)
    assert side.alike == [0, 1, 2]
    summary = summaries_of()[0]
    (found,) = side.test([summary], np.ones(N_VERTICES, dtype=bool))
    wanted = brute_force(side, [summary], 40, np.arange(N_VERTICES))[:, 0]
    assert found.sd == pytest.approx(wanted.std(), rel=0.35)
    maps = side.test_maps([summary.layers], np.ones(N_VERTICES, dtype=bool), "", tail="greater")
    assert np.isfinite(maps.p).all()


def test_refits_are_drawn_where_the_closed_form_is_too_narrow(side, forced, monkeypatch, caplog):
    caplog.set_level("INFO", logger="bids_app.analyses")
    monkeypatch.setattr(refits, "TELL_EVERY", 0.0)
    monkeypatch.setattr(over_music, "N_INSTEAD", (40, 40))
    narrow = side.compare(summaries_of()[:1], np.ones(N_VERTICES, dtype=bool))
    ratio = replace(narrow.ratio, action="refits", ratio=0.5, factor=2.0)
    monkeypatch.setattr(MusicSide, "compare", lambda *_, **__: Scaled(ratio, ratio.told))
    (found,) = side.test(summaries_of()[:1], np.ones(N_VERTICES, dtype=bool))
    assert len(found.draws) == 40
    assert "over music: 40 of 40 refits" in caplog.text
    assert found.level.smallest == pytest.approx(1 / 41)
    assert "refits are drawn instead" in found.scaled.record["told"]
    assert found.sd == pytest.approx(forced[:, 0].std(), rel=0.4)
    times, drawn = [], MusicSide.at_coarser_vertices
    monkeypatch.setattr(
        MusicSide, "at_coarser_vertices", lambda *given: times.append(1) or drawn(*given)
    )
    layers = LayerMeans(summaries_of()[1].vertices, [1.0] * N_LAYERS)
    whole = np.ones(N_VERTICES, dtype=bool)
    first, *rest = side.test(summaries_of()[:1], whole, layers)
    assert [len(one.draws) for one in rest] == [40] * N_LAYERS
    # One pass of refits for all, which are those of each alone.
    assert len(times) == 1
    np.testing.assert_allclose(first.draws, found.draws, rtol=1e-6)


def test_summaries_and_layers_are_refitted_or_not_each_family_for_itself(side, forced, monkeypatch):
    monkeypatch.setattr(over_music, "N_INSTEAD", (40, 40))
    whole = np.ones(N_VERTICES, dtype=bool)
    summaries, compare = summaries_of()[:2], MusicSide.compare
    layers = LayerMeans(summaries[1].vertices, [1.0] * N_LAYERS)

    def narrow_where(asked):
        def compared(self, family, *given, **options):
            found = compare(self, family, *given, **options)
            action = "refits" if asked(family) else "scaled"
            ratio = replace(found.ratio, action=action)
            return Scaled(ratio, ratio.told)

        monkeypatch.setattr(MusicSide, "compare", compared)
        return [len(one.draws) for one in side.test(summaries, whole, layers)]

    closed = over_music.N_DRAWS
    of_layers = N_LAYERS * [closed]
    second = narrow_where(lambda family: family[0] is summaries[1])
    assert second == [closed, 40, *of_layers]
    alone = narrow_where(lambda family: len(family) > 1)
    assert alone == [closed, closed, *N_LAYERS * [40]]
    assert narrow_where(lambda family: False) == [closed, closed, *of_layers]


def test_weights_that_rest_on_a_reference_are_made_anew_in_refits(side):
    asked = []

    def again(profiles, accuracies):
        asked.append((profiles.shape, accuracies.shape))
        return np.zeros((N_PEOPLE, N_LAYERS))

    ramp = summaries_of()[2]
    one = Summary("slope", ramp.layers, ramp.vertices, again)
    found = side.compare([one], np.ones(N_VERTICES, dtype=bool))
    n_vertices = asked[0][1][-1]
    assert set(asked) == {((N_PEOPLE, N_LAYERS), (N_PEOPLE, N_LAYERS, n_vertices))}
    assert 1 < n_vertices <= refits.REFIT_VERTICES[1]
    # Weights of nothing do not vary, and nothing can be compared with them.
    assert found.ratio is None
    assert "do not vary" in found.told


def test_fisher_means_are_what_is_stored(side):
    plan = side.plans[0][0]
    fit = fit_encoding(plan, [np.asarray(one) for one in side.responses[0]], null="none")
    np.testing.assert_allclose(side.r[0, 0], fisher_mean(fit.r), atol=1e-5)
