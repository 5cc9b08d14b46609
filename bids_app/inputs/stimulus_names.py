"""Labels of stimuli from file names: distinct, of letters and digits."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from bids_app.errors import MusencError
from bids_app.files import sha256_of, sha256_of_file
from bids_app.inputs.files import content_problem
from bids_app.inputs.stimuli import AUDIO_SUFFIXES, may_be_audio, rows_of_events

_DIGITS = 6  # of a checksum that stands for what letters cannot say
_LONGEST = 60  # of a label: names of files hold two, and at most 255 characters
_SIGNS = {
    "#": "sharp", "\u266f": "sharp", "\u266d": "flat", "\u266e": "natural",
    "\u00df": "ss", "\u1e9e": "SS", "\u00e6": "ae", "\u00c6": "Ae", "\u0153": "oe",
    "\u0152": "Oe", "\u00f8": "o", "\u00d8": "O", "\u0142": "l", "\u0141": "L", "\u0111": "d",
    "\u0110": "D", "\u00f0": "d", "\u00d0": "D", "\u00fe": "th", "\u00de": "Th", "\u0131": "i",
}  # fmt: skip
# Revised Romanization of Korean, syllable by syllable.
_FIRST = "g kk n d tt r m b pp s ss _ j jj ch k t p h".split()  # noqa: SIM905
_MIDDLE = "a ae ya yae eo e yeo ye o wa wae oe yo u wo we wi yu eu ui i".split()  # noqa: SIM905
_LAST = "_ k k k n n n t l k m l l l p l m p p t t ng t t k t p t".split()  # noqa: SIM905
_HANGUL = 0xAC00


def stimulus_label(path: Path) -> str:
    """File stem as a BIDS label (letters and digits); that of ``stim-<label>_audio.wav``.

    Accents are dropped, Hangul is romanized, sharps and flats are spelled. A name with letters
    that cannot be written so gets a short checksum of it.
    """
    stem = path.name.partition(".")[0] if path.name.startswith("stim-") else path.stem
    match = re.fullmatch(rf"stim-([a-zA-Z0-9+]+)_(?:{'|'.join(AUDIO_SUFFIXES)})", stem)
    return match.group(1) if match else _label(stem)


def stimulus_labels(paths: Iterable[Path]) -> dict[Path, str]:
    """Labels of files of which several are in play: those that would have one label differ.

    Files of one content are one stimulus and keep their label. Others get the name of
    their folder before it, else a short checksum of the name behind it.

    Parameters
    ----------
    paths : iterable of Path
        All files that are heard in the study, by whomever: a label must not depend on who is
        analyzed.
    """
    known = sorted(set(paths))
    labels = {path: stimulus_label(path) for path in known}
    for group in _clashes(labels).values():
        if len({_content(path) for path in group}) == 1:
            continue
        others = {label.casefold() for path, label in labels.items() if path not in group}
        named = {path: _label(path.parent.name) + labels[path] for path in group}
        folded = [label.casefold() for label in named.values()]
        if len(set(folded)) < len(group) or others & set(folded):
            above = os.path.commonpath([path.parent for path in group])
            texts = {path: path.relative_to(above).as_posix() for path in group}
            named = {path: labels[path] + _checksum(texts[path]) for path in group}
        labels |= named
    return labels


def files_heard(raw_dir: Path) -> list[Path]:
    """Audio files that any events.tsv of a dataset names, where two files have one label.

    Empty where the files below ``stimuli`` have different labels: then nothing need be read.
    """
    folder = raw_dir / "stimuli"
    there = [path for path in folder.rglob("*") if path.suffix and may_be_audio(path)]
    if not _clashes({path: stimulus_label(path) for path in there}):
        return []
    tables = [*raw_dir.glob("*_events.tsv"), *raw_dir.glob("sub-*/**/*_events.tsv")]
    heard: set[Path] = set()
    for table in tables:
        if content_problem(table) is None:
            # A table that cannot be read is told of its own run.
            with suppress(MusencError):
                heard |= {row.path for row in rows_of_events(table, raw_dir)}
    return sorted(heard)


def _clashes(labels: dict[Path, str]) -> dict[str, list[Path]]:
    """Files that have one label, whatever its case."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for path, label in labels.items():
        groups[label.casefold()].append(path)
    return {label: group for label, group in groups.items() if len(group) > 1}


def _content(path: Path) -> str:
    return str(path) if content_problem(path) else sha256_of_file(path)


def _checksum(text: str) -> str:
    return sha256_of(unicodedata.normalize("NFC", text))[:_DIGITS]


def _label(text: str) -> str:
    """Letters and digits of a text; with a checksum where some cannot be written so."""
    composed = unicodedata.normalize("NFC", text)
    parts = [_written(character) for character in composed]
    lost = any(
        not part and unicodedata.category(character)[0] in "LN"
        for part, character in zip(parts, composed, strict=True)
    )
    label = "".join(parts)
    if len(label) > _LONGEST:
        label, lost = label[:_LONGEST], True
    return label + _checksum(composed) if lost else label or "stimulus"


def _written(character: str) -> str:
    """A character in letters and digits; empty where that cannot be."""
    if character in _SIGNS:
        return _SIGNS[character]
    number = ord(character) - _HANGUL
    if 0 <= number < 19 * 21 * 28:
        parts = _FIRST[number // 588], _MIDDLE[number % 588 // 28], _LAST[number % 28]
        return "".join(parts).replace("_", "")
    plain = unicodedata.normalize("NFKD", character)
    return re.sub(r"[^a-zA-Z0-9]", "", plain)
