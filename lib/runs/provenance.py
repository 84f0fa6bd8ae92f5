"""Where a result comes from: code, versions, machine, threads, times."""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from lib.runs.identity import source_hashes
from lib.runs.job import Job
from lib.studies import Entry
from lib.studies.registry import HOME

PACKAGES = (
    "torch", "numpy", "scipy", "scikit-learn", "POT", "pandas", "datasets", "papermill", "nbclient", "ipykernel", "plotly",
)  # fmt: skip


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(HOME), *words], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def processor() -> str:
    """The processor's name as the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """Threads a kernel of this process will compute with: pinned by OMP_NUM_THREADS, or every core it may use."""
    pinned = os.environ.get("OMP_NUM_THREADS", "")
    return int(pinned) if pinned.isdigit() else cores()


def cell_times(notebook: Any) -> list[dict[str, Any]]:
    """Seconds per code cell, as papermill noted them."""
    cells = (cell for cell in notebook.cells if cell.cell_type == "code")
    return [{"id": cell.get("id", ""), "wall_s": cell.metadata.get("papermill", {}).get("duration") or 0.0} for cell in cells]


def describe(entry: Entry, job: Job) -> dict[str, Any]:
    """Everything about the run but its times and cost."""
    status = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "schema": 1,
        "run_id": job.run_id,
        "study": job.slug,
        "size": job.size,
        "params": dict(job.params),
        "seed": job.params["seed"],
        "git": {"commit": _git("rev-parse", "HEAD"), "dirty": None if status is None else bool(status)},
        "hashes": source_hashes(entry),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "machine": {
            "system": platform.platform(),
            "processor": processor(),
            "cores": os.cpu_count(),
            "executable": os.path.basename(sys.executable),
        },
        "threads": threads(),
    }
