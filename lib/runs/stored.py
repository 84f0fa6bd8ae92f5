"""Results as they lie on disk, read with suspicion: what is damaged is named and left out, and nothing here raises for it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from lib.runs.places import finished
from lib.runs.records import Benchmark, FailedRow, Failure, Plan, Provenance, Results, Summary

if TYPE_CHECKING:
    import pandas as pd

RESERVED = {"failed", "sweeps"}  # folders of a study that are no runs
PUBLISHED = "published"  # stored results that came from elsewhere: outputs/published/<slug>/<name>/
RUN_FILES = {"results.json", "provenance.json", "notebook.ipynb"}
SWEEP_FILES = {"plan.json", "summary.json"}
LARGEST_FIRST = ("paper", "laptop", "quick", "custom", "test")


@dataclass(frozen=True)
class StoredRun:
    """A finished run; `published` where it was made elsewhere and came with the repository."""

    folder: Path
    results: Results
    provenance: Provenance
    published: bool

    @property
    def preference(self) -> tuple[int, datetime]:
        """Grows with the size, then with the time of the run."""
        size = self.results.size if self.results.size in LARGEST_FIRST else "custom"
        return -LARGEST_FIRST.index(size), self.provenance.started_utc

    def figure_file(self, name: str) -> Path:
        """Where the figure of that name lies."""
        return self.folder / "figures" / f"{name}.png"

    def table(self, name: str) -> "pd.DataFrame":
        """The table of that name. Raises ValueError that names the tables there are."""
        import pandas as pd

        known = sorted(file.stem for file in (self.folder / "tables").glob("*.parquet"))
        if name not in known:
            raise ValueError(f"table: got {name!r}, but {self.folder} has {', '.join(known) or 'none'}")
        return pd.read_parquet(self.folder / "tables" / f"{name}.parquet")


@dataclass(frozen=True)
class FailedRun:
    """A failed run that kept its notebook; `mended` where the same work has been finished since."""

    folder: Path
    failure: Failure
    mended: bool


@dataclass(frozen=True)
class StoredSweep:
    """A sweep; `summary` is None until it is finished, `done` counts its runs that are there."""

    folder: Path
    plan: Plan
    summary: Summary | None
    failures: list[FailedRow]
    done: int
    published: bool

    @property
    def moment(self) -> datetime:
        """When it was finished, or planned where it is not."""
        return self.summary.finished_utc if self.summary else self.plan.created_utc


@dataclass(frozen=True)
class Damage:
    """Something that could not be shown, and why."""

    path: Path
    why: str


@dataclass
class Shelf:
    """Everything under one outputs folder."""

    root: Path
    runs: list[StoredRun] = field(default_factory=list)
    failed: list[FailedRun] = field(default_factory=list)
    sweeps: list[StoredSweep] = field(default_factory=list)
    benchmarks: list[Benchmark] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)

    def of(self, slug: str) -> list[StoredRun]:
        """The study's runs, the one to show first: largest size, then latest."""
        return sorted((run for run in self.runs if run.results.study == slug), key=lambda run: run.preference, reverse=True)


class Unreadable(Exception):
    """A stored file cannot be used."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.damage = Damage(path, why)


def read_shelf(root: Path) -> Shelf:
    """All that is stored under `root`; an empty shelf where there is no such folder."""
    shelf = Shelf(root)
    for study in _folders(root):
        published = study.name == PUBLISHED
        for folder in [run for s in _folders(study) for run in _folders(s)] if published else _folders(study):
            if folder.name not in RESERVED and any((folder / name).exists() for name in RUN_FILES):
                _shelve_run(shelf, folder, published)
        for folder in _folders(study / "failed"):
            _shelve_failure(shelf, folder)
        for home in _folders(study) if published else [study]:
            for folder in _folders(home / "sweeps"):
                _shelve_sweep(shelf, folder, published)
    _shelve_benchmarks(shelf, root / "benchmarks.json")
    return shelf


def _folders(parent: Path) -> Iterator[Path]:
    return iter(sorted(f for f in parent.iterdir() if f.is_dir() and f.name[0] != ".")) if parent.is_dir() else iter(())


def read_run(folder: Path, published: bool = False) -> StoredRun:
    """The record of a finished run. Raises Unreadable."""
    return StoredRun(
        folder, read_record(folder / "results.json", Results), read_record(folder / "provenance.json", Provenance), published
    )


def read_plan(folder: Path) -> Plan:
    """What the sweep in `folder` runs. Raises Unreadable."""
    return read_record(folder / "plan.json", Plan)


def read_summary(folder: Path) -> Summary | None:
    """How the sweep in `folder` ended, None where it has not. Raises Unreadable."""
    file = folder / "summary.json"
    return read_record(file, Summary) if file.exists() else None


def _shelve_run(shelf: Shelf, folder: Path, published: bool) -> None:
    try:
        shelf.runs.append(read_run(folder, published))
    except Unreadable as error:
        shelf.damages.append(error.damage)


def _shelve_failure(shelf: Shelf, folder: Path) -> None:
    try:
        failure = read_record(folder / "error.json", Failure)
    except Unreadable as error:
        shelf.damages.append(error.damage)
    else:
        shelf.failed.append(FailedRun(folder, failure, (folder.parent.parent / failure.run_id / "results.json").is_file()))


def _shelve_sweep(shelf: Shelf, folder: Path, published: bool) -> None:
    """A sweep whose list of failures is damaged is shown all the same, without the list."""
    if not any((folder / name).exists() for name in SWEEP_FILES):
        return
    failures = []
    try:
        plan, summary = read_plan(folder), read_summary(folder)
    except Unreadable as error:
        shelf.damages.append(error.damage)
        return
    if summary:
        try:
            failures = read_record(folder / "failed.json", list[FailedRow])
        except Unreadable as error:
            shelf.damages.append(error.damage)
    done = summary.finished if summary else sum(finished(folder.parents[1] / run) for run in plan.runs)
    shelf.sweeps.append(StoredSweep(folder, plan, summary, failures, done, published))


def _shelve_benchmarks(shelf: Shelf, path: Path) -> None:
    if not path.exists():
        return
    try:
        rows = read_record(path, list[Any])
    except Unreadable as error:
        shelf.damages.append(error.damage)
        return
    for number, row in enumerate(rows, 1):
        try:
            shelf.benchmarks.append(Benchmark.model_validate(row))
        except ValidationError as error:
            shelf.damages.append(Damage(path, f"row {number}: {_first_fault(error)}"))


T = TypeVar("T")


def read_record(path: Path, kind: type[T]) -> T:
    """The file as a checked record. Raises Unreadable."""
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except ValidationError as error:
        raise Unreadable(path, _first_fault(error)) from None
    except FileNotFoundError:
        raise Unreadable(path, "is missing") from None
    except OSError as error:
        raise Unreadable(path, str(error.strerror)) from None


def _first_fault(error: ValidationError) -> str:
    """The first fault of a file in one short line."""
    fault = error.errors(include_url=False)[0]
    where, given = ".".join(map(str, fault["loc"])), repr(fault["input"])
    shown = f", got {given}" if len(given) <= 60 and fault["type"] not in ("missing", "json_invalid") else ""
    return f"{where}: {fault['msg']}{shown}" if where else f"{fault['msg']}{shown}"
