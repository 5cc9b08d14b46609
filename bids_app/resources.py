"""Files that are downloaded, not shipped: their paths, and remedies if they are absent.

Nothing is downloaded at run time.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from bids_app.errors import MissingInputError, UsageError
from bids_app.files import named_files, sha256_of_file
from bids_app.labels import safe_label
from bids_app.meshes import DENSITIES, FSAVERAGE, FSLR, MESHES
from bids_app.outputs import HEMISPHERES, files_label

VGGISH_FILE = "vggish-10086976.pth"
MUSICNN_NAMES = ("MTT_vgg", "MSD_vgg", "MTT_musicnn", "MSD_musicnn")
"""Networks of musicnn: the tags they were trained on, and their kind."""
_MUSICNN_SHA256 = {
    "musicnn-LICENSE.md": "60c4194f702ddd969f969577743546327b4e9db560c07ec286be5cec27f55fcd",
    "musicnn-MSD-tags.txt": "3b0fd183e73f8a0e7e65b955f61ec3034e517a6427cacad8ec0c2f16394d0770",
    "musicnn-MSD_musicnn.npz": "89f62ebc438552061448ececa9e190553b34a3403229b70e20ca9b410b7fb7c7",
    "musicnn-MSD_vgg.npz": "d72016b11f283e599f32292f195762a9a77e37f7d150ce0cf42d12f42b4e1932",
    "musicnn-MTT-tags.txt": "77e9943a6877133c414a952a8ef6489d7ad4342da8c897a9579a13db8fb77823",
    "musicnn-MTT_musicnn.npz": "6692cd123833986a1397134c34b1bc4243b1bd8c24f2752c23ef6c26d1b32fcd",
    "musicnn-MTT_vgg.npz": "b776f6ba1bb1eb138dbfcba060f7d7e7213c706b4cd4bc15d2e3d00574623871",
}
"""Of what is kept of its wheel."""
_CHORALES_SHA256 = "8591f58989f968dc79b43960cb2da1747d1e12e9ac1f50e40a5ac203d0da0016"
"""Of what is counted in music21's wheel."""
CHECKSUMS_FILE = "SHA256SUMS"
GRADIENTS = {f"margulies2016_fcgradient{n:02d}": f"fcgradient{n:02d}" for n in range(1, 11)}
FIRST_GRADIENT = "margulies2016_fcgradient01"
"""The default, which claims of alignment are about."""
OWN_GRADIENT = "own"
"""The study's own, from its resting runs: it has no files before it is made."""
GRADIENT_NAMES = (
    "margulies2016 (which is fcgradient01), fcgradient01 to fcgradient10, or the same as "
    "margulies2016_fcgradient01 and so on; own"
)
GRADIENT_FILES = "[NAME=]LEFT.func.gii,RIGHT.func.gii"
BUNDLED_CORTEX, SIGNAL_CORTEX = "nilearn", "signal"
"""Cortex masks that need no file: all but the medial wall of nilearn's surfaces, every vertex."""
TEMPLATE_CORTEX = "template"
"""What the default is on a mesh whose surfaces come with labels of the medial wall."""
CortexChoice = str | tuple[Path, ...]

# Names of `musenc prefetch` for the meshes that TemplateFlow has.
FINE_MESHES = {row.prefetch: row.name for row in MESHES.values() if row.source == "templateflow"}
MESH_FILES = (
    ("sphere", ".surf.gii"),
    ("white", ".surf.gii"),
    ("pial", ".surf.gii"),
    ("sulc", ".shape.gii"),
)
_ATLAS_FILES = {
    "sphere": "tpl-{template}_den-{den}_hemi-{hemi}_sphere.surf.gii",
    "registered": "tpl-{template}_space-fsaverage_den-{den}_hemi-{hemi}_sphere.surf.gii",
    "midthickness": "tpl-{template}_den-{den}_hemi-{hemi}_midthickness.surf.gii",
    "inflated": "tpl-{template}_den-{den}_hemi-{hemi}_inflated.surf.gii",
    "sulc": "tpl-{template}_den-{den}_hemi-{hemi}_desc-sulc_midthickness.shape.gii",
    "cortex": "tpl-{template}_den-{den}_hemi-{hemi}_desc-nomedialwall_dparc.label.gii",
}
"""Of a template in neuromaps' folder."""


