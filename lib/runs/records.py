"""The stored files as they are read: the checked shapes of results, provenance, error, benchmarks, and a sweep's files."""

import itertools
import math
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from lib.studies.claims import Metric, Verdict

FileName = Annotated[str, Field(pattern=r"^[^/\\]+$")]  # a name that cannot leave its folder


def _inside(place: str) -> str:
    """Refuse a place that leaves the folder it is seen from."""
    if PurePosixPath(place).is_absolute() or ".." in PurePosixPath(place).parts:
        raise ValueError("must stay inside the outputs folder")
    return place


Place = Annotated[str, AfterValidator(_inside)]
When = Annotated[datetime, AfterValidator(lambda t: t.replace(tzinfo=t.tzinfo or UTC).astimezone(UTC))]


class Record(BaseModel):
    """Part of a stored file; keys that nobody reads are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False, serialize_by_alias=True)


class FigureRecord(Record):
    """A figure of a run: figures/<name>.png."""

    name: FileName
    caption: str


class ClaimRecord(Record):
    """A judged claim, as `Claim.judge` gives it."""

    key: str
    statement: str
    source: str
    paper_number: str | None
    criterion: str
    verdict: Verdict
    evidence: dict[str, Metric]


class Results(Record):
    """results.json."""

    version: Literal[1] = Field(alias="schema")
    study: FileName
    title: str
    question: str
    paper: str
    cover: str
    size: str
    params: dict[str, Any]
    device: str
    metrics: dict[str, Metric]
    claims: list[ClaimRecord]
    figures: list[FigureRecord]


class Machine(Record):
    """Where a run was made."""

    processor: str
    cores: int | None


class Provenance(Record):
    """provenance.json."""

    version: Literal[1] = Field(alias="schema")
    started_utc: When
    wall_s: float
    cpu_s: float
    peak_rss_mb: float
    threads: int
    machine: Machine


class Failure(Record):
    """failed/<run>/error.json."""

    study: str
    size: str
    params: dict[str, Any]
    run_id: FileName
    started_utc: When
    error: str
    cell: str | None


class Benchmark(BaseModel):
    """One row of benchmarks.json: seconds of ours and of the peer, `ratio` = peer_s / ours_s; more keys are shown as they are."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    name: str
    ours_s: float
    peer: str
    peer_s: float
    ratio: float
    repeats: int
    device: str
    size: str | int | float


class Plan(Record):
    """sweeps/<sweep-id>/plan.json: what a sweep runs, in grid order (the last axis turns fastest)."""

    version: Literal[1] = Field(alias="schema")
    study: FileName
    sweep_id: FileName
    size: str
    title: str
    axes: dict[str, Annotated[list[Any], Field(min_length=1)]]
    base: dict[str, Any]
    runs: list[FileName]
    created_utc: When
    headline: str

    @model_validator(mode="after")
    def _a_run_for_each_point(self) -> Self:
        points = math.prod(len(values) for values in self.axes.values())
        if len(self.runs) != points:
            raise ValueError(f"{len(self.runs)} runs for {points} points of the grid")
        if len(set(self.runs)) != points:
            raise ValueError("the same run stands at two points of the grid")
        return self

    @property
    def parameters(self) -> list[str]:
        """The names of all parameters, the axes first."""
        return [*self.axes, *self.base]

    def points(self) -> list[dict[str, Any]]:
        """All parameters of each run, in grid order."""
        grid = itertools.product(*self.axes.values())
        return [dict(zip(self.axes, values, strict=True)) | self.base for values in grid]


@dataclass(frozen=True)
class FailedRow:
    """A run of a sweep that is not in its table, and why; rows of failed.json.

    `kept` is the folder of the failed notebook as seen from the outputs folder, "" where there is none; `strikes` counts
    attempts lost to the infrastructure (dead workers and kernels). A missing run is one that nobody reported as failed.
    """

    run_id: FileName
    params: dict[str, Any]
    reason: str
    cell: str = ""
    kept: Place = ""
    strikes: int = 0
    state: Literal["failed", "missing"] = "failed"


class ClaimTally(Record):
    """Verdicts of one claim over the runs of a sweep; `low` and `high` bound the share of tested runs in which it held.

    The bounds are Wilson's interval with 95 % confidence, None where no run tested the claim.
    """

    held: int
    not_held: int
    not_tested: int
    low: float | None
    high: float | None

    @property
    def tested(self) -> int:
        """Runs that tested it."""
        return self.held + self.not_held


class OverSeeds(Record):
    """The claims judged once more at one point of a sweep's other axes, each metric being its mean over the seeds."""

    point: dict[str, Any]
    seeds: int
    claims: list[ClaimRecord]


class Summary(Record):
    """sweeps/<sweep-id>/summary.json, written last: a sweep that has it is finished.

    `wall_s` and `cpu_s` are sums over the finished runs, `peak_rss_mb` is the largest; `caption` describes the figure and
    is None where there is none, then `note` says why.
    """

    version: Literal[1] = Field(1, alias="schema")
    finished: int
    failed: int
    missing: int
    claims: dict[str, ClaimTally]
    over_seeds: list[OverSeeds] = []
    finished_utc: When
    wall_s: float
    cpu_s: float
    peak_rss_mb: float
    caption: str | None
    note: str
