"""outputs/index.html: every claim, study, run, failure and benchmark on one page, redrawn from the stored results alone."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lib.runs import gallery_parts as parts
from lib.runs.places import outputs_root, replaced
from lib.runs.records import ClaimRecord
from lib.runs.scoreboard import metric_text
from lib.runs.stored import Damage, Shelf, StoredRun, StoredSweep, read_shelf
from lib.runs.sweeps.words import axes_in_words, label
from lib.studies import slugs
from lib.studies.claims import HELD, NOT_HELD, NOT_TESTED

PAGES = Path(__file__).parent / "pages"
COVER_WIDTH, THUMB_WIDTH = 960, 420  # pixels; twice what the page shows, for sharp screens
ROWS = 200  # runs or failures of one table; a sweep may leave thousands
MARKS = {HELD: ("held", "✓"), NOT_HELD: ("missed", "✗"), NOT_TESTED: ("open", "–")}  # class and mark of each verdict


@dataclass(frozen=True)
class Card:
    """A study in the gallery: the run that stands for it, its pictures, and all its runs."""

    slug: str
    shown: StoredRun
    cover: parts.Picture | None
    pictures: list[parts.Picture]
    runs: list[StoredRun]

    @property
    def tally(self) -> dict[str, int]:
        """Verdicts of the shown run."""
        return tally(self.shown.results.claims)


@dataclass(frozen=True)
class SweepCard:
    """A finished sweep in the gallery, with its figure where it has one."""

    sweep: StoredSweep
    picture: parts.Picture | None


def build(root: Path | None = None) -> Path:
    """Draw the gallery of the outputs folder `root` (default: the suite's own) and return the page.

    It is written at once or not at all, so that a reader never sees half a page.
    """
    root = (root or outputs_root()).resolve()
    shelf = read_shelf(root)
    root.mkdir(parents=True, exist_ok=True)
    page = root / "index.html"
    with replaced(page) as file:
        file.write_text(draw(shelf, slugs(), datetime.now(UTC)), encoding="utf-8")
    return page


def draw(shelf: Shelf, known: Sequence[str], now: datetime) -> str:
    """The page as text; `known` are the names of the suite's studies, in their order."""
    stored = {run.results.study for run in shelf.runs}
    every = [*known, *sorted(stored - set(known))]
    cards = [_card(shelf, slug, shelf.of(slug)[0]) for slug in every if slug in stored]
    shown = [card.shown for card in cards]
    kept = [_card(shelf, slug, run) for slug in every for run in shelf.of(slug) if run.published and run not in shown]
    sweeps = sorted(shelf.sweeps, key=lambda sweep: sweep.moment, reverse=True)
    return _environment(shelf.root).get_template("gallery.html.j2").render(
        cards=cards, kept=kept, tally=tally([claim for card in cards for claim in card.shown.results.claims]),
        missing=[slug for slug in every if slug not in stored], studies=len(every), runs=len(shelf.runs),
        sweeps=[_sweep_card(shelf, sweep) for sweep in sweeps if sweep.summary], rows=ROWS,
        unfinished=[sweep for sweep in sweeps if not sweep.summary],
        failed=sorted(shelf.failed, key=lambda run: run.failure.started_utc, reverse=True),
        benchmarks=shelf.benchmarks, damages=shelf.damages, marks=MARKS, now=now,
    )  # fmt: skip


def tally(claims: Sequence[ClaimRecord]) -> dict[str, int]:
    """How many claims got each verdict."""
    found = Counter(claim.verdict for claim in claims)
    return {verdict: found[verdict] for verdict in MARKS}


def _card(shelf: Shelf, slug: str, shown: StoredRun) -> Card:
    """A run as it is shown, among all runs of its study; pictures that cannot be read join the shelf's damages."""
    runs = shelf.of(slug)
    figures = shown.results.figures
    cover = next((f for f in figures if f.name == shown.results.cover), figures[0] if figures else None)
    pictures = {}
    for record in figures:
        try:
            width = COVER_WIDTH if record is cover else THUMB_WIDTH
            pictures[record.name] = parts.picture(shown.figure_file(record.name), record.caption, width)
        except ValueError as reason:
            shelf.damages.append(Damage(shown.figure_file(record.name), str(reason)))
    front = pictures.pop(cover.name, None) if cover else None
    return Card(slug, shown, front, list(pictures.values()), sorted(runs, key=lambda r: r.provenance.started_utc, reverse=True))


def _sweep_card(shelf: Shelf, sweep: StoredSweep) -> SweepCard:
    """The sweep as it is shown; a table or figure that ought to be there and is not joins the shelf's damages."""
    shown, caption = None, sweep.summary.caption if sweep.summary else None
    if not (sweep.folder / "table.parquet").is_file():
        shelf.damages.append(Damage(sweep.folder / "table.parquet", "is missing"))
    if caption:
        try:
            shown = parts.picture(sweep.folder / "figure.png", caption, COVER_WIDTH)
        except ValueError as reason:
            shelf.damages.append(Damage(sweep.folder / "figure.png", str(reason)))
    return SweepCard(sweep, shown)


def _environment(root: Path) -> Environment:
    """Templates that escape whatever they are given, and that refuse names they do not know."""
    world = Environment(
        loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    world.filters |= {
        "link": lambda path: parts.link(path, root),
        "place": lambda path: parts.place(path, root),
        "links": lambda run: parts.links(run, root),
        "sweep_links": lambda sweep: parts.sweep_links(sweep, root),
        "kept": lambda row: parts.kept_notebook(row, root), "axes": axes_in_words, "label": label, "share": parts.share,
        "metric": lambda metric: metric_text(vars(metric)),
        "count": parts.count, "day": parts.day, "duration": parts.duration, "formulas": parts.formulas,
        "memory": parts.memory, "tally": tally, "value": parts.value, "word": parts.word,
    }  # fmt: skip
    return world
