"""The only owner of output names, entities, sidecars and dataset files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids_app import __version__
from bids_app.errors import CannotWriteError
from bids_app.files import read_json, shared_lock, write_json, write_text
from bids_app.labels import safe_label
from bids_app.meshes import MESHES, N_VERTICES, SPACES

BIDS_VERSION = "1.11.1"
ENTITY_ORDER = (
    "sub",
    "tpl",
    "ses",
    "task",
    "stim",
    "acq",
    "ce",
    "rec",
    "dir",
    "run",
    "chunk",
    "hemi",
    "space",
    "den",
    "model",
    "feature",
    "stat",
    "desc",
)
HEMISPHERES = ("L", "R")
SIDES_OF_WORDS = {"L": "L", "lh": "L", "left": "L", "R": "R", "rh": "R", "right": "R"}
"""What parts of file names call a hemisphere."""
STRUCTURES = {"L": "CortexLeft", "R": "CortexRight"}
CONDITIONS_LABEL = "conditions"
STATMAP = ("statmap", ".func.gii")
# Threads add in another order, which shows in the last digits of a float64.
TABLE_FORMAT = "%.12g"
ALIGNMENT_DESC, TWINS_DESC, PARCELS_DESC = "alignment", "untrained", "parcels"
"""Descriptions of group results that there is one of per gradient, twice, and per atlas."""
CONTROLS_DESC = "depthcontrols"
"""Description of the alignment of fewer layers, and of layers in other orders."""
NETWORKS_DESC = "networks"
"""Description of the means of all group maps in networks, which there is one of per atlas."""
DIFFERENCE_DESC = "difference"
"""Description of group results that there is one of per difference of models or layers."""
CLAIMS_DESC = "claims"
"""Description of the table of all that is claimed about a group."""
EMOTION_LABEL = "emotion"
"""Model label of the maps that relate ratings to the brain."""
LAG_SCAN_LABEL = "lagscan"
"""Model label of by how many seconds the brain follows a feature."""
OTHERS_WEIGHTS = "+others"
"""End of the model label of group results whose models were trained on the others' responses; no
other label has a plus, which `safe_label` leaves out."""
JOINT_DESC, BEYOND_DESC, LOW_LEVEL_DESC = "joint", "beyond", "lowlevel"
"""Descriptions of joint models, of those of layers and low-level sound, and of the latter alone."""
JOINT_LABEL = "jointmodels"
"""Model label of group results about joint models, each of which is a ``feature``."""
BEYOND_ALIGNMENT_DESC = "beyondalignment"
"""Description of what there is one of per gradient of layers that add to low-level sound."""
CEILING_DESC = "ceiling"
"""Description of a model's accuracy beside what participants share."""
REPEATS_DESC = "repeats"
"""Description of the noise ceiling of a participant who heard pieces repeatedly."""
RATER_CEILING_DESC = "raters"
"""Description of the noise ceiling of ratings."""
MOTION_DESC = "motion"
"""Description of the correlation of head motion between participants."""
OWN_DESC, OWN_COMPONENTS_DESC, OWN_PEOPLE_DESC = "owngradient", "owncomponents", "ownpeople"
"""Descriptions of the study's own gradient, of all components, and of participants' gradients."""
REST_DESC = "rest"
"""Description of cleaned resting runs, and of the file that closes them."""
RATINGS_DESC = "ratings"
"""Description of the tables that relate a model's layers to ratings."""


BIDS_SUFFIXES = ("bold", "events")
"""Ends of names that BIDS knows."""


def bidsignore(suffixes: Sequence[str]) -> str:
    """Content of ``.bidsignore``: what BIDS has no name for.

    Parameters
    ----------
    suffixes : sequence of str
        Ends of the names of files.
    """
    own = [f"*_{suffix}.*" for suffix in suffixes if suffix not in BIDS_SUFFIXES]
    return "\n".join(
        [
            "# Maps, tables and settings of models, and pages: BIDS has no names for them.",
            *own,
            "group_*",
            "*.html",
            *(f"CITATION.{extension}" for extension in ("md", "tex", "bib")),
            "figures",
            "features",
            "parcels",
            "logs",
            ".musenc",
            f"# BOLD on surfaces: BIDS {BIDS_VERSION} has the suffix, and no extension for it yet.",
            "*_bold.func.gii",
            "*_bold.json",
            "",
        ]
    )


