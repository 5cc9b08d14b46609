"""Profiles of accuracy and unique accuracy in regions of the cortex."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from bids_app.analyses.group.beyond_profile import profile_rows
from bids_app.config import Statistics
from bids_app.surface.gifti import write_labels

LAYERS = ["first", "second"]
N_HALF = 642


def labels(folder, name, names):
    """Vertices 0 to 99 of each hemisphere have the first name, 100 to 199 the second."""
    paths = []
    for hemi in "LR":
        keys = np.zeros(N_HALF, np.int32)
        for number in range(len(names)):
            keys[100 * number : 100 * (number + 1)] = number + 1
        path = folder / f"{name}.{hemi}.label.gii"
        write_labels(path, keys, ["???", *names], hemi=hemi)
        paths.append(str(path))
    return f"{name}={','.join(paths)}"


@pytest.fixture
def study():
    rng = np.random.default_rng(0)
    r = rng.random((4, 2, 2 * N_HALF)).astype(np.float32)
    return SimpleNamespace(space="fsaverage3", r=r, layer_names=LAYERS), 0.1 * r.astype(float)


def test_without_an_atlas_there_are_auditory_cortex_and_the_rest(study):
    data, unique = study
    rows = profile_rows(data, unique, Statistics())
    assert [row["region"] for row in rows[::2]] == ["auditory cortex", "other cortex"]
    assert {row["atlas"] for row in rows} == {"n/a"}
    assert sum(row["n_vertices"] for row in rows[::2]) == 2 * N_HALF


def test_regions_are_of_the_first_atlas_or_networks_that_name_them(study, tmp_path):
    data, unique = study
    unique[:, 1, 0] = np.nan
    atlas = labels(tmp_path, "desikan", ["insula", "superiortemporal"])
    networks = labels(tmp_path, "yeo", ["7Networks_7", "7Networks_1"])
    options = Statistics(atlases=(atlas,), networks=(networks,))
    rows = {(row["region"], row["name"]): row for row in profile_rows(data, unique, options)}
    assert {region for region, _ in rows} == {
        "auditory cortex",
        "other cortex",
        "temporal",
        "default mode",
    }
    temporal, default = rows["temporal", "second"], rows["default mode", "second"]
    assert (temporal["atlas"], default["atlas"]) == ("desikan", "yeo")
    # A vertex without a value in some layer is in no profile.
    assert (temporal["n_vertices"], default["n_vertices"]) == (200, 199)
    inside = np.r_[100:200, N_HALF + 100 : N_HALF + 200]
    assert temporal["r"] == pytest.approx(data.r[:, 1][:, inside].mean(), rel=1e-5)
    spread = unique[:, 1][:, inside].mean(axis=1).std(ddof=1) / 2
    assert temporal["unique_se"] == pytest.approx(spread)
