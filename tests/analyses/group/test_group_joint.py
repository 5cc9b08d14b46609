"""Joint models of several spaces over participants and over music, from maps to the page."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from joint_listeners import GRID, LENGTHS, Side, slow

from bids_app.analyses.folder.write import write_settings
from bids_app.analyses.group import joint_models, refits
from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.group.heard import Heard, Presentations
from bids_app.analyses.group.joint_models import (
    JOINT_MODELS,
    _heard_by,
    joint_group,
    told_of_joint,
    write_joint_group,
)
from bids_app.analyses.group.write import GroupWriter
from bids_app.analyses.participant.joint_models import PURPOSE
from bids_app.config import Statistics
from bids_app.encoding.joint import candidate_weights, fit_joint, plan_joint
from bids_app.errors import BadDataError
from bids_app.files import read_json, write_json
from bids_app.outputs import JOINT_DESC, OutputTree, sidecar_of, unique_desc
from bids_app.report.joint import joint_group_sections
from bids_app.report.sources import GroupFiles
from bids_app.seeds import generator
from bids_app.surface.gifti import read_gifti, write_gifti

SPACE, N_VERTICES = "fsaverage3", 1284
PEOPLE = [f"0{k}" for k in range(1, 7)]
SPACES = ["driving", "alike"]
VERTICES = np.arange(40)
FOLLOWING = VERTICES < 20
SIDE = Side(*SPACES, shared=0.4)
SETTINGS = {
    "space": SPACE,
    "spaces": [{"layer": one} for one in SPACES],
    "candidates": 5,
    "random_seed": 3,
    "alphas": GRID,
}
STATISTICS = Statistics(n_permutations=64, random_seed=4)


def write_maps(tree, who, values, **entities):
    """A map of some vertices, the others without a result."""
    whole = np.full((len(values), N_VERTICES), np.nan, dtype=np.float32)
    whole[:, VERTICES] = values
    names, files = [str(k) for k in range(len(values))], []
    for hemi, half in zip("LR", np.split(whole, 2, axis=1), strict=True):
        path = tree.participant_map(who, hemi, SPACE, model="two", **entities)
        files.append(write_gifti(path, half, hemi=hemi, names=names))
        files.append(write_json(sidecar_of(path), {"DataArrays": names}))
    return files


def write_person(tree, who, plan, responses):
    """What the participant level leaves of a joint model."""
    fit = fit_joint(plan, [one[:, VERTICES] for one in responses])
    files = write_maps(tree, who, fit.mean_r[np.newaxis], stat="r")
    for name, unique in zip(SPACES, fit.unique, strict=True):
        files += write_maps(tree, who, unique[np.newaxis], stat="r", desc=unique_desc(name))
    choose = plan.choices.chosen
    choices = [
        choose(fit.candidate, fit.alpha),
        *map(choose, fit.reduced_candidate, fit.reduced_alpha),
    ]
    for k, held in enumerate(LENGTHS):
        values = np.stack([own[k] for own in choices])
        files += write_maps(tree, who, values, stat="choice", desc=JOINT_DESC, stim=held)
    done = tree.participant_settings(who, "two", JOINT_DESC)
    told = {"HeldOutStimuli": list(LENGTHS), "FeaturesFolders": ["x", "x"]}
    told["Features"] = {"Spaces": SPACES}  # as `JointModel.record` has it
    write_settings(tree, done, SETTINGS, files, **told)


class Twice(Side):
    """The same music, of which the first piece is heard twice."""

    lengths = (LENGTHS["a"], *LENGTHS.values())

    def __init__(self):
        self.features = {name: [own[0], *own] for name, own in SIDE.features.items()}

    @property
    def plan_options(self):
        return super().plan_options | {"stimuli": ["a", *LENGTHS]}


def listeners(folder, sides, patch):
    """People of whom half of the vertices follow one of two spaces that are alike.

    Each heard what the side of the same number has; `sides` has them one after the other.
    """
    tree, rng = OutputTree(folder / "out"), np.random.default_rng(0)
    clocks = list(dict.fromkeys(sides))
    weights = candidate_weights(2, 5, generator(3, PURPOSE))
    plans = [
        plan_joint(
            {name: side.gram(name) for name in SPACES},
            side.lengths,
            weights=weights,
            **side.plan_options,
        )
        for side in clocks
    ]
    loads = 0.7 * rng.standard_normal((4, N_VERTICES))
    loads[:, VERTICES[~FOLLOWING]] = 0
    paths, clock_of = [], [clocks.index(side) for side in sides]
    people = PEOPLE[: len(sides)]
    for who, side, clock in zip(people, sides, clock_of, strict=True):
        responses = [
            slow(rng, len(x), N_VERTICES) + np.roll(x, 2, axis=0) @ loads
            for x in side.features["driving"]
        ]
        write_person(tree, who, plans[clock], responses)
        own = [folder / f"{who}_{k}.npy" for k in range(len(responses))]
        for path, one in zip(own, responses, strict=True):
            np.save(path, one.astype(np.float32))
        paths.append(tuple(own))
    heard = Heard(
        people=tuple(range(len(sides))),
        clock_of=tuple(clock_of),
        clocks=tuple(Presentations(tuple(s.plan_options["stimuli"]), (), 1.0) for s in clocks),
        responses=tuple(paths),
        checksums={one: one * 8 for one in LENGTHS},
    )
    rows = [{"participant_id": f"sub-{who}", "sha256_left": "0"} for who in people]
    r = np.zeros((len(people), 1, N_VERTICES), np.float32)
    data = GroupData("vggish", people, r, ["a"], list(LENGTHS), list(LENGTHS), SETTINGS, rows)
    patch.setattr(refits, "N_REFITS", 30)
    patch.setattr(joint_models, "sides_of_clocks", lambda *_: [[one, one] for one in clocks])
    found = joint_group(tree, data, heard, None, STATISTICS)
    return SimpleNamespace(tree=tree, data=data, heard=heard, found=found)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        return listeners(tmp_path_factory.mktemp("joint"), [SIDE] * len(PEOPLE), patch)


def test_five_people_of_whom_three_heard_a_piece_twice(tmp_path, monkeypatch):
    twice = Twice()
    found = listeners(tmp_path, [twice, SIDE, twice, SIDE, twice], monkeypatch).found
    (one,) = found.models
    assert len(one.participants) == 5
    assert one.music is not None
    assert np.nanmin(one.p) == 1 / 32  # of all flips
    _, driving, alike = one.music.q[:, VERTICES] < 0.05
    assert driving[FOLLOWING].mean() > 0.5
    assert alike[FOLLOWING].mean() < 0.15
    assert one.both[:, VERTICES[~FOLLOWING]].mean() < 0.05


def test_the_space_that_drives_adds_and_the_one_that_is_alike_does_not(study):
    (one,) = study.found.models
    assert one.names == ["all spaces", *SPACES]
    model, driving, alike = one.both[:, VERTICES]
    assert model[FOLLOWING].mean() > 0.7
    assert driving[FOLLOWING].mean() > 0.5
    assert alike[FOLLOWING].mean() < 0.1
    assert one.both[:, VERTICES[~FOLLOWING]].mean() < 0.05
    assert np.isnan(one.both[:, N_VERTICES // 2 :]).all()
    assert set(one.music.record) == {"accuracy", "unique"}


def test_maps_table_and_page(study):
    settings = {"n_permutations": 64, "random_seed": 4}
    writer = GroupWriter(study.tree, study.found.group, settings, desc=JOINT_DESC)
    write_joint_group(writer, study.found)
    writer.finish(**told_of_joint(study.found))
    left = study.tree.group_map(
        "L", SPACE, model=JOINT_MODELS.model, feature="two", stat="n", desc="both"
    )
    (one,) = study.found.models
    np.testing.assert_array_equal(read_gifti(left)[:, VERTICES], one.both[:, VERTICES])
    assert read_json(sidecar_of(left))["DataArrays"] == ["all spaces", *SPACES]
    (section,) = joint_group_sections(GroupFiles(study.tree.root))
    told = " ".join(getattr(block, "text", "") for block in section.blocks)
    assert "driving adds to the other spaces at 1" in told
    assert "alike adds nothing to the other spaces that can be shown" in told


def test_who_lacks_the_model_and_why_nothing_was_tested_over_music(study):
    more = replace(study.data, participants=["00", *PEOPLE])
    reasons = Heard(reasons=("no features",))
    found = joint_group(study.tree, more, reasons, None, STATISTICS)
    (one,) = found.models
    assert one.music is None
    assert one.reason == "no features"
    assert found.group.participants == PEOPLE
    assert found.group.left_out == {"sub-00, two": "no joint model in the output folder"}
    assert joint_group(OutputTree(study.tree.root / "x"), more, reasons, None, STATISTICS) is None


def test_people_behind_the_null_are_counted_anew(study):
    heard = replace(study.heard, people=(0, 2, 3), clock_of=(0, 1, 1), responses="abc")
    own = _heard_by(heard, study.data, PEOPLE[2:])
    assert own.people == (0, 1)
    assert own.clock_of == (1, 1)
    assert own.responses == ("b", "c")
    assert not _heard_by(heard, study.data, PEOPLE[3:]).there


def test_a_damaged_map_is_refused(study):
    path = study.tree.participant_map("02", "L", SPACE, model="two", stat="r")
    content = path.read_bytes()
    path.write_bytes(content[:-20] + b"x" * 20)
    try:
        with pytest.raises(BadDataError):
            joint_group(study.tree, study.data, study.heard, None, STATISTICS)
    finally:
        path.write_bytes(content)
