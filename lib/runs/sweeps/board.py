"""What a sweep shows while it runs: a live board on a terminal, plain lines in a log."""

import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lib.runs.launch import DONE, FAILED, HELD, PRESENT, RUNNING, STOPPED, Progress
from lib.runs.live import clock
from lib.runs.sweeps.planning import Cost, Sweep

SHOWN = 12  # running runs on the board


class Board:
    """Hears of every change and shows it; a context."""

    def __init__(self, sweep: Sweep, to_do: int, expected: Cost, console: Console) -> None:
        self.sweep, self.console, self.expected = sweep, console, expected
        self.total, self.there = len(sweep.jobs), len(sweep.jobs) - to_do
        self.done, self.failed, self.strikes, self.slots = 0, 0, 0, 0
        self._points = {job.run_id: self._point(job.params) for job in sweep.jobs}
        self._running: dict[str, Mapping[str, Any]] = {}
        self._began = self._waiting_since = time.monotonic()
        self._said_waiting, self._said_cold, self._lock = 0, False, threading.Lock()
        self._live = Live(get_renderable=self._draw, console=console, refresh_per_second=4) if console.is_terminal else None

    def __enter__(self) -> "Board":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def looked(self, slots: int) -> None:
        """The engine can take so many runs at a time; a cluster without workers is said to be one, each minute."""
        now = time.monotonic()
        if slots:
            self._waiting_since, self._said_waiting = now, 0
        elif not self._live and (minutes := int(now - self._waiting_since) // 60) > self._said_waiting:
            self._said_waiting = minutes
            self.console.print(f"waiting for workers for {minutes} min", highlight=False)
        self.slots = slots

    def heard(self, run_id: str, facts: Mapping[str, Any]) -> None:
        """A run said something; other sweeps on the same scheduler are heard as well."""
        if run_id not in self._points:
            return
        with self._lock:
            if facts["state"] == RUNNING:
                self._running[run_id] = facts
            else:
                self._running.pop(run_id, None)

    def ended(self, p: Progress) -> None:
        """A run came to its end."""
        with self._lock:
            self._running.pop(p.job.run_id, None)
            self.strikes += p.strikes
            self.done += p.state in (DONE, PRESENT)
            self.failed += p.state == FAILED
        if p.state not in (STOPPED, HELD):
            self._line(p)
        if p.note and not self._said_cold:
            self._said_cold = True
            self.console.print(f"runs start cold, seconds slower each: {p.note}", markup=False, highlight=False, soft_wrap=True)

    def _line(self, p: Progress) -> None:
        again = f" (its kernel or process died {p.strikes} times)" if p.strikes and p.state == DONE else ""
        why = f" in cell {p.cell}" if p.cell and p.state == FAILED else ""
        told = f": {p.error}" if p.state == FAILED else again
        at = f"{self.there + self.done + self.failed}/{self.total}"
        text = f"{at:>9}  {self._points[p.job.run_id]}  {p.state} after {clock(p.elapsed)}{why}{told}"
        if p.state == FAILED or not self._live:
            self.console.print(text, markup=False, highlight=False, soft_wrap=True, style="red" if p.state == FAILED else None)

    def _point(self, params: Mapping[str, Any]) -> str:
        return " ".join(f"{name}={_short(params[name])}" for name in self.sweep.axes)

    def left_s(self) -> float | None:
        """Seconds to the end: from what this sweep has done so far, or from what was expected."""
        ended, to_do = self.done + self.failed, self.total - self.there
        spent = time.monotonic() - self._began
        if ended:
            return spent / ended * (to_do - ended)
        return self.expected.wall_s / self.slots if self.slots else None

    def _draw(self) -> Group:
        with self._lock:
            running = dict(self._running)
        here = self.there + self.done
        left = self.left_s()
        said = [f"{here} of {self.total} finished", f"{len(running)} running"]
        said += [f"{self.failed} failed"] if self.failed else []
        said += [] if left is None else [f"about {clock(left)} to go"]
        said += [] if self.slots else ["waiting for workers"]
        table = Table(box=None, pad_edge=False, show_header=False)
        for run_id, facts in list(running.items())[:SHOWN]:
            table.add_row(f"[cyan]{self._points[run_id]}[/]", str(facts["position"]), str(facts["cell"]))
        bar = ProgressBar(total=self.total, completed=here + self.failed, width=60)
        return Group(bar, Text(", ".join(said)), table)


def _short(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else f"{value:g}" if isinstance(value, float) else str(value)
