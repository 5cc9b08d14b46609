"""A self-contained page of sections, tables and figures; nothing in it points outside the file."""

from __future__ import annotations

import base64
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bids_app import __version__
from bids_app.errors import MusencError
from bids_app.files import atomic_path, write_text
from bids_app.report.png import SIGNATURE, as_png
from bids_app.statistics import p_number

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.figure import Figure
    from PIL.Image import Image

MAX_BYTES = 8_000_000
_MAX_PICTURE_BYTES = 600_000
PRINT_DPI = 300
"""Of the files of figures, and of the images in those of vectors."""
PRINT_WIDTH = 7.1
"""Inches of a figure in a journal of two columns, at most: wider ones are printed so wide."""
SCREEN_WIDTH = 1045
"""Pixels of a picture from a file, at most: those of a figure that is drawn for the page."""


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
    `figure`, and the PNG of `PRINT_DPI` that was `printed` of it, become files called by `name`;
    `files` are what these are called and where they lie, seen from the page.
    """

    kind: ClassVar[str] = "picture"
    png: bytes
    alt: str
    caption: str
    width: int
    height: int
    source: str = ""
    essential: bool = True
    figure: Figure | None = None
    printed: bytes = b""
    name: str = ""
    files: Sequence[tuple[str, str]] = ()

    @property
    def tall(self) -> bool:
        """Whether it takes most of a printed page."""
        return self.height > 0.85 * self.width

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


PathOf = Callable[[str, str], Path]
Block = Text | Verdict | Facts | Table | Picture | Missing | Verbatim | References | Links


@dataclass
class Section:
    """A heading with blocks below it; `anchor` names it in the contents list."""

    anchor: str
    title: str
    blocks: list[Block] = field(default_factory=list)
    model: str = ""

    def of_model(self, model: str) -> Section:
        """The section of one model among several on a page."""
        return Section(f"{self.anchor}-{model}", f"{self.title} ({model})", self.blocks, model)

    def about(self, model: str) -> Section:
        """The same, whose figures are named by the model."""
        return replace(self, model=model)

    def add(self, what: str, build: Callable[[], Block | Sequence[Block]]) -> None:
        """Add what `build` returns; if it fails, say so in its place.

        Parameters
        ----------
        what : str
            Name of the part, for the reader.
        build : callable
            Returns one block or several.
        """
        from matplotlib import rc_context

        try:
            # With a place given, no figure is measured to find one for its titles.
            with rc_context({"axes.titley": 1.0}):
                built = build()
        except Exception as error:  # noqa: BLE001  (one broken part must not cost the page)
            self.blocks.append(Missing(what, reason_of(error)))
            return
        blocks = built if isinstance(built, Sequence) else [built]
        self.blocks += [replace(b, name=what) if isinstance(b, Picture) else b for b in blocks]


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
    image = _drawn(figure)
    shape = figure.get_size_inches() * dpi
    small = image.resize((round(shape[0]), round(shape[1])), reducing_gap=1.1)
    png, printed = _small_png(small), as_png(np.asarray(image), PRINT_DPI)
    width, height = _size_of(png)
    return Picture(png, alt, caption, width, height, source, figure=figure, printed=printed)


def _drawn(figure: Figure) -> Image:
    """The figure for print, laid out and drawn once; `savefig` does both twice."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure.set_dpi(PRINT_DPI * min(1.0, PRINT_WIDTH / figure.get_figwidth()))
    canvas = FigureCanvasAgg(figure)
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _small_png(image: Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=3)
    return buffer.getvalue()


def as_svg(figure: Figure) -> bytes:
    """The figure as SVG: text as text, images of `PRINT_DPI`, the same for the same figure."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.BytesIO()
    figure.set_dpi(PRINT_DPI)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "musenc"}), _quick_images():
        # Not `savefig`, which draws twice.
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    # Matplotlib names clips after their positions, whose last digits a layout leaves to chance.
    names: dict[bytes, bytes] = {}
    return re.sub(
        rb'(url\(#|<clipPath id=")(p[0-9a-f]{10})',
        lambda m: m[1] + names.setdefault(m[2], b"clip%d" % len(names)),
        buffer.getvalue(),
    )


@contextmanager
def _quick_images() -> Iterator[None]:
    """Images in SVG are packed like those for print; matplotlib's level takes six times as long."""
    from matplotlib.backends import backend_svg

    module: Any = backend_svg
    theirs = module.Image
    module.Image = SimpleNamespace(fromarray=lambda pixels: _Quick(pixels, theirs))
    try:
        yield
    finally:
        module.Image = theirs


