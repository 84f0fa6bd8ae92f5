"""`studies sweep`, after its options are read: plan, show the plan, drive, report."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from lib.runs.launch import relative
from lib.runs.live import clock
from lib.runs.places import sweep_leftovers
from lib.runs.provenance import cores
from lib.runs.sweeps.board import Board
from lib.runs.sweeps.drive import drive, failures, report
from lib.runs.sweeps.engines import ClusterLost, Engine, LocalEngine
from lib.runs.sweeps.planning import Cost, Sweep, cost
from lib.runs.sweeps.record import Summary
from lib.runs.sweeps.words import label
from lib.studies.claims import HELD, NOT_HELD, NOT_TESTED

KEPT = "; finished runs are kept, the same command goes on with the rest"
Heard = Callable[[str, Mapping[str, Any]], None]


@dataclass(frozen=True)
class Where:
    """Where a sweep is to run: engine `local` or `dask`, runs at a time, threads of each, and whose cluster."""

    engine: str
    jobs: int | None
    threads: int
    scheduler: str | None
    slurm: Path | None

    @property
    def workers(self) -> int:
        """Runs at a time on this machine."""
        return self.jobs or max(1, cores() // self.threads)


class Unwritable(Exception):
    """The sweep's folder cannot be written to."""


def run(sweep: Sweep, where: Where, dry: bool) -> int:
    """The whole sweep; the exit code: 0 all runs are finished, 1 some are not. Raises ParamError for an unusable cluster."""
    console = Console()
    if not dry:
        sweep_leftovers(sweep.entry.study.slug)
    to_do = sweep.unfinished()
    expected = cost(sweep, to_do)
    for line in told_plan(sweep, len(to_do), expected, where):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if dry:
        if where.slurm:
            from lib.runs.sweeps.slurm import job_script, read_slurm_file

            console.print(job_script(read_slurm_file(where.slurm)), markup=False, highlight=False, soft_wrap=True)
        return 0
    board = Board(sweep, len(to_do), expected, console)
    outcomes = []
    try:
        if to_do:
            with _engine(sweep, where, board.heard) as engine, board:
                outcomes = drive(sweep, engine, board.ended, board.looked)
        with _writing("report", sweep):
            sweep.write()  # where there was nothing to do, no engine has
            summary = report(sweep, outcomes)
    except (ClusterLost, Unwritable) as error:
        console.print(f"studies: {error}{KEPT}", style="red", soft_wrap=True)
        return 1
    _close(console, sweep, summary, board)
    return 1 if failures(outcomes) or summary.missing else 0


def told_plan(sweep: Sweep, to_do: int, expected: Cost, where: Where) -> list[str]:
    """The plan in words."""
    axes = " x ".join(f"{name} ({len(values)})" for name, values in sweep.axes.items())
    lines = [
        f"{sweep.entry.study.slug}: sweep {sweep.sweep_id} over {axes}, {sweep.size} size: {len(sweep.jobs)} runs, "
        f"{len(sweep.jobs) - to_do} already finished, {to_do} to do"
    ]
    if to_do and expected.stored:
        per = (
            f", {clock(expected.wall_s / where.workers)} on {where.workers} at a time"
            if not (where.scheduler or where.slurm)
            else ""
        )
        lines.append(
            f"expected: {expected.cpu_s / 3600:.2g} CPU hours{per}, up to {expected.memory_mb:.0f} MiB a run "
            f"(from {expected.stored} stored runs)"
        )
    elif to_do:
        told = (
            f"about {expected.wall_s / 3600:.2g} hours of one run at a time, as the study says"
            if expected.wall_s
            else "not known"
        )
        lines.append(f"expected: {told}; memory not known: nothing of this study is stored here yet")
    return lines


@contextlib.contextmanager
def _writing(what: str, sweep: Sweep) -> Iterator[None]:
    """Raises Unwritable in place of an OSError."""
    try:
        yield
    except OSError as error:
        raise Unwritable(f"{error.strerror or error} while writing the {what} under {sweep.folder}") from None


@contextlib.contextmanager
def _engine(sweep: Sweep, where: Where, heard: Heard) -> Any:
    """The engine, closed at the end; on an interruption or error what runs is stopped."""
    engine = _open(sweep, where, heard)
    try:
        with _writing("plan", sweep):
            sweep.write()
        yield engine
    except BaseException:
        engine.close(now=True)
        raise
    engine.close(now=False)


def _open(sweep: Sweep, where: Where, heard: Heard) -> Engine:
    if where.engine == "local":
        return LocalEngine(sweep.entry.study.slug, where.workers, where.threads, heard)
    from lib.runs.sweeps import cluster as dask

    threads = where.threads
    if where.slurm:
        from lib.runs.sweeps.slurm import read_slurm_file, submit

        asked = read_slurm_file(where.slurm)
        threads = max(1, asked.cores // asked.runs_per_job)
        client, cluster = dask.connect(lambda: submit(asked))
    else:
        client, cluster = dask.connect(where.scheduler or (lambda: dask.local(where.workers)))
        if where.scheduler:
            dask.check_workers(client)
    return dask.DaskEngine(client, cluster, sweep.folder, threads, heard)


def _close(console: Console, sweep: Sweep, summary: Summary, board: Board) -> None:
    """What came of it: each claim's verdicts run by run, then judged over the seeds at each point of the other axes."""

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    for name, count in summary.claims.items():
        say(f"  {name}: held in {count.held} of {count.tested} runs that tested it")
    for found in summary.over_seeds:
        at = ", ".join(f"{name} {label(value)}" for name, value in found.point.items())
        verdicts = {verdict: [c.key for c in found.claims if c.verdict == verdict] for verdict in (HELD, NOT_HELD, NOT_TESTED)}
        told = "; ".join(f"{verdict}: {', '.join(keys)}" for verdict, keys in verdicts.items() if keys)
        say(f"  over {found.seeds} seeds{f' at {at}' if at else ''}: {told}")
    lost = f", {board.strikes} attempts lost to dead kernels or workers" if board.strikes else ""
    missing = f", {summary.missing} missing" if summary.missing else ""
    done = f"{summary.finished} of {len(sweep.jobs)} runs finished, {summary.failed} failed{missing}{lost}"
    say(f"{sweep.entry.study.slug}: {done}")
    say(f"Report: {relative(sweep.folder)}")
