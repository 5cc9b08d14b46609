"""Tiny BIDS and fMRIPrep trees."""

from __future__ import annotations

import functools
import json
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import soundfile

MOTION = tuple(f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz")
CORTEX = {"L": "CortexLeft", "R": "CortexRight"}
N_VERTICES = {"fsaverage5": 10242, "fsaverage6": 40962, "fsaverage": 163842, "fsnative": 777}


@functools.cache
def gifti_bytes(n_volumes: int, n_vertices: int, hemisphere: str, tr: float) -> bytes:
    arrays = [
        nib.gifti.GiftiDataArray(
            np.full(n_vertices, volume, "f4"), intent="NIFTI_INTENT_TIME_SERIES"
        )
        for volume in range(n_volumes)
    ]
    meta = {"AnatomicalStructurePrimary": CORTEX[hemisphere], "TimeStep": f"{1000 * tr:f}"}
    image = nib.gifti.GiftiImage(darrays=arrays, meta=nib.gifti.GiftiMetaData(meta))
    return image.to_bytes()


class Tree:
    """Builds a dataset file by file; entity values are given by their BIDS keys."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.fmriprep = root / "derivatives" / "fmriprep"
        self.fmriprep.mkdir(parents=True)
        description = {"Name": "x", "BIDSVersion": "1.8.0", "DatasetType": "derivative"}
        description["GeneratedBy"] = [{"Name": "fMRIPrep", "Version": "22.0.0"}]
        (self.fmriprep / "dataset_description.json").write_text(json.dumps(description))

    @staticmethod
    def stem(**entities: str) -> str:
        order = ("sub", "ses", "task", "acq", "ce", "rec", "dir", "run", "echo", "part")
        return "_".join(f"{key}-{entities[key]}" for key in order if key in entities)

    def func(self, base: Path, **entities: str) -> Path:
        folder = base / f"sub-{entities['sub']}"
        if "ses" in entities:
            folder /= f"ses-{entities['ses']}"
        folder = folder / "func"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def surface_names(self, style: str, space: str, hemisphere: str) -> tuple[str, str | None]:
        names = {
            "22": f"_hemi-{hemisphere}_space-{space}_bold",
            "20.2": f"_space-{space}_hemi-{hemisphere}_bold",
            "1.4": f"_space-{space}_hemi-{hemisphere}",
            "1.0": f"_bold_space-{space}.{hemisphere}",
        }
        name = names[style]
        return name + ".func.gii", f"{name}.json" if style == "22" else None

    def bold(
        self,
        *,
        style: str = "22",
        space: str = "fsaverage5",
        n_volumes: int = 12,
        n_vertices: int | None = None,
        hemispheres: str = "LR",
        tr: float = 2.0,
        sidecar: dict | None = None,
        confounds: bool = True,
        n_dummy: int = 0,
        **entities: str,
    ) -> list[Path]:
        folder = self.func(self.fmriprep, **entities)
        stem = self.stem(**entities)
        if sidecar is None:
            sidecar = {"RepetitionTime": tr, "SliceTimingCorrected": True, "StartTime": tr / 2}
        paths = []
        for hemisphere in hemispheres:
            name, json_name = self.surface_names(style, space, hemisphere)
            count = n_vertices or N_VERTICES.get(space.split("_")[0], 10242)
            if space == "fsaverage_den-10k":
                count = 10242
            content = gifti_bytes(n_volumes, count, hemisphere, tr)
            # No two files of a study are the same.
            content = content.replace(b"<MetaData", f"<!-- {stem} --><MetaData".encode(), 1)
            (folder / (stem + name)).write_bytes(content)
            if json_name:
                (folder / (stem + json_name)).write_text(json.dumps(sidecar))
            paths.append(folder / (stem + name))
        if style != "22":
            volume = folder / f"{stem}_desc-preproc_bold.json"
            volume.write_text(json.dumps({"RepetitionTime": tr}))
        if confounds:
            self.confounds(style=style, n_rows=n_volumes, n_dummy=n_dummy, **entities)
        return paths

    def confounds(self, *, style: str = "22", n_rows: int = 12, n_dummy: int = 0, **entities: str):
        suffix = {
            "22": "_desc-confounds_timeseries",
            "20.2": "_desc-confounds_timeseries",
            "1.4": "_desc-confounds_regressors",
            "1.0": "_bold_confounds",
        }[style]
        nss = "NonSteadyStateOutlier" if style == "1.0" else "non_steady_state_outlier"
        names = ["X", "Y", "Z", "RotX", "RotY", "RotZ"] if style == "1.0" else list(MOTION)
        component = "aCompCor" if style == "1.0" else "a_comp_cor_"
        names += [f"{component}{i:02d}" for i in range(6)]
        names += [f"{nss}{i:02d}" for i in range(n_dummy)]
        # Of rank one, and dummy scans where they belong.
        marks = {f"{nss}{i:02d}": i for i in range(n_dummy)}
        moved = 1 + zlib.crc32(self.stem(**entities).encode()) / 2**32  # no two runs have the same
        cells = [
            [int(marks[n] == k) if n in marks else k % 2 * moved for n in names]
            for k in range(n_rows)
        ]
        lines = ["\t".join(map(str, row)) for row in (names, *cells)]
        entities.pop("part", None)
        entities.pop("echo", None)
        path = self.func(self.fmriprep, **entities) / f"{self.stem(**entities)}{suffix}.tsv"
        path.write_text("\n".join(lines) + "\n")
        path.with_suffix(".json").write_text("{}")
        return path

    def audio(self, name: str, seconds: float = 16.0, seed: int = 0, folder: str = "stimuli"):
        path = self.root / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng([seed, *name.encode()])
        soundfile.write(path, rng.uniform(-0.1, 0.1, int(1000 * seconds)), 1000)
        return path

    def raw(self, **entities: str) -> Path:
        return self.func(self.root, **entities)

    def events(self, *rows: str, header: str = "onset\tduration\tstim_file", **entities: str):
        path = self.raw(**entities) / f"{self.stem(**entities)}_events.tsv"
        path.write_text("\n".join([header, *rows]) + "\n")
        return path

    def table(self, *rows: str, header: str = "task\tstim_file\tonset"):
        path = self.root / "music.tsv"
        path.write_text("\n".join([header, *rows]) + "\n")
        return path

    def simple(self, participants=("01", "02"), style: str = "22", **options) -> Tree:
        """Two pieces, one task and run each, events with onsets 4 and 5 s."""
        self.audio("piece_a.wav")
        self.audio("piece_b.wav", 12.0)
        for participant in participants:
            for task, name, onset in (("a", "piece_a.wav", 4), ("b", "piece_b.wav", 5)):
                self.bold(sub=participant, task=task, style=style, **options)
                self.events(f"{onset}\tn/a\t{name}", sub=participant, task=task)
        return self
