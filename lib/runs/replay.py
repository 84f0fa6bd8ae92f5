"""`studies replay`: run a stored run again with today's code, and say of every number whether it is the same.

The stored run is only read; the re-execution writes to a temporary folder that is gone afterwards.
"""

import math
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from lib.runs.job import Job
from lib.runs.launch import DONE, Progress, run_jobs
from lib.runs.live import LogLines, clock
from lib.runs.places import outputs_root
from lib.runs.records import Provenance, Results
from lib.runs.stored import PUBLISHED, RESERVED, Unreadable, read_record
from lib.studies import Metric, ParamError, StudyParams, find

Grade = Literal["bitwise the same", "within the interval", "same to rounding", "different"]
SAME: Grade = "bitwise the same"
WITHIN: Grade = "within the interval"
ROUNDING: Grade = "same to rounding"
DIFFERENT: Grade = "different"
COLOURS = {SAME: "green", WITHIN: "cyan", ROUNDING: "cyan", DIFFERENT: "red"}

ROUNDING_TOLERANCE = 1e-6  # relative; what another order of float32 sums may cost
SHORTEST_PREFIX = 4
ALLOWED = f"a run id, enough of its first characters (at least {SHORTEST_PREFIX}) to name one, or the path of a run folder"


class Origin(Provenance):
    """provenance.json with what can change a number."""

    run_id: str
    hashes: dict[str, str]
    versions: dict[str, str | None]


@dataclass(frozen=True)
class Record:
    """A run as it is compared: where it lies, its numbers, where they come from."""

    folder: Path
    results: Results
    origin: Origin

    def circumstances(self) -> dict[str, str]:
        """Name -> what the run was made with, as far as it can change a number."""
        return (
            {f"hash of {name}": digest[:12] for name, digest in self.origin.hashes.items()}
            | {name: version or "missing" for name, version in self.origin.versions.items()}
            | {"device": self.results.device, "threads": str(self.origin.threads), "processor": self.origin.machine.processor}
            | {f"parameter {name}": repr(value) for name, value in self.results.params.items()}
        )

    def verdicts(self) -> dict[str, str]:
        """Claim -> verdict."""
        return {f"claim {claim.key}": claim.verdict for claim in self.results.claims}


@dataclass(frozen=True)
class Row:
    """One metric, stored and measured again; None where there is none."""

    name: str
    stored: Metric | None
    again: Metric | None

    @property
    def grade(self) -> Grade:
        """How much the two agree."""
        return grade(self.stored, self.again)

    def texts(self) -> tuple[str, str, str]:
        """Stored value, new value, change of the mean; the last two are empty where nothing changed."""
        if self.grade == SAME:
            return str(self.stored), "", ""
        change = f"{self.again.mean - self.stored.mean:+.2g}" if self.stored and self.again else ""
        return str(self.stored or "absent"), str(self.again or "absent"), change


@dataclass(frozen=True)
class Comparison:
    """What `compare` found: differing circumstances, a row per metric, changed verdicts."""

    title: str
    circumstances: list[str]
    rows: list[Row]
    verdicts: list[str]

    def summary(self) -> str:
        """The closing line."""
        count = Counter(row.grade for row in self.rows)
        shown = [g for g in (SAME, WITHIN, ROUNDING, DIFFERENT) if g != ROUNDING or count[g]]
        changed = f"; changed verdicts: {len(self.verdicts)}" if self.verdicts else ""
        return f"{self.title}: {', '.join(f'{count[g]} {g}' for g in shown)}{changed}"


def _bits(metric: Metric) -> tuple[object, ...]:
    """The numbers of a metric, told apart to the last bit (0.0 == -0.0, their bits are not the same)."""
    return metric.n, *(None if x is None else x.hex() for x in (metric.mean, metric.low, metric.high))


def grade(stored: Metric | None, again: Metric | None) -> Grade:
    """How much a metric measured again agrees with the stored one.

    bitwise the same: mean, low, high and n; within the interval: low <= new mean <= high of the stored 95 % interval,
    n > 1; same to rounding: n is equal and the means differ by 1e-6 of the larger or less; different: anything else, also
    another unit, a metric that vanished and one that is new.
    """
    if stored is None or again is None or stored.unit != again.unit:
        return DIFFERENT
    if _bits(stored) == _bits(again):
        return SAME
    if stored.n > 1 and stored.low is not None and stored.high is not None and stored.low <= again.mean <= stored.high:
        return WITHIN
    close = math.isclose(stored.mean, again.mean, rel_tol=ROUNDING_TOLERANCE)
    return ROUNDING if close and stored.n == again.n else DIFFERENT


def compare(stored: Record, again: Record) -> Comparison:
    """Compare a stored run with its re-execution; pure."""
    old, new = stored.results.metrics, again.results.metrics
    return Comparison(
        f"replay of {stored.results.study} {stored.origin.run_id}",
        _changes(stored.circumstances(), again.circumstances()),
        [Row(name, old.get(name), new.get(name)) for name in old | new],
        _changes(stored.verdicts(), again.verdicts()),
    )


