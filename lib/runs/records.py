"""The stored files as the gallery reads them: the checked shapes of results, provenance, error and benchmarks."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from lib.studies.claims import Metric, Verdict

FileName = Annotated[str, Field(pattern=r"^[^/\\]+$")]  # a name that cannot leave its folder
When = Annotated[datetime, AfterValidator(lambda t: t.replace(tzinfo=t.tzinfo or UTC).astimezone(UTC))]


class Record(BaseModel):
    """Part of a stored file; keys that the gallery does not show are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class FigureRecord(Record):
    """A figure of a run: figures/<name>.png."""

    name: FileName
    caption: str


class ClaimRecord(Record):
    """A judged claim, as `Claim.judge` gives it."""

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