def resources_dir() -> Path:
    """``$MUSENC_RESOURCES``, else ``~/.cache/musenc``."""
    given = os.environ.get("MUSENC_RESOURCES")
    return Path(given) if given else Path.home() / ".cache" / "musenc"


def random_seed(weights: str | Path) -> int | None:
    """Seed of weights given as ``random:SEED``, None where they are a file.

    Raises
    ------
    UsageError
        What follows ``random:`` is not a whole number.
    """
    text = str(weights)
    if not text.startswith("random:"):
        return None
    seed = text.removeprefix("random:")
    if not seed.isdigit():
        raise UsageError(
            "The weights of an untrained network need a seed.",
            where="--vggish-weights",
            found=text,
            wanted="random: followed by a whole number",
            remedy="give a seed, for example --vggish-weights random:0",
        )
    return int(seed)


def find_weights(option: str | None) -> str:
    """Resolve ``--vggish-weights``.

    Parameters
    ----------
    option : str or None
        A file, ``random:SEED``, or None for the pretrained weights among the resources.

    Returns
    -------
    str
        A file that exists, or ``random:SEED``.

    Raises
    ------
    MissingInputError
        If the file is not there, or no option was given and no pretrained weights are installed.
    UsageError
        If the seed is not a non-negative whole number.
    """
    if option is None:
        path = resources_dir() / VGGISH_FILE
        if not path.is_file():
            raise MissingInputError(
                "The pretrained VGGish weights are not installed.",
                where=path,
                found="no such file",
                wanted=f"the torchvggish state dict {VGGISH_FILE}",
                remedy="run `musenc prefetch` on a machine with a network (`musenc prefetch --from "
                "FOLDER` where there is none), or give the file with --vggish-weights FILE; for a "
                "control with an untrained network use --vggish-weights random:0",
            )
        return str(path)
    if random_seed(option) is not None:
        return option
    if not Path(option).is_file():
        raise MissingInputError(
            "The file of --vggish-weights is not there.",
            where=option,
            found="no file",
            wanted="a file of weights, or random:SEED",
            remedy="give an existing file, or random:SEED for an untrained network",
        )
    return str(Path(option).resolve())


def musicnn_file(name: str) -> Path:
    """Where the trained variables of a network of musicnn lie, or would."""
    return resources_dir() / "musicnn" / f"musicnn-{name}.npz"


def musicnn_tags_file(name: str) -> Path:
    """Where the tags that a network of musicnn knows lie, one a line, or would."""
    return resources_dir() / "musicnn" / f"musicnn-{name.partition('_')[0]}-tags.txt"


def chorales_file() -> Path:
    """Where the counts of n-grams of chorales lie, or would."""
    return resources_dir() / "corpus" / "chorales.npz"


def _musicnn_files() -> tuple[Path, ...]:
    files = [find(name) for find in (musicnn_file, musicnn_tags_file) for name in MUSICNN_NAMES]
    return (*dict.fromkeys(files), resources_dir() / "musicnn" / "musicnn-LICENSE.md")


@dataclass(frozen=True)
class GradientChoice:
    """What ``--gradient`` means.

    Attributes
    ----------
    name : str
        ``margulies2016_fcgradient02`` and so on; ``own``; ``file`` for files.
    label : str
        Distinguishes its results from those of other gradients; empty for the default.
    paths : tuple of Path
        One file per hemisphere, or one for both; none of ``own``.
    """

    name: str
    label: str
    paths: tuple[Path, ...]

    @property
    def option(self) -> str:
        """What means the same from any folder."""
        files = ",".join(map(str, self.paths))
        return f"{self.label}={files}" if self.name == "file" else self.name


