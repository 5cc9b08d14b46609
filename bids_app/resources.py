"""Files that are downloaded, not shipped: where they lie and what to do when they do not.

Nothing is downloaded at run time.
"""

from __future__ import annotations

import os
from pathlib import Path

from bids_app.errors import MissingInputError, UsageError

VGGISH_FILE = "vggish-10086976.pth"
GRADIENTS = {f"margulies2016_fcgradient{n:02d}": f"fcgradient{n:02d}" for n in range(1, 11)}


def resources_dir() -> Path:
    """``$MUSENC_RESOURCES``, else ``~/.cache/musenc``."""
    given = os.environ.get("MUSENC_RESOURCES")
    return Path(given) if given else Path.home() / ".cache" / "musenc"


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
                wanted=f"the torchvggish state dict {VGGISH_FILE}",
                remedy="give the file with --vggish-weights FILE or put it into the folder named "
                "by MUSENC_RESOURCES; for a control with an untrained network use "
                "--vggish-weights random:0",
            )
        return str(path)
    if option.startswith("random:"):
        if not option[7:].isdigit():
            raise UsageError(
                "--vggish-weights has no valid seed.",
                found=option,
                wanted="random: followed by a whole number, for example random:0",
            )
        return option
    if not Path(option).is_file():
        raise MissingInputError(
            "The file of --vggish-weights is not there.",
            where=option,
            remedy="give an existing file, or random:SEED for an untrained network",
        )
    return str(Path(option).resolve())


def gradient_files(option: str) -> tuple[list[Path], str]:
    """Resolve ``--gradient`` to files (one per hemisphere, or one for both) and their mesh.

    Parameters
    ----------
    option : str
        ``margulies2016`` (gradient 1), ``margulies2016_fcgradient02`` and so on, or one or two
        files (``LEFT,RIGHT``).

    Returns
    -------
    files : list of Path
    space : str
        ``fsLR`` for the named gradients, ``file`` for files: the number of vertices decides.

    Raises
    ------
    MissingInputError, UsageError
    """
    name = "margulies2016_fcgradient01" if option == "margulies2016" else option
    if name in GRADIENTS:
        return _neuromaps_gradient(GRADIENTS[name]), "fsLR"
    files = [Path(part) for part in option.split(",") if part]
    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        raise MissingInputError(
            "A gradient file is not there.",
            where=", ".join(missing),
            wanted="margulies2016, or LEFT.func.gii,RIGHT.func.gii",
            remedy="give existing files with --gradient",
        )
    if len(files) not in (1, 2):
        raise UsageError(
            "--gradient takes one name, or one or two files.",
            found=option,
            wanted="LEFT.func.gii,RIGHT.func.gii",
        )
    return files, "file"


def neuromaps_dir() -> Path:
    """``$NEUROMAPS_DATA``, else the folder `neuromaps` below the resources if it is there."""
    given = os.environ.get("NEUROMAPS_DATA")
    if given:
        return Path(given)
    own = resources_dir() / "neuromaps"
    return own if own.is_dir() else Path.home() / "neuromaps-data"


def _neuromaps_gradient(description: str) -> list[Path]:
    folder = neuromaps_dir() / "annotations" / "margulies2016" / description / "fsLR"
    stem = f"source-margulies2016_desc-{description}_space-fsLR_den-32k"
    files = [folder / f"{stem}_hemi-{hemi}_feature.func.gii" for hemi in "LR"]
    return _installed(files, "The Margulies gradient is not installed.")


def fslr_spheres() -> list[Path]:
    """Spheres of fsLR 32k registered to fsaverage, left and right.

    Raises
    ------
    MissingInputError
        If they are not installed.
    """
    folder = neuromaps_dir() / "atlases" / "fsLR"
    files = [folder / f"tpl-fsLR_space-fsaverage_den-32k_hemi-{h}_sphere.surf.gii" for h in "LR"]
    return _installed(files, "The fsLR spheres registered to fsaverage are not installed.")


def _installed(files: list[Path], what: str) -> list[Path]:
    missing = [path for path in files if not path.is_file()]
    if missing:
        raise MissingInputError(
            what,
            where=", ".join(map(str, missing)),
            wanted="the files as neuromaps.datasets downloads them",
            remedy='on a machine with network run `python -c "from neuromaps.datasets import '
            "fetch_annotation as a, fetch_atlas as t; a(source='margulies2016', "
            "desc='fcgradient01'); t('fsLR', '32k')\"` and copy its folder (NEUROMAPS_DATA), "
            "or give a gradient on fsaverage5 with --gradient LEFT.func.gii,RIGHT.func.gii",
        )
    return files
