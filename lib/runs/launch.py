"""Start child processes for jobs, follow their events, and show where each one is."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from lib.runs.job import Job
from lib.runs.places import finished, finished_runs
from lib.studies import find

WAITING, RUNNING, DONE, PRESENT, FAILED, STOPPED = "waiting", "running", "done", "already finished", "failed", "stopped"


@dataclass
class Progress:
    """Where one job is, as its events tell."""

    job: Job
    expected_s: float
    state: str = WAITING
    cell: str = ""
    position: str = ""
    error: str = ""
    kept: str = ""
    began: float = 0.0
    ended: float = 0.0
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    @property
    def elapsed(self) -> float:
        """Seconds since the job began, or that it took."""
        return ((self.ended or time.perf_counter()) - self.began) if self.began else 0.0


def expected_seconds(job: Job) -> float:
    """Wall time of the latest run of the same study at the same size here, else what the study declares."""
    for folder in reversed(finished_runs(job.slug)):
        with contextlib.suppress(ValueError, KeyError, OSError):  # a damaged record only costs the estimate
            facts = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
            if facts["size"] == job.size and facts["params"].keys() == dict(job.params).keys():
                return float(facts["wall_s"])
    return 60 * find(job.slug).study.minutes.get(job.size, 0.0)


def child_environment(threads: int | None) -> dict[str, str]:
    """The child's environment, with numeric threads pinned before anything numeric is imported."""
    quiet = {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return os.environ | quiet | ({name: str(threads) for name in names} if threads else {})


def run_jobs(jobs: Sequence[Job], workers: int, notify: Callable[[Progress], None]) -> list[Progress]:
    """Run the jobs, `workers` at a time, each in a process of its own; `notify` is called at every change.

    On KeyboardInterrupt the children are stopped, unfinished work is dropped, finished runs stay, and it is raised again.
    """
    cores = os.cpu_count() or 1
    threads = max(1, cores // workers) if workers > 1 else None
    progress = [Progress(job, expected_seconds(job)) for job in jobs]
    stopping = threading.Event()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for wait in [pool.submit(_follow, p, threads, notify, stopping) for p in progress]:
                wait.result()
        except KeyboardInterrupt:
            stopping.set()
            for p in progress:
                _stop(p)
            raise
    return progress


def _stop(p: Progress) -> None:
    """Tell the child to end: it does when its standard input closes, even where a signal would come before it listens."""
    if p.process is not None and p.process.stdin is not None:
        with contextlib.suppress(OSError):
            p.process.stdin.close()


def _follow(p: Progress, threads: int | None, notify: Callable[[Progress], None], stopping: threading.Event) -> None:
    if stopping.is_set():
        p.state = STOPPED
        return
    p.began = time.perf_counter()
    if finished(p.job.folder) and not p.job.force:
        p.state, p.ended = PRESENT, time.perf_counter()
        notify(p)
        return
    p.state = RUNNING
    notify(p)
    with tempfile.TemporaryFile("w+") as log:
        p.process = subprocess.Popen(
            [sys.executable, "-m", "lib.runs.child", p.job.to_json()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            env=child_environment(threads), start_new_session=True,
        )  # fmt: skip
        if stopping.is_set():
            _stop(p)
        assert p.process.stdout is not None
        for line in p.process.stdout:
            _apply(p, json.loads(line))
            notify(p)
        code = p.process.wait()
        p.ended = time.perf_counter()
        if p.state == RUNNING:  # it ended without saying how
            log.seek(0)
            p.state = STOPPED if stopping.is_set() else FAILED
            p.error = f"the run's process ended with code {code}. {' '.join(log.read()[-400:].split())}".strip()
    notify(p)


def _apply(p: Progress, facts: dict[str, object]) -> None:
    match facts["event"]:
        case "cell":
            p.cell, p.position = str(facts["id"]), f"{int(str(facts['index'])) + 1}/{facts['of']}"
        case "done":
            p.state, p.cell, p.position = DONE, "", ""
        case "failed":
            p.state, p.error, p.kept = FAILED, str(facts["error"]), str(facts["kept"])
            p.cell = str(facts["cell"])


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