def choose_gradient(option: str) -> GradientChoice:
    """Resolve ``--gradient`` without looking for its files.

    Parameters
    ----------
    option : str
        ``margulies2016`` (gradient 1), ``margulies2016_fcgradient02`` or ``fcgradient02`` and so
        on, ``own``, or one or two files, ``[NAME=]LEFT,RIGHT``.

    Raises
    ------
    UsageError
        If it is neither a known name nor one or two files.
    """
    if option == OWN_GRADIENT:
        return GradientChoice(OWN_GRADIENT, OWN_GRADIENT, ())
    name = "fcgradient01" if option == "margulies2016" else option.removeprefix("margulies2016_")
    known = f"margulies2016_{name}"
    if known in GRADIENTS:
        label = "" if known == FIRST_GRADIENT else name
        return GradientChoice(known, label, tuple(_gradient_paths(name)))
    given, paths = named_files(option)
    if not (given or len(paths) > 1 or Path(option).suffix or Path(option).exists()):
        names = ("margulies2016", *GRADIENTS, *GRADIENTS.values())
        close = get_close_matches(option, names, n=1)
        raise UsageError(
            "There is no gradient of this name.",
            where="--gradient",
            found=option,
            wanted=f"{GRADIENT_NAMES}; or {GRADIENT_FILES}",
            remedy=f"did you mean {close[0]}?" if close else "give one of these names, or files",
        )
    if len(paths) not in (1, 2):
        raise UsageError(
            "--gradient takes names, or one or two files for each gradient.",
            found=option,
            wanted=GRADIENT_FILES,
            remedy="give LEFT,RIGHT with a comma between, or one of the names",
        )
    label = safe_label(given) if given else files_label(paths[0], ("desc",))
    return GradientChoice("file", label, paths)


def gradient_files(option: str) -> GradientChoice:
    """Resolve ``--gradient`` to files that are there.

    Raises
    ------
    MissingInputError, UsageError
        As `choose_gradient`, and if a file is not there.
    """
    chosen = choose_gradient(option)
    if chosen.name != "file":
        _installed(list(chosen.paths), "The Margulies gradient is not installed.")
        return chosen
    missing = [str(path) for path in chosen.paths if not path.is_file()]
    if missing:
        raise MissingInputError(
            "A gradient file is not there.",
            where=", ".join(missing),
            found="no file",
            wanted=f"{GRADIENT_FILES}; or {GRADIENT_NAMES}",
            remedy="give existing files, or one of these names, with --gradient",
        )
    return chosen


def neuromaps_dir() -> Path:
    """``$NEUROMAPS_DATA``, else the folder `neuromaps` below the resources if it is there."""
    given = os.environ.get("NEUROMAPS_DATA")
    if given:
        return Path(given)
    own = resources_dir() / "neuromaps"
    return own if own.is_dir() else Path.home() / "neuromaps-data"


def templateflow_dir() -> Path:
    """``$TEMPLATEFLOW_HOME``, else the folder `templateflow` below the resources."""
    given = os.environ.get("TEMPLATEFLOW_HOME")
    return Path(given) if given else resources_dir() / "templateflow"


def _gradient_paths(description: str) -> list[Path]:
    folder = neuromaps_dir() / "annotations" / "margulies2016" / description / "fsLR"
    stem = f"source-margulies2016_desc-{description}_space-fsLR_den-32k"
    return [folder / f"{stem}_hemi-{hemi}_feature.func.gii" for hemi in "LR"]


def fslr_spheres() -> list[Path]:
    """Spheres of fsLR 32k registered to fsaverage, left and right.

    Raises
    ------
    MissingInputError
        If they are not installed.
    """
    return _installed(
        _sphere_paths(), "The fsLR spheres registered to fsaverage are not installed."
    )


def _sphere_paths() -> list[Path]:
    return [atlas_file(FSLR, "registered", hemi) for hemi in HEMISPHERES]


def atlas_file(space: str, name: str, hemi: str) -> Path:
    """A surface or label file of a mesh in neuromaps' folder, whether it is there or not.

    Parameters
    ----------
    space : str
    name : {"sphere", "registered", "midthickness", "inflated", "sulc", "cortex"}
    hemi : "L" or "R"
    """
    row = MESHES[space]
    named = _ATLAS_FILES[name].format(template=row.template, den=row.density, hemi=hemi)
    return neuromaps_dir() / "atlases" / row.template / named


