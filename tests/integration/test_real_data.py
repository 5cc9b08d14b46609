"""Both levels on real names, sidecars, music and gradient, with planted responses; controls."""

from __future__ import annotations

import subprocess
import sys

import ds003085
import numpy as np
import pytest
from few_refits import few_refits

from bids_app.cli.run import main
from bids_app.config import DEFAULT_FEATURES, Cleaning
from bids_app.files import read_json
from bids_app.outputs import ALIGNMENT_DESC, HEMISPHERES, OutputTree, labeled
from bids_app.surface.gifti import read_gifti
from bids_app.testing.study import plan_truth

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not (ds003085.DATA / "ds003085" / "fmriprep").is_dir(),
        reason=f"no real data in {ds003085.DATA} (set MUSENC_TEST_DATA)",
    ),
]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return ds003085.build(tmp_path_factory.mktemp("ds003085"))


@pytest.fixture(scope="module")
def results(study):
    output_dir = study.cache_dir.parent / "results"
    given = ["--stimuli", study.stimuli_table, "--cache-dir", study.cache_dir, "--nprocs", 2]
    network = ["--vggish-weights", ds003085.WEIGHTS, "--layers", *ds003085.ArrayStudy.layers]
    run(study.fmriprep_dir, output_dir, "participant", *given, *network)
    gradient = ",".join(map(str, study.gradient_files))
    group = ["group", "--gradient", gradient, "--n-spins", "1000"]
    with few_refits():
        assert main([str(study.fmriprep_dir), str(output_dir), *group]) == 0
    return OutputTree(output_dir)


def run(*arguments):
    command = [sys.executable, "-m", "bids_app", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.fixture(scope="module")
def arrays(study):
    return ds003085.ArrayStudy(ds003085.features(study.cache_dir))


def both_hemispheres(tree, **entities):
    entities["model"] = DEFAULT_FEATURES
    paths = [tree.group_map(hemi, Cleaning.space, **entities) for hemi in HEMISPHERES]
    return np.concatenate([read_gifti(path)[0] for path in paths]).astype(float)


def test_all_six_participants_are_analyzed(results):
    assert tuple(results.participants_of(DEFAULT_FEATURES)) == ds003085.PARTICIPANTS


def test_planted_depth_is_recovered(study, results):
    slope = both_hemispheres(results, stat="slope", desc="layerpref")
    assert study.truth.recovery(slope) > 0.25


def test_layer_preference_aligns_with_the_real_gradient(results):
    (label,) = results.group_labels(DEFAULT_FEATURES, ALIGNMENT_DESC)
    desc = labeled(ALIGNMENT_DESC, label)
    table = results.group_table("statmap.json", model=DEFAULT_FEATURES, desc=desc)
    group = read_json(table)["Group"]
    assert group["p_spin"] < 0.05
    assert group["rho_mean"] > 0


def test_silent_cortex_is_not_predicted(study, results):
    accuracy = both_hemispheres(results, stat="r")
    silent = study.truth.cortex & ~study.truth.active
    planted = np.nanmean(accuracy[study.truth.active])
    assert planted > 0.03
    assert abs(np.nanmean(accuracy[silent])) < 0.2 * planted
    assert not np.isfinite(accuracy[~study.truth.cortex]).any()


def test_pure_noise_is_rarely_aligned(arrays):
    """At most 2 of 10 at .05 (a fair test exceeds that with probability .012)."""
    found = 0
    for seed in range(10):
        silent = plan_truth(arrays.mesh, effect="none", gradient=arrays.gradient)
        plain, _ = arrays.alignment_p(arrays.accuracies(silent, seed), seed)
        found += plain < 0.05
    assert found <= 2


def test_accuracy_along_the_gradient_is_not_called_alignment(arrays):
    """One layer everywhere: what follows the gradient is how well it is predicted."""
    truth = plan_truth(arrays.mesh, effect="one-layer", gradient=arrays.gradient)
    r = arrays.accuracies(truth, seed=0)
    cortex = truth.cortex
    assert np.corrcoef(r.mean(axis=(0, 1))[cortex], arrays.gradient[cortex])[0, 1] > 0.2
    plain, partial = arrays.alignment_p(r, seed=0)
    assert not (plain < 0.05 and partial < 0.05)
