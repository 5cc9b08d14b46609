"""A kept work directory must not answer for files that have come since."""

from __future__ import annotations

import numpy as np
from bids_app.workflows.group_level import init_group_level_wf
from bids_app.workflows.steps import Step, handed_on, step
from nipype.interfaces.utility import Merge

from bids_app.analyses.folder.read import sample_name
from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.group.isc import group_isc
from bids_app.cli.parser import parse_config
from bids_app.files import write_json
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.surface.gifti import write_gifti


def test_responses_that_come_later_are_seen(tmp_path):
    tree, people = OutputTree(tmp_path / "out"), ["01", "02", "03"]
    data = GroupData(
        model="vggish",
        participants=people,
        r=np.zeros((3, 3, 1284), np.float32),
        layer_names=["a", "b", "c"],
        stimuli=["happy"],
        held_out=["happy"],
        settings={"space": "fsaverage3", "delays": [1.0, 10.0], "crop": 0.0},
        rows=[],
    )
    config = parse_config(["/data", str(tree.root), "group"])

    def run():
        node = step(group_isc, config, fresh=True, tree=tree, data=data)
        node.base_dir = str(tmp_path / "work")
        node.config = {"execution": {"hash_method": "content", "crashdump_dir": str(tmp_path)}}
        return handed_on(node.run().outputs.out)

    assert run().result is None
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((30, 1284))
    for person in people:
        values = (shared + 0.5 * rng.standard_normal(shared.shape)).astype(np.float32)
        for hemi, half in zip("LR", np.split(values, 2, axis=1), strict=True):
            path = tree.participant_bold(person, hemi, "fsaverage3", stim="happy")
            write_gifti(path, half, hemi=hemi, names=[sample_name(k) for k in range(30)], tr=1.0)
            times = {"StimulusTimes": list(range(30)), "RepetitionTime": 1.0}
            write_json(sidecar_of(path), times)
    assert run().result.pairwise.min() > 0.4


def test_every_step_of_the_group_level_reads_the_folder_afresh(tmp_path):
    config = parse_config(["/data", str(tmp_path), "group"])
    workflow = init_group_level_wf("vggish", ["01", "02"], {}, config=config)
    nodes = [node.interface for node in workflow._get_all_nodes()]
    steps = [one for one in nodes if not isinstance(one, Merge)]  # which reads no file
    assert len(steps) >= 8
    assert all(isinstance(one, Step) and one.always_run for one in steps)


def test_steps_of_the_group_level_reserve_the_memory_of_everybodys_maps(tmp_path):
    config = parse_config(["/data", str(tmp_path), "group"])
    workflow = init_group_level_wf("vggish", ["01", "02"], {}, config=config, memory=3e9)
    steps = [node for node in workflow._get_all_nodes() if not isinstance(node.interface, Merge)]
    assert {node.mem_gb for node in steps} == {3.0}
