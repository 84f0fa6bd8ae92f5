"""The small things the gallery is made of: pictures inside the page, links, and numbers in words."""

import base64
import io
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup
from PIL import Image

from lib.runs.formulas import formulas_in_text
from lib.runs.records import ClaimTally, FailedRow
from lib.runs.stored import StoredRun, StoredSweep

WORDS = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
FILES = {
    "notebook.html": "notebook",
    "notebook.ipynb": "notebook to open in JupyterLab",
    "results.json": "results",
    "provenance.json": "provenance",
}
SWEEP_FILES = {
    "table.parquet": "table (parquet)",
    "figure.svg": "figure (SVG)",
    "failed.json": "failures",
    "plan.json": "plan",
    "summary.json": "summary",
}


@dataclass(frozen=True)
class Picture:
    """A figure in the page: a small copy as data URI, its size in pixels, its caption, and the file in full size."""

    source: str
    width: int
    height: int
    caption: str
    file: Path


def picture(file: Path, caption: str, width: int) -> Picture:
    """A figure's copy, at most `width` pixels wide, on white. Raises ValueError for a file that is no picture."""
    try:
        with Image.open(file) as original:
            image = original.convert("RGBA")
    except FileNotFoundError:
        raise ValueError("is missing") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise ValueError("cannot be read as a picture") from None
    image.thumbnail((width, 4 * width), Image.Resampling.LANCZOS, reducing_gap=3)
    white, buffer = Image.new("RGBA", image.size, "white"), io.BytesIO()
    Image.alpha_composite(white, image).convert("RGB").save(buffer, "WEBP", quality=84, method=4)
    data = base64.b64encode(buffer.getvalue()).decode()
    return Picture(f"data:image/webp;base64,{data}", *image.size, caption, file)


def place(path: Path, root: Path) -> str:
    """Where something lies, seen from `root`."""
    return Path(os.path.relpath(path, root)).as_posix()


def link(path: Path, root: Path) -> str:
    """A relative address that works from a page in `root`, from disk and from a server alike."""
    return quote(place(path, root))


def links(run: StoredRun, root: Path) -> list[tuple[str, str]]:
    """Name and address of each file of the run that is there."""
    return [(name, link(run.folder / file, root)) for file, name in FILES.items() if (run.folder / file).is_file()]


def sweep_links(sweep: StoredSweep, root: Path) -> list[tuple[str, str]]:
    """Name and address of each file of the sweep that is there; an empty list of failures is not worth a link."""
    names = {file: name for file, name in SWEEP_FILES.items() if sweep.failures or file != "failed.json"}
    return [(name, link(sweep.folder / file, root)) for file, name in names.items() if (sweep.folder / file).is_file()]


def kept_notebook(row: FailedRow, root: Path) -> str:
    """The address of a failed run's notebook, "" where none was kept."""
    file = root / row.kept / "notebook.html"
    return link(file, root) if row.kept and file.is_file() else ""


def share(tally: ClaimTally) -> str:
    """How often a claim held in a sweep, in words."""
    if tally.low is None or tally.high is None:
        return f"not tested in any of {count(tally.not_tested, 'run')}"
    open_runs = f", not tested in {tally.not_tested}" if tally.not_tested else ""
    return f"held in {tally.held} of {tally.tested} [{100 * tally.low:.0f} %, {100 * tally.high:.0f} %]{open_runs}"


def count(number: int, singular: str, plural: str = "") -> str:
    """A number with its noun: 1 run, 2 runs."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def word(number: int) -> str:
    """A number in letters, as far as they are not clumsy."""
    return WORDS[number] if number < len(WORDS) else str(number)


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    for limit, size, unit in ((1e-3, 1e-6, "µs"), (1, 1e-3, "ms"), (100, 1, "s"), (6000, 60, "min")):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 3600:.3g} h"


def memory(mib: float) -> str:
    """MiB, or GiB from one on."""
    return f"{mib:.0f} MiB" if mib < 1024 else f"{mib / 1024:.1f} GiB"


def day(moment: datetime) -> str:
    """The date and time in UTC."""
    return f"{moment:%Y-%m-%d %H:%M}"


def value(thing: Any) -> str:
    """A parameter's value as one would type it."""
    if isinstance(thing, list):
        return ", ".join(map(value, thing))
    return f"{thing:.4g}" if isinstance(thing, float) else str(thing)


def formulas(text: str) -> Markup:
    """Text with its formulas drawn and all else escaped."""
    return Markup(formulas_in_text(text))
