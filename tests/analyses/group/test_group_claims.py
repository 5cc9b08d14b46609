"""Claims of a folder: one primary, the rest corrected together, whatever call they are of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bids_app.analyses.group.claims import collect_claims, told_claims, write_claims
from bids_app.files import read_json, write_json
from bids_app.group import sign_flip_max_t
from bids_app.group.claims import MUSIC, PARTIAL, PEOPLE, PLACE, LevelTest, correct_together
from bids_app.outputs import OutputTree, sidecar_of

N_PEOPLE, N_DRAWS, N_SPINS = 8, 999, 499
SETTINGS = {"n_permutations": 10_000, "random_seed": 3}


def table(path, rows, **extra):
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(path, sep="\t", index=False, na_rep="n/a")
    write_json(sidecar_of(path), extra)


def levels(z, draws, spins):
    """Tests as computed: strong everywhere."""
    t = float(z.mean() / (z.std(ddof=1) / np.sqrt(len(z))))
    return [
        LevelTest(PEOPLE, 0.0004, t),
        LevelTest(MUSIC, 0.004, 0.3, len(draws), 1 / (1 + len(draws)), draws.std()),
        LevelTest(PLACE, 0.01, 0.3, len(spins), 1 / (1 + len(spins))),
        LevelTest(PARTIAL, 0.02, 0.3, len(spins), 1 / (1 + len(spins))),
    ]


def write_model(root, model="vggish", *, untrained=False, predicted=(0.01, 0.01)):
    tree = OutputTree(root)
    table(tree.group_table("summary.tsv", model=model, desc="layers"), [{"layer": 1}])
    content = {
        "SettingsHash": "h",
        "Settings": SETTINGS,
        "Participants": [f"sub-{k:02d}" for k in range(N_PEOPLE)],
        "Predicted": {
            "Tests": [
                LevelTest(PEOPLE, predicted[0], 4.0, 256, 1 / 256).record,
                LevelTest(MUSIC, predicted[1], 0.1, sd=0.02).record,
            ],
            "Vertices": 1,
            "Effect": 0.1,
            "Caveats": ["sub-07 has no part in the test over music (why)."],
        },
    }
    write_json(tree.group_table("settings.json", model=model), content)
    features = {"Features": {"Untrained": untrained}}
    write_json(tree.participant_settings("01", model), features)


def write_gradient(root, label="", *, model="vggish", seed=0, mean=0.3, layers=2, **changes):
    """Slope, curvature and layers against a gradient."""
    tree, rng = OutputTree(root), np.random.default_rng(seed)
    names = ["slope", "curvature", *(f"layer_{k + 1}" for k in range(layers))]
    z = mean + 0.1 * rng.standard_normal((N_PEOPLE, len(names)))
    draws = 0.1 * rng.standard_normal((N_DRAWS, len(names)))
    spins = 0.1 * rng.standard_normal((N_SPINS, 2 * len(names)))
    columns = {"slope": "z", "curvature": "z_curvature"}
    measures = {}
    for k, name in enumerate(names):
        tests = levels(z[:, k], draws[:, k], spins[:, k])
        measures[name] = {
            "name": name.replace("layer_", "conv"),
            "statistic": mean,
            "people": columns.get(name, f"z_{name}"),
            "spins": f"spin_{k}",
            "spins_partial": f"spin_{k + len(names)}",
            "tests": [one.record for one in tests[: 4 if k < 2 else 3]],
        }
    group = {"mask": "significant", "tests": measures} | changes
    people = [
        {"participant_id": f"sub-{p:02d}"}
        | {measures[name]["people"]: z[p, k] for k, name in enumerate(names)}
        for p in range(N_PEOPLE)
    ]
    entities = {"model": model}
    desc = f"alignment{label}"
    table(tree.group_table("statmap.tsv", **entities, desc=desc), people, Group=group)
    nulls = pd.DataFrame(spins, columns=[f"spin_{k}" for k in range(2 * len(names))])
    table(tree.group_table(".tsv", **entities, desc=f"nulls{label}"), nulls)
    music = pd.DataFrame(draws, columns=names)
    table(tree.group_table(".tsv", **entities, desc=f"musicnulls{label}"), music)
    settings = {
        "SettingsHash": "a",
        "Settings": {},
        "Participants": [f"sub-{k:02d}" for k in range(N_PEOPLE)],
        "Inference": "h",
    }
    write_json(tree.group_table("settings.json", **entities, desc=desc), settings)
    return z, draws, spins


def by_name(stated):
    return {(one.model, one.gradient, one.measure): one for one in stated}


def level_p(one):
    return {test.level: test.p for test in one.claim.tests}


def test_the_primary_claim_stands_by_itself_and_the_rest_is_corrected_together(tmp_path):
    write_model(tmp_path)
    first = write_gradient(tmp_path)
    second = write_gradient(tmp_path, "up", seed=1)
    found = by_name(collect_claims(tmp_path))
    assert len(found) == 1 + 8
    primary = found["vggish", "", "slope"]
    assert primary.primary
    assert level_p(primary) == {PEOPLE: 0.0004, MUSIC: 0.004, PLACE: 0.01, PARTIAL: 0.02}
    assert primary.claim.family == ""
    assert primary.decision.claimed
    others = [
        (gradient, k, name)
        for gradient, number in (("", 0), ("up", 1))
        for k, name in enumerate(("slope", "curvature", "conv1", "conv2"))
        if (number, name) != (0, "slope")
    ]
    data = {"": first, "up": second}
    z = np.stack([data[g][0][:, k] for g, k, _ in others], axis=1)
    flips = sign_flip_max_t(z, n_permutations=10_000, seed=3, tail="two-sided")
    draws = np.stack([data[g][1][:, k] for g, k, _ in others])
    music = correct_together(np.full(7, 0.3), draws)
    place = correct_together(np.full(7, 0.3), np.stack([data[g][2][:, k] for g, k, _ in others]))
    for index, (gradient, _, name) in enumerate(others):
        one = found["vggish", gradient, name]
        assert not one.primary
        assert one.claim.family == "7 alignments beside the primary one"
        p = level_p(one)
        assert p[PEOPLE] == pytest.approx(flips.p[index])
        assert p[MUSIC] == pytest.approx(music[index])
        assert p[PLACE] == pytest.approx(place[index])
        assert (PARTIAL in p) == (name in ("slope", "curvature"))
    assert music.min() > 1 / (1 + N_DRAWS)


def test_another_model_joins_the_family_and_an_untrained_network_has_no_primary_claim(tmp_path):
    write_model(tmp_path)
    write_model(tmp_path, "cochleagram")
    write_gradient(tmp_path, layers=0)
    write_gradient(tmp_path, model="cochleagram", layers=0, seed=2)
    found = by_name(collect_claims(tmp_path))
    assert found["vggish", "", "slope"].primary
    assert not found["cochleagram", "", "slope"].primary
    assert found["cochleagram", "", "slope"].claim.family.startswith("3 alignments beside")
    write_model(tmp_path, untrained=True)
    found = by_name(collect_claims(tmp_path))
    assert not any(one.primary for one in found.values())
    assert found["vggish", "", "slope"].claim.family == "4 alignments of this folder"


def test_a_gradient_of_the_users_own_is_never_primary(tmp_path):
    write_model(tmp_path)
    write_gradient(tmp_path, "mine", layers=0)
    assert not any(one.primary for one in collect_claims(tmp_path))


def test_what_was_not_tested_over_music_is_not_claimed_and_corrects_nobody(tmp_path):
    write_model(tmp_path)
    _, draws, _ = write_gradient(tmp_path, "a", layers=0)
    write_gradient(tmp_path, "b", seed=1, layers=0)
    tree = OutputTree(tmp_path)
    tree.group_table(".tsv", model="vggish", desc="musicnullsb").unlink()
    path = tree.group_table("statmap.json", model="vggish", desc="alignmentb")
    content = read_json(path)
    for told in content["Group"]["tests"].values():
        told["tests"][1] = LevelTest(MUSIC, reason="no features").record
    write_json(path, content)
    found = by_name(collect_claims(tmp_path))
    lost = found["vggish", "b", "slope"].decision
    assert not lost.claimed
    assert lost.untested == (MUSIC,)
    assert "tested over music, not available (no features)" in lost.sentence
    kept = level_p(found["vggish", "a", "slope"])[MUSIC]
    assert kept == pytest.approx(correct_together([0.3, 0.3], draws.T)[0])


def test_a_missing_place_or_another_number_of_draws_is_no_error(tmp_path):
    write_model(tmp_path)
    write_gradient(tmp_path, "a", layers=0)
    write_gradient(tmp_path, "b", seed=1, layers=0)
    tree = OutputTree(tmp_path)
    path = tree.group_table(".tsv", model="vggish", desc="musicnullsb")
    short = pd.read_csv(path, sep="\t")
    short.loc[500:] = np.nan
    short.to_csv(path, sep="\t", index=False, na_rep="n/a")
    tree.group_table(".tsv", model="vggish", desc="nullsa").unlink()
    found = by_name(collect_claims(tmp_path))
    assert level_p(found["vggish", "b", "slope"])[MUSIC] >= 1 / 501
    assert found["vggish", "a", "slope"].decision.untested == (PLACE, PARTIAL)


def test_doubt_mask_and_outdated_results_are_in_the_sentence(tmp_path):
    write_model(tmp_path)
    write_gradient(tmp_path, layers=0, mask="cortex")
    tree = OutputTree(tmp_path)
    path = tree.group_table("statmap.json", model="vggish", desc="alignment")
    content = read_json(path)
    content["Group"]["tests"]["slope"]["doubt"] = "slope cannot be separated from accuracy"
    write_json(path, content)
    primary = by_name(collect_claims(tmp_path))["vggish", "", "slope"]
    assert not primary.decision.claimed
    assert "slope cannot be separated from accuracy" in primary.decision.sentence
    assert "the whole cortex stands in" in primary.decision.sentence
    settings = tree.group_table("settings.json", model="vggish", desc="alignment")
    write_json(settings, read_json(settings) | {"Inference": "older"})
    sentence = by_name(collect_claims(tmp_path))["vggish", "", "slope"].decision.sentence
    assert "rests on an earlier group result" in sentence


def test_results_of_an_earlier_version_are_told_and_claim_nothing(tmp_path, caplog):
    write_model(tmp_path)
    write_gradient(tmp_path)
    tree = OutputTree(tmp_path)
    path = tree.group_table("statmap.json", model="vggish", desc="alignment")
    content = read_json(path)
    del content["Group"]["tests"]
    write_json(path, content)
    settings = tree.group_table("settings.json", model="vggish")
    content = read_json(settings)
    del content["Predicted"]
    write_json(settings, content)
    with caplog.at_level("WARNING"):
        assert collect_claims(tmp_path) == []
    assert "of an earlier version and nothing is claimed of it" in caplog.text
    assert write_claims(tmp_path) == []


def test_a_broken_file_costs_the_claims_of_its_model(tmp_path, caplog):
    write_model(tmp_path)
    write_model(tmp_path, "cochleagram")
    write_gradient(tmp_path)
    OutputTree(tmp_path).group_table("settings.json", model="cochleagram").write_text("{")
    with caplog.at_level("WARNING"):
        found = by_name(collect_claims(tmp_path))
    assert {model for model, _, _ in found} == {"vggish"}
    assert "claims about model-cochleagram cannot be decided" in caplog.text


def test_the_table_says_what_the_rule_decided(tmp_path):
    write_model(tmp_path, predicted=(0.01, 0.2))
    write_gradient(tmp_path)
    path, sidecar = write_claims(tmp_path)
    rows = pd.read_csv(path, sep="\t", keep_default_na=False).set_index("measure")
    assert rows.loc["slope", "claimed"] == "True" or rows.loc["slope", "claimed"]
    assert rows.loc["accuracy", "failed"] == "music"
    assert "sub-07 has no part" in rows.loc["accuracy", "sentence"]
    told = read_json(sidecar)
    assert set(told) == {"Sources", "measure", *rows.columns}
    named = [one.removeprefix("bids::") for one in told["Sources"]]
    assert "group_model-vggish_settings.json" in named
    assert any("_desc-alignment" in name and name.endswith(".tsv") for name in named)
    assert all((tmp_path / name).is_file() for name in named)
    assert float(rows.loc["accuracy", "detectable"]) == pytest.approx(2.8 * 0.02)
    told = told_claims(tmp_path)
    assert rows.loc["slope", "sentence"] in told
    assert rows.loc["accuracy", "sentence"] in told
    assert told_claims(tmp_path / "nowhere") == []


def test_claims_with_the_others_weights_join_the_family_with_a_smaller_t(tmp_path):
    """They are never primary, and t over people is scaled before it is compared with flips."""
    scale = 0.4
    for model in ("vggish", "vggish+others"):
        write_model(tmp_path, model)
        write_gradient(
            tmp_path, model=model, mean=0.06, people_scale=scale if "+" in model else 1.0
        )
    stated = {(one.model, one.measure): one for one in collect_claims(tmp_path)}
    assert [key for key, one in stated.items() if one.primary] == [("vggish", "slope")]
    others = [
        one for key, one in stated.items() if key[0] == "vggish+others" and key[1] != "accuracy"
    ]
    assert len(others) == 4
    family = "7 alignments beside the primary one"
    assert {one.claim.family for one in others} == {family}
    told = stated["vggish+others", "slope"].decision.sentence
    assert "model-vggish with the others' weights" in told
    people = {
        key: next(test for test in one.claim.tests if test.level == PEOPLE)
        for key, one in stated.items()
        if key[1] != "accuracy"
    }
    for measure in ("curvature", "conv1", "conv2"):
        own, other = people["vggish", measure], people["vggish+others", measure]
        assert other.statistic == pytest.approx(scale * own.statistic)
        assert other.p > own.p


def test_untrained_twins_join_the_family_and_need_people_and_music(tmp_path):
    write_model(tmp_path)
    write_gradient(tmp_path)
    alone = len(by_name(collect_claims(tmp_path)))
    tree, rng = OutputTree(tmp_path), np.random.default_rng(8)
    differences = 0.4 + 0.05 * rng.standard_normal(N_PEOPLE)
    people = [
        {"participant_id": f"sub-{k:02d}", "difference": one} for k, one in enumerate(differences)
    ]
    draws = 0.05 * rng.standard_normal(N_DRAWS)
    tests = [
        LevelTest(PEOPLE, 0.0001, 20.0),
        LevelTest(MUSIC, 0.001, 0.15, N_DRAWS, 1 / (1 + N_DRAWS), draws.std()),
    ]
    group = {"twins": ["r1", "r2"], "statistic": 0.4, "tests": [one.record for one in tests]}
    path = tree.group_table("statmap.tsv", model="vggish", desc="untrained")
    table(path, people, Group=group)
    music = tree.group_table(".tsv", model="vggish", desc="untrainedmusic")
    table(music, pd.DataFrame({"difference": draws}))
    settings = {"Participants": [f"sub-{k:02d}" for k in range(N_PEOPLE)], "Inference": "h"}
    write_json(tree.group_table("settings.json", model="vggish", desc="untrained"), settings)
    found = by_name(collect_claims(tmp_path))
    assert len(found) == alone + 1
    one = found["vggish", "", "slope beside untrained"]
    assert set(level_p(one)) == {PEOPLE, MUSIC}
    assert level_p(one)[MUSIC] > 0.005  # the largest |z| over the whole family
    assert one.decision.claimed
    assert (
        "higher correlation with the principal gradient than in untrained" in one.decision.sentence
    )
    assert "compared with 2 untrained ones" in one.decision.sentence
    assert one.decision.sentence in told_claims_after(tmp_path)


def told_claims_after(root):
    write_claims(root)
    return told_claims(root)


def test_results_of_other_people_than_those_of_own_weights_say_so(tmp_path):
    for model in ("vggish", "vggish+others"):
        write_model(tmp_path, model)
        write_gradient(tmp_path, model=model)
    path = OutputTree(tmp_path).group_table("settings.json", model="vggish")
    content = read_json(path)
    write_json(path, content | {"Participants": [*content["Participants"], "sub-99"]})
    told = {(one.model, one.measure): one.decision.sentence for one in collect_claims(tmp_path)}
    words = "it is not of the same participants: without sub-99."
    for measure in ("accuracy", "slope"):
        assert words in told["vggish+others", measure]
        assert words not in told["vggish", measure]


def test_a_gradient_of_the_same_people_needs_an_independent_one_beside_it(tmp_path):
    own = {"gradient": {"Label": "own", "MadeFrom": {"SamePeople": "yes"}}}
    write_model(tmp_path, "cochleagram")
    write_gradient(tmp_path, "own", model="cochleagram", layers=1, **own)
    found = by_name(collect_claims(tmp_path))
    for measure in ("slope", "curvature", "conv1"):
        told = found["cochleagram", "own", measure].decision
        assert (told.claimed, told.failed) == (False, ())
        assert "made from the same people" in told.sentence
    write_model(tmp_path)  # another model says nothing about this one
    write_gradient(tmp_path, seed=1, layers=1)
    assert not by_name(collect_claims(tmp_path))["cochleagram", "own", "slope"].decision.claimed
    write_gradient(tmp_path, model="cochleagram", seed=2, layers=1)
    found = by_name(collect_claims(tmp_path))
    for gradient in ("", "own"):
        assert found["cochleagram", gradient, "slope"].decision.claimed
    write_gradient(tmp_path, model="cochleagram", seed=2, layers=1, mean=0.0)
    found = by_name(collect_claims(tmp_path))
    assert not found["cochleagram", "", "slope"].decision.claimed
    assert not found["cochleagram", "own", "slope"].decision.claimed
