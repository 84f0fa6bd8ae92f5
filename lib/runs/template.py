"""Warm starts: a process that has imported what runs need, and from which each run is forked.

Importing takes a run's process and its kernel two to four seconds; a fork of a process that has done so takes milliseconds.
Every run still has two processes of its own, and no run sees what another did: nothing runs in the template itself.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lib.runs.forked import FORKS, ForkedKernel, call_process
from lib.runs.identity import notebook_cells, python_cells, reachable
from lib.studies import Entry, find

LONGEST_ORDER = 1 << 20  # bytes
CHANGED = "the code has changed"
START_S = 120.0  # to import everything, on a slow network file system
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
FORKABLE = dict.fromkeys(THREADS, "1") | {  # no threads on import, which a fork would lose, and the kernel's way to draw
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}


class TemplateLost(RuntimeError):
    """The template is gone; another one may do."""


class Outdated(TemplateLost):
    """The code has changed since the template imported it."""


class CannotFork(TemplateLost):
    """What the template imported cannot be forked; no other one will do either."""


class Template:
    """The template process, seen from the process that wants runs. Safe to use from several threads."""

    def __init__(self, slugs: Sequence[str], env: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        ours.settimeout(START_S)
        self._socket, self._lock = ours, threading.Lock()
        self._last_words = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lib.runs.template", str(theirs.fileno()), *slugs],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[theirs.fileno()],
            env={**env, **FORKABLE}, start_new_session=True,
        )  # fmt: skip
        theirs.close()

    @property
    def lives(self) -> bool:
        """Whether it can be asked."""
        return self._socket.fileno() >= 0 and self._process.poll() is None

    def start(self, order: str, stdin: int, stdout: int, stderr: int) -> None:
        """Fork a run's process, which gets these three files. Raises TemplateLost, the same to all who wait for a lost one."""
        with self._lock:
            if not self._last_words:
                reply = self._asked(order, stdin, stdout, stderr)
                if reply == "started":
                    return
                self.close()
                self._last_words = reply or self._end()
        if self._last_words.startswith("a package"):
            raise CannotFork(self._last_words)
        if self._last_words == CHANGED:
            raise Outdated(self._last_words)
        raise TemplateLost(self._last_words)

    def _asked(self, order: str, *files: int) -> str:
        """What it answers; nothing where it is gone."""
        try:
            socket.send_fds(self._socket, [order.encode()], list(files))
            return self._socket.recv(4096).decode()
        except TimeoutError:
            return f"the template did not answer within {START_S:g} s"
        except OSError:
            return ""

    def _end(self) -> str:
        """How it ended; one that does not listen any more and lives on is of no use."""
        try:
            return f"the template ended with code {self._process.wait(timeout=START_S)}"
        except subprocess.TimeoutExpired:
            self._process.kill()
            return "the template stopped listening"

    def close(self) -> None:
        """Let the template end; runs that were forked from it go on."""
        with contextlib.suppress(OSError):
            self._socket.close()


def code_state(entries: Iterable[Entry]) -> list[tuple[str, int, int]]:
    """Names, sizes and times of the files that runs of these studies import: a template must not outlive a change of them."""
    files = set(Path(__file__).parent.rglob("*.py"))
    for entry in entries:
        sources = [*python_cells(notebook_cells(entry.notebook)), entry.source.read_text(encoding="utf-8")]
        files |= {entry.source, *reachable(sources).values()}
    states = ((str(file), file.stat()) for file in sorted(files))
    return [(name, state.st_size, state.st_mtime_ns) for name, state in states]


def main() -> None:
    """Import, then fork a run for each order until the other side closes."""
    call_process("studies-warm")
    server = socket.socket(fileno=int(sys.argv[1]))
    entries = [find(slug) for slug in sys.argv[2:]]
    imported = code_state(entries)  # before what takes seconds to import: what changes meanwhile counts as changed
    from lib.runs import child, execute  # noqa: F401 - what a run's process needs
    from lib.runs.preload import preload, rehearse

    rehearse(entries)
    preload(entries)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the runs here; their pipes tell how they end
    while True:
        order, files, _, _ = socket.recv_fds(server, LONGEST_ORDER, 3)
        if not order:
            return
        if (threads := len(os.listdir("/proc/self/task"))) > 1:
            server.send(f"a package leaves {threads - 1} thread(s) running after its import, and cannot be forked".encode())
            return
        if code_state(entries) != imported:
            server.send(CHANGED.encode())
            return
        if os.fork() == 0:
            server.close()
            _be_a_run(order.decode(), files)
        for file in files:
            os.close(file)
        server.send(b"started")


def _be_a_run(order: str, files: Sequence[int]) -> None:
    """In the fork: take the files as stdin, stdout and stderr, fork the kernel, and run."""
    from lib.runs.child import work
    from lib.runs.job import Job

    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        facts = json.loads(order)
        os.environ.update(dict.fromkeys(THREADS, str(facts["threads"])))
        code = work(Job.from_json(facts["job"]), ForkedKernel(lambda: set_threads(facts["threads"])))
    finally:
        sys.stderr.flush()
        os._exit(code)


def set_threads(count: int) -> None:
    """Compute with `count` threads from now on; what the libraries read from the environment they have read already."""
    from threadpoolctl import threadpool_limits

    if count > 1:
        threadpool_limits(count)
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(count)


if __name__ == "__main__":
    assert FORKS
    main()
    os._exit(0)  # a thread that a package left behind would keep it alive