STAT_DESCRIPTIONS = {
    "r": "Pearson correlation of predicted and measured responses, held-out stimuli",
    "z": "accuracy divided by the standard deviation of its null (Null in the sidecar)",
    "p": "one-sided p of the accuracy, uncorrected (Null in the sidecar)",
    "q": "Benjamini-Hochberg q over vertices, per layer",
    "choice": "candidate (Candidates in the sidecar) and penalty chosen inside the training "
    "stimuli: (candidate - 1) times the number of penalties plus the number of the penalty, both "
    "from 1",
    "alpha": "ridge penalty chosen inside the training stimuli",
    "slope": "residual slope: depth preference (0..1) after the reference profile, and curvature "
    "unless the settings say slope_model linear, are regressed out",
    "curvature": "coefficient of squared depth beside depth and the reference profile: positive "
    "where both ends of the network predict better than the middle",
    "centroid": "center of mass of the positive accuracy profile, in layers",
    "argmax": "layer of highest accuracy (1-based; for display only)",
    "max": "highest accuracy over layers",
    "stability": "share of bootstrap samples of participants with the same best layer",
    "effect": "effect of a contrast",
    "turned": "effect by frequency of the piece (fixed, then cosine and sine of the phase of its "
    "regressors); for the null over music of the group level",
    "t": "t of the participants' values against zero",
    "lag": "seconds by which the response follows the feature; NaN where the best lag is the first "
    "or the last that counts",
    "isc": "inter-subject correlation of the cleaned responses",
    "ceiling": "highest r that a model could reach: of what participants share, or (desc-repeats) "
    "of what presentations of a piece have in common",
    "fraction": "accuracy as a fraction of its ceiling",
    "n": "participants with a result at the vertex",
    "prevalence": "least share of people who show it",
    "value": "value of a reference map",
    "tsnr": "temporal signal-to-noise ratio of each run: mean over the standard deviation of what "
    "slow drift does not explain, before confounds are removed and anything is smoothed",
    "coverage": "1 where the run has a signal, 0 where it has none",
}
STAT_INTENTS = {
    "r": "CORREL",
    "isc": "CORREL",
    "ceiling": "CORREL",
    "p": "PVAL",
    "z": "ZSCORE",
    "t": "TTEST",
}
"""Statistics that GIFTI has an intent for; q is no p, and has none."""


def model_label(features: str) -> str:
    """Model label of a feature space: its name without places of notes, or that of its file."""
    if beside := re.match(
        r"((?:change:)?(?:notes|expression|transcribed)):", features
    ):  # folders follow
        return safe_label(beside[1])
    before, precomputed, path = features.partition("precomputed:")
    return safe_label(before + Path(path).name.split(".")[0] if precomputed else features)


def unique_desc(label: str, kind: str = "unique") -> str:
    """Description of what a space or model adds (``unique``), or of its ``share``."""
    own = safe_label(label)
    return f"{kind}{own[0].upper()}{own[1:]}"


def weights_label(model: str, *, others: bool) -> str:
    """Model label of group results, by whose responses the models were trained on."""
    return f"{model}{OTHERS_WEIGHTS}" if others else model


def has_others_weights(label: str) -> bool:
    """Whether a model label is of group results with the others' weights."""
    return label.endswith(OTHERS_WEIGHTS)


def fitted_label(label: str) -> str:
    """The label of the participants' maps behind a group result."""
    return label.removesuffix(OTHERS_WEIGHTS)


def told_label(label: str) -> str:
    """``model-vggish``, and whose weights it has where they are not the participant's own."""
    told = f"model-{fitted_label(label)}"
    return f"{told} with the others' weights" if has_others_weights(label) else told


