"""A trained network beside untrained ones of its shape: paired over people and over music."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from test_over_music import EVERYBODY, N_PEOPLE, N_VERTICES, make_side, summaries_of

from bids_app.analyses.folder.write import write_settings
from bids_app.analyses.group import over_music, refits, twins
from bids_app.analyses.group.twins import TwinComparison, compare_with_twins, find_twins
from bids_app.group import refit_width
from bids_app.group.claims import MUSIC, PEOPLE, LevelTest
from bids_app.outputs import OutputTree

NOTHING = LevelTest(PEOPLE, 0.5, 1.0)
WITHOUT = TwinComparison(["a"], np.zeros(2), np.zeros((1, 2)), NOTHING, NOTHING)
MASK = np.ones(N_VERTICES, dtype=bool)


def write_participant(root, participant, model, *, network="VGGish", untrained=False, **settings):
    tree = OutputTree(root)
    known = {"layers": ["conv1", "fc1"], "layer_depth": [0, 1], "crop": 15.0}
    known |= {"space": "fsaverage5", **settings}
    content = {
        "Participant": participant,
        "Features": {"Network": network, "Untrained": untrained},
        "Stimuli": {},
        "HeldOutStimuli": [],
        "DegenerateVertices": 0,
        "ReferenceVertices": 0,
    }
    own = {"features": "vggish", "weights_sha256": model} | known
    write_settings(tree, tree.participant_settings(participant, model), own, [], **content)
    layers = tree.participant_settings(participant, model).name.replace(
        "settings.json", "desc-layers_summary.tsv"
    )
    (tree.participant_settings(participant, model).parent / layers).write_text("layer\n")


def write_study(root, *models, **own):
    for model in ("vggish", *models):
        for participant in ("01", "02"):
            write_participant(root, participant, model, untrained=model != "vggish", **own)


def test_twins_are_untrained_networks_of_the_same_shape_that_everybody_has(tmp_path, caplog):
    write_study(tmp_path, "random1", "random2")
    write_participant(tmp_path, "01", "partial", untrained=True)
    for participant in ("01", "02"):
        write_participant(tmp_path, participant, "trained")
        write_participant(tmp_path, participant, "shape", untrained=True, layers=["conv1"])
        write_participant(tmp_path, participant, "kind", untrained=True, network="musicnn:MTT_vgg")
        write_participant(tmp_path, participant, "crop", untrained=True, crop=10.0)
        cut = {"features": "components5:vggish"}
        write_participant(tmp_path, participant, "cut", untrained=True, **cut)
    tree = OutputTree(tmp_path)
    assert find_twins(tree, "vggish", ["01", "02"]) == ["random1", "random2"]
    assert "model-partial is no twin of model-vggish: 02 have none of its maps" in caplog.text
    assert "model-crop is no twin of model-vggish: its crop differ" in caplog.text
    assert "shape" not in caplog.text


def test_an_untrained_network_and_one_of_no_network_have_no_twins(tmp_path):
    write_study(tmp_path, "random1", network=None)
    assert find_twins(OutputTree(tmp_path), "vggish", ["01", "02"]) == []
    write_study(tmp_path, "random1", "random2")
    assert find_twins(OutputTree(tmp_path), "random1", ["01", "02"]) == []


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    """Three models of the same responses, of the two others other features."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refits, "N_REFITS", 30)
        folder = tmp_path_factory.mktemp("responses")
        found = [make_side(folder, EVERYBODY, shift=0.0)]
        for k in (1, 2):
            other = make_side(folder, EVERYBODY)
            other.data.model = f"random{k}"
            other.r = np.roll(other.r, k, axis=1)
            other.alphas = np.roll(other.alphas, k, axis=1)
            other.plans = [[*own[-k:], *own[:-k]] for own in other.plans]
            found.append(other)
        yield found


