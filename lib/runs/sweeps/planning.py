"""What a sweep will run, what of it is there already, and what the rest will cost."""

import json
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lib.runs.identity import digest
from lib.runs.job import Job
from lib.runs.places import finished, finished_runs, replaced, sweep_folder
from lib.runs.sweeps.grid import Axes, check_value, parse_axes, points, size
from lib.studies import Entry, ParamError, find
from lib.studies.params import from_text

MANY = 10_000  # runs; more of them are likely a slip of the pen
Limits = Mapping[str, float | None]  # max_seconds, max_memory_mb
STORED = 200  # latest finished runs to estimate from


@dataclass(frozen=True)
class Sweep:
    """A checked sweep: one job for each point of the grid, the last axis turning fastest."""

    entry: Entry
    size: str
    axes: Axes
    base: Mapping[str, Any]
    jobs: Sequence[Job]

    @property
    def sweep_id(self) -> str:
        """Names the work: the same runs in the same order have the same id."""
        return digest(self.entry.study.slug, *(job.run_id for job in self.jobs))[:12]

    @property
    def folder(self) -> Path:
        """Where plan and report lie."""
        return sweep_folder(self.entry.study.slug, self.sweep_id)

    def unfinished(self) -> list[Job]:
        """The jobs that are still to do, in grid order."""
        return [job for job in self.jobs if not finished(job.folder)]

    def write(self) -> None:
        """Write plan.json, unless an earlier call of the same sweep has done so."""
        target, study = self.folder / "plan.json", self.entry.study
        if target.exists():
            return
        facts = {
            "schema": 1, "study": study.slug, "sweep_id": self.sweep_id, "size": self.size, "title": study.title,
            "axes": {name: list(values) for name, values in self.axes.items()}, "base": dict(self.base),
            "runs": [job.run_id for job in self.jobs], "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
            "headline": study.headline,
        }  # fmt: skip
        self.folder.mkdir(parents=True, exist_ok=True)
        with replaced(target) as file:
            file.write_text(json.dumps(facts, indent=1), encoding="utf-8")


def plan(
    slug: str,
    size_name: str,
    grid: Sequence[str],
    pairs: Mapping[str, str],
    file: Mapping[str, Any] | None,
    limits: Limits,
    yes: bool,
) -> Sweep:
    """Check everything about a sweep before anything runs. Raises ParamError; more than 10,000 runs need `yes`."""
    entry = find(slug)
    axes = parse_axes(entry, grid, pairs)
    if (count := size(axes)) > MANY and not yes:
        raise ParamError(f"-g: got a grid of {count:,} runs, allowed: up to {MANY:,}, or more with --yes")
    fixed = _fixed(entry, size_name, pairs, file or {})
    base = {name: value for name, value in fixed.items() if name not in axes}
    jobs = Job.many(slug, list(points(entry, base, axes)), patient=False, **limits)
    sizes = {job.size for job in jobs}
    return Sweep(entry, sizes.pop() if len(sizes) == 1 else "custom", axes, base, jobs)


def _fixed(entry: Entry, size_name: str, pairs: Mapping[str, str], file: Mapping[str, Any]) -> dict[str, Any]:
    """The values that every run shares, each checked by itself: whether they go together depends on the axes too."""
    fields = entry.study.params.model_fields
    given = dict(file) | {name: from_text(fields[name], text) if name in fields else text for name, text in pairs.items()}
    base = entry.size_params(size_name).model_dump()
    for name, value in given.items():
        check_value(entry, base, name, value)
    return base | given


@dataclass(frozen=True)
class Cost:
    """What jobs will take: CPU seconds and wall seconds in all, MiB of the largest, and how many stored runs say so (0: the
    study's own declaration, which knows neither memory nor CPU time)."""

    wall_s: float
    cpu_s: float
    memory_mb: float
    stored: int


def cost(sweep: Sweep, jobs: Sequence[Job]) -> Cost:
    """Estimate jobs from the stored runs most like them: those that share the most parameters, seeds aside."""
    records = _records(sweep.entry.study.slug)
    if not records:
        each = 60 * sweep.entry.study.minutes.get(sweep.size, 0.0)
        return Cost(each * len(jobs), each * len(jobs), 0.0, 0)
    alike = Counter(json.dumps({**job.params, "seed": 0}, sort_keys=True) for job in jobs)
    each = [(count, _nearest(json.loads(params), records)) for params, count in alike.items()]
    return Cost(
        wall_s=sum(count * found["wall_s"] for count, found in each),
        cpu_s=sum(count * found["cpu_s"] for count, found in each),
        memory_mb=max((found["peak_rss_mb"] for _, found in each), default=0.0),
        stored=len(records),
    )


def _records(slug: str) -> list[dict[str, Any]]:
    records = []
    for folder in finished_runs(slug)[-STORED:]:
        try:
            facts = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
            records.append({name: facts[name] for name in ("params", "wall_s", "cpu_s", "peak_rss_mb")})
        except (ValueError, KeyError, OSError):
            continue  # a damaged record only costs the estimate
    return records


def _nearest(params: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Medians over the stored runs that share the most parameters."""
    shared = [sum(record["params"].get(name) == value for name, value in params.items() if name != "seed") for record in records]
    like = [record for record, count in zip(records, shared, strict=True) if count == max(shared)]
    return {name: statistics.median(record[name] for record in like) for name in ("wall_s", "cpu_s", "peak_rss_mb")}