def files_label(path: Path, entities: Sequence[str]) -> str:
    """Label of a gradient or atlas from a file of it.

    Parameters
    ----------
    path : Path
        Of one hemisphere, or of both.
    entities : sequence of str
        BIDS entities that name it; without them it is the name without hemisphere and extension,
        and that of the folder where nothing is left (``mine/L.label.gii``).
    """
    name = path.name
    found = re.findall(rf"(?:^|_)(?:{'|'.join(entities)})-([a-zA-Z0-9]+)", name)
    stem = re.sub(r"\.(annot|(label|func|shape)\.gii|gii)$", "", name)
    words = [
        word
        for word in re.split(r"[^a-zA-Z0-9]+", stem)
        if word != "hemi" and word not in SIDES_OF_WORDS
    ]
    folder = re.sub(r"[^a-zA-Z0-9]", "", path.absolute().parent.name)
    return "".join(found or words) or folder or "file"


def labeled(desc: str, label: str) -> str:
    """Description of what belongs to one gradient or atlas; the default gradient has no label."""
    return f"{desc}{label}"


def join_entities(entities: Mapping[str, str | None]) -> str:
    """``sub-01_hemi-L_...`` in the fixed order; empty entities are left out.

    Raises
    ------
    KeyError
        If an entity is not known here (pybids would drop it without a word).
    """
    unknown = set(entities) - set(ENTITY_ORDER)
    if unknown:
        raise KeyError(f"unknown entities {sorted(unknown)}")
    return "_".join(f"{key}-{entities[key]}" for key in ENTITY_ORDER if entities.get(key))


def parse_entities(path: Path) -> dict[str, str]:
    """Entities of a file name written by `join_entities`."""
    stem = Path(path).name.split(".")[0]
    return dict(part.split("-", 1) for part in stem.split("_") if "-" in part)


def mesh_entities(space: str) -> dict[str, str]:
    """Space and density of a mesh in names of a participant's files, as fMRIPrep's long form.

    Examples
    --------
    >>> mesh_entities("fsaverage5")
    {'space': 'fsaverage', 'den': '10k'}
    """
    row = MESHES.get(space)
    return {"space": row.template, "den": row.density} if row else {"space": space}


def _in_order(path: Path) -> tuple[str, list[str | int]]:
    """Files of one stimulus together, and ``run-10`` after ``run-9``."""
    parts = re.split(r"(\d+)", path.name)
    stimulus = parse_entities(path).get("stim", "")
    return stimulus, [int(part) if k % 2 else part for k, part in enumerate(parts)]


def pybids_config() -> dict[str, Any]:
    """Entities that the installed pybids does not know, and drops without a word.

    Use as ``BIDSLayout(path, config=["bids", "derivatives", pybids_config()], validate=False)``:
    all three are needed, since a list of configurations replaces pybids' own.
    """
    from bids.layout import Config

    # An entity that two configurations name is an error of pybids; `model` is known since 0.17.
    known = {name for base in ("bids", "derivatives") for name in Config.load(base).entities}
    names = [name for name in ("stim", "model", "feature", "stat", "tpl") if name not in known]
    return {
        "name": "musenc",
        "entities": [
            {"name": name, "pattern": rf"(?:^|[_/\\]){name}-([a-zA-Z0-9+]+)"} for name in names
        ],
    }


