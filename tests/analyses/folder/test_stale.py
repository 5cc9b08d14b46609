"""A kept work directory must not answer for files that have come since."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
from bids_app.workflows.interfaces.group import CorrelateParticipants, InferOverMusic
from nipype.pipeline import engine as pe

from bids_app.analyses.group.collect import GroupData
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
        settings={"space": "fsaverage3"},
        rows=[],
    )
    data_file = tmp_path / "data.pkl"
    data_file.write_bytes(pickle.dumps(data))

    def run():
        step = CorrelateParticipants(output_dir=str(tree.root), data_file=str(data_file), seed=0)
        node = pe.Node(step, name="isc", base_dir=str(tmp_path / "work"))
        node.config = {"execution": {"hash_method": "content", "crashdump_dir": str(tmp_path)}}
        return pickle.loads(Path(node.run().outputs.isc_file).read_bytes())

    assert run().result is None
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((30, 1284))
    for person in people:
        values = (shared + 0.5 * rng.standard_normal(shared.shape)).astype(np.float32)
        for hemi, half in zip("LR", np.split(values, 2, axis=1), strict=True):
            path = tree.participant_bold(person, hemi, "fsaverage3", stim="happy")
            write_gifti(path, half, hemi=hemi, names=[str(k) for k in range(30)], tr=1.0)
            times = {"StimulusTimes": list(range(30)), "RepetitionTime": 1.0}
            write_json(sidecar_of(path), times)
    assert run().result.pairwise.min() > 0.4
    # Its remedy is to say where the features are: that must not meet the old answer either.
    assert InferOverMusic().always_run
