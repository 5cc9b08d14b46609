"""Layers of a feature space: their order, which are fitted, and their depths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import numpy as np

from bids_app.errors import UsageError

BLOCKS = "blocks"
"""Instead of names of layers: all but the twins."""
POSITIONS = "position among the layers fitted: 0 the first, 1 the last, in equal steps"
GIVEN = "as given by --layer-depth, moved and scaled to 0..1; layers of equal depth count as one"
UNSAID = "not defined: nothing says in which order the layers lie"


@dataclass(frozen=True)
class LayerOrder:
    """Layers of a feature space, and the source of their order by depth.

    Attributes
    ----------
    names : tuple of str
    source : str
        Source of the order; empty without one, and then the order of `names` has no meaning.
    twins : set of str
        Layers that repeat the one before them: after its ReLU, or its pooling.
    open : bool
        Whether the user may give the order, by naming the layers in it.
    left_out : mapping
        Layers that these stimuli cannot have, and why.
    """

    names: tuple[str, ...]
    source: str = ""
    twins: AbstractSet[str] = frozenset()
    open: bool = False
    left_out: Mapping[str, str] = field(default_factory=dict)

    def why_not(self, layer: int | str) -> str:
        """Why these stimuli do not have a layer, in brackets for messages; empty if not known."""
        reason = self.left_out.get(str(layer))
        return f" ({reason})" if reason else ""


@dataclass(frozen=True)
class FittedLayers:
    """Layers to be fitted and their depth.

    Attributes
    ----------
    names : tuple of n_layers str
        In order.
    depth : tuple of n_layers float
        From 0 to 1, never decreasing; empty where the order is not known.
    source : str
        Source of the order; empty without one.
    definition : str
        What depth means here.
    left_out : mapping
        Layers that the stimuli cannot have, and why.
    """

    names: tuple[str, ...]
    depth: tuple[float, ...]
    source: str
    definition: str
    left_out: Mapping[str, str] = field(default_factory=dict)


def resolve_layers(layers: Sequence[int | str] | None, names: Sequence[str]) -> tuple[int, ...]:
    """Turn layer numbers or names into unique numbers from 1, in the order given.

    Parameters
    ----------
    layers : sequence of int or str, optional
        Numbers (1-based; digits as text too) or names; default: all.
    names : sequence of str
        Of all layers, in order.

    Returns
    -------
    numbers : tuple of int

    Raises
    ------
    UsageError
        A layer does not exist.

    Examples
    --------
    >>> resolve_layers([3, "conv1"], ["input", "conv1", "pool1"])
    (3, 2)
    >>> resolve_layers(None, ["input", "conv1", "pool1"])
    (1, 2, 3)
    """
    numbers = []
    for layer in layers or names:
        if layer in names:
            numbers.append(list(names).index(str(layer)) + 1)
        elif str(layer).isdigit() and 1 <= int(layer) <= len(names):
            numbers.append(int(layer))
        else:
            raise UsageError(
                "The feature space has no such layer.",
                where="--layers",
                found=layer,
                wanted=f"1 to {len(names)} or one of {', '.join(names)}",
                remedy="give one of these",
            )
    return tuple(dict.fromkeys(numbers))


def choose_layers(
    order: LayerOrder, layers: Sequence[int | str] = (), depth: Sequence[float] = ()
) -> FittedLayers:
    """Layers to be fitted, in order, with their depth.

    Parameters
    ----------
    order : LayerOrder
        Of the feature space.
    layers : sequence of int or str
        As for `resolve_layers`, or ``blocks`` alone for all but the twins; none are all. Where the
        space leaves the order open, the layers are in the order given. A single layer is always
        fitted.
    depth : sequence of float
        One per layer fitted, never decreasing; in any unit.

    Raises
    ------
    UsageError
        A layer does not exist, no layer is known as a twin, a number of a layer where nothing
        numbers them, or depths that do not fit.

    Examples
    --------
    >>> order = LayerOrder(("conv1", "pool1", "fc1"), "the network")
    >>> chosen = choose_layers(order, ["fc1", "conv1"])
    >>> chosen.names, chosen.depth
    (('conv1', 'fc1'), (0.0, 1.0))
    >>> choose_layers(order, depth=[0, 3, 4]).depth
    (0.0, 0.75, 1.0)
    """
    source = order.source
    for layer in layers:
        if reason := order.why_not(layer):
            raise UsageError(
                "A layer cannot be computed from this music.",
                where="--layers",
                found=f"{layer}{reason}",
                wanted=f"some of {', '.join(order.names)}",
                remedy="leave the layer out, or give more or longer music",
            )
    if len(order.names) == 1:
        layers = ()
    if list(layers) == [BLOCKS] and BLOCKS not in order.names:
        if not order.twins:
            raise UsageError(
                "Nothing says which layers of this feature space repeat others.",
                where="--layers",
                found=BLOCKS,
                wanted=f"some of {', '.join(order.names)}",
                remedy="name the layers with --layers",
            )
        names = tuple(name for name in order.names if name not in order.twins)
    else:
        numbers = resolve_layers(layers, order.names)
        if order.source and not order.open:
            numbers = tuple(sorted(numbers))
        elif order.open and layers:
            _refuse_numbers(order, layers)
            if not source or list(numbers) != sorted(numbers):
                source = "--layers"
        names = tuple(order.names[number - 1] for number in numbers)
    if depth:
        if not source and not layers:
            raise UsageError(
                "Depths belong to layers whose order is known.",
                where="--layer-depth",
                found=f"nothing says the order of {', '.join(names)}",
                wanted="layers in a known order",
                remedy="name the layers in order of depth, with --layers",
            )
        given = source or "--layer-depth"
        return FittedLayers(names, _scaled(depth, names), given, GIVEN, order.left_out)
    if not source:
        return FittedLayers(names, (), "", UNSAID, order.left_out)
    steps = tuple(np.linspace(0, 1, len(names)).tolist())
    return FittedLayers(names, steps, source, POSITIONS, order.left_out)


def _refuse_numbers(order: LayerOrder, layers: Sequence[int | str]) -> None:
    numbers = [str(layer) for layer in layers if layer not in order.names]
    if numbers and not order.source:
        raise UsageError(
            "Layers without an order have no numbers.",
            where="--layers",
            found=" ".join(numbers),
            wanted=f"names, in order of depth: some of {', '.join(order.names)}",
            remedy="name the layers with --layers",
        )


def _scaled(depth: Sequence[float], names: Sequence[str]) -> tuple[float, ...]:
    values = np.asarray(depth, dtype=np.float64)
    steps = np.diff(values)
    if len(values) != len(names) or not np.isfinite(values).all() or (steps < 0).any():
        raise UsageError(
            "Depths do not fit the layers.",
            where="--layer-depth",
            found=f"{len(values)} numbers: {' '.join(f'{value:g}' for value in values)}",
            wanted=f"{len(names)} that never decrease, one for each of {', '.join(names)}",
            remedy="give one depth for each layer",
        )
    if not steps.any():
        raise UsageError(
            "All layers have one depth.",
            where="--layer-depth",
            found=" ".join(f"{value:g}" for value in values),
            wanted="numbers that increase from the first layer to the last",
            remedy="give different depths, for example 0 0.5 1",
        )
    return tuple(((values - values[0]) / (values[-1] - values[0])).tolist())


def layers_asked(
    asked: Sequence[str], fitted: Sequence[str], layer_names: Sequence[str]
) -> list[str]:
    """Names of the layers whose weights are wanted.

    Parameters
    ----------
    asked : sequence of str
        Names, numbers from 1, or ``all``.
    fitted, layer_names : sequence of str
        Layers that are fitted, and all of the feature space.

    Raises
    ------
    UsageError
        If a layer was not fitted.

    Examples
    --------
    >>> layers_asked(["2"], ["conv1", "relu1"], ["conv1", "relu1", "pool1"])
    ['relu1']
    """
    if list(asked) == ["all"]:
        return list(fitted)
    numbered = {str(number): name for number, name in enumerate(layer_names, start=1)}
    names = [numbered.get(text, text) for text in asked]
    if unknown := [name for name in names if name not in fitted]:
        raise UsageError(
            "Weights are asked for of a layer that is not fitted.",
            where="--save-weights",
            found=", ".join(unknown),
            wanted=f"all, or of {', '.join(fitted)}",
            remedy="add the layer to --layers, or leave it out here",
        )
    return names
