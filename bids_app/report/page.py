"""A self-contained page of sections, tables and figures; nothing in it points outside the file."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bids_app import __version__
from bids_app.errors import MusencError
from bids_app.files import write_text
from bids_app.statistics import p_number

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.figure import Figure

MAX_BYTES = 8_000_000
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_PICTURE_BYTES = 600_000


@dataclass(frozen=True)
class Text:
    """One paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Verdict:
    """A statement that a test supports (or not); `tone` is good, neutral or warning."""

    kind: ClassVar[str] = "verdict"
    text: str
    tone: str = "neutral"


@dataclass(frozen=True)
class Facts:
    """Names and values, in order."""

    kind: ClassVar[str] = "facts"
    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Table:
    """A table; cells are text already, `numeric` columns are set right."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[int] = ()


@dataclass(frozen=True)
class Picture:
    """A figure as PNG, its caption, and the words that stand for it.

    Where not everything fits into a page, pictures that are not `essential` give way first.
    """

    kind: ClassVar[str] = "picture"
    png: bytes
    alt: str
    caption: str
    width: int
    height: int
    source: str = ""
    essential: bool = True

    @property
    def uri(self) -> str:
        """The picture as a data address."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()


@dataclass(frozen=True)
class Missing:
    """A part that cannot be shown, and why."""

    kind: ClassVar[str] = "missing"
    what: str
    reason: str


@dataclass(frozen=True)
class Verbatim:
    """Text as it is, folded away under a summary line."""

    kind: ClassVar[str] = "verbatim"
    summary: str
    text: str
    opened: bool = False


@dataclass(frozen=True)
class References:
    """A numbered list of references."""

    kind: ClassVar[str] = "references"
    items: Sequence[str]


@dataclass(frozen=True)
class Links:
    """Pages beside this one: file names and what they are called."""

    kind: ClassVar[str] = "links"
    title: str
    items: Sequence[tuple[str, str]]


Block = Text | Verdict | Facts | Table | Picture | Missing | Verbatim | References | Links


@dataclass
class Section:
    """A heading with blocks below it; `anchor` names it in the contents list."""

    anchor: str
    title: str
    blocks: list[Block] = field(default_factory=list)

    def of_model(self, model: str) -> Section:
        """The section of one model among several on a page."""
        return Section(f"{self.anchor}-{model}", f"{self.title} ({model})", self.blocks)

    def add(self, what: str, build: Callable[[], Block | Sequence[Block]]) -> None:
        """Add what `build` returns; if it fails, say so in its place.

        Parameters
        ----------
        what : str
            Name of the part, for the reader.
        build : callable
            Returns one block or several.
        """
        try:
            built = build()
        except Exception as error:  # noqa: BLE001  (one broken part must not cost the page)
            self.blocks.append(Missing(what, reason_of(error)))
            return
        if isinstance(built, Sequence):
            self.blocks.extend(built)
        else:
            self.blocks.append(built)


def reason_of(error: Exception) -> str:
    """What an exception says, in one line."""
    if isinstance(error, MusencError):
        details = [str(part) for part in (error.where, error.found) if part is not None]
        return " · ".join([error.what.rstrip("."), *details])
    return f"it could not be drawn ({type(error).__name__}: {error})"


def picture(figure: Figure, *, alt: str, caption: str, source: str = "", dpi: int = 110) -> Picture:
    """Render a figure.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    alt : str
        What the figure shows, for those who cannot see it.
    caption : str
        What it shows and how to read it.
    source : str
        Files its numbers are in.
    dpi : int
        Dots per inch.
    """
    png = _drawn(figure, dpi)
    width, height = _size_of(png)
    return Picture(png, alt, caption, width, height, source)


