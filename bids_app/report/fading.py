"""Opacity and outlines of maps: p of every vertex, from the files of the folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from bids_app.errors import MusencError
from bids_app.group.claims import holds
from bids_app.report.brain import opacity_of
from bids_app.report.sources import BoolArray, FloatArray, Folder, GroupFiles
from bids_app.statistics import benjamini_hochberg

LEGEND = "Colors are opaque up to p = .001, fade with p and are gone from p = .05 on"


@dataclass(frozen=True, eq=False)
class Fading:
    """How a map fades.

    Attributes
    ----------
    p : (n_layers, n_vertices) array, or None
        Not corrected; None where the folder has none.
    what : str
        What p is, or why there is none.
    """

    p: FloatArray | None
    what: str

    @property
    def layers(self) -> FloatArray | None:
        """Opacity of every layer, (n_layers, n_vertices)."""
        return None if self.p is None else opacity_of(self.p)

    @property
    def any_layer(self) -> FloatArray | None:
        """P that some layer predicts the vertex: the smallest times the number of layers."""
        return None if self.p is None else over_layers(self.p)

    @property
    def opacity(self) -> FloatArray | None:
        """Opacity of what is shown of all layers together, (n_vertices,)."""
        return None if self.any_layer is None else opacity_of(self.any_layer)

    @property
    def words(self) -> str:
        """A sentence for the caption."""
        return f"{LEGEND} ({self.what})." if self.p is not None else f"Not faded: {self.what}."


def over_layers(p: FloatArray) -> FloatArray:
    """Smallest p over layers times their number (Bonferroni), (n_vertices,); NaN where unknown."""
    known = np.isfinite(p)
    smallest = np.where(known, p, np.inf).min(axis=0)
    return np.where(known.any(axis=0), np.minimum(1.0, smallest * len(p)), np.nan)


def corrected(p: FloatArray) -> FloatArray:
    """Q over vertices of `over_layers`, (n_vertices,); 1 where unknown."""
    return np.nan_to_num(benjamini_hochberg(over_layers(p)), nan=1.0)


def participant_fading(files: Folder) -> Fading:
    """Against noise of the vertex' own kind."""
    try:
        return Fading(files.p, "against noise, times the number of layers where one is shown")
    except MusencError as error:
        return Fading(None, f"the folder has no p ({error.what})")


def group_fading(files: GroupFiles) -> Fading:
    """The larger of p over people (t) and p over music."""
    try:
        t = files.map("t")
        people = stats.t.sf(t, len(files.settings["Participants"]) - 1)
    except (MusencError, KeyError) as error:
        return Fading(None, f"the folder has no t over people ({error})")
    if not files.map_path("L", "p", desc="music").is_file():
        return Fading(people, "t over people; nothing was tested over music")
    music = files.map("p", desc="music")
    return Fading(np.maximum(people, music), "the larger of p over people and p over music")


def significant(files: Folder, left: Path) -> BoolArray | None:
    """Vertices of p < .05 in a p map; None without one, or without such vertices."""
    if not left.is_file():
        return None
    inside = holds(files.both(left)[0])
    return inside if inside.any() else None


UNTESTED = (
    "Not a test: AR(1) errors do not catch all correlation of noise in time, so t of one person is"
    " too large, and nothing is outlined."
)


def p_of_t(t: FloatArray, degrees_of_freedom: float) -> FloatArray:
    """Two-sided p of t; NaN stays NaN."""
    return np.asarray(2.0 * stats.t.sf(np.abs(t), degrees_of_freedom))
