"""The live view of a batch of runs: a table in a terminal, plain lines in a log."""

import threading
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from lib.runs.job import Job
from lib.runs.launch import DONE, FAILED, PRESENT, RUNNING, WAITING, Progress, expected_seconds, latest_events, relative, run_jobs

BAR_EVERY_S = 15.0  # how often a log tells of a cell's progress bar
COLOURS = {WAITING: "dim", RUNNING: "cyan", DONE: "green", PRESENT: "green", FAILED: "red"}


def clock(seconds: float) -> str:
    """Seconds as m:ss."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class LogLines:
    """What a log tells of one run: a line when it starts, one for each cell, and now and then the progress bar of a cell."""

    def __init__(self, started: str) -> None:
        self._started, self._cell, self._told_s = started, "", 0.0

    def next(self, p: Progress) -> str | None:
        """The line to print now, if any."""
        if p.state != RUNNING:
            return None
        if not p.cell:
            self._cell = ""
            return f"{p.job.slug}: {self._started}"
        if p.cell == self._cell and p.elapsed - self._told_s < BAR_EVERY_S:
            return None
        told = p.bar if p.cell == self._cell else f"cell {p.position} {p.cell}"
        self._cell, self._told_s = p.cell, p.elapsed
        return f"  {clock(p.elapsed)}  {p.job.slug}  {told}"


def _table(seen: dict[str, Progress], jobs: Sequence[Job], expected: dict[str, float]) -> Table:
    table = Table("study", "size", "state", "cell", "elapsed", "expected", box=None, pad_edge=False)
    for job in jobs:
        p = seen.get(job.run_id)
        state = p.state if p else WAITING
        where = escape(f"{p.position} {p.bar or p.cell}") if p else ""
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
    expected = {job.run_id: expected_seconds(job) for job in jobs}
    if not console.is_terminal:
        logs = {job.run_id: LogLines(f"started, {job.size} size, about {clock(expected[job.run_id])}") for job in jobs}

        def log(p: Progress) -> None:
            with lock:
                if line := logs[p.job.run_id].next(p):
                    print(line, flush=True)

        progress = run_jobs(jobs, workers, log, threads)
    else:
        seen: dict[str, Progress] = {}
        with Live(get_renderable=lambda: _table(seen, jobs, expected), console=console, refresh_per_second=4):
            progress = run_jobs(jobs, workers, lambda p: seen.__setitem__(p.job.run_id, p), threads)
    for p in progress:
        console.print(_last_line(p), markup=False, highlight=False, soft_wrap=True)
    console.print(f"{len(progress)} {'study' if len(progress) == 1 else 'studies'}: {latest_events(progress)}", highlight=False)
    return progress
