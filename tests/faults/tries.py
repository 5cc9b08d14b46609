"""Damage what is kept, many times, and count what nobody says: the table in docs/reliability.md.

    python tests/faults/tries.py [--tries 200] [--seed 0] [--write]

Every try damages one file of an output folder and its cache, asks what both levels ask before they
take the file, and puts it back. A try is told where the group level names the file and the
participant level would make the result again (of the cache: where it is computed again, to the same
bytes). It changed nothing where the content that is read is the same, as with `E` for `e` in a
number. All else is silent.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from group_study import MODEL, PEOPLE, SETTINGS, GroupStudy, file_path, write_group_study

from bids_app.analyses.folder.claims import is_current
from bids_app.analyses.folder.read import RECORD, check_outputs, read_completed
from bids_app.analyses.folder.records import Record
from bids_app.errors import MusencError
from bids_app.features.cache import FeatureGrams, load_or_compute_grams
from bids_app.outputs import EMOTION_LABEL, OutputTree

DOCS = Path(__file__).parents[2] / "docs" / "reliability.md"
STATES = ("told", "no change", "silent")


def bit(content: bytes, others: list[bytes], rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def cut(content: bytes, others: list[bytes], rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(1, len(content)))]


def empty(content: bytes, others: list[bytes], rng: np.random.Generator) -> bytes:
    return b""


def another(content: bytes, others: list[bytes], rng: np.random.Generator) -> bytes:
    return others[int(rng.integers(len(others)))] if others else b"another"


# How many of a hundred bits.
DAMAGES: dict[str, tuple[Callable[..., bytes], float]] = {
    "one bit": (bit, 1.0),
    "cut off": (cut, 0.25),
    "0 bytes": (empty, 0.25),
    "another file of its class": (another, 0.25),
}


class Kept:
    """An output folder, and what both levels ask of it."""

    def __init__(self, root: Path) -> None:
        self.study: GroupStudy = write_group_study(root)
        self.tree = OutputTree(self.study.out)
        self.cache = self.study.grams.parent
        sounds = sorted((root / "extra").glob("*.wav"))
        self.sounds = [(path.stem, path) for path in sounds]
        self.whole = {path: path.read_bytes() for path in self._cached()}

    def _cached(self) -> list[Path]:
        return sorted(path for path in self.cache.iterdir() if path.is_file())

    def classes(self) -> dict[str, list[Path]]:
        marks = [
            self.tree.participant_settings(who, model)
            for who in PEOPLE
            for model in (MODEL, EMOTION_LABEL)
        ]
        named = [
            self.tree.root / name
            for path in marks
            for name in json.loads(path.read_text())["Outputs"]
        ]
        return {
            "maps": [p for p in named if p.name.endswith("_statmap.func.gii")],
            "cleaned responses": [p for p in named if p.name.endswith("_bold.func.gii")],
            "sidecars": [p for p in named if p.suffix == ".json"],
            "tables": [p for p in named if p.suffix == ".tsv"],
            "settings files": marks,
            "cache": self._cached(),
        }

    def state(self, path: Path, before: bytes) -> str:
        """What becomes of a damaged file."""
        told = self._cache_tells() if path.parent == self.cache else self._derivatives_tell(path)
        return "told" if told else "no change" if _same(before, path.read_bytes()) else "silent"

    def _derivatives_tell(self, path: Path) -> bool:
        who = path.parent.parent.name.removeprefix("sub-")
        for model in (MODEL, EMOTION_LABEL):
            mark = self.tree.participant_settings(who, model)
            try:
                check_outputs(self.tree, read_completed(mark, **RECORD))
            except MusencError as error:
                return path.name in str(error) and not self._is_current(who, model)
        return False

    def _is_current(self, who: str, model: str) -> bool:
        heard: dict[str, str] = {}
        if model == MODEL:
            told = json.loads((self.cache / "features.json").read_text())
            heard = dict(zip(told["labels"], told["checksums"], strict=True))
        return is_current(self.tree, Record(who, model, SETTINGS, [], {}, heard))

    def _cache_tells(self) -> bool:
        try:
            grams = FeatureGrams.load(self.cache)
            for layer in range(1, len(grams.layer_names) + 1):
                grams.gram(layer)
        except MusencError as error:
            if self.cache.name not in str(error):
                return False
            load_or_compute_grams(
                self.sounds,
                cache_dir=self.cache.parent,
                features=f"precomputed:{file_path(self.study)}",
            )
            shutil.rmtree(self.cache.with_name(f"damaged-{self.cache.name}"))
            return {path: path.read_bytes() for path in self._cached()} == self.whole
        return False


def _same(before: bytes, after: bytes) -> bool:
    try:
        return bool(json.loads(before) == json.loads(after))
    except ValueError:
        return False


def run(kept: Kept, n_bits: int, rng: np.random.Generator) -> dict[tuple[str, str], Counter]:
    """Tries by class of file and kind of damage."""
    classes, found = kept.classes(), dict[tuple[str, str], Counter]()
    for kind, (damage, share) in DAMAGES.items():
        for number in range(round(n_bits * share)):
            name = list(classes)[number % len(classes)]
            path = classes[name][int(rng.integers(len(classes[name])))]
            before = path.read_bytes()
            others = [c for c in (p.read_bytes() for p in classes[name]) if c != before]
            path.write_bytes(damage(before, others, rng))
            found.setdefault((name, kind), Counter())[kept.state(path, before)] += 1
            path.write_bytes(before)
    return found


def table(found: dict[tuple[str, str], Counter]) -> str:
    rows = [
        "| File | Damage | Tries | Reported | No change | Silent |",
        "|---|---|---|---|---|---|",
    ]
    for (name, kind), counts in sorted(found.items()):
        states = " | ".join(str(counts[state]) for state in STATES)
        rows.append(f"| {name} | {kind} | {counts.total()} | {states} |")
    total = sum(found.values(), Counter())
    states = " | ".join(str(total[state]) for state in STATES)
    rows.append(f"| all | all | {total.total()} | {states} |")
    return "\n".join(rows) + "\n"


def write_table(name: str, rows: str) -> None:
    """Put a table between its marks in docs/reliability.md."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    text = DOCS.read_text(encoding="utf-8")
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    assert found, f"no table of {name} in {DOCS}"
    DOCS.write_text(f"{before}{begin}{rows}{end}{after}", encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tries", type=int, default=200, help="bits that are flipped")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="into docs/reliability.md")
    asked = parser.parse_args(argv)
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        kept = Kept(Path(folder) / "study")
        found = run(kept, asked.tries, np.random.default_rng(asked.seed))
    shown = table(found)
    sys.stdout.write(shown)
    if asked.write:
        write_table("tries", shown)
    return int(any(counts["silent"] for counts in found.values()))


if __name__ == "__main__":
    raise SystemExit(main())