@dataclass(frozen=True)
class OutputTree:
    """Paths of everything below one output folder."""

    root: Path

    def uri(self, path: Path) -> str:
        """BIDS URI of a file of this dataset."""
        return f"bids::{path.relative_to(self.root)}"

    def participant_dir(self, participant: str) -> Path:
        """``sub-01/func``."""
        return self.root / f"sub-{participant}" / "func"

    def participant_file(self, participant: str, suffix: str, **entities: str) -> Path:
        """A file of a participant; the suffix has the extension."""
        name = f"{join_entities({'sub': participant, **entities})}_{suffix}"
        return self.participant_dir(participant) / name

    def mesh_file(self, participant: str, suffix: str, space: str, **entities: str) -> Path:
        """The name under which a file about a mesh is written; the suffix has the extension."""
        return self.participant_file(participant, suffix, **mesh_entities(space), **entities)

    def map_file(
        self, participant: str, hemi: str, space: str, *, suffix: str = "statmap", **entities: str
    ) -> Path:
        """The name under which a surface map is written; entities as of `participant_map`."""
        ending = f"{suffix}.func.gii"
        return self.mesh_file(participant, ending, space, hemi=hemi, **entities)

    def participant_map(
        self, participant: str, hemi: str, space: str, *, suffix: str = "statmap", **entities: str
    ) -> Path:
        """A participant's surface map; `entities` are model, stat, stim, desc, feature, ses.

        A folder of the first version may have it under its short name, ``space-fsaverage5``.
        """
        path = self.map_file(participant, hemi, space, suffix=suffix, **entities)
        named = {"hemi": hemi, "space": space, **entities}
        first = self.participant_file(participant, f"{suffix}.func.gii", **named)
        return first if first.is_file() and not path.is_file() else path

    def participant_bold(self, participant: str, hemi: str, space: str, **entities: str) -> Path:
        """Cleaned responses on the stimulus' clock."""
        named = {"desc": "clean", **entities}
        return self.participant_map(participant, hemi, space, suffix="bold", **named)

    def find_maps(
        self, participant: str, hemi: str, space: str, *, suffix: str = "statmap", **entities: str
    ) -> list[Path]:
        """Surface maps of a participant that are there, of short names, too.

        Parameters
        ----------
        **entities
            What names must have: a label, ``*`` for any, an empty text for none. Entities that are
            not given are free.
        """
        found: dict[str, Path] = {}
        for mesh in ({"space": space}, mesh_entities(space)):
            wanted = {"sub": participant, "hemi": hemi, "den": "", **mesh, **entities}
            for path in self.find_files(participant, f"{suffix}.func.gii", **wanted):
                own = parse_entities(path)
                rest = {k: v for k, v in own.items() if k not in ("space", "den")}
                found[repr(sorted(rest.items()))] = path
        return sorted(found.values(), key=_in_order)

    def find_files(self, participant: str, suffix: str, **entities: str) -> list[Path]:
        """Files of a participant that are there, sorted; `entities` as of `find_maps`."""
        wanted = {"sub": participant, **entities}
        found = []
        for path in self.participant_dir(participant).glob(f"sub-*_{suffix}"):
            own = parse_entities(path)
            if all(
                bool(own.get(key)) if label == "*" else own.get(key, "") == label
                for key, label in wanted.items()
            ):
                found.append(path)
        return sorted(found)

    def responses(self, participant: str, space: str, stim: str = "*") -> list[Path]:
        """Left files of cleaned responses that are there; those of a stimulus together."""
        return self.find_maps(participant, "L", space, suffix="bold", desc="clean", stim=stim)

    def runs_summary(self, participant: str) -> Path:
        """One row per run: volumes kept, confounds, degrees of freedom, warnings."""
        return self.participant_file(participant, "summary.tsv", desc="runs")

    def design(self, participant: str) -> Path:
        """Confounds and head motion, one row per volume."""
        return self.participant_file(participant, "timeseries.tsv", desc="design")

    def lag_curves(self, participant: str) -> Path:
        """Auditory cortex against the loudness of the music, over lags."""
        return self.participant_file(participant, "timeseries.tsv", desc="lag")

    def model_summary(self, participant: str, model: str) -> Path:
        """One row per layer: what the report shows of the model fit."""
        return self.participant_file(participant, "summary.tsv", model=model, desc="layers")

    def weights(self, participant: str, space: str, model: str) -> Path:
        """Weights of single layers, on request."""
        return self.mesh_file(participant, "weights.h5", space, model=model)

    def participant_settings(self, participant: str, model: str, desc: str = "") -> Path:
        """Settings and inputs behind the maps; written last, so it marks completion."""
        return self.participant_file(participant, "settings.json", model=model, desc=desc)

    def condition_table(self, participant: str, suffix: str, **entities: str) -> Path:
        """A participant's table about conditions."""
        return self.participant_file(participant, suffix, model=CONDITIONS_LABEL, **entities)

    def scores(self, participant: str, model: str, desc: str) -> Path:
        """One row per scale and layer: ratings predicted from a model's layers."""
        return self.participant_file(participant, "scores.tsv", model=model, desc=desc)

    def rating_runs(self, participant: str) -> Path:
        """One row per run: whether it took part in the analysis of ratings and brain."""
        return self.participant_file(participant, "summary.tsv", model=EMOTION_LABEL, desc="runs")

    def participant_report(self, participant: str) -> Path:
        """``sub-01.html``."""
        return self.root / f"sub-{participant}.html"

    def explorer(self, model: str, participant: str = "") -> Path:
        """``sub-01_model-vggish_explore.html``; without a participant that of the group."""
        who = join_entities({"sub": participant}) or "group"
        return self.root / f"{who}_{join_entities({'model': model})}_explore.html"

    def figure(self, desc: str, *, model: str = "", participant: str = "") -> Path:
        """``sub-01/figures/sub-01_model-vggish_desc-residualSlope_figure``, without extension."""
        who = {"sub": participant} if participant else {}
        name = join_entities({**who, "model": model, "desc": desc})
        folder = self.root / f"sub-{participant}" if participant else self.root
        return folder / "figures" / f"{'' if participant else 'group_'}{name}_figure"

    def figures(self, participant: str) -> list[Path]:
        """Files of the figures of a participant's page, sorted."""
        return sorted((self.root / f"sub-{participant}" / "figures").glob("*_figure.*"))

    def group_map(self, hemi: str, space: str, **entities: str) -> Path:
        """A group surface map below the template's folder."""
        row = MESHES[space]
        named = {"tpl": row.template, "hemi": hemi, "den": row.density, **entities}
        return self.group_folder(space) / f"{join_entities(named)}_statmap.func.gii"

    def group_folder(self, space: str) -> Path:
        """``tpl-fsaverage/func``: where group maps on a mesh are."""
        return self.root / f"tpl-{MESHES[space].template}" / "func"

    def group_table(self, suffix: str, **entities: str) -> Path:
        """``group_model-vggish_desc-alignment_statmap.tsv``; the suffix may be ``.tsv`` alone."""
        joint = "" if suffix.startswith(".") else "_"
        return self.root / f"group_{join_entities(entities)}{joint}{suffix}"

    def parcel_files(self, label: str) -> list[Path]:
        """Label files of the regions of parcellated series, left and right."""
        return [self.root / "parcels" / f"atlas-{label}_hemi-{h}.label.gii" for h in HEMISPHERES]

    def parcel_labels(self) -> list[str]:
        """Atlases of parcellated series, sorted."""
        found = (self.root / "parcels").glob("atlas-*_hemi-L.label.gii")
        return sorted(parse_entities(path)["atlas"] for path in found)

    @property
    def features(self) -> Path:
        """Folder of the features that the group level needs, kept from the cache."""
        return self.root / "features"

    @property
    def group_report(self) -> Path:
        """``group.html``."""
        return self.root / "group.html"

    @property
    def logs(self) -> Path:
        """Settings, status and log of every call."""
        return self.root / "logs"

    def log(self, run_id: str) -> Path:
        """What one call said."""
        return self.logs / f"{run_id}.log"

    def status(self, run_id: str) -> Path:
        """One row per participant and run of one call."""
        return self.root / "logs" / f"status_{run_id}.json"

    def model_settings(self, model: str, desc: str = "") -> Path:
        """The settings every participant of a model label shares."""
        stem = join_entities({"model": model, "desc": desc})
        return self.root / "logs" / f"{stem}_settings.json"

    def page_record(self, participant: str) -> Path:
        """What a participant's page shows, its figures and their checksums; the last file of all.

        Without it the page is drawn again.
        """
        return self.root / "logs" / f"sub-{participant}_page.json"

    @property
    def response_settings(self) -> Path:
        """The settings of the cleaned responses, which all models share."""
        return self.root / "logs" / "responses_settings.json"

    def models(self) -> list[str]:
        """Labels of the encoding models with maps of at least one participant, sorted."""
        return self._models("sub-*/func/sub-*_model-*_desc-layers_summary.tsv")

    def models_of(self, participant: str) -> list[str]:
        """Labels of the encoding models a participant has maps of, sorted."""
        return self._models(f"sub-{participant}/func/sub-*_model-*_desc-layers_summary.tsv")

    def group_models(self) -> list[str]:
        """Labels of the encoding models with a group result, sorted."""
        return self._models("group_model-*_desc-layers_summary.tsv")

    def group_labels(self, model: str, desc: str) -> list[str]:
        """Labels of the gradients or atlases that `desc` is complete for, sorted."""
        found = self.root.glob(f"group_model-{model}_desc-{desc}*_settings.json")
        return sorted(parse_entities(path)["desc"].removeprefix(desc) for path in found)

    def joint_models(self, participants: Sequence[str]) -> list[str]:
        """Labels of the joint models that some of these participants have maps of, sorted."""
        names = [f"sub-{who}/func/sub-*_desc-{JOINT_DESC}_settings.json" for who in participants]
        return sorted({label for pattern in names for label in self._models(pattern)})

    def _models(self, pattern: str) -> list[str]:
        return sorted({parse_entities(path)["model"] for path in self.root.glob(pattern)})

    def participants_of(self, model: str, desc: str = "") -> list[str]:
        """Participants whose maps (or tables) of `model` are complete, sorted."""
        stem = join_entities({"model": model, "desc": desc})
        return sorted(_owners(self.root.glob(f"sub-*/func/sub-*_{stem}_settings.json"))[0])

    def left_out(self, model: str) -> dict[str, str]:
        """Participants who have something of `model` and do not count, and why; sorted.

        Their maps are not complete, or the files in their folder are those of somebody else.
        """
        of_model = f"sub-*/func/sub-*_model-{model}"
        complete, strangers = _owners(self.root.glob(f"{of_model}_settings.json"))
        begun, _ = _owners(self.root.glob(f"{of_model}_*summary.tsv"))
        what = model if model == CONDITIONS_LABEL else f"model-{model}"
        reason = f"its maps of {what} are not complete: there is no settings file"
        found = dict.fromkeys(begun, reason)
        for folder, path in strangers.items():
            found[folder] = f"its folder holds files of somebody else ({path.name})"
        return {who: found[who] for who in sorted(set(found) - complete)}


