"""What a confound strategy asks for: names built from components, and YAML files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bids_app.errors import InvalidInputError, MissingInputError, UsageError
from bids_app.files import reading

DEFAULT_STRATEGY = "motion6+acompcor6+cosine"

NAMED_STRATEGIES = {
    "none": "",
    "minimal": "motion6+cosine",
    "24P": "motion24",
    "36P": "motion24+tissue8+gsr4",
    "aroma": "aroma+tissue2+cosine",
}
"""Short names and the components they stand for."""

_MOTION = tuple(f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz")
_EXPANSIONS = ("", "_derivative1", "_power2", "_derivative1_power2")


def _expanded(names: tuple[str, ...], n_expansions: int) -> tuple[str, ...]:
    return tuple(name + suffix for suffix in _EXPANSIONS[:n_expansions] for name in names)


_FIXED = {
    "motion6": (_expanded(_MOTION, 1), "the six motion parameters"),
    "motion12": (_expanded(_MOTION, 2), "the six motion parameters and their derivatives"),
    "motion24": (
        _expanded(_MOTION, 4),
        "the six motion parameters, their derivatives, and the squares of both",
    ),
    "tissue2": (_expanded(("csf", "white_matter"), 1), "the mean signals of CSF and white matter"),
    "tissue8": (
        _expanded(("csf", "white_matter"), 4),
        "the mean signals of CSF and white matter, their derivatives, and the squares of both",
    ),
    "gsr": (("global_signal",), "the global signal"),
    "gsr4": (
        _expanded(("global_signal",), 4),
        "the global signal, its derivative, and the squares of both",
    ),
}
_MASKS = {"acompcor": "combined", "wcompcor": "WM", "ccompcor": "CSF"}


@dataclass(frozen=True)
class ConfoundStrategy:
    """Which columns of a confounds table are regressed out.

    Attributes
    ----------
    name : str
    description : str
        For the methods text: what follows "Confounds were".
    columns : tuple of str
        Columns that must be there (fMRIPrep's current names).
    patterns : tuple of str
        Regular expressions that must match whole names, each at least one.
    compcor : tuple of (str, int)
        Mask (``combined``, ``WM``, ``CSF``) and number of aCompCor components.
    n_tcompcor : int
    cosine : bool
        fMRIPrep's slow cosines.
    aroma : bool
        ICA-AROMA's noise components.
    scrub : mapping
        Threshold per measure (``framewise_displacement`` in mm, ``std_dvars``): each volume above
        one of them gets a regressor of its own.
    """

    name: str
    description: str
    columns: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    compcor: tuple[tuple[str, int], ...] = ()
    n_tcompcor: int = 0
    cosine: bool = False
    aroma: bool = False
    scrub: Mapping[str, float] = field(default_factory=dict, hash=False)


def resolve_strategy(strategy: str | Path | ConfoundStrategy) -> ConfoundStrategy:
    """A strategy from its name, from components joined by ``+``, or from a YAML file.

    Components are motion6, motion12, motion24, tissue2, tissue8, gsr, gsr4, acompcorN (combined
    mask), wcompcorN, ccompcorN, tcompcorN, cosine, aroma, and scrubX (framewise displacement above
    X mm).

    Raises
    ------
    UsageError
        Where the name means nothing.
    MissingInputError, InvalidInputError
        Where the file is not there or not as it should be.
    """
    if isinstance(strategy, ConfoundStrategy):
        return strategy
    text = str(strategy)
    if isinstance(strategy, Path) or text.endswith((".yml", ".yaml")):
        return read_strategy(Path(strategy))
    return _from_components(text, NAMED_STRATEGIES.get(text, text))


def _from_components(name: str, components: str) -> ConfoundStrategy:
    columns: list[str] = []
    compcor: list[tuple[str, int]] = []
    flags: dict[str, Any] = {}
    scrub: dict[str, float] = {}
    words = []
    for component in filter(None, components.split("+")):
        numbered = re.fullmatch(r"([a-z]compcor)(\d+)", component)
        scrubbing = re.fullmatch(r"scrub(\d*\.?\d+)", component)
        if component in _FIXED:
            columns += _FIXED[component][0]
            words.append(_FIXED[component][1])
        elif numbered and numbered[1] in _MASKS:
            mask = _MASKS[numbered[1]]
            compcor.append((mask, int(numbered[2])))
            words.append(f"{numbered[2]} aCompCor components ({mask} mask)")
        elif numbered and numbered[1] == "tcompcor":
            flags["n_tcompcor"] = int(numbered[2])
            words.append(f"{numbered[2]} tCompCor components")
        elif component == "cosine":
            flags["cosine"] = True
            words.append("slow cosines (128 s high-pass)")
        elif component == "aroma":
            flags["aroma"] = True
            words.append("the noise components of ICA-AROMA")
        elif scrubbing:
            scrub["framewise_displacement"] = float(scrubbing[1])
            words.append(f"volumes with framewise displacement above {scrubbing[1]} mm")
        else:
            raise UsageError(
                "Unknown confound strategy.",
                where="--confounds",
                found=f"{component!r} in {name!r}" if component != name else repr(name),
                wanted=", ".join(NAMED_STRATEGIES)
                + f", {DEFAULT_STRATEGY} (the default), other components joined by +, "
                "or a file NAME.yml",
                remedy="correct the option",
            )
    return ConfoundStrategy(
        name,
        ", ".join(words) if words else "none",
        tuple(dict.fromkeys(columns)),
        compcor=tuple(compcor),
        scrub=scrub,
        **flags,
    )


def read_strategy(path: Path) -> ConfoundStrategy:
    """Read a strategy from YAML.

    Keys: ``name``, ``description`` (for the methods text), ``columns`` (regular expressions matched
    against whole column names), ``acompcor`` (``mask`` and ``n``, or a list of such), ``cosine``,
    ``aroma``, ``scrub`` (``framewise_displacement`` and ``std_dvars`` thresholds).

    Raises
    ------
    MissingInputError
        Where the file is not there.
    InvalidInputError
        Where it is not YAML, or a key is unknown or has a value of another kind.
    """
    import yaml

    wanted = "name, description, columns, acompcor, cosine, aroma, scrub (see docs/inputs.md)"
    if not path.is_file():
        raise MissingInputError(
            "The file of a confound strategy does not exist.",
            where=path,
            wanted="a YAML file, or a name such as " + DEFAULT_STRATEGY,
            remedy="correct --confounds",
        )
    what = "The file of a confound strategy is not as it should be."
    with reading(path, what, wanted=wanted, remedy="correct the file", kind=InvalidInputError):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return _from_mapping(content, path.stem)


def _from_mapping(content: Any, stem: str) -> ConfoundStrategy:
    if not isinstance(content, dict):
        raise TypeError("no keys")
    known = {"name", "description", "columns", "acompcor", "cosine", "aroma", "scrub"}
    if not known.issuperset(content):
        raise ValueError("unknown key " + ", ".join(sorted(map(str, set(content) - known))))
    # Text of anything else may be endless: lists within lists that a file names only once.
    name = content.get("name", stem)
    description = content.get("description", "those of the strategy " + stem)
    if not isinstance(name, str | int | float) or not isinstance(description, str):
        raise TypeError("name or description is no text")
    patterns = content.get("columns") or []
    if not isinstance(patterns, list) or not all(isinstance(item, str) for item in patterns):
        raise TypeError("columns is no list of patterns")
    for pattern in patterns:
        re.compile(pattern)
    compcor = content.get("acompcor") or []
    compcor = compcor if isinstance(compcor, list) else [compcor]
    scrub = content.get("scrub") or {}
    if not isinstance(scrub, dict) or set(scrub) - {"framewise_displacement", "std_dvars"}:
        raise ValueError("scrub has thresholds for framewise_displacement and std_dvars only")
    masks = [(item.get("mask", "combined"), int(item["n"])) for item in compcor]
    if not all(mask in _MASKS.values() for mask, _ in masks):
        raise ValueError("acompcor: mask is combined, WM or CSF")
    return ConfoundStrategy(
        str(name),
        description,
        patterns=tuple(patterns),
        compcor=tuple(masks),
        cosine=bool(content.get("cosine", False)),
        aroma=bool(content.get("aroma", False)),
        scrub={key: float(value) for key, value in scrub.items()},
    )
