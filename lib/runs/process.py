"""Start the process of a run, warm or cold, and read what it says."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from lib.runs.forked import FORKS
from lib.runs.job import Job
from lib.runs.provenance import cores
from lib.runs.template import THREADS, CannotFork, Outdated, Template, TemplateLost

PATIENCE = 2  # templates that die one after the other before runs start cold for good


class RunProcess:
    """A run's process. It ends by itself when its work is done, and at once when `stop` closes its standard input."""

    def __init__(self, stdin: int, stdout: int, log: IO[str], popen: "subprocess.Popen[bytes] | None") -> None:
        self._stdin, self._stdout = os.fdopen(stdin, "w"), os.fdopen(stdout, errors="replace")
        self._log, self._popen = log, popen

    def events(self) -> Iterator[dict[str, Any]]:
        """What it says, until its end."""
        with self._stdout:
            for line in self._stdout:
                with contextlib.suppress(ValueError):  # half a line: it died while it spoke
                    yield json.loads(line)
        if self._popen is not None:
            self._popen.wait()
        self.stop()

    def stop(self) -> None:
        """Tell it to end: it does so even where a signal would come before it listens. Safe in any thread, at any time."""
        with contextlib.suppress(OSError, ValueError):  # the latter where another thread closes it at this moment
            self._stdin.close()

    def close(self) -> None:
        """Let go of its log; should it still run, it is told to end."""
        self.stop()
        self._log.close()

    def last_words(self) -> str:
        """How it ended and the end of its log in one line, for a process that ended without saying why."""
        self._log.seek(0)
        said = " ".join(self._log.read()[-400:].split())
        code = f" with code {self._popen.returncode}" if self._popen is not None else ""
        return f"the run's process ended{code}. {said}".strip()


class Launcher:
    """Starts runs, each in a process of its own that computes with `threads` threads (None: every core).

    With `warm`, runs of the studies `slugs` are forked from a template where the system and the packages allow it; where
    they don't, `cold_because` says why, and runs start cold. `env` is added to the environment.
    """

    def __init__(self, slugs: Sequence[str], threads: int | None, warm: bool, env: Mapping[str, str] | None = None) -> None:
        self.slugs, self.threads, self.warm = sorted(set(slugs)), threads, warm
        self.env = os.environ | {"PYDEVD_DISABLE_FILE_VALIDATION": "1"} | dict(env or {})
        self.cold_because = "" if warm and FORKS else "not asked for" if FORKS else f"{sys.platform} cannot fork safely"
        self._template: Template | None = None
        self._lost = set[Template]()  # since the last one that did what it was asked
        self._lock = threading.Lock()

    def start(self, job: Job) -> RunProcess:
        """Start the process of a job."""
        stdin_theirs, stdin_ours = os.pipe()
        stdout_ours, stdout_theirs = os.pipe()
        log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - it lives as long as the process
        try:
            popen = self._launch(job, stdin_theirs, stdout_theirs, log.fileno())
        except BaseException:
            os.close(stdin_ours)
            os.close(stdout_ours)
            log.close()
            raise
        finally:
            os.close(stdin_theirs)
            os.close(stdout_theirs)
        return RunProcess(stdin_ours, stdout_ours, log, popen)

    def close(self) -> None:
        """Let go of the template; what runs goes on."""
        if self._template is not None:
            self._template.close()

    def _launch(self, job: Job, *files: int) -> "subprocess.Popen[bytes] | None":
        if not self.cold_because and self._forked(job, *files):
            return None
        pinned = dict.fromkeys(THREADS, str(self.threads)) if self.threads else {}
        stdin, stdout, stderr = files
        return subprocess.Popen(
            [sys.executable, "-m", "lib.runs.child", job.to_json()],
            stdin=stdin, stdout=stdout, stderr=stderr, env=self.env | pinned, start_new_session=True,
        )  # fmt: skip

    def _forked(self, job: Job, *files: int) -> bool:
        """Whether a template took the job; if not, this run starts cold, and the next one may have another template."""
        order = json.dumps({"job": job.to_json(), "threads": self.threads or cores()})
        for _ in range(PATIENCE):
            template = self._warm()
            try:
                template.start(order, *files)
            except Outdated:  # no loss: the next one will know the code as it is now
                continue
            except TemplateLost as reason:
                self._lost.add(template)  # one loss, however many runs were waiting for it
                if isinstance(reason, CannotFork) or len(self._lost) >= PATIENCE:
                    self.cold_because = str(reason)
                return False
            self._lost.clear()
            return True
        return False

    def _warm(self) -> Template:
        with self._lock:
            if self._template is None or not self._template.lives:
                self.close()
                self._template = Template(self.slugs, self.env)
            return self._template
