"""What is to be run, and the events a run sends while it works."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lib.runs.identity import run_id, source_hashes
from lib.runs.places import outputs_root
from lib.studies import StudyParams, find


@dataclass(frozen=True)
class Job:
    """One run of one study, checked: everything that the child process needs to know.

    `outputs` is the folder of all runs; `max_seconds` and `max_memory_mb` stop a run that goes beyond; `patient` says
    what to do while another process makes the same run: wait for it, or say so and leave.
    """

    slug: str
    size: str
    params: Mapping[str, Any]
    run_id: str
    outputs: str
    force: bool = False
    patient: bool = True
    max_seconds: float | None = None
    max_memory_mb: float | None = None

    @classmethod
    def of(cls, slug: str, params: StudyParams, force: bool = False) -> "Job":
        """The job of running `slug` with checked parameters, for the outputs folder of this process."""
        return cls.many(slug, [params], force=force)[0]

    @classmethod
    def many(cls, slug: str, points: Sequence[StudyParams], **facts: Any) -> list["Job"]:
        """A job for each of the parameters; the sources are read once."""
        entry, outputs = find(slug), str(outputs_root())
        hashes = source_hashes(entry)
        return [
            cls(slug, size, params.model_dump(), run_id(entry, params, hashes), outputs, **facts)
            for size, params in zip(entry.sizes_of(points), points, strict=True)
        ]

    @property
    def folder(self) -> Path:
        """Where the finished run lies."""
        return Path(self.outputs, self.slug, self.run_id)

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """Inverse of `to_json`."""
        return cls(**json.loads(text))


def event(name: str, **facts: Any) -> str:
    """One event as a line of JSON: cell (index, of, id), bar (bar), held, done (folder), failed (kind, error, cell, kept)."""
    return json.dumps({"event": name, **facts})
