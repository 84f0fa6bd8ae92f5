"""Drive a sweep: feed an engine with what is not finished, take in what ends, and leave the report."""

import contextlib
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from lib.runs.job import Job
from lib.runs.launch import DONE, FAILED, HELD, PRESENT, STOPPED, Progress
from lib.runs.places import finished, sweep_leftovers
from lib.runs.sweeps.engines import Engine
from lib.runs.sweeps.planning import Sweep
from lib.runs.sweeps.record import FailedRow, Summary, write_report

LOOK_AGAIN_S = 2.0  # at a run that another process is making
AHEAD = 64  # jobs an engine is given at least: enough for workers that are still to come


def drive(sweep: Sweep, engine: Engine, ended: Callable[[Progress], None], looked: Callable[[int], None]) -> list[Progress]:
    """Bring every unfinished run to an end; `ended` hears of each, `looked` of the engine's slots now and then.

    Raises ClusterLost, after which the same sweep can go on.
    """
    waiting, later = deque(sweep.unfinished()), deque[tuple[float, Job]]()
    under_way, outcomes = 0, []
    while waiting or later or under_way:
        while later and (later[0][0] <= time.monotonic()):
            waiting.append(later.popleft()[1])
        slots = engine.slots
        looked(slots)
        while waiting and under_way < max(AHEAD, 2 * slots):
            engine.submit(waiting.popleft())
            under_way += 1
        p = engine.next(timeout=0.5)
        if p is None:
            continue
        under_way -= 1
        if p.state == HELD:
            later.append((time.monotonic() + LOOK_AGAIN_S, p.job))
        else:
            outcomes.append(p)
            ended(p)
    sweep_leftovers(sweep.entry.study.slug)
    return outcomes


def report(sweep: Sweep, outcomes: list[Progress]) -> Summary:
    """Write the sweep's report from what lies on disk, and from the reasons why the rest does not."""
    names = set(sweep.jobs[0].params)
    failed = [
        FailedRow(
            p.job.run_id, {name: p.job.params[name] for name in names}, p.error, p.cell, _seen_from(p.job, p.kept), p.strikes
        )
        for p in outcomes
        if p.state not in (DONE, PRESENT, STOPPED)
    ]
    return write_report(sweep.folder, failed)


def failures(outcomes: list[Progress]) -> list[Progress]:
    """Those that failed, the notebook's fault or not."""
    return [p for p in outcomes if p.state == FAILED and not finished(p.job.folder)]


def _seen_from(job: Job, kept: str) -> str:
    with contextlib.suppress(ValueError):
        return Path(kept).relative_to(job.outputs).as_posix() if kept else ""
    return ""