def choose_cortex_mask(option: str, space: str) -> CortexChoice:
    """What ``--cortex-mask`` means: the name of a mask, or files.

    The default is the template's own labels where its surfaces come with such.

    Parameters
    ----------
    option : str
        ``nilearn``, ``signal``, or as for `cortex_mask_paths`.
    space : str
        Mesh of the analysis.

    Raises
    ------
    UsageError
        If the mesh has no such labels.
    """
    row = MESHES.get(space)
    if row and row.own_cortex and option in (BUNDLED_CORTEX, TEMPLATE_CORTEX):
        return TEMPLATE_CORTEX
    if option in (BUNDLED_CORTEX, SIGNAL_CORTEX):
        return option
    if option == "templateflow" and row and row.template != FSAVERAGE:
        raise UsageError(
            "There are no Desikan parcels on this mesh.",
            where="--cortex-mask",
            found=f"{option}, with --space {space}",
            wanted="neuromaps, signal, or LEFT,RIGHT files",
            remedy="leave the option out: the template's own labels are the default",
        )
    return cortex_mask_paths(option, space)


def cortex_mask_paths(option: str, space: str) -> tuple[Path, ...]:
    """Files that a cortex mask means, whether they are there or not.

    Parameters
    ----------
    option : str
        ``neuromaps`` (its label of all but the medial wall), ``templateflow`` (the Desikan
        parcels, whose unknown and corpus callosum are no cortex), or ``LEFT,RIGHT``.
    space : str
        Mesh of the analysis.
    """
    den = DENSITIES[space]
    if option in ("neuromaps", TEMPLATE_CORTEX):
        return tuple(atlas_file(space, "cortex", hemi) for hemi in HEMISPHERES)
    if option == "templateflow":
        folder = templateflow_dir() / "tpl-fsaverage"
        stem = f"tpl-fsaverage_hemi-{{}}_den-{den}_atlas-Desikan2006_seg-aparc_dseg.label.gii"
    else:
        return tuple(Path(part).absolute() for part in option.split(",") if part)
    return tuple(folder / stem.format(hemi) for hemi in HEMISPHERES)


def networks_paths() -> tuple[Path, ...]:
    """Label files of the seven networks on fsaverage5, whether they are there or not."""
    folder = resources_dir() / "networks"
    return tuple(folder / f"{side}.Yeo2011_7Networks_N1000.annot" for side in ("lh", "rh"))


def _installed(files: list[Path], what: str) -> list[Path]:
    missing = [path for path in files if not path.is_file()]
    if missing:
        raise MissingInputError(
            what,
            where=", ".join(map(str, missing)),
            found="files that are missing",
            wanted="the files as neuromaps.datasets downloads them",
            remedy="run `musenc prefetch` (`musenc prefetch gradients` for those after the first) "
            "on a machine with a network, or give a gradient on fsaverage5 with --gradient "
            "LEFT.func.gii,RIGHT.func.gii",
        )
    return files


@dataclass(frozen=True)
class Resource:
    """One thing that is downloaded, not shipped.

    Attributes
    ----------
    name : str
        As ``musenc prefetch`` calls it.
    title : str
        For people.
    files : tuple of Path
        Where they belong on this machine.
    license : str
        Under which the files may be used.
    required : bool
        Whether a run with default options needs it.
    sha256 : dict
        Known checksums, or their first digits, by file name.
    """

    name: str
    title: str
    files: tuple[Path, ...]
    license: str
    required: bool = True
    sha256: dict[str, str] = field(default_factory=dict)


FileState = Literal["verified", "unknown", "missing", "damaged"]


