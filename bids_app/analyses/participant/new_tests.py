"""Whether saved models predict a study: over its people, and over its music."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.folder.write import write_map, write_table
from bids_app.analyses.mapped import new_array
from bids_app.config import Statistics
from bids_app.files import read_json
from bids_app.group import (
    SignFlipResult,
    accuracy_end_factor,
    add_spectra,
    cross_spectra,
    few_vertices,
    fixed_music_test,
    sign_flip_max_t,
)
from bids_app.group.claims import holds
from bids_app.outputs import OutputTree, map_sidecar, sidecar_of
from bids_app.statistics import finite_mean, fisher_z, p_number

LOGGER = logging.getLogger("bids_app.analyses")
FloatArray = NDArray[np.float64]

DESC = "newmusic"
HEARD_BEFORE = np.sqrt(2.0)
"""Of draws over music that the models were fitted to. What all listeners share of piece A then
meets what they share of piece B twice, in the prediction of either piece: as many products count
double, in one sum, as the closed form takes for independent."""
COLUMNS = {
    "layer": "layer of the model",
    "n_participants": "participants with a result anywhere",
    "n_vertices": "vertices with a result",
    "mean_r": "mean over vertices of the mean correlation over participants",
    "largest_r": "largest mean correlation over participants",
    "p_people": "smallest p over people, corrected over layers and vertices",
    "p_music": "smallest p over music, corrected over layers and vertices",
    "n_predicted": "vertices where both are below .05",
}


@dataclass(frozen=True)
class _Whole:
    """Rows of a presentation: all that are kept."""

    block: int
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class NewMusicTest:
    """Agreement of predictions and responses.

    Attributes
    ----------
    r : (n_layers, n_vertices) array
        Mean over participants, by way of Fisher's z; the test over music is of the plain mean.
    people : SignFlipResult
    p, p_max : (n_layers, n_vertices) array
        Over music, one-sided; corrected over layers and vertices.
    predicted : (n_layers, n_vertices) array
        1 where both corrected p are below .05, NaN where there is none.
    wider : float
        Factor of the draws over music.
    """

    r: FloatArray
    people: SignFlipResult
    p: FloatArray
    p_max: FloatArray
    predicted: FloatArray
    wider: float


class NewMusicTests:
    """Collects, one participant after the other, what the tests need of them.

    Parameters
    ----------
    folder : Path, optional
        Where the sums over participants are kept, in mapped files; in memory without it.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.participants: list[str] = []
        self._r: list[FloatArray] = []
        self._few: list[list[FloatArray]] = []
        self._chosen: NDArray[np.intp] = np.empty(0, dtype=np.intp)
        self._spectra: dict[int, dict[str, NDArray[np.complex128]]] = {}
        self._heard_before = False
        self._n_files = 0

    def add_layer(
        self,
        layer: int,
        stimuli: Sequence[str],
        predicted: Sequence[FloatArray],
        measured: Sequence[NDArray[np.floating]],
    ) -> FloatArray:
        """Take in one layer of a participant.

        Parameters
        ----------
        layer : int
        stimuli : sequence of str
            Checksum of the music of every presentation.
        predicted, measured : sequence of (n_times, n_vertices) arrays
            One per presentation; NaN where there is no prediction.

        Returns
        -------
        (n_vertices,) array
            Mean correlation over presentations, by way of Fisher's z; NaN where one is missing.
        """
        collected = self._spectra.setdefault(layer, {})
        parts = [cross_spectra(x, y) for x, y in zip(predicted, measured, strict=True)]
        r = np.stack([part.real.sum(axis=0) for part in parts])
        r[~np.stack([part.any(axis=0) for part in parts])] = np.nan
        mean = np.tanh(fisher_z(r).mean(axis=0))
        share = np.isfinite(mean) / len(parts)
        for stimulus, part in zip(stimuli, parts, strict=True):
            total, more = collected.get(stimulus), part * share
            if total is not None and len(total) >= len(more):
                total[: len(more)] += more
            else:
                collected[stimulus] = self._kept(add_spectra(total, more))
        return np.asarray(mean)

    def _kept(self, sums: NDArray[np.complex128]) -> NDArray[np.complex128]:
        if self.folder is None:
            return sums
        self._n_files += 1
        path = self.folder / f"spectra_{self._n_files}.npy"
        mapped = new_array(path, sums.shape, dtype=np.complex128)
        mapped[:] = sums
        return mapped

    def add_participant(
        self,
        who: str,
        r: FloatArray,
        measured: Sequence[NDArray[np.floating]],
        *,
        heard_before: bool,
    ) -> None:
        """Take in a participant whose layers are all taken in.

        Parameters
        ----------
        who : str
        r : (n_layers, n_vertices) array
            What `add_layer` returned.
        measured : sequence of (n_times, n_vertices) arrays
        heard_before : bool
            Whether a model was fitted to any of the music.
        """
        if not len(self._chosen):
            self._chosen = few_vertices(np.isfinite(r[0]))
        self.participants.append(who)
        self._r.append(r)
        if len(self._chosen):
            few = [np.asarray(one[:, self._chosen], dtype=np.float64) for one in measured]
            self._few.append(few)
        self._heard_before |= heard_before

    def test(self, *, n_permutations: int, n_draws: int, seed: int) -> NewMusicTest | None:
        """Sign flips over participants, and phases of the music; None of fewer than two people."""
        if len(self._r) < 2:
            return None
        z = fisher_z(np.stack(self._r))
        n = np.isfinite(z).sum(axis=0)
        if n.max() < 2:
            return None
        people = sign_flip_max_t(z, n_permutations=n_permutations, seed=seed)
        wider = accuracy_end_factor(*self._alike()) * (HEARD_BEFORE if self._heard_before else 1.0)
        r = np.tanh(finite_mean(z))
        # Of the plain mean: draws are linear, and Fisher's z would vary by 6 % more than they do.
        music = fixed_music_test(
            list(self._spectra.values()), n, wider=wider, n_draws=n_draws, seed=seed
        )
        p, p_max = music.p, music.p_max
        known = np.isfinite(people.p) & np.isfinite(p_max)
        predicted = np.where(known, holds(people.p, p_max), np.nan)
        return NewMusicTest(r, people, p, p_max, predicted, wider)

    def _alike(self) -> tuple[list[_Whole], list[list[FloatArray]], NDArray[np.intp]]:
        """Presentations of those who heard what the first one did, at a few vertices."""
        shapes = [[len(one) for one in own] for own in self._few]
        segments = [_Whole(k, 0, n_times) for k, n_times in enumerate(shapes[0])]
        alike = [own for own, shape in zip(self._few, shapes, strict=True) if shape == shapes[0]]
        return segments, alike, np.arange(len(self._chosen))


