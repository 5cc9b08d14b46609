"""Models of a study, and their refits under random phases of the responses."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.group.collect import GroupData, load_fold_maps
from bids_app.analyses.group.heard import REFITS, Heard
from bids_app.arrays import NUMPY, Arrays
from bids_app.encoding import EncodingPlan, fit_encoding
from bids_app.encoding.phases import segment_labels
from bids_app.errors import InvalidInputError
from bids_app.files import atomic_path, sha256_of
from bids_app.group import accuracy_end_factor, coarser_vertices, music_refits
from bids_app.loading import load_array
from bids_app.meshes import MESHES
from bids_app.outputs import OutputTree
from bids_app.seeds import generator, random_phases
from bids_app.surface.mesh import load_mesh, nearest_vertices

LOGGER = logging.getLogger("bids_app.analyses")
TELL_EVERY = 60.0
"""Seconds between lines about how far refits are."""
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

N_REFITS = 100
"""Refits, penalties chosen again, that the closed form is compared with."""
REFIT_VERTICES = (12, 60)
"""Fewest and most vertices of the comparison."""
REFIT_COLUMNS = 300_000
"""Fits (participants x layers x refits x vertices) that the comparison may take."""


class RefittedModels:
    """Plans, penalties and responses of the participants behind the null.

    Parameters
    ----------
    heard : Heard
    data : GroupData
    plans : sequence of sequences of EncodingPlan
        Per clock one per layer; or of what `fit` takes in its place.
    alphas : array of shape (n_people, n_layers, n_folds, n_vertices)
        Penalties in the order of the plans' folds.
    seed : int
    n_threads : int
    arrays : Arrays
        Where refits are done.

    Responses that models are trained on are those of `heard`: a participant's own, or the mean of
    the others.
    """

    def __init__(
        self,
        heard: Heard,
        data: GroupData,
        plans: Sequence[Sequence[Any]],
        alphas: NDArray[np.float32],
        seed: int,
        n_threads: int,
        arrays: Arrays = NUMPY,
    ) -> None:
        self.heard, self.data, self.plans, self.alphas = heard, data, plans, alphas
        self.seed, self.n_threads, self.arrays = seed, n_threads, arrays
        self.people = list(heard.people)
        self.responses, self.training = heard.loaded(), heard.loaded_training()
        self.r = data.r[self.people]
        # Who shares the commonest presentations: the others have other segments to be refitted.
        shapes = [heard.clocks[clock].labels for clock in heard.clock_of]
        commonest = Counter(shapes).most_common(1)[0][0]
        self.alike = [k for k, shape in enumerate(shapes) if shape == commonest]

    @classmethod
    def of(
        cls,
        tree: OutputTree,
        data: GroupData,
        heard: Heard,
        seed: int,
        n_threads: int,
        arrays: Arrays = NUMPY,
    ) -> Self | str:
        """What the null is computed from, or why it cannot be."""
        if not heard.there:
            return "; ".join(heard.reasons)
        plans = heard.plans(data)
        held = ["+".join(np.atleast_1d(fold.held_out)) for fold in plans[0][0].folds]
        if sorted(held) != sorted(data.held_out):
            return f"the maps hold out {', '.join(data.held_out)}, the music {', '.join(held)}"
        alphas = load_fold_maps(tree, data, "alpha")[heard.people, :]
        order = [data.held_out.index(name) for name in held]
        own = np.swapaxes(alphas[:, order], 1, 2)
        return cls(heard, data, plans, own, seed, n_threads, arrays)

    @classmethod
    def beside(cls, parts: Sequence[tuple[Self, Sequence[int]]], model: str) -> Self:
        """Layers of several models of the same responses, side by side.

        Parameters
        ----------
        parts : sequence of RefittedModels and sequence of int
            Models, and the layers of each, counted from 0.
        model : str
            What they are called together.

        Raises
        ------
        InvalidInputError
            If their samples, folds or penalties differ.
        """
        first = parts[0][0]
        plans = [
            [side.plans[clock][layer] for side, layers in parts for layer in layers]
            for clock in range(len(first.plans))
        ]
        for clock in plans:
            if len({_rows_of(plan) for plan in clock}) > 1:
                raise InvalidInputError(
                    "Models can only be compared on the same samples, folds and penalties.",
                    where=model,
                    found="others",
                    remedy="fit both with the same --delays, --crop and --alphas",
                )
        data = replace(
            first.data,
            model=model,
            r=np.concatenate([side.data.r[:, layers] for side, layers in parts], axis=1),
            layer_names=[side.data.layer_names[k] for side, layers in parts for k in layers],
        )
        alphas = np.concatenate([side.alphas[:, layers] for side, layers in parts], axis=1)
        return cls(first.heard, data, plans, alphas, first.seed, first.n_threads, first.arrays)

    @property
    def options(self) -> dict[str, Any]:
        """Arguments that all nulls over music of this study share."""
        return {
            "clock_of": self.heard.clock_of,
            "training": self.training,
            "checksums": self.heard.checksums,
            "n_threads": self.n_threads,
        }

    @cached_property
    def ends(self) -> float:
        """By how much accuracies vary more than in refits, whose series are periodic."""
        clock_of = [self.heard.clock_of[k] for k in self.alike]
        clock = Counter(clock_of).most_common(1)[0][0]
        people = [k for k, own in zip(self.alike, clock_of, strict=True) if own == clock]
        everywhere = np.ones(self.r.shape[2], dtype=bool)
        return accuracy_end_factor(
            self.plans[clock][0].segments,
            [self.responses[k] for k in people],
            self._some(everywhere, REFIT_VERTICES[1]),
        )

    def fit(
        self, plan: Any, scored: list[NDArray[Any]], training: list[NDArray[Any]] | None
    ) -> FloatArray:
        """Accuracy of rotated responses, penalties chosen again, (n_columns,)."""
        selection = self.data.settings.get("selection", "r")
        options: dict[str, Any] = {"selection": selection, "null": "none", "arrays": self.arrays}
        return fit_encoding(plan, scored, training=training, **options).mean_r

    def refits(self, vertices: NDArray[np.intp], times: int = 1) -> FloatArray:
        """Accuracies in refits, penalties chosen again, (n_draws, n_alike, n_layers, n_vertices).

        They are kept in the folder of the responses: all families of tests are compared with the
        same refits.

        Parameters
        ----------
        vertices : array of int
        times : int
            How often `N_REFITS` refits.
        """
        return np.concatenate([self._refits(vertices, k * N_REFITS) for k in range(times)])

    def _refits(self, vertices: NDArray[np.intp], first: int) -> FloatArray:
        """`N_REFITS` refits from a first draw on."""
        models = f"{type(self).__name__} {self.data.model} {self.data.layer_names}"
        text = f"{self.seed} {N_REFITS} {first} {models} {vertices.tolist()}"
        path = self.heard.responses[0][0].parent / f"{REFITS}-{sha256_of(text)[:16]}.npy"
        if not path.is_file():
            drawn = self._drawn(
                lambda r, _: r.astype(np.float64), vertices, N_REFITS, penalties=None, first=first
            )
            with atomic_path(path) as temporary:
                np.save(temporary, drawn.astype(np.float32))
        return np.nan_to_num(load_array(path).astype(np.float64))

    def _drawn(
        self,
        reduce: Callable[[NDArray[np.float32], range], FloatArray],
        vertices: NDArray[np.intp],
        n_draws: int,
        *,
        penalties: NDArray[np.intp] | None,
        first: int = 0,
    ) -> FloatArray:
        plan = self.plans[self.heard.clock_of[self.alike[0]]][0]
        labels = segment_labels(plan, [self.heard.checksums[name] for name in plan.stimuli])
        responses, _, options = self._of_alike(vertices)
        own = options["clock_of"]
        clocks = sorted(set(own))
        found = music_refits(
            [self.plans[clock] for clock in clocks],
            responses,
            _telling(reduce, first, n_draws),
            phases=lambda draw, segment, n: random_phases(self.seed, labels[segment], draw, n),
            n_draws=n_draws,
            fit=self.fit if penalties is None else None,
            penalties=penalties,
            training=options["training"],
            first_draw=first,
            clocks=[clocks.index(clock) for clock in own],
            n_threads=self.n_threads,
            arrays=self.arrays,
        )
        return np.asarray(found, dtype=np.float64)

    def _of_alike(self, vertices: NDArray[np.intp]) -> tuple[Any, NDArray[np.float32], Any]:
        """Responses and penalties at some vertices of who can be refitted together."""

        def picked(side: Any) -> list[list[NDArray[np.float32]]]:
            return [[one[:, vertices] for one in side[k]] for k in self.alike]

        training = None if self.training is None else picked(self.training)
        clock_of = [self.heard.clock_of[k] for k in self.alike]
        return (
            picked(self.responses),
            self.alphas[self.alike][..., vertices],
            self.options | {"clock_of": clock_of, "training": training},
        )

    def _some(self, used: BoolArray, wanted: int) -> NDArray[np.intp]:
        """Some vertices with responses of everybody, drawn from the seed."""
        there = np.flatnonzero(used & np.isfinite(self.r).all(axis=(0, 1)))
        rng = generator(self.seed, "vertices of the refits")
        return np.sort(rng.permutation(there)[:wanted])

    def _n_affordable(self) -> int:
        return self._n_affordable_of(self.r.shape[1])

    def _n_affordable_of(self, n_layers: int) -> int:
        fits = N_REFITS * self.r.shape[0] * n_layers
        return int(np.clip(REFIT_COLUMNS // fits, *REFIT_VERTICES))

    def _coarser(self, wanted: int) -> NDArray[np.intp]:
        """Vertices of a coarser mesh, at least as many as wanted."""
        row = MESHES.get(str(self.data.settings.get("space")))
        if row is None or row.nested:
            return coarser_vertices(self.r.shape[2], wanted)
        mesh = load_mesh(row.name)
        for space in ("fsaverage3", "fsaverage4", "fsaverage5"):
            found = np.unique(nearest_vertices(mesh, space))
            if len(found) >= wanted:
                return found
        return np.arange(mesh.n_vertices)


def _rows_of(plan: EncodingPlan) -> tuple[Any, ...]:
    """Samples, folds and penalties of a plan, to be compared."""
    segments = tuple((one.label, one.block, one.start, one.stop) for one in plan.segments)
    folds = tuple(tuple(np.atleast_1d(fold.held_out)) for fold in plan.folds)
    return segments, folds, tuple(plan.alphas)


def _telling(
    reduce: Callable[[NDArray[np.float32], range], FloatArray], first: int, n_draws: int
) -> Callable[[NDArray[np.float32], range], FloatArray]:
    """The same, and every minute a line about how far the refits are."""
    last = time.monotonic()

    def told(r: NDArray[np.float32], draws: range) -> FloatArray:
        nonlocal last
        if (now := time.monotonic()) - last > TELL_EVERY:
            last = now
            LOGGER.info("group: over music: %d of %d refits", draws.stop - first, n_draws)
        return reduce(r, draws)

    return told
