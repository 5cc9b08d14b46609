"""All settings of a call, and the hash of those that change results.

A setting is declared once, with its default and its option, as a field of a section; the command
line, the configuration file and the Boutiques descriptor follow from the fields.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal

from bids_app.bands import high_pass_setting
from bids_app.config.options import Analysis, Option, options_of, settings_of, several
from bids_app.config.places import Places, rooted, with_places
from bids_app.config.sections import (
    DEFAULT_FEATURES,
    Cleaning,
    Conditions,
    Emotion,
    Joint,
    LagScan,
    Model,
    Running,
    Selection,
    Statistics,
    Stimuli,
)
from bids_app.config.sections import FeatureSpace as FeatureSpace
from bids_app.files import named_files, sha256_of, sha256_of_file

Level = Literal["participant", "group"]
BIDS_DIR_HELP = (
    "raw BIDS dataset with fMRIPrep in derivatives/fmriprep, its derivatives folder, or the "
    "fMRIPrep folder itself (the group level does not read it)"
)


@dataclass(frozen=True)
class Config:
    """All settings of one call; the order of its sections is that of ``--help``."""

    bids_dir: Path = field(metadata={"option": Option("bids_dir", BIDS_DIR_HELP)})
    output_dir: Path = field(metadata={"option": Option("output_dir", "folder of the results")})
    level: Level = field(metadata={"option": Option("analysis_level", "level of the analysis")})
    derivatives: tuple[str, ...] = several(
        "-d --derivatives [NAME=]PATH",
        "fMRIPrep derivatives, where they are not in bids_dir/derivatives/fmriprep",
    )
    selection: Selection = field(default_factory=Selection)
    stimuli: Stimuli = field(default_factory=Stimuli)
    model: Model = field(default_factory=Model)
    joint: Joint = field(default_factory=Joint)
    lag_scan: LagScan = field(default_factory=LagScan)
    cleaning: Cleaning = field(default_factory=Cleaning)
    conditions: Conditions = field(default_factory=Conditions)
    statistics: Statistics = field(default_factory=Statistics)
    emotion: Emotion = field(default_factory=Emotion)
    running: Running = field(default_factory=Running)
    given: frozenset[str] = field(default=frozenset(), compare=False)
    """Names (`Option.dest`) of the options that command line or file name, whatever their value."""

    def __post_init__(self) -> None:
        """Where files and notes lie belongs to the spaces, wherever these are named."""
        places = Places(self.stimuli.notes_dir, self.stimuli.notes_corpus, self.stimuli.transcribe)
        folder = Path.cwd()

        def placed(name: str) -> str:
            return with_places(rooted(name, folder), places)

        features = tuple(placed(name) for name in self.model.features)
        asked = []
        for text in self.joint.asked:
            label, equals, spaces = text.partition("=")
            parts = [placed(part) for part in spaces.split("+")]
            asked.append(f"{label}{equals}{'+'.join(parts)}")
        # The dataclass is frozen.
        object.__setattr__(self, "model", replace(self.model, features=features))
        object.__setattr__(self, "joint", replace(self.joint, asked=tuple(asked)))
        scanned = (text for given in self.lag_scan.asked for text in given.split(",") if text)
        named = tuple(placed(text) for text in scanned)
        object.__setattr__(self, "lag_scan", replace(self.lag_scan, asked=named))

    @property
    def cache_dir(self) -> Path:
        """Folder of the stimulus side, shared by participants and jobs."""
        return self.running.cache_dir or self.output_dir / ".musenc"

    def participant_settings(
        self, weights_sha256: str, features: str = DEFAULT_FEATURES
    ) -> dict[str, Any]:
        """Settings that change a participant's maps of one feature space, by name.

        `features` is the identity of the space: weights and files count by content, not by path.
        """
        return {
            "features": features,
            "weights_sha256": weights_sha256,
            **self._declared("layers"),
            **settings_of(self.model, "layers"),
            **self.response_settings(),
            **self._null_settings("layers"),
        }

    def response_settings(self) -> dict[str, Any]:
        """Settings that change the cleaned responses, which all models of a folder share."""
        return {
            **settings_of(self.cleaning, "layers"),
            "high_pass": high_pass_setting(self.cleaning.high_pass),
            "confounds": self._confounds,
            **settings_of(self.stimuli, "layers"),
            **settings_of(self.selection, "layers"),
            **({"parcels": self._parcels} if self.cleaning.parcels else {}),
        }

    def rest_settings(self) -> dict[str, Any]:
        """Settings that change cleaned resting runs; which tasks have music is none of them."""
        settings = {
            **settings_of(self.cleaning, "layers"),
            **settings_of(self.selection, "layers"),
            "high_pass": high_pass_setting(self.cleaning.high_pass),
            "confounds": self._confounds,
            "rest_task": self.selection.rest_task,
        }
        del settings["tasks"]
        return settings

    def condition_settings(self) -> dict[str, Any]:
        """Settings that change a participant's maps of conditions, by name."""
        sections = (self.conditions, self.cleaning, self.selection)
        settings = self._declared("conditions")
        settings |= {k: v for s in sections for k, v in settings_of(s, "conditions").items()}
        high_pass = high_pass_setting(self.cleaning.high_pass)
        return settings | {"confounds": self._confounds, "high_pass": high_pass}

    def rating_map_settings(self) -> dict[str, Any]:
        """Settings that change a participant's maps of ratings and brain, by name."""
        return {
            **self._declared("ratings"),
            **settings_of(self.model, "ratings"),
            **self.response_settings(),
            **self._null_settings("ratings"),
            **settings_of(self.emotion, "ratings"),
            "fir_delays": self.emotion.delays if self.emotion.hrf == "fir" else None,
        }

    def rating_score_settings(self, weights_sha256: str, features: str) -> dict[str, Any]:
        """Settings that change the scores of layers and ratings of one feature space, by name."""
        return {
            "features": features,
            "weights_sha256": weights_sha256,
            **self._declared("scores"),
            **settings_of(self.model, "scores"),
            "high_pass": high_pass_setting(self.cleaning.high_pass),
            **settings_of(self.stimuli, "scores"),
            **settings_of(self.selection, "scores"),
            **self._null_settings("scores"),
            **settings_of(self.emotion, "scores"),
        }

    def inference_settings(self) -> dict[str, Any]:
        """Settings that change what is inferred over participants, by name."""
        return self._declared("inference") | settings_of(self.statistics, "inference")

    def alignment_settings(self) -> dict[str, Any]:
        """Settings that change the alignment with any gradient, by name."""
        return self._declared("alignment") | settings_of(self.statistics, "alignment")

    def ceiling_settings(self) -> dict[str, Any]:
        """Settings that change accuracy as a fraction of its ceiling, by name."""
        return self._declared("ceiling") | settings_of(self.statistics, "ceiling")

    def _declared(self, analysis: Analysis) -> dict[str, Any]:
        """Options of any section, a new one too, that name the results of `analysis`."""
        sections = (getattr(self, entry.name) for entry in fields(self))
        return {
            name: getattr(section, name)
            for section in sections
            if is_dataclass(section)
            for name, option in options_of(section)
            if analysis in (option.changes or ()) and (name != "n_nulls" or self._refits)
        }

    @property
    def _refits(self) -> bool:
        """Whether the null is of refits; without them their number changes nothing."""
        return self.statistics.null == "phase"

    @property
    def _parcels(self) -> str:
        """The atlas of parcellated series; files count by content."""
        name, paths = named_files(str(self.cleaning.parcels))
        if len(paths) < 2:
            return str(self.cleaning.parcels)
        return f"{name} of SHA-256 " + ", ".join(sha256_of_file(path)[:16] for path in paths)

    @property
    def _confounds(self) -> str:
        """The strategy by its name, that of a file by what the file says."""
        path = Path(self.cleaning.confounds)
        if path.suffix not in (".yml", ".yaml") or not path.is_file():
            return self.cleaning.confounds
        return f"YAML file of SHA-256 {sha256_of_file(path)[:16]}"

    def _null_settings(self, analysis: Analysis) -> dict[str, Any]:
        """Those of the null; refits count only where there are refits."""
        settings = settings_of(self.statistics, analysis)
        if not self._refits:
            del settings["n_nulls"]
        return settings


def settings_hash(settings: dict[str, Any]) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the settings as canonical JSON."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), default=str)
    return sha256_of(text)[:16]


def settings_difference(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """One line per setting that differs: ``name: old value -> new value``."""
    plain_old = json.loads(json.dumps(old, default=str))
    plain_new = json.loads(json.dumps(new, default=str))
    names = sorted(set(plain_old) | set(plain_new))
    return [
        f"{name}: {plain_old.get(name, 'not set')} -> {plain_new.get(name, 'not set')}"
        for name in names
        if plain_old.get(name) != plain_new.get(name)
    ]