@dataclass(frozen=True)
class _Quick:
    """An image that saves itself quickly; `theirs` is Pillow's module."""

    pixels: Any
    theirs: Any

    def save(self, target: Any, **options: Any) -> None:
        if self.pixels.shape[2:] == (4,) and self.pixels[..., 3].min() == 255:
            target.write(as_png(self.pixels[..., :3]))
        else:
            self.theirs.fromarray(self.pixels).save(target, compress_level=1, **options)


def write_figures(sections: Sequence[Section], path_of: PathOf, beside: Path) -> None:
    """Write every figure as SVG and as PNG of `PRINT_DPI`, and note both where it is shown.

    Parameters
    ----------
    sections : sequence of Section
    path_of : callable
        From the model and the name of a figure to its path without extension.
    beside : Path
        The page.
    """
    folder = path_of("", "x").parent
    pattern = path_of("", "*").name.replace("_desc-", "*_desc-")
    stale = {path for ending in ("svg", "png") for path in folder.glob(f"{pattern}.{ending}")}
    counts: Counter[tuple[str, str]] = Counter()
    for section in sections:
        for index, block in enumerate(section.blocks):
            if not isinstance(block, Picture) or block.figure is None:
                continue
            name = figure_name(block.name or section.anchor)
            counts[section.model, name] += 1
            if (count := counts[section.model, name]) > 1:
                name += str(count)
            stem = path_of(section.model, name)
            content = {"svg": as_svg(block.figure), "png": block.printed}
            for ending, written in content.items():
                path = stem.with_name(f"{stem.name}.{ending}")
                with atomic_path(path) as temporary:
                    temporary.write_bytes(written)
                stale.discard(path)
            base = stem.relative_to(beside.parent).as_posix()
            files = [(f"{base}.svg", "SVG"), (f"{base}.png", f"PNG, {PRINT_DPI} dpi")]
            section.blocks[index] = replace(block, figure=None, printed=b"", files=files)
    for path in stale:
        path.unlink(missing_ok=True)


def figure_name(what: str) -> str:
    """``highestAccuracyOverLayers`` of "highest accuracy over layers"."""
    first, *others = re.split(r"[^a-zA-Z0-9]+", what.strip()) or [""]
    return first[:1].lower() + first[1:] + "".join(word[:1].upper() + word[1:] for word in others)


def picture_from_file(
    path: Path, *, alt: str, caption: str, files: Sequence[tuple[str, str]] = ()
) -> Picture:
    """Take a PNG file into the page, no wider than `SCREEN_WIDTH`; `files` as of `Picture`.

    Raises
    ------
    ValueError
        If the file is not a PNG, or larger than a page can afford.
    """
    png = Path(path).read_bytes()
    if not png.startswith(SIGNATURE):
        raise ValueError(f"{path.name} is not a PNG file")
    if _size_of(png)[0] > SCREEN_WIDTH:
        png = _narrowed(png)
    if len(png) > _MAX_PICTURE_BYTES:
        png = _fewer_colors(png)
    if len(png) > _MAX_PICTURE_BYTES:
        raise ValueError(f"{path.name} has {len(png)} bytes, more than {_MAX_PICTURE_BYTES}")
    width, height = _size_of(png)
    return Picture(png, alt, caption, width, height, path.name, essential=False, files=files)


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
    path: Path,
    *,
    title: str,
    subtitle: str,
    banner: str,
    sections: Sequence[Section],
    figures: PathOf | None = None,
) -> Path:
    """Render the sections to one HTML file.

    Parameters
    ----------
    path : Path
    title, subtitle : str
    banner : str
        A warning above everything; empty for none.
    sections : sequence of Section
    figures : callable, optional
        As `path_of` of `write_figures`; without it no figure becomes a file.

    Returns
    -------
    Path
        `path`, written atomically.
    """
    if figures is not None:
        write_figures(sections, figures, path)
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


def named_number(name: str, value: float, digits: int = 3) -> str:
    """A number by the name of its column: p and q (``slope_p_music``) as papers have them."""
    return p_number(value) if re.search(r"(^|_)[pq](_|$)", name) else number(value, digits)


def cell_text(name: str, text: str) -> str:
    """A cell of a table by the name of its column: long decimals shortened, else as it is."""
    try:
        value = float(text)
    except ValueError:
        return text
    return named_number(name, value) if "." in text and np.isfinite(value) else text


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
        replace(s, blocks=[shown.get(id(block), block) for block in s.blocks]) for s in sections
    ]


def _narrowed(png: bytes) -> bytes:
    """The picture at the width of a screen."""
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGB")
    height = round(image.height * SCREEN_WIDTH / image.width)
    return _small_png(image.resize((SCREEN_WIDTH, height), reducing_gap=2.0))


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