def write_tests(
    tree: OutputTree,
    tests: NewMusicTests,
    layers: Sequence[str],
    statistics: Statistics,
    *,
    model: str,
    space: str,
    about: Mapping[str, Any],
) -> list[Path]:
    """Maps and a table of the group, and a sentence for every layer.

    Parameters
    ----------
    tree : OutputTree
    tests : NewMusicTests
    layers : sequence of str
    statistics : Statistics
        Flips, as many draws, and the seed.
    model, space : str
    about : mapping
        What sidecars say of the models.

    Returns
    -------
    list of Path
    """
    found = tests.test(
        n_permutations=statistics.n_permutations,
        n_draws=statistics.n_permutations,
        seed=statistics.random_seed,
    )
    if found is None:
        LOGGER.warning(
            "model-%s: not tested: %d participants with a result, at least 2 are needed (5 for "
            "p below .05)",
            model,
            len(tests.participants),
        )
        return []
    told = {
        "Participants": [f"sub-{who}" for who in tests.participants],
        "Draws": statistics.n_permutations,
        "Flips": found.people.n_permutations,
        "RandomSeed": statistics.random_seed,
        "MusicWidening": found.wider,
        **about,
    }
    table = tree.group_table("summary.tsv", model=model, desc=DESC)
    before = read_json(sidecar_of(table)) if sidecar_of(table).is_file() else told
    if (people := before.get("Participants")) != told["Participants"]:
        LOGGER.warning(
            "model-%s: tests of an earlier call, of %s, are replaced by those of this call",
            *(model, ", ".join(people or ["nobody"])),
        )
    written: list[Path] = []
    for stat, desc, values, description in (
        ("r", DESC, found.r, "mean correlation of predicted and measured responses"),
        (
            "p",
            "newmusicpeople",
            found.people.p,
            "p over people, corrected (largest t of sign flips)",
        ),
        ("p", "newmusicmusic", found.p_max, "p over music, corrected (largest of shared phases)"),
        ("n", "newmusicpredicted", found.predicted, "1 where both corrected p are below .05"),
    ):
        sidecar = map_sidecar(stat, list(layers), description=description, **told)
        path_of = partial(tree.group_map, space=space, model=model, stat=stat, desc=desc)
        written += write_map(path_of, values, layers, sidecar, space=space)
    rows = [_row(tests, found, k, layer) for k, layer in enumerate(layers)]
    for row in rows:
        LOGGER.info(
            "model-%s %s: %d of %d vertices are predicted over people and over music (smallest "
            "corrected p: people %s, music %s; %d participants)",
            *(model, row["layer"], row["n_predicted"], row["n_vertices"]),
            *(p_number(row["p_people"]), p_number(row["p_music"]), row["n_participants"]),
        )
    return [*written, *write_table(table, COLUMNS, rows, told)]


def _row(tests: NewMusicTests, found: NewMusicTest, k: int, layer: str) -> dict[str, Any]:
    r = found.r[k]
    known = r[np.isfinite(r)]
    smallest = [np.nanmin(p[k], initial=1.0) for p in (found.people.p, found.p_max)]
    return {
        "layer": layer,
        "n_participants": int(found.people.n[k].max()),
        "n_vertices": known.size,
        "mean_r": float(known.mean()) if known.size else float("nan"),
        "largest_r": float(known.max()) if known.size else float("nan"),
        "p_people": float(smallest[0]),
        "p_music": float(smallest[1]),
        "n_predicted": int(np.nansum(found.predicted[k])),
    }
