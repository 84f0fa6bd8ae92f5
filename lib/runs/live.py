"""The live view of a batch of runs: a table in a terminal, plain lines in a log."""

import threading
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table

from lib.runs.job import Job
from lib.runs.launch import DONE, FAILED, PRESENT, RUNNING, WAITING, Progress, expected_seconds, latest_events, relative, run_jobs

COLOURS = {WAITING: "dim", RUNNING: "cyan", DONE: "green", PRESENT: "green", FAILED: "red"}


def clock(seconds: float) -> str:
    """Seconds as m:ss."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _table(seen: dict[str, Progress], jobs: Sequence[Job], expected: dict[str, float]) -> Table:
    table = Table("study", "size", "state", "cell", "elapsed", "expected", box=None, pad_edge=False)
    for job in jobs:
        p = seen.get(job.run_id)
        state = p.state if p else WAITING
        where = f"{p.position} {p.cell}" if p else ""
        table.add_row(
            job.slug, job.size, f"[{COLOURS.get(state, 'yellow')}]{state}[/]", where,
            clock(p.elapsed) if p else "", f"about {clock(expected[job.run_id])}",
        )  # fmt: skip
    return table


def _last_line(p: Progress) -> str:
    if p.state == FAILED:
        kept = f"; the notebook is kept in {p.kept}" if p.kept else ""
        cell = f" in cell {p.cell}" if p.cell else ""
        return f"{p.job.slug}: failed{cell}: {p.error}{kept}"
    return f"{p.job.slug}: {p.state} after {clock(p.elapsed)}, {relative(p.job.folder)}"


def run_with_display(jobs: Sequence[Job], workers: int, threads: int | None) -> list[Progress]:
    """Run the jobs and show every one of them live; `threads` as in `run_jobs`."""
    console, lock = Console(), threading.Lock()
    seen: dict[str, Progress] = {}
    expected = {job.run_id: expected_seconds(job) for job in jobs}
    if not console.is_terminal:
        progress = run_jobs(jobs, workers, lambda p: _log(p, seen, lock, expected), threads)
    else:
        with Live(get_renderable=lambda: _table(seen, jobs, expected), console=console, refresh_per_second=4):
            progress = run_jobs(jobs, workers, lambda p: seen.__setitem__(p.job.run_id, p), threads)
    for p in progress:
        console.print(_last_line(p), markup=False, highlight=False, soft_wrap=True)
    console.print(f"{len(progress)} {'study' if len(progress) == 1 else 'studies'}: {latest_events(progress)}", highlight=False)
    return progress


def _log(p: Progress, seen: dict[str, Progress], lock: threading.Lock, expected: dict[str, float]) -> None:
    with lock:
        known = seen.setdefault(p.job.run_id, p)
        if p.state == RUNNING and not known.cell:
            print(f"{p.job.slug}: started, {p.job.size} size, about {clock(expected[p.job.run_id])}", flush=True)
        elif p.state == RUNNING:
            print(f"  {clock(p.elapsed)}  {p.job.slug}  cell {p.position} {p.cell}", flush=True)
