"""Where the runs of a sweep are worked on: threads of this process, or a Dask cluster. One seam: submit, next, close.

The engine only moves work. What is finished is decided by the run folders, so an engine may lose everything it knows.
"""

import contextlib
import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from lib.runs.job import Job
from lib.runs.launch import FAILED, Progress, perform
from lib.runs.process import Launcher

RETRIES = 2  # more attempts for a run whose kernel or process died; a failing cell gets none

Heard = Callable[[str, Mapping[str, Any]], None]  # run id, and what changed: state, cell, position


class ClusterLost(RuntimeError):
    """The cluster does not answer any more."""


class Engine(Protocol):
    """The seam."""

    @property
    def slots(self) -> int:
        """Runs worked on at a time, 0 while no worker is there."""
        ...

    def submit(self, job: Job) -> None:
        """Take on a job."""
        ...

    def next(self, timeout: float) -> Progress | None:
        """A job that came to its end, or None when the time is over. Raises ClusterLost."""
        ...

    def close(self, now: bool) -> None:
        """Let go; with `now`, stop what is running."""
        ...


class LocalEngine:
    """Runs in threads of this process, each waiting for a child process."""

    def __init__(self, slug: str, workers: int, threads: int, heard: Heard) -> None:
        self.slots = workers
        self._launcher, self._heard = Launcher([slug], threads, warm=True), heard
        self._done: queue.SimpleQueue[Progress] = queue.SimpleQueue()
        self._stopping, self._running = threading.Event(), set[Progress]()
        self._pool = ThreadPoolExecutor(workers)

    def submit(self, job: Job) -> None:
        """Take on a job."""
        self._pool.submit(self._work, job)

    def _work(self, job: Job) -> None:
        p = Progress(job)
        self._running.add(p)
        try:
            perform(p, self._launcher, lambda p: self._heard(job.run_id, p.view()), self._stopping, RETRIES)
        except Exception as error:
            p.state, p.kind, p.error = FAILED, "other", f"{type(error).__name__}: {error}"
        self._running.discard(p)
        self._done.put(p)

    def next(self, timeout: float) -> Progress | None:
        """A job that came to its end, or None when the time is over."""
        with contextlib.suppress(queue.Empty):
            return self._done.get(timeout=timeout)
        return None

    def close(self, now: bool) -> None:
        """Let go; with `now`, stop what is running."""
        if now:
            self._stopping.set()
            for p in list(self._running):
                p.stop()
        self._pool.shutdown(cancel_futures=now)
        self._launcher.close()
