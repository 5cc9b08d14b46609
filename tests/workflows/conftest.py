"""One small simulated study, analyzed once through the command line; many tests look at it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from few_refits import few_refits

from bids_app.cli.run import main
from bids_app.testing.music import Piece
from bids_app.testing.simulate import SimulatedStudy, simulate_study

PIECES = (
    Piece("allegro", 48.0, tempo=126.0, minor=False, tonic=60, energy=0.7),
    Piece("adagio", 56.0, tempo=72.0, minor=True, tonic=57, energy=0.4),
    Piece("andante", 64.0, tempo=84.0, minor=True, tonic=62, energy=0.5),
)


@dataclass(frozen=True)
class Analyzed:
    """A study, where its results are, and how to analyze it again."""

    study: SimulatedStudy
    output_dir: Path
    cache_dir: Path

    def arguments(self, level: str, *extra: str, output_dir: Path | None = None) -> list[str]:
        """Ten of VGGish's 23 layers, unless `extra` names features or layers."""
        named = level == "group" or {"--layers", "--features"}.intersection(extra)
        layers = [] if named else ["--layers", "blocks"]
        return [
            str(self.study.bids_dir),
            str(output_dir or self.output_dir),
            level,
            "--vggish-weights",
            "random:0",
            "--cache-dir",
            str(self.cache_dir),
            "--gradient",
            f"truth={','.join(map(str, self.study.gradient_files))}",
            "--n-spins",
            "100",
            *layers,
            *extra,
        ]


@pytest.fixture(scope="module", autouse=True)
def _few_refits() -> Iterator[None]:
    with few_refits():
        yield


@pytest.fixture(scope="session")
def analyzed(tmp_path_factory) -> Analyzed:
    root = tmp_path_factory.mktemp("study with spaces")
    study = simulate_study(
        root / "study", n_participants=3, pieces=PIECES, feature_cache=root / "cache"
    )
    result = Analyzed(study, root / "results", root / "cache")
    assert main(result.arguments("participant", "--nprocs", "2")) == 0
    with few_refits():
        assert main(result.arguments("group")) == 0
    return result


@pytest.fixture
def garble(analyzed, tmp_path) -> Callable[[str], Path]:
    """Copy the dataset and break a run of a participant so that only the analysis notices."""

    def call(participant: str) -> Path:
        bids = tmp_path / "bids"
        shutil.copytree(analyzed.study.bids_dir, bids)
        pattern = f"derivatives/fmriprep/sub-{participant}/func/*adagio*hemi-R*bold.func.gii"
        (broken,) = bids.glob(pattern)
        text = broken.read_bytes()
        # Intact at both ends, so that planning finds nothing, and garbled in between.
        middle = len(text) // 2
        broken.write_bytes(text[:middle] + b"!" * 400 + text[middle + 400 :])
        return bids

    return call