def _owners(paths: Iterable[Path]) -> tuple[set[str], dict[str, Path]]:
    """Whose files these are; and folders of other names that hold some, with one of them."""
    owners, strangers = set(), {}
    for path in sorted(paths):
        folder, sub = path.parent.parent.name.removeprefix("sub-"), parse_entities(path).get("sub")
        if folder == sub:
            owners.add(folder)
        else:
            strangers[folder] = path
    return owners, strangers


def hemispheres_of(left: Path) -> list[Path]:
    """Files of both hemispheres, from that of the left one."""
    return [left.with_name(left.name.replace("_hemi-L_", f"_hemi-{h}_")) for h in HEMISPHERES]


def sidecar_of(path: Path) -> Path:
    """JSON sidecar beside a GIFTI or TSV file."""
    return path.with_name(path.name.split(".")[0] + ".json")


def mesh_fields(hemi: str, space: str) -> dict[str, str]:
    """What the sidecar of a surface file says of its mesh."""
    row = MESHES[space]
    sphere = f"tpl-{row.template}_hemi-{hemi}_den-{row.density}_sphere.surf.gii"
    return {
        "SpatialReference": f"bids:templateflow:tpl-{row.template}/{sphere}",
        "Density": f"{N_VERTICES[space]} vertices per hemisphere",
    }