def _changes(stored: Mapping[str, str], again: Mapping[str, str]) -> list[str]:
    """One line per name whose words differ."""
    names = [name for name in {**stored, **again} if stored.get(name) != again.get(name)]
    return [f"{name}: {stored.get(name, 'absent')} -> {again.get(name, 'absent')}" for name in names]


def locate(run: str) -> Path:
    """The folder of a stored run, from its id, a unique prefix of it, or its path. Raises ParamError."""
    is_id = len(run) >= SHORTEST_PREFIX and run.isalnum()  # so that no pattern gets to glob
    folders = sorted(f for f in outputs_root().glob(f"*/{run}*") if f.is_dir()) if is_id else []
    folders = [f for f in folders if f.parent.name != PUBLISHED and f.name not in RESERVED]
    found = [f for f in folders if f.name == run] or folders
    if not found and os.path.isdir(run):
        return Path(run).resolve()
    if len(found) == 1:
        return found[0]
    matches = f"{len(found)} runs match: {', '.join(f'{f.parent.name}/{f.name}' for f in found)}"
    why = matches if found else f"there is no such run in {outputs_root()}"
    raise ParamError(f"RUN: got {run!r}, but {why}; allowed: {ALLOWED}")


def read(folder: Path) -> Record:
    """The record of a whole run. Raises ParamError that names the file which is missing or damaged."""
    try:
        return Record(folder, read_record(folder / "results.json", Results), read_record(folder / "provenance.json", Origin))
    except Unreadable as error:
        raise ParamError(f"RUN: {error}; allowed: the folder of a finished run") from None


def todays_params(stored: Record) -> StudyParams:
    """The stored parameters under today's schema, new ones at their defaults. Raises ParamError."""
    try:
        return find(stored.results.study).study.params.parse(stored.results.params)
    except ParamError as error:
        faults = "; ".join(str(error).splitlines())
        raise ParamError(f"RUN: {stored.folder} cannot be run any more: {faults}") from None


@contextmanager
def _temporary_outputs() -> Iterator[None]:
    """Let runs of this process and its children go to a folder that is removed on the way out."""
    before = os.environ.get("STUDIES_OUTPUTS")
    with tempfile.TemporaryDirectory(prefix="studies-replay-") as folder:
        os.environ["STUDIES_OUTPUTS"] = folder
        try:
            yield
        finally:
            del os.environ["STUDIES_OUTPUTS"]
            os.environ.update({} if before is None else {"STUDIES_OUTPUTS": before})


def _execute(job: Job, origin: Origin, console: Console) -> Progress:
    """Run the job with as many threads as then (their number decides the last bits), and show where it is: one live line
    in a terminal, a line per cell in a log."""
    about, threads = f"about {clock(origin.wall_s)}", origin.threads
    lines = LogLines(f"started again, {job.size} size, {about}")

    def log(p: Progress) -> None:
        if line := lines.next(p):
            console.print(line, markup=False, soft_wrap=True)

    if not console.is_terminal:
        return run_jobs([job], 1, log, threads)[0]
    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn(), TextColumn(about)
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(job.slug, total=None)

        def move(p: Progress) -> None:
            bar.update(task, description=f"{job.slug}  {p.state}  {p.position} {p.bar or p.cell}")

        return run_jobs([job], 1, move, threads)[0]


def _show(comparison: Comparison, console: Console) -> None:
    """The comparison: circumstances, metrics (a table in a terminal, lines in a log), verdicts, closing line."""
    table = Table("metric", "stored", "replayed", "change", "", box=None, pad_edge=False)
    for row in comparison.rows:
        table.add_row(*map(Text, (row.name, *row.texts())), Text(row.grade, COLOURS[row.grade]))
    metrics = [f"{row.name}: {row.grade}, {' -> '.join(filter(None, row.texts()))}" for row in comparison.rows]
    for part in (*comparison.circumstances, *([table] if console.is_terminal else metrics), *comparison.verdicts):
        console.print(part, soft_wrap=part is not table)  # a table fits itself to the terminal
    console.print(comparison.summary())


def replay(run: str) -> bool:
    """Run a stored run again and report what became of its numbers; True where no metric is different.

    `run` is a run id, a unique prefix of one, or the path of a run folder. False also where the study fails this time; its
    error is reported and nothing of it is kept. Raises ParamError for a run that cannot be found, read or run any more.
    """
    console = Console(markup=False, highlight=False, soft_wrap=True)
    stored = read(locate(run))
    params = todays_params(stored)
    with _temporary_outputs():
        job = Job.of(stored.results.study, params)
        progress = _execute(job, stored.origin, console)
        if progress.state != DONE:
            where = f"failed in cell {progress.cell}" if progress.cell else "failed"
            console.print(f"replay of {job.slug} {stored.origin.run_id}: {where}: {progress.error}")
            return False
        again = read(job.folder)
    comparison = compare(stored, again)
    _show(comparison, console)
    return all(row.grade != DIFFERENT for row in comparison.rows)
