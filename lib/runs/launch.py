"""Run jobs in processes of their own, follow their events, and show where each one is."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib.runs.job import Job
from lib.runs.places import finished, finished_runs
from lib.runs.process import Launcher, RunProcess
from lib.runs.provenance import cores
from lib.studies import find

WAITING, RUNNING, DONE, PRESENT, FAILED, STOPPED = "waiting", "running", "done", "already finished", "failed", "stopped"
HELD = "made by another process"
LISTEN_S = 0.2  # an interruption that comes just before a wait begins, or to another thread, is heard when the wait is over
RETRIED = ("kernel", "process")  # kinds of failure that say nothing about the notebook


@dataclass(eq=False)
class Progress:
    """Where one job is, as its events tell.

    `bar` is the latest progress bar of its cell; `strikes` counts attempts that were lost to a dead kernel or process, `note`
    says why it started cold where that was not meant.
    """

    job: Job
    state: str = WAITING
    cell: str = ""
    position: str = ""
    bar: str = ""
    error: str = ""
    kind: str = ""
    kept: str = ""
    strikes: int = 0
    note: str = ""
    began: float = 0.0
    ended: float = 0.0
    process: RunProcess | None = field(default=None, repr=False)

    @property
    def elapsed(self) -> float:
        """Seconds since the job began, or that it took."""
        return ((self.ended or time.perf_counter()) - self.began) if self.began else 0.0

    def stop(self) -> None:
        """End its process, where it has one; another thread may be about to drop it."""
        if (process := self.process) is not None:
            process.stop()

    def view(self) -> dict[str, str]:
        """What a display shows of it."""
        return {"state": self.state, "cell": self.bar or self.cell, "position": self.position}

    def apply(self, facts: dict[str, Any]) -> None:
        """Take in one event of the run."""
        match facts["event"]:
            case "cell":
                self.cell, self.position, self.bar = facts["id"], f"{facts['index'] + 1}/{facts['of']}", ""
            case "bar":
                self.bar = facts["bar"]
            case "done":
                self.state, self.cell, self.position, self.bar, self.error, self.kind, self.kept = DONE, "", "", "", "", "", ""
            case "held":
                self.state = HELD
            case "failed":
                self.state, self.error, self.kind = FAILED, facts["error"], facts["kind"]
                self.cell, self.kept = facts["cell"], facts["kept"]


Notify = Callable[[Progress], None]


def expected_seconds(job: Job) -> float:
    """Wall time of the latest run of the same study at the same size here, else what the study declares."""
    for folder in reversed(finished_runs(job.slug)):
        with contextlib.suppress(ValueError, KeyError, OSError):  # a damaged record only costs the estimate
            facts = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
            if facts["size"] == job.size and facts["params"].keys() == dict(job.params).keys():
                return float(facts["wall_s"])
    return 60 * find(job.slug).study.minutes.get(job.size, 0.0)


def run_jobs(jobs: Sequence[Job], workers: int, notify: Notify, threads: int | None = None) -> list[Progress]:
    """Run the jobs, `workers` at a time, each in a process of its own; `notify` is called at every change.

    Each computes with `threads` threads; by default the cores are shared out.
    On KeyboardInterrupt the children are stopped, unfinished work is dropped, finished runs stay, and it is raised again.
    """
    if threads is None and workers > 1:
        threads = max(1, cores() // workers)
    launcher = Launcher([job.slug for job in jobs], threads, warm=len(jobs) > 1)
    progress = [Progress(job) for job in jobs]
    stopping = threading.Event()
    with contextlib.closing(launcher), ThreadPoolExecutor(workers) as pool:
        try:
            for future in [pool.submit(perform, p, launcher, notify, stopping) for p in progress]:
                while wait([future], LISTEN_S).not_done:
                    pass
                future.result()
        except KeyboardInterrupt:
            stopping.set()
            for p in progress:
                p.stop()
            raise
    return progress


def perform(p: Progress, launcher: Launcher, notify: Notify, stopping: threading.Event, retries: int = 0) -> Progress:
    """Run one job to its end; up to `retries` more times where its kernel or process died. `stopping` says to start nothing."""
    if stopping.is_set():
        p.state = STOPPED
        return p
    p.began = time.perf_counter()
    if finished(p.job.folder) and not p.job.force:
        p.state = PRESENT
    else:
        _attempt(p, launcher, notify, stopping)
        while p.state == FAILED and p.kind in RETRIED and p.strikes < retries and not stopping.is_set():
            p.strikes += 1
            _attempt(p, launcher, notify, stopping)
    p.note = launcher.cold_because if launcher.warm else ""
    p.ended = time.perf_counter()
    notify(p)
    return p


def _attempt(p: Progress, launcher: Launcher, notify: Notify, stopping: threading.Event) -> None:
    p.state, p.cell, p.position, p.bar = RUNNING, "", "", ""
    notify(p)
    p.process = launcher.start(p.job)
    with contextlib.closing(p.process) as process:
        if stopping.is_set():
            process.stop()
        for facts in process.events():
            p.apply(facts)
            if p.state == RUNNING:
                notify(p)
        if p.state == RUNNING:  # it ended without saying how
            p.state, p.kind = (STOPPED, "") if stopping.is_set() else (FAILED, "process")
            p.error = process.last_words()
    p.process = None  # outcomes are kept, its files are not


def latest_events(progress: Sequence[Progress]) -> str:
    """One line that sums up a batch."""
    count = {state: sum(p.state == state for p in progress) for state in (DONE, PRESENT, FAILED, STOPPED)}
    return ", ".join(f"{n} {state}" for state, n in count.items() if n)


def relative(path: Path) -> str:
    """A path as short as it can be told from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