def cifti_fields(space: str) -> dict[str, Any]:
    """What the sidecar of a CIFTI file says of its mesh."""
    sides = {hemi: mesh_fields(hemi, space) for hemi in HEMISPHERES}
    spheres = {
        f"CIFTI_STRUCTURE_CORTEX_{side}": sides[hemi]["SpatialReference"]
        for hemi, side in zip(HEMISPHERES, ("LEFT", "RIGHT"), strict=True)
    }
    return sides["L"] | {"SpatialReference": spheres}


def cifti_of(left: Path, kind: str = "dscalar") -> Path:
    """The CIFTI file of maps beside the GIFTI files, from that of the left hemisphere."""
    stem = left.name.split(".")[0].replace("_hemi-L", "", 1)
    return left.with_name(f"{stem}.{kind}.nii")


def map_sidecar(stat: str, names: list[str], **fields: Any) -> dict[str, Any]:
    """Sidecar of a statistic map: description, names of its data arrays, and `fields`."""
    description = fields.pop("description", None) or STAT_DESCRIPTIONS[stat]
    return {
        "Description": description,
        "DataArrays": names,
        **fields,
        "SoftwareVersion": __version__,
    }


def programs_of(description: object) -> list[dict[str, str]]:
    """Name and version of the programs that wrote a dataset; the first one wrote the folder.

    Whatever the form in which a ``dataset_description.json`` says it.

    Examples
    --------
    >>> programs_of({"GeneratedBy": [{"Name": "fMRIPrep", "Version": "23.1.0"}]})
    [{'Name': 'fMRIPrep', 'Version': '23.1.0'}]
    >>> programs_of({"GeneratedBy": "fMRIPrep", "PipelineDescription": None})
    [{'Name': 'fMRIPrep'}]
    """
    if not isinstance(description, dict):
        return []
    generated = description.get("GeneratedBy")
    told = [*(generated if isinstance(generated, list) else [generated])]
    told.append(description.get("PipelineDescription"))
    named = [{"Name": one} if isinstance(one, str) else one for one in told]
    return [
        {key: str(one[key]) for key in ("Name", "Version") if one.get(key)}
        for one in named
        if isinstance(one, dict)
    ]


