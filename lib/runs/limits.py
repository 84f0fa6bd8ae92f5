"""Stop a kernel that takes more time or memory than its run may, and remember why."""

import contextlib
import threading
import time
from types import TracebackType

import psutil

from lib.runs.kernel import RunKernelManager

LOOK_S = 0.25  # a kernel may be over its memory limit for so long before it is seen


class Watch:
    """Watches the kernel of this process from a thread, as a context; `verdict` says which limit it was stopped for."""

    def __init__(self, max_seconds: float | None, max_memory_mb: float | None) -> None:
        self.max_seconds, self.max_memory_mb = max_seconds, max_memory_mb
        self.verdict = ""
        self._over = threading.Event()

    def __enter__(self) -> "Watch":
        if self.max_seconds or self.max_memory_mb:
            threading.Thread(target=self._watch, args=(time.monotonic(),), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()

    def _watch(self, began: float) -> None:
        while not self._over.wait(LOOK_S):
            manager = RunKernelManager.latest
            if manager is None or manager.pid is None:
                continue
            if self.max_seconds and time.monotonic() - began > self.max_seconds:
                self.verdict = f"the run took longer than its time limit of {self.max_seconds:g} s (--max-minutes)"
            elif self.max_memory_mb and (used := memory_mb(manager.pid)) > self.max_memory_mb:
                self.verdict = f"the kernel used {used:.0f} MiB, more than its limit of {self.max_memory_mb:g} MiB (--max-memory)"
            if self.verdict:
                manager.kill_now()
                return


def memory_mb(pid: int) -> float:
    """MiB that a process and its children hold; pages shared with others are counted in proportion where the system tells."""
    total = 0
    with contextlib.suppress(psutil.Error):
        for process in (top := psutil.Process(pid), *top.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                facts = process.memory_full_info()
                total += getattr(facts, "pss", 0) or facts.rss
    return total / 1024**2