def test_over_music_models_subtract_draw_by_draw(sides, monkeypatch):
    monkeypatch.setattr(refits, "N_REFITS", 30)
    monkeypatch.setattr(twins, "N_DRAWS", 300)
    # The closed form, after as few refits as here.
    monkeypatch.setattr(refit_width, "SURE", 0.0)
    slope = summaries_of()[2]
    found = twins._over_music(sides, [slope] * 3, MASK, WITHOUT)
    alone = [side.kernel([slope]).draws(300, side.seed)[0] for side in sides]
    expected = alone[0] - (alone[1] + alone[2]) / 2
    np.testing.assert_allclose(found.draws * found.scaled.divisor, expected, atol=1e-6)
    values = [slope.of(side.r) for side in sides]
    assert found.music.statistic == pytest.approx(values[0] - (values[1] + values[2]) / 2)
    assert found.music.level == MUSIC
    assert found.music.n_draws == 300
    # Refits, penalties chosen again, subtract too: the closed form is about as wide.
    assert 0.7 < found.scaled.ratio.ratio < 1.4


def test_refits_are_drawn_where_more_of_them_leave_the_width_open(sides, monkeypatch):
    monkeypatch.setattr(refits, "N_REFITS", 20)
    monkeypatch.setattr(over_music, "UNSURE", 2)
    monkeypatch.setattr(over_music, "N_INSTEAD", (25, 25))
    monkeypatch.setattr(refit_width, "SURE", 50.0)
    slope = summaries_of()[2]
    found = twins._over_music(sides, [slope] * 3, MASK, WITHOUT)
    assert found.scaled.ratio.n_draws == 2 * 20
    assert "refits are drawn instead" in found.scaled.told
    _, draws = zip(*(side.at_coarser_vertices([slope], MASK) for side in sides), strict=True)
    expected = draws[0] - (draws[1] + draws[2]) / 2
    np.testing.assert_allclose(found.draws, expected[0], atol=1e-6)
    assert found.music.n_draws == 25
    assert found.music.sd == pytest.approx(expected.std())


def test_a_network_beside_its_own_copies_differs_in_nothing(sides, monkeypatch):
    monkeypatch.setattr(twins, "N_DRAWS", 50)
    slope = summaries_of()[2]
    found = twins._over_music([sides[0], sides[0]], [slope] * 2, MASK, WITHOUT)
    assert found.music.statistic == pytest.approx(0)
    assert np.abs(found.draws).max() < 1e-6


def test_people_are_paired_and_the_reason_stands_where_music_cannot_be_tested(
    sides, monkeypatch, tmp_path
):
    rng = np.random.default_rng(3)
    gradient = np.linspace(-1, 1, N_VERTICES)
    steep = np.outer(rng.uniform(0.5, 1, N_PEOPLE), gradient)
    noise = rng.standard_normal((N_PEOPLE, N_VERTICES))

    def of(slopes):
        return SimpleNamespace(data=sides[0].data, weights=None, slopes=slopes)

    report = SimpleNamespace(gradient=SimpleNamespace(values=gradient))
    accuracy = SimpleNamespace(mask=MASK)
    statistics = SimpleNamespace(spin_method="pearson", slope_model="linear")
    found = twins.compare_slopes(
        [of(steep + 0.1 * noise), of(noise), of(noise[::-1])],
        "no features",
        accuracy,
        report,
        statistics,
        ["random1", "random2"],
    )
    assert found.difference == pytest.approx(found.trained_z - found.twins_z.mean(axis=0))
    assert found.trained_z.min() > 1 > np.abs(found.twins_z).max()
    assert found.people.p < 0.05 < 1
    assert found.people.statistic > 0
    assert found.music.reason == "no features"
    assert not found.music.tested


def test_nothing_is_compared_where_there_is_no_preference_or_training_is_shared(tmp_path):
    tree = OutputTree(tmp_path)
    assert compare_with_twins(tree, *[None] * 7) == {}
    shared = SimpleNamespace(model="vggish+others")
    assert compare_with_twins(tree, shared, None, object(), *[None] * 4) == {}