def catalog() -> list[Resource]:
    """Everything the program can use that is not shipped with it."""
    gradient = _gradient_paths("fcgradient01")
    neuromaps = "CC BY-NC-SA 4.0 (neuromaps)"
    return [
        Resource(
            "vggish",
            "pretrained VGGish weights",
            (resources_dir() / VGGISH_FILE,),
            "Apache-2.0",
            # PyTorch's convention: the name carries the beginning of the checksum.
            sha256={VGGISH_FILE: VGGISH_FILE.removeprefix("vggish-").removesuffix(".pth")},
        ),
        Resource(
            "gradient",
            "Margulies gradient 1",
            tuple(gradient),
            neuromaps,
            sha256={
                gradient[0].name: "0874d25a73db8845c780f89549b758c8"
                "dd8d4956acc68be5878a5a659e477c9a",
                gradient[1].name: "b229aecd63235f26e5f7ca23115399f0"
                "96c645f6abb525a213d4582f6856173c",
            },
        ),
        Resource("spheres", "fsLR spheres", tuple(_sphere_paths()), neuromaps),
        Resource(
            "musicnn",
            "musicnn's four trained music taggers",
            _musicnn_files(),
            "ISC",
            required=False,
            sha256=_MUSICNN_SHA256,
        ),
        Resource(
            "corpus",
            "counts of n-grams of chorales, for --features notes",
            (chorales_file(),),
            "public domain (Bach), encoded for music21 (BSD-3-Clause)",
            required=False,
            sha256={chorales_file().name: _CHORALES_SHA256},
        ),
        Resource(
            "gradients",
            "Margulies gradients 2 to 10",
            tuple(path for n in range(2, 11) for path in _gradient_paths(f"fcgradient{n:02d}")),
            neuromaps,
            required=False,
        ),
        Resource(
            "cortex",
            "fsaverage5 cortex labels",
            cortex_mask_paths("neuromaps", "fsaverage5"),
            neuromaps,
            required=False,
        ),
        Resource(
            "parcels",
            "fsaverage5 Desikan parcels",
            cortex_mask_paths("templateflow", "fsaverage5"),
            "FreeSurfer Software License",
            required=False,
        ),
        Resource(
            "networks",
            "fsaverage5 networks of Yeo et al.",
            networks_paths(),
            "MIT (CBIG)",
            required=False,
        ),
        *(_surfaces(name, space) for name, space in FINE_MESHES.items()),
        *(
            Resource(
                row.prefetch,
                f"{row.name} surfaces and cortex labels",
                tuple(atlas_file(row.name, n, hemi) for n in _ATLAS_FILES for hemi in HEMISPHERES),
                neuromaps,
                required=False,
            )
            for row in MESHES.values()
            if row.source == "neuromaps"
        ),
    ]


def _surfaces(name: str, space: str) -> Resource:
    folder, den = templateflow_dir() / "tpl-fsaverage", DENSITIES[space]
    return Resource(
        name,
        f"{space} surfaces",
        tuple(
            folder / f"tpl-fsaverage_hemi-{hemi}_den-{den}_{suffix}{extension}"
            for hemi in HEMISPHERES
            for suffix, extension in MESH_FILES
        ),
        "FreeSurfer Software License",
        required=False,
    )


def recorded_checksums() -> dict[str, str]:
    """Checksums that ``musenc prefetch`` wrote down, by file name."""
    record = resources_dir() / CHECKSUMS_FILE
    if not record.is_file():
        return {}
    pairs = (line.split(maxsplit=1) for line in record.read_text().splitlines() if line.strip())
    return {Path(name).name: checksum for checksum, name in pairs}


def file_state(path: Path, resource: Resource) -> FileState:
    """Hold a file's checksum against the known one, else the one recorded when it was fetched.

    Returns
    -------
    {"verified", "unknown", "missing", "damaged"}
        ``unknown``: the file is there, and there is nothing to compare it with.
    """
    # TemplateFlow puts empty files in place of what was not downloaded.
    if not path.is_file() or path.stat().st_size == 0:
        return "missing"
    wanted = resource.sha256.get(path.name) or recorded_checksums().get(path.name)
    if wanted is None:
        return "unknown"
    return "verified" if sha256_of_file(path).startswith(wanted) else "damaged"
