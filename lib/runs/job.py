"""What is to be run, and the events a run sends while it works."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lib.runs.identity import run_id
from lib.runs.places import run_folder
from lib.studies import StudyParams, find


@dataclass(frozen=True)
class Job:
    """One run of one study, checked: everything that the child process needs to know."""

    slug: str
    size: str
    params: Mapping[str, Any]
    run_id: str
    force: bool = False

    @classmethod
    def of(cls, slug: str, params: StudyParams, force: bool = False) -> "Job":
        """The job of running `slug` with checked parameters."""
        entry = find(slug)
        return cls(slug, entry.size_of(params), params.model_dump(), run_id(entry, params), force)

    @property
    def folder(self):  # noqa: ANN201 - pathlib.Path
        """Where the finished run lies."""
        return run_folder(self.slug, self.run_id)

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """Inverse of `to_json`."""
        return cls(**json.loads(text))


def event(kind: str, **facts: Any) -> str:
    """One event as a line of JSON: cell (index, of, id), done (folder, wall_s), failed (error, cell, kept)."""
    return json.dumps({"event": kind, **facts})
