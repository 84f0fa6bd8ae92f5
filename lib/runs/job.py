"""What is to be run, and the events a run sends while it works."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lib.runs.identity import run_id
from lib.runs.places import run_folder
from lib.studies import StudyParams, find


@dataclass(frozen=True)
class Job:
    """One run of one study, checked: everything that the child process needs to know.

    `max_seconds` and `max_memory_mb` stop a run that goes beyond; `patient` says what to do while another process makes
    the same run: wait for it, or say so and leave.
    """

    slug: str
    size: str
    params: Mapping[str, Any]
    run_id: str
    force: bool = False
    patient: bool = True
    max_seconds: float | None = None
    max_memory_mb: float | None = None

    @classmethod
    def of(cls, slug: str, params: StudyParams, force: bool = False, hashes: Mapping[str, str] | None = None) -> "Job":
        """The job of running `slug` with checked parameters; `hashes` are its source hashes where they are known."""
        entry = find(slug)
        return cls(slug, entry.size_of(params), params.model_dump(), run_id(entry, params, hashes), force)

    def with_limits(self, max_seconds: float | None, max_memory_mb: float | None) -> "Job":
        """The same work within limits, and not waiting for others."""
        return replace(self, max_seconds=max_seconds, max_memory_mb=max_memory_mb, patient=False)

    @property
    def folder(self) -> Path:
        """Where the finished run lies."""
        return run_folder(self.slug, self.run_id)

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """Inverse of `to_json`."""
        return cls(**json.loads(text))


def event(name: str, **facts: Any) -> str:
    """One event as a line of JSON: cell (index, of, id), held, done (folder), failed (kind, error, cell, kept)."""
    return json.dumps({"event": name, **facts})