def _drawn(figure: Figure, dpi: int) -> bytes:
    """The figure as PNG, laid out and drawn once; `savefig` does both twice."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")
    canvas.draw()
    buffer = io.BytesIO()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def picture_from_file(path: Path, *, alt: str, caption: str) -> Picture:
    """Take a PNG file into the page.

    Raises
    ------
    ValueError
        If the file is not a PNG, or larger than a page can afford.
    """
    png = Path(path).read_bytes()
    if not png.startswith(_PNG_SIGNATURE):
        raise ValueError(f"{path.name} is not a PNG file")
    if len(png) > _MAX_PICTURE_BYTES:
        png = _fewer_colors(png)
    if len(png) > _MAX_PICTURE_BYTES:
        raise ValueError(f"{path.name} has {len(png)} bytes, more than {_MAX_PICTURE_BYTES}")
    width, height = _size_of(png)
    return Picture(png, alt, caption, width, height, path.name, essential=False)


def environment() -> Environment:
    """Where the templates of pages are, and how they are filled."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    return Environment(
        loader=PackageLoader("bids_app.report", "."),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def write_page(
    path: Path, *, title: str, subtitle: str, banner: str, sections: Sequence[Section]
) -> Path:
    """Render the sections to one HTML file.

    Parameters
    ----------
    path : Path
    title, subtitle : str
    banner : str
        A warning above everything; empty for none.
    sections : sequence of Section

    Returns
    -------
    Path
        `path`, written atomically.
    """
    template = environment().get_template("page.html.j2")
    html = template.render(
        title=title,
        subtitle=subtitle,
        banner=banner,
        sections=_within_budget(sections),
        version=__version__,
    )
    return write_text(path, html)


def number(value: Any, digits: int = 3) -> str:
    """A number as a reader wants it; ``n/a`` where there is none."""
    if value is None or isinstance(value, str):
        return value or "n/a"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    value = float(value)
    if not np.isfinite(value):
        return "n/a"
    if value == int(value) and abs(value) < 1e9:
        return str(int(value))
    if abs(value) >= 1000 or abs(value) < 1e-6:
        return f"{value:.{max(digits - 1, 1)}e}"
    if abs(value) < 10.0**-digits:
        return f"{value:.{int(np.ceil(-np.log10(abs(value)))) + 1}f}"
    return f"{value:.{digits}f}"


def named_number(name: str, value: float) -> str:
    """A number by the name of its column: p and q as papers have them."""
    return p_number(value) if re.match(r"(p|q|lowest_p)(_|$)", name) else number(value)


def percent(share: float) -> str:
    """A share as percent."""
    return "n/a" if not np.isfinite(share) else f"{100 * share:.1f} %"


def _within_budget(sections: Sequence[Section]) -> list[Section]:
    """Keep the file below `MAX_BYTES`: fewer colors first, then fewer pictures, saying so."""
    # Base64 makes three bytes four; a tenth is kept for text.
    budget = int(MAX_BYTES * 0.9 * 3 / 4)
    pictures = {id(b): b for s in sections for b in s.blocks if isinstance(b, Picture)}
    excess = sum(len(block.png) for block in pictures.values()) - budget
    shown: dict[int, Block] = {}
    for key, block in sorted(pictures.items(), key=lambda item: -len(item[1].png)):
        if excess > 0:
            pictures[key] = replace(block, png=_fewer_colors(block.png))
            excess -= len(block.png) - len(pictures[key].png)
    for key, block in sorted(pictures.items(), key=lambda i: (i[1].essential, -len(i[1].png))):
        shown[key] = block
        if excess > 0:
            excess -= len(block.png)
            shown[key] = Missing(block.caption, "The page would be larger than 8 MB.")
    return [
        Section(s.anchor, s.title, [shown.get(id(block), block) for block in s.blocks])
        for s in sections
    ]


def _fewer_colors(png: bytes) -> bytes:
    """The picture in 256 colors: slight bands in the color bar, less than half the size."""
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGB")
    buffer = io.BytesIO()
    image.quantize(256, method=Image.Quantize.FASTOCTREE).save(buffer, format="PNG", optimize=True)
    return min(png, buffer.getvalue(), key=len)


def _size_of(png: bytes) -> tuple[int, int]:
    # Width and height are the first two fields of the first chunk.
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
