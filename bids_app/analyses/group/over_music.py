"""Tests over music of what is linear in the accuracies, on the responses of a study."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bids_app.analyses.group.collect import GroupData, read_encoding
from bids_app.analyses.group.heard import Heard, kept_features, no_features
from bids_app.analyses.group.refits import RefittedModels
from bids_app.analyses.group.summaries import (
    TOO_FEW,
    LayerMeans,
    MapTest,
    MusicTest,
    Scaled,
    Summary,
    compared,
    test_of_refits,
    tests_of,
    widened,
)
from bids_app.group import (
    LinearMusicNull,
    MusicKernel,
    accuracy_music_null,
    largest_z_p,
    layer_set_kernels,
    linear_music_kernel,
    map_shape,
    vertex_music_null,
    vertex_null_sd,
)
from bids_app.group.music_side import penalty_positions
from bids_app.outputs import OutputTree

LOGGER = logging.getLogger("bids_app.analyses")

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

N_DRAWS = 10_000
"""Draws from the closed form; the smallest p is one in as many."""
N_LARGEST = 1000
"""Draws of a map from the closed form; p of its largest z goes on in a Pareto tail."""
N_LARGEST_LAYERS = 400
"""The same of the maps of all layers together, which take longer."""
UNSURE = 4
"""Times as many refits where those leave it open whether the closed form is too narrow."""
N_INSTEAD = (200, 1000)
"""Fewest and most refits that are drawn where the closed form is too narrow."""
INSTEAD_VERTICES = 1200
"""Vertices, of a coarser mesh, of these refits."""
INSTEAD_FITS = 30_000_000
"""Fits (participants x layers x refits x vertices) that they may take beyond the fewest: a
minute."""

ALONG_GRADIENT = "accuracy along the gradient"
"""What means of layers are called in the log."""


class MusicSide(RefittedModels):
    """Tests of what is linear in the accuracies, in closed form, compared with refits."""

    def test(
        self, summaries: Sequence[Summary], mask: BoolArray, layers: LayerMeans | None = None
    ) -> list[MusicTest]:
        """Test summaries, each a family of its own, and the means of layers, another family.

        Parameters
        ----------
        summaries : sequence of Summary
        mask : array of shape (n_vertices,), bool
            Vertices of the profiles that `Summary.again` is computed from.
        layers : LayerMeans, optional

        Returns
        -------
        list of MusicTest
            Of the summaries, then of every layer. Draws of the closed form, widened by the ratio;
            below a ratio of .8 refits, the same for all that need them.
        """
        families = [[one] for one in summaries]
        names = [one.name for one in summaries]
        if layers is not None:
            families.append(layers.summaries(self.data.layer_names, len(self.r)))
            names.append(ALONG_GRADIENT)
        scaled = [self.compare(family, mask, sure=True) for family in families]
        for name, own in zip(names, scaled, strict=True):
            LOGGER.info("group: over music, %s: %s", name, own.told)
        wide = [k for k, own in enumerate(scaled) if not own.refits_instead]
        tests: dict[int, list[MusicTest]] = {}
        if together := [k for k in wide if k < len(summaries)]:
            chosen = [summaries[k] for k in together]
            null = self._null(self.kernel(chosen), chosen)
            for position, k in enumerate(together):
                tests[k] = tests_of(null.scaled(scaled[k].divisor), [scaled[k]], [position])
        if layers is not None and (last := len(summaries)) in wide:
            null = self._null(self._kernel_of_layers(layers), families[last])
            n_layers = len(families[last])
            tests[last] = tests_of(
                null.scaled(scaled[last].divisor), [scaled[last]] * n_layers, range(n_layers)
            )
        if narrow := [k for k in range(len(families)) if k not in wide]:
            drawn = self.at_coarser_vertices([one for k in narrow for one in families[k]], mask)
            pairs = zip(*drawn, strict=True)
            for k in narrow:
                tests[k] = [test_of_refits(*next(pairs), scaled[k]) for _ in families[k]]
        return [one for k in range(len(families)) for one in tests[k]]

    def _null(self, kernel: MusicKernel, summaries: Sequence[Summary]) -> LinearMusicNull:
        observed = [one.of(self.r) for one in summaries]
        return kernel.test(observed, n_draws=N_DRAWS, seed=self.seed)

    def _kernel_of_layers(self, layers: LayerMeans) -> MusicKernel:
        return layer_set_kernels(
            self.plans,
            self.responses,
            self.alphas,
            np.where(layers.vertices != 0, 0, -1),
            layers.vertices / len(self.r),
            **self.options,
        ).combine(np.diag(1 / np.asarray(layers.scales)))

    def test_sets(self, sets: NDArray[np.intp], scaled: Scaled | None) -> FloatArray:
        """One-sided p of every layer's mean accuracy in disjoint sets, (n_sets, n_layers).

        Parameters
        ----------
        sets : array of shape (n_vertices,)
            Set of each vertex from 0; negative in none.
        scaled : Scaled, optional
            Of the same family.
        """
        n_sets, n_layers = int(sets.max()) + 1, self.r.shape[1]
        kernel = layer_set_kernels(self.plans, self.responses, self.alphas, sets, **self.options)
        mean = self.r.astype(np.float64).mean(axis=0)
        observed = [
            [np.nanmean(mean[layer, sets == one]) for one in range(n_sets)]
            for layer in range(n_layers)
        ]
        null = kernel.test(np.ravel(observed), n_draws=N_DRAWS, seed=self.seed)
        null = null.scaled(1.0 if scaled is None else scaled.divisor)
        return np.asarray(null.p_greater.reshape(n_layers, n_sets).T)

    def test_regions(
        self, sets: NDArray[np.intp], areas: FloatArray, slope: FloatArray | None
    ) -> tuple[dict[str, FloatArray], dict[str, Any]]:
        """Two-sided p of regions' accuracy and slope, each corrected by the largest ``|z|``.

        Parameters
        ----------
        sets : array of shape (n_vertices,)
            Region of each vertex from 0; negative in none.
        areas : array of shape (n_vertices,)
            Weights of the means.
        slope : array of shape (n_layers,), optional
            Weights of the layers that give the slope.

        Returns
        -------
        p : dict from ``accuracy`` and ``slope`` to array of shape (n_regions,)
        record : dict
            How the closed forms compare with refits.
        """
        n_sets, (n_people, n_layers) = int(sets.max()) + 1, self.r.shape[:2]
        inside = (sets >= 0) & np.isfinite(self.r).all(axis=(0, 1))
        size = np.bincount(sets[inside], areas[inside], n_sets)
        own = np.where(inside, areas / np.where(size > 0, size, 1.0)[sets], 0.0)
        kernel = layer_set_kernels(
            self.plans, self.responses, self.alphas, sets, own / n_people, **self.options
        )
        mean = np.nan_to_num(self.r.astype(np.float64)).mean(axis=0)
        values = np.stack([np.bincount(sets[inside], (own * one)[inside], n_sets) for one in mean])
        measures = {"accuracy": np.full(n_layers, 1 / n_layers)}
        if slope is not None:
            measures["slope"] = slope
        p: dict[str, FloatArray] = {}
        record: dict[str, Any] = {}
        for name, layers in measures.items():
            weights = np.tile(layers / n_people, (n_people, 1))
            scaled = self.compare_maps([weights], None, inside)
            LOGGER.info("group: over music, %s of regions: %s", name, scaled.told)
            combined = kernel.combine(np.kron(layers, np.eye(n_sets)))
            null = combined.test(layers @ values, n_draws=N_DRAWS, seed=self.seed)
            p[name] = np.where(size > 0, null.scaled(scaled.divisor).p_max(), np.nan)
            record[name] = scaled.record
        return p, record

    def compare(
        self, summaries: Sequence[Summary], mask: BoolArray, *, sure: bool = False
    ) -> Scaled:
        """Closed form and refits of a family, both at a few vertices of the same ones.

        Where `sure`, more refits are drawn when those leave it open whether the closed form is too
        narrow.
        """
        if sure:
            return surely(lambda times: self._compared(summaries, mask, times))
        return self._compared(summaries, mask, 1)

    def _compared(self, summaries: Sequence[Summary], mask: BoolArray, times: int) -> Scaled:
        found = self.at_few_vertices(summaries, mask, times)
        if found is None:
            return TOO_FEW
        kernel, drawn = found
        return compared(kernel.sd, drawn, self.ends)

    def kernel(self, summaries: Sequence[Summary]) -> MusicKernel:
        """Kernels of summaries, to be combined with those of other models and drawn."""
        return linear_music_kernel(
            self.plans, self.responses, self.alphas, _weights(summaries), **self.options
        )

    def at_few_vertices(
        self, summaries: Sequence[Summary], mask: BoolArray, times: int = 1
    ) -> tuple[MusicKernel, FloatArray] | None:
        """Kernels of summaries at a few vertices, and their refits, (n_draws, n_summaries).

        Models that have values at the same vertices are compared at the same ones; None where
        there are fewer than two. `times` is how often `N_REFITS` refits are drawn.
        """
        used = np.any([one.vertices != 0 for one in summaries], axis=0)
        vertices = self._some(used, self._n_affordable())
        if len(vertices) < 2:
            return None
        few = self._fewer(summaries, vertices)
        responses, alphas, options = self._of_alike(vertices)
        closed = linear_music_kernel(self.plans, responses, alphas, _weights(few), **options)
        return closed, self._summed(few, vertices, mask)(self.refits(vertices, times))

    def test_maps(
        self,
        layers: Sequence[FloatArray],
        usable: BoolArray,
        family: str,
        *,
        tail: Literal["greater", "two-sided"],
    ) -> MapTest:
        """Test maps that are sums over participants and layers at every vertex.

        Parameters
        ----------
        layers : sequence of arrays of shape (n_people, n_layers)
            Weights of each map.
        usable : array of shape (n_vertices,), bool
            Vertices with a test.
        family : str
            For the log.
        tail : {"greater", "two-sided"}
        """
        weights = np.stack(layers)
        null = vertex_music_null(
            self.plans,
            self.responses,
            self.alphas,
            spread_out(weights),
            tail=tail,
            inside=usable,
            n_draws=N_LARGEST,
            seed=self.seed,
            **self.options,
        )
        found = self._maps(weights, null.sd, usable, family, tail)
        if tail == "two-sided":
            # Draws in closed form know the tail further out than refits do.
            found = replace(found, p=np.fmax(found.p, null.tail_p(found.z)))
        p_max = [
            largest_z_p(z, own, tail=tail) for z, own in zip(found.z, null.largest, strict=True)
        ]
        return replace(found, p_max=np.stack(p_max), n_largest=N_LARGEST)

    def test_each_layer(self, usable: BoolArray) -> MapTest:
        """Test the mean accuracy of every layer at every vertex, one-sided.

        The largest z is over layers and vertices.

        Parameters
        ----------
        usable : array of shape (n_vertices,), bool
        """
        n_people, n_layers = self.r.shape[:2]
        null = accuracy_music_null(
            self.plans,
            self.responses,
            self.alphas,
            self.r.mean(axis=0),
            inside=usable,
            n_draws=N_LARGEST_LAYERS,
            seed=self.seed,
            **self.options,
        )
        each = np.eye(n_layers)[:, np.newaxis].repeat(n_people, axis=1) / n_people
        found = self._maps(each, null.sd, usable, "accuracy of layers", "greater")
        p_max = largest_z_p(found.z, null.largest, tail="greater")
        return replace(found, p_max=p_max, n_largest=N_LARGEST_LAYERS)

    def _maps(
        self,
        weights: FloatArray,
        sd: FloatArray,
        usable: BoolArray,
        family: str,
        tail: Literal["greater", "two-sided"],
    ) -> MapTest:
        values = np.einsum("mpl,plv->mv", weights, self.r.astype(np.float64))
        sd = np.where(usable, sd, np.nan)
        scaled = self.compare_maps(list(weights), sd, usable, shaped=tail == "two-sided")
        LOGGER.info("group: over music, %s: %s", family, scaled.told)
        shapes = scaled.shapes
        if shapes:
            sd = np.stack([shape.sd(own) for shape, own in zip(shapes, sd, strict=True)])
        else:
            sd = sd / scaled.divisor
        with np.errstate(invalid="ignore", divide="ignore"):
            z = np.where(sd > 0, values / sd, np.nan)
        for shape, own in zip(shapes, z, strict=False):
            own[:] = shape.normal_score(own)
        p = special.ndtr(-z) if tail == "greater" else 2 * special.ndtr(-np.abs(z))
        return MapTest(sd, z, np.asarray(p), scaled)

    def compare_maps(
        self,
        weights: Sequence[FloatArray],
        sd: FloatArray | None,
        used: BoolArray,
        *,
        shaped: bool = False,
    ) -> Scaled:
        """Standard deviations of maps in closed form beside refits, pooled over vertices.

        Parameters
        ----------
        weights : sequence of arrays of shape (n_people, n_layers)
            One per map.
        sd : array of shape (n_maps, n_vertices), optional
            Computed at the vertices of the refits where it is not given.
        used : array of shape (n_vertices,), bool
            Where there may be refits.
        shaped : bool
            Whether widths at single vertices, and tails, are to be those of refits, too; `sd` is
            needed.

        Returns
        -------
        Scaled
        """
        found = self.maps_at_few(weights, sd, used)
        if found is None:
            return Scaled(None, "no vertex to be compared with refits")
        # A map is widened whatever the ratio: refits at every vertex would take too long.
        scaled = widened(compared(*found, self.ends))
        if not shaped or sd is None or scaled.ratio is None:
            return scaled
        closed, drawn = found
        vertices = self._some(used, self._n_affordable())
        # Who can be refitted together may be fewer than those behind the map.
        shapes = tuple(
            map_shape(few, draws).around(float(np.exp(np.log(own[own > 0]).mean())))
            for few, draws, own in zip(
                closed, self.ends * drawn.swapaxes(0, 1), sd[:, vertices], strict=True
            )
        )
        told = "; ".join([scaled.told, *(shape.told for shape in shapes)])
        return replace(scaled, told=told, shapes=shapes)

    def maps_at_few(
        self, weights: Sequence[FloatArray], sd: FloatArray | None, used: BoolArray
    ) -> tuple[FloatArray, FloatArray] | None:
        """Standard deviations of maps at a few vertices, and refits, (n_draws, ...).

        As for `compare_maps`; None where there is no vertex.
        """
        vertices = self._some(used, self._n_affordable())
        if not len(vertices):
            return None
        stacked = np.stack(weights)[:, self.alike]
        if sd is not None and len(self.alike) == len(self.people):
            closed = sd[:, vertices]
        else:
            responses, alphas, options = self._of_alike(vertices)
            closed = vertex_null_sd(self.plans, responses, alphas, spread_out(stacked), **options)
        drawn = np.einsum("mpl,dplv->dmv", stacked, self.refits(vertices))
        return closed, drawn

    def at_coarser_vertices(
        self, summaries: Sequence[Summary], mask: BoolArray
    ) -> tuple[FloatArray, FloatArray]:
        """Summaries and their refits, penalties kept, at the vertices of a coarser mesh.

        Models that have values at the same vertices are thinned alike.

        Returns
        -------
        observed : array of shape (n_summaries,)
        draws : array of shape (n_summaries, n_draws)
            Widened for series that end.
        """
        n_vertices = self.r.shape[2]
        used = mask | np.any([one.vertices != 0 for one in summaries], axis=0)
        wanted = min(round(INSTEAD_VERTICES * n_vertices / max(int(used.sum()), 1)), n_vertices)
        vertices = self._coarser(wanted)
        vertices = vertices[used[vertices]]
        affordable = INSTEAD_FITS // (len(self.alike) * self.r.shape[1] * len(vertices))
        n_draws = int(np.clip(affordable, *N_INSTEAD))
        few = self._fewer(summaries, vertices)
        grid = np.asarray(self.data.settings["alphas"], dtype=np.float64)
        penalties = penalty_positions(self.alphas[self.alike][..., vertices], grid)
        summed = self._summed(few, vertices, mask)
        draws = self._drawn(
            lambda r, _: summed(r),
            vertices,
            n_draws,
            penalties=np.minimum(penalties, len(grid) - 1),
        ).T
        observed = [one.of(self.r[self.alike][:, :, vertices]) for one in few]
        return np.array(observed), self.ends * draws

    def _summed(
        self, summaries: Sequence[Summary], vertices: NDArray[np.intp], mask: BoolArray
    ) -> Callable[[NDArray[Any]], FloatArray]:
        """From accuracies of refits at some vertices to the summaries, (n_draws, n_summaries)."""
        inside = mask[vertices]
        inside = inside if inside.any() else np.ones_like(inside)
        share = len(self.alike) / len(self.people)

        def sums(r: NDArray[Any]) -> FloatArray:
            found = np.empty((len(r), len(summaries)))
            # One draw at a time: accuracies of many people and layers take gigabytes.
            for row, drawn in enumerate(r):
                own = np.nan_to_num(drawn.astype(np.float64))
                profile = own[..., inside].mean(axis=-1)
                for column, one in enumerate(summaries):
                    layers = one.layers
                    if one.again is not None:
                        layers = share * one.again(profile, own[..., one.vertices != 0])
                    found[row, column] = np.einsum("pl,plv,v->", layers, own, one.vertices)
            return found

        return sums

    def _fewer(self, summaries: Sequence[Summary], vertices: NDArray[np.intp]) -> list[Summary]:
        """The summaries at some vertices, of who can be refitted together."""
        return [
            replace(one, layers=one.layers[self.alike], vertices=one.vertices[vertices])
            for one in summaries
        ]


def surely(comparison: Callable[[int], Scaled]) -> Scaled:
    """A comparison with refits, drawn `UNSURE` times as often where the first leave it open."""
    first = comparison(1)
    return comparison(UNSURE) if first.unsure else first


def music_sides(
    tree: OutputTree,
    models: Sequence[GroupData],
    heard: Heard,
    cache_dir: Path,
    seed: int,
    n_threads: int,
) -> list[MusicSide] | str:
    """What the null over music of every model is computed from, or why it cannot be."""
    sides = []
    for data in models:
        stored = read_encoding(tree, data.participants[0], data.model)
        name = str(stored.get("FeaturesFolder", ""))
        grams = kept_features(tree, name, cache_dir) if heard.there else Path()
        if grams is None:
            return f"model-{data.model}: {no_features(tree, cache_dir)}"
        own = replace(heard, grams=grams)
        side = MusicSide.of(tree, data, own, seed, n_threads)
        if isinstance(side, str):
            return side
        sides.append(side)
    return sides


def _weights(summaries: Sequence[Summary]) -> Callable[[slice], FloatArray]:
    layers = np.stack([one.layers for one in summaries])
    vertices = np.stack([one.vertices for one in summaries])
    return lambda part: layers[..., np.newaxis] * vertices[:, np.newaxis, np.newaxis, part]


def spread_out(weights: FloatArray) -> Callable[[slice], FloatArray]:
    """The same weights of participants and layers, (n_maps, ...), at every vertex."""

    def at(part: slice) -> FloatArray:
        n = part.stop - part.start
        return np.broadcast_to(weights[..., np.newaxis], (*weights.shape, n))

    return at
