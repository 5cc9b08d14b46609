"""A small output folder of full mesh size, written by the program's own writers."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
from scipy.stats import norm

from bids_app.analyses.folder.records import Record
from bids_app.analyses.group.claims import write_claims
from bids_app.analyses.participant.layers import LayerFits
from bids_app.analyses.participant.preference import PreferenceMaps
from bids_app.analyses.participant.responses import Block, Prepared
from bids_app.analyses.participant.write import write_participant, write_responses
from bids_app.config import Config
from bids_app.features.vggish import LAYER_NAMES
from bids_app.files import write_json
from bids_app.group.claims import MUSIC, PARTIAL, PEOPLE, PLACE, LevelTest
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.status import Status
from bids_app.surface.gifti import write_gifti
from bids_app.surface.mesh import load_mesh

STIMULI = ("happy", "sadsh", "sadln")
NULL_SD = 0.04
TSNR = (50.0, 60.0, 130.0)
"""Of the runs, at every vertex."""


def truth(n_layers: int) -> dict[str, np.ndarray]:
    """Accuracy around auditory cortex; deep layers toward the front. NaN on a made-up wall."""
    mesh = load_mesh()
    white = np.vstack([mesh.left.white, mesh.right.white])
    centers = np.array([[-50.0, -22.0, 8.0], [52.0, -20.0, 8.0]])
    distance = np.min([np.linalg.norm(white - c, axis=1) for c in centers], axis=0)
    height = 0.25 * np.exp(-((distance / 30) ** 2))
    preferred = n_layers * (0.55 + white[:, 1] / 200)
    layers = np.arange(1, n_layers + 1)[:, None]
    profile = np.exp(-(((layers - preferred) / (0.5 * n_layers)) ** 2))
    wall = (np.abs(white[:, 0]) < 6) & (np.abs(white[:, 1]) < 25) & (np.abs(white[:, 2] - 8) < 18)
    gradient = white[:, 1] / 40 - white[:, 2] / 90
    return {
        "r": np.where(wall, np.nan, height * profile),
        "wall": wall,
        "gradient": np.where(wall, np.nan, gradient),
    }


def make_participant(
    root, label="01", *, n_layers=4, n_times=60, null=True, warning="", noticed=()
):
    """Write one participant's derivatives with random noise around `truth`."""
    rng = np.random.default_rng([7, int(label)])
    names = list(LAYER_NAMES[:n_layers])
    planted = truth(n_layers)
    n_vertices = planted["r"].shape[1]
    noise = NULL_SD * rng.standard_normal((len(STIMULI), n_vertices))
    fold_r = planted["r"][:, None, :] + noise[None]
    r = fold_r.mean(axis=1)
    sd = np.full_like(r, NULL_SD / np.sqrt(len(STIMULI))) if null else np.full_like(r, np.nan)
    z = r / sd
    p = norm.sf(z)
    alphas = tuple(float(a) for a in np.logspace(-3, 5, 20))
    fits = LayerFits(
        r=r.astype(np.float32),
        z=z.astype(np.float32),
        p=p.astype(np.float32),
        q=np.minimum(1, 3 * p).astype(np.float32),
        null_sd=sd.astype(np.float32),
        fold_r=fold_r.astype(np.float32),
        alpha=rng.choice(alphas, fold_r.shape).astype(np.float32),
        fold_stimuli=list(STIMULI),
        layer_names=names,
        features_folder="vggish-0",
        table=[
            {
                "layer": k + 1,
                "name": name,
                "n_units": 128 * (k + 1),
                "n_constant_units": k,
                "effective_rank": 12.5 + k,
                "edge_low": 0.01 * k,
                "edge_high": 0.4 + 0.01 * k,
                "mean_r": float(np.nanmean(r[k])),
                "max_r": float(np.nanmax(r[k])),
                "share_q05": float(np.nanmean(3 * p[k] < 0.05)),
            }
            for k, name in enumerate(names)
        ],
        n_degenerate=int(planted["wall"].sum()),
        average_sd_ratio=0.9,
        warnings=list(noticed),
        predicted=predicted_courses(names[-1], n_times),
    )
    preference = PreferenceMaps(
        slope=r[-1] - r[0],
        curvature=r[-1] + r[0] - 2 * r[n_layers // 2],
        centroid=1 + (n_layers - 1) * norm.cdf((r[-1] - r[0]) / 0.1),
        argmax=np.where(planted["wall"], np.nan, 1 + np.argmax(r, axis=0)),
        maximum=r.max(axis=0),
        mean_q=np.minimum(1, 3 * p.mean(axis=0)),
        n_reference=1234,
        reason="",
        reference=[float(v) for v in np.linspace(0.05, 0.1, n_layers)],
        explained=0.5,
        doubt="",
    )
    blocks = [
        Block(
            stimulus,
            f"task-{stimulus}",
            1.0,
            np.arange(n_times) + 0.4,
            np.where(planted["wall"], np.nan, rng.standard_normal((n_times, n_vertices))).astype(
                np.float32
            ),
        )
        for stimulus in STIMULI
    ]
    summary = [
        {
            "run": f"task-{stimulus}",
            "stimuli": stimulus,
            "onsets_s": "7.5",
            "n_volumes": n_times + 15,
            "n_dummy": 2,
            "n_volumes_with_music": n_times,
            "repetition_time_s": 1.0,
            "repetition_time_source": "sidecar",
            "sampling_time_s": 0.5,
            "n_confounds": 12,
            "confounds": "trans_x,trans_y,a_comp_cor_00",
            "design_rank": 17,
            "degrees_of_freedom": n_times - 4,
            "n_degenerate_vertices": int(planted["wall"].sum()),
            "tsnr": ratio,
            "warnings": warning,
        }
        for stimulus, ratio in zip(STIMULI, TSNR, strict=True)
    ]
    quality = np.where(planted["wall"], np.nan, np.ones((len(STIMULI), 1))).astype(np.float32)
    tsnr = quality * np.array(TSNR, dtype=np.float32)[:, np.newaxis]
    tree, own = OutputTree(root), record(root, label, names)
    prepared = Prepared(blocks, summary, tsnr=tsnr, coverage=quality)
    shared = write_responses(tree, own, prepared)
    write_participant(tree, own, fits, preference, blocks, shared=shared)
    return fits


def predicted_courses(layer, n_times):
    """Made-up courses of two vertices."""
    rng = np.random.default_rng(11)
    return [
        {
            "stimulus": stimulus,
            "presentation": number,
            "held_out": stimulus,
            "time_s": k + 0.4,
            "hemisphere": hemisphere,
            "vertex": 4173,
            "layer": layer,
            "measured": float(signal + rng.standard_normal()),
            "predicted": 0.4 * float(signal),
        }
        for number, stimulus in enumerate(STIMULI, start=1)
        for hemisphere in "LR"
        for k, signal in enumerate(np.sin(np.arange(n_times) / 4 + number))
    ]


def record(root, label, layers):
    """What the sidecars of a made-up participant say."""
    settings = Config(bids_dir=root, output_dir=root, level="participant").participant_settings(
        "random:3"
    )
    return Record(
        participant=label,
        model="vggish",
        settings=settings
        | {"layers": layers, "layer_depth": np.linspace(0, 1, len(layers)).tolist()},
        sources=["bids:fmriprep:sub-01/func/bold.func.gii"],
        inputs={"bold.func.gii": "ab" * 32},
        stimuli={stimulus: f"{k}" * 64 for k, stimulus in enumerate(STIMULI)},
        features={
            "Network": "VGGish",
            "Weights": "random:3",
            "WeightsSHA256": "random:3",
            "Untrained": True,
        },
    )


def make_status(root, label="01", *, run_id="20260101-120000-aaaaaaaa", failed=""):
    """Write a log with one skipped run, and a crash file if `failed`."""
    status = Status(run_id, "participant")
    status.add(label, "task-rest", "skipped", "no stimulus was heard in it")
    if failed:
        name = f"logs/{run_id}/crash-20260101-encoding.txt"
        status.add(label, "", "failed", failed, crash_files=[name])
        crash = root / name
        crash.parent.mkdir(parents=True, exist_ok=True)
        crash.write_text(
            f"Node: participant_level_wf.fit_model_{label}_vggish\n"
            f"Traceback (most recent call last):\n\nValueError: {failed}\n"
        )
    else:
        status.add(label, "", "done")
    return status.write(OutputTree(root).status(run_id))


def make_group(root, *, n_participants=6, n_layers=4, p_spin=0.003, p_partial=0.2, n_spins=500):
    """Write group derivatives; with the default p-values there is no claim."""
    rng = np.random.default_rng(11)
    planted = truth(n_layers)
    r, gradient, wall = planted["r"], planted["gradient"], planted["wall"]
    mean = r.mean(axis=0)
    inside = np.nan_to_num(mean) > 0.05
    slope = r[-1] - r[0]
    p_max = np.where(wall, np.nan, np.where(r > 0.08, 0.01, 0.7))
    names = list(LAYER_NAMES[:n_layers])
    writer = GroupWriter(root)
    writer.statmap("r", r, names)
    writer.statmap("t", r * 40, names)
    writer.statmap("p", p_max, names, desc="maxt")
    writer.statmap("q", p_max, names)
    writer.statmap("r", mean, ["layer mean"], desc="layermean")
    layer_mean_p = np.where(wall, np.nan, np.where(inside, 0.01, 0.8))
    writer.statmap("p", layer_mean_p, ["layer mean"], desc="layermean")
    writer.statmap("q", p_max, names, desc="music")
    writer.statmap("p", p_max, names, desc="music")
    writer.statmap("q", layer_mean_p, ["layer mean"], desc="layermeanmusic")
    writer.statmap("n", inside.astype(float), ["mask"], desc="mask")
    for stat, values in (
        ("slope", slope),
        ("t", slope * 30),
        ("p", np.where(np.abs(slope) > 0.06, 0.02, 0.9)),
        ("centroid", 1 + (n_layers - 1) * norm.cdf(slope / 0.1)),
        ("argmax", np.where(wall, np.nan, 1.0 + np.argmax(np.nan_to_num(r), axis=0))),
        ("max", r.max(axis=0)),
    ):
        writer.statmap(stat, values, [stat], desc="layerpref")
    writer.statmap("curvature", -slope, ["curvature"], desc="layerpref")
    measures = ("slope", "curvature")
    columns = ("mean", "sd", "lowest", "highest", "largest_t", "lowest_p", "n_significant")
    rows = [{"measure": name} | {column: 0.5 for column in columns} for name in measures]
    writer.table("summary.tsv", rows, desc="layerpref")
    writer.statmap("n", np.where(wall, 0.0, n_participants), ["participants"])
    writer.statmap("value", gradient, ["gradient"], desc="gradient")
    labels = [f"sub-{k + 1:02d}" for k in range(n_participants)]
    participants = [
        {
            "participant_id": label,
            "status": "used",
            "settings_hash": "0123456789abcdef",
            "mean_r": float(0.01 + 0.001 * k),
            "max_r": float(0.25 + 0.01 * k),
            "reference_vertices": 900 + k,
            "n_degenerate": int(wall.sum()),
        }
        for k, label in enumerate(labels)
    ]
    writer.table("summary.tsv", participants, desc="participants")
    layers = [
        {
            "layer": k + 1,
            "name": name,
            "mean_r": float(r[k, inside].mean()),
            "max_r": float(np.nanmax(r[k])),
            "n_significant": int((p_max[k] < 0.05).sum()),
            "n_predicted": int((p_max[k] < 0.05).sum()),
        }
        for k, name in enumerate(names)
    ]
    writer.table("summary.tsv", layers, desc="layers")
    z = 0.4 + 0.08 * rng.standard_normal((2, n_participants))
    rows = [
        {
            "participant_id": label,
            "rho": float(np.tanh(z[0, k])),
            "z": float(z[0, k]),
            "rho_partial": float(np.tanh(z[1, k] - 0.2)),
            "rho_left": float(np.tanh(z[0, k] + 0.01)),
            "rho_right": float(np.tanh(z[0, k] - 0.01)),
        }
        for k, label in enumerate(labels)
    ]
    t = float(z[0].mean() / (z[0].std(ddof=1) / np.sqrt(n_participants)))
    music_draws = 0.12 * rng.standard_normal(999)
    p_music = float((1 + (np.abs(music_draws) >= z[0].mean()).sum()) / 1000)
    tests = [
        LevelTest(PEOPLE, 0.001, t),
        LevelTest(MUSIC, p_music, float(z[0].mean()), 999, 0.001, 0.12),
        LevelTest(PLACE, p_spin, float(z[0].mean()), n_spins, 1 / (1 + n_spins)),
        LevelTest(PARTIAL, p_partial, float(z[1].mean() - 0.2), n_spins, 1 / (1 + n_spins)),
    ]
    group = {
        "statistic": float(z[0].mean()),
        "statistic_partial": float(z[1].mean() - 0.2),
        "rho_mean": float(np.tanh(z[0].mean())),
        "p_spin": p_spin,
        "p_spin_partial": p_partial,
        "t": 5.25,
        "p_t": 0.001,
        "ci_low": 0.31,
        "ci_high": 0.47,
        "n_spins": n_spins,
        "n_redrawn": 4,
        "mask": "significant",
        "n_mask": int(inside.sum()),
        "p_music": p_music,
        "tests": {
            "slope": {
                "statistic": float(np.tanh(z[0].mean())),
                "people": "z",
                "spins": "statistic",
                "spins_partial": "statistic_partial",
                "tests": [one.record for one in tests],
            }
        },
        "MusicRefits": {"slope": {"told": "SD of the closed form 0.95 of that of refits"}},
        "left": {"rho_mean": 0.42, "p_spin": 0.013},
        "right": None,
        "gradient": {"Name": "margulies2016_fcgradient01", "Label": ""},
    }
    writer.table("statmap.tsv", rows, desc="alignment", Group=group)
    null = 0.15 * rng.standard_normal((n_spins, 2))
    nulls = [{"statistic": float(a), "statistic_partial": float(b)} for a, b in null]
    writer.table(".tsv", nulls, desc="nulls")
    writer.table(".tsv", [{"slope": float(one)} for one in music_draws], desc="musicnulls")
    order = np.flatnonzero(inside)[np.argsort(gradient[inside], kind="stable")]
    bins = [
        {
            "bin": k + 1,
            "gradient_low": float(gradient[own[0]]),
            "gradient_high": float(gradient[own[-1]]),
            "n_vertices": len(own),
            "layer": layer + 1,
            "name": name,
            "r": float(r[layer, own].mean()),
        }
        for k, own in enumerate(np.array_split(order, 20))
        for layer, name in enumerate(names)
    ]
    writer.table("statmap.tsv", bins, desc="bins")
    shared = {"Participants": labels, "InputsSHA256": {}}
    settings = {"n_permutations": 10_000, "random_seed": 20240626}
    write_json(
        writer.tree.group_table("settings.json", model="vggish"),
        {
            "SettingsHash": "feedbeefcafe0123",
            "Settings": settings,
            "Predicted": {
                "Tests": [
                    LevelTest(PEOPLE, 0.01, 6.0, 2**n_participants, 0.5**n_participants).record,
                    LevelTest(MUSIC, 0.003, 0.2, sd=0.04).record,
                ],
                "Vertices": int((p_max < 0.05).any(axis=0).sum()),
                "Layer": 2,
                "Hemisphere": "R",
                "Vertex": 7,
                "Effect": 0.2,
                "Caveats": [],
            },
            **shared,
        },
    )
    settings = {"gradient": ["e" * 64], "n_spins": n_spins, "random_seed": 20240626}
    write_json(
        writer.tree.group_table("settings.json", model="vggish", desc="alignment"),
        {
            "SettingsHash": "0a11f00d0a11f00d",
            "Settings": settings,
            "Inference": "feedbeefcafe0123",
            **shared,
        },
    )
    write_claims(root)


class GroupWriter:
    """Writes maps and tables under the group level's names."""

    def __init__(self, root):
        self.tree = OutputTree(root)

    def statmap(self, stat, values, names, *, model="vggish", **entities):
        """Both hemispheres of one map."""
        for hemi, half in zip("LR", np.split(np.atleast_2d(values), 2, axis=-1), strict=True):
            path = self.tree.group_map(hemi, "fsaverage5", model=model, stat=stat, **entities)
            write_gifti(path, half, hemi=hemi, names=list(names))
            content = {"DataArrays": list(names), "SoftwareVersion": "0.0.test"}
            write_json(sidecar_of(path), content)

    def table(self, suffix, rows, *, desc=None, **extra):
        """A table and its dictionary."""
        entities = {"model": "vggish"} | ({"desc": desc} if desc else {})
        path = self.tree.group_table(suffix, **entities)
        pd.DataFrame(rows).to_csv(path, sep="\t", index=False, na_rep="n/a")
        write_json(sidecar_of(path), extra)


def read(path):
    """Content of a JSON file."""
    return json.loads(path.read_text())
