"""What a Dask worker does for a sweep: wait for the child process of a run, and say how it went."""

import os
import platform
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distributed import get_worker

from lib.parallel import source_digest
from lib.runs.job import Job
from lib.runs.launch import FAILED, Progress, perform
from lib.runs.process import Launcher
from lib.runs.sweeps.engines import RETRIES

TOPIC = "studies"

_launchers: dict[tuple[str, ...], Launcher] = {}
_running: dict[str, list[Progress]] = {}  # sweep -> its runs here
_stopped: dict[str, threading.Event] = {}
_lock = threading.Lock()


def probe() -> str:
    """The code that a worker has: importing this module is half of the test."""
    return source_digest()


def work(job_text: str, sweep_folder: str, threads: int, env: Mapping[str, str]) -> dict[str, Any]:
    """Run a job in a child process of this worker; the worker itself only waits, so it goes on answering the scheduler."""
    job, worker = Job.from_json(job_text), get_worker()
    p = Progress(job)
    if not Path(sweep_folder, "plan.json").is_file():
        p.state, p.kind = FAILED, "place"
        p.error = (
            f"worker {worker.address} on {platform.node()} does not see {sweep_folder}; allowed: an outputs folder "
            "(STUDIES_OUTPUTS) on a file system that all workers share"
        )
        return outcome(p)
    with _lock:
        stopping = _stopped.setdefault(sweep_folder, threading.Event())
        running = _running.setdefault(sweep_folder, [])
        running.append(p)
    try:
        launcher = _launcher(job.slug, threads, env)
        perform(p, launcher, lambda p: worker.log_event(TOPIC, {"run": job.run_id, **p.view()}), stopping, RETRIES)
    finally:
        running.remove(p)
    return outcome(p)


def outcome(p: Progress) -> dict[str, Any]:
    """What the driver needs to know of an end."""
    return {name: getattr(p, name) for name in ("state", "error", "kind", "cell", "kept", "strikes", "note", "elapsed")}


def stop(sweep_folder: str) -> None:
    """End the runs of a sweep on this worker: its driver was interrupted."""
    with _lock:
        _stopped.pop(sweep_folder, threading.Event()).set()
        for p in _running.get(sweep_folder, []):
            p.stop()


def _launcher(slug: str, threads: int, env: Mapping[str, str]) -> Launcher:
    """The worker's own launcher: its template is forked again and again, until the code changes."""
    key = (slug, str(threads), *(f"{name}={value}" for name, value in sorted(env.items())))
    with _lock:
        os.environ.pop("MALLOC_TRIM_THRESHOLD_", None)  # Dask sets it for its workers; numeric work in children would crawl
        if key not in _launchers:
            _launchers[key] = Launcher([slug], threads, warm=True, env=env)
        return _launchers[key]


def environment() -> dict[str, str]:
    """What a run's environment must take over from the driver's."""
    return {name: os.environ[name] for name in ("STUDIES_PATH", "STUDIES_CACHE", "HF_HUB_OFFLINE") if name in os.environ}