def write_dataset_files(
    tree: OutputTree,
    *,
    sources: list[dict[str, str]],
    suffixes: Sequence[str],
    authors: Sequence[str] = (),
    space: str = SPACES[0],
) -> None:
    """Write ``dataset_description.json``, ``.bidsignore`` and ``README`` where they are missing.

    Parameters
    ----------
    sources : list of dict
        ``SourceDatasets`` entries, and ``DatasetLinks`` through their ``Name`` and ``URL`` keys.
    suffixes : sequence of str
        Ends of the names of files that BIDS does not know.
    authors : sequence of str
        Authors of the source dataset.
    space : str
        Mesh of the maps.

    Raises
    ------
    CannotWriteError
        If the folder is not writable, or holds another dataset.
    """
    description = tree.root / "dataset_description.json"
    with shared_lock(description):
        if description.exists():
            generators = [one.get("Name", "") for one in programs_of(read_json(description))]
            if "musenc-bidsapp" not in generators:
                raise CannotWriteError(
                    "The output folder holds another dataset.",
                    where=tree.root,
                    found=f"GeneratedBy {', '.join(generators) or 'nobody'}",
                    wanted="an empty folder or an earlier output of musenc-bidsapp",
                    remedy="give another output_dir",
                )
        write_json(description, dataset_description(sources, authors))
        write_text(tree.root / ".bidsignore", bidsignore(suffixes))
        folder = f"tpl-{MESHES[space].template}/"
        write_text(tree.root / "README", README.format(group=f"{folder:17}"))


def running_container() -> dict[str, str]:
    """The container of this process, as its runtime tells it; empty where none does.

    The tag is what the image was built with.
    """
    tag = {"Tag": told} if (told := os.environ.get("MUSENC_IMAGE_TAG")) else {}
    for name in ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"):
        if image := os.environ.get(name):
            return {"Type": "singularity", **tag, "URI": Path(image).name}
    return {"Type": "docker", **tag} if tag or Path("/.dockerenv").exists() else {}


def dataset_description(
    sources: list[dict[str, str]], authors: Sequence[str] = ()
) -> dict[str, Any]:
    """Content of ``dataset_description.json``."""
    return {
        "Name": "musenc-bidsapp: music encoding maps",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "License": "see the source datasets",
        **({"Authors": list(authors)} if authors else {}),
        "GeneratedBy": [
            {
                "Name": "musenc-bidsapp",
                "Version": __version__,
                "CodeURL": "https://github.com/musenc/musenc-bidsapp",
                **({"Container": container} if (container := running_container()) else {}),
            }
        ],
        "SourceDatasets": [
            {key: source[key] for key in ("URL", "DOI", "Version") if key in source}
            for source in sources
        ],
        "DatasetLinks": {
            **{source["Name"]: source["URL"] for source in sources},
            "templateflow": "https://github.com/templateflow/templateflow",
        },
    }


README = """\
Surface encoding maps made by musenc-bidsapp from fMRIPrep derivatives and the music heard.

sub-*/func        maps per participant (GIFTI, one data array per layer) with JSON sidecars
{group} group maps
figures/          figures of the group's page (SVG, and PNG of 300 dpi); those of a participant's
                  page are in sub-*/figures
group_*           group tables
*.html            reports
logs/             settings, and log and status of every call
features/         Gram matrices of the music, which the null over music of the group level needs
.musenc/          cache of the stimulus side; may be deleted
"""
