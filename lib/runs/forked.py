"""A process forked in advance that becomes a Jupyter kernel when told how.

A kernel that starts as a fork of a process which has imported the study's packages needs no time to import them, and it
shares nothing with other kernels: a fork has memory of its own from its first write on.
"""

import atexit
import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

FORKS = sys.platform == "linux"  # elsewhere a forked process must not go on without exec


class ForkedKernel:
    """The forked process; its face is the part of subprocess.Popen that jupyter_client uses.

    Make it before the process has threads: only the forking thread goes on in a fork. `prepare` runs in the fork at once.
    """

    stdin = stdout = stderr = None

    def __init__(self, prepare: Callable[[], None]) -> None:
        reader, self._orders = os.pipe()
        self.returncode: int | None = None
        self._looking = threading.Lock()
        tempfile.gettempdir()  # found by writing a file there: a fork that is killed while it looks would leave that behind
        self.pid = os.fork()
        if self.pid == 0:
            _in_the_fork(reader, self._orders, prepare)
        os.close(reader)

    def begin(self, arguments: Sequence[str], env: Mapping[str, str], cwd: str) -> None:
        """Become a kernel: the arguments of ipykernel, and the environment and folder to work in. Raises RuntimeError."""
        order = json.dumps({"arguments": list(arguments), "env": dict(env), "cwd": cwd})
        try:
            with os.fdopen(self._orders, "w") as pipe:
                pipe.write(f"{order}\n")
        except BrokenPipeError:
            raise RuntimeError("Kernel died before it was told to begin") from None

    def poll(self) -> int | None:
        """The exit code, or None while it lives, or while another thread looks: a signal handler must not wait for that."""
        if self.returncode is None and self._looking.acquire(blocking=False):
            try:
                self.returncode = self._ended()
            finally:
                self._looking.release()
        return self.returncode

    def _ended(self) -> int | None:
        if self.returncode is not None:  # seen by another thread since
            return self.returncode
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:  # somebody else was told how it ended; subprocess.Popen says 0 as well
            return 0
        return os.waitstatus_to_exitcode(status) if pid else None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; jupyter_client does so after `poll` has seen it."""
        while (code := self.poll()) is None:
            time.sleep(0.002)
        return code

    def send_signal(self, signum: int) -> None:
        """Send a signal unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # another thread has just seen its end
                os.kill(self.pid, signum)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


def _in_the_fork(reader: int, writer: int, prepare: Callable[[], None]) -> NoReturn:
    code = 1
    try:
        os.close(writer)
        os.setsid()
        call_process("studies-kernel")
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(2, 1)
        prepare()
        with os.fdopen(reader) as pipe:
            order = pipe.readline()  # not to its end: forks that came after us hold it open as well
        if order:  # else: whoever forked us does not need us
            _be_a_kernel(**json.loads(order))
            atexit._run_exitfuncs()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _be_a_kernel(arguments: list[str], env: dict[str, str], cwd: str) -> None:
    from ipykernel.kernelapp import IPKernelApp

    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    fresh_randomness()
    sys.argv = ["ipykernel_launcher", *arguments]
    IPKernelApp.launch_instance(argv=[*arguments, f"--IPKernelApp.parent_handle={os.getppid()}"])
    # Its own way to close waits for threads that may wait for each other, up to ten seconds; the process ends here anyway.
    atexit.unregister(IPKernelApp.instance().close)


def call_process(name: str) -> None:
    """Name this process in `top` and `ps`: a fork would go by the name of what it was forked from."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(name[:15])


def fresh_randomness() -> None:
    """Give numpy's global generator a state of its own: forks of one process would all draw the same numbers.

    Python's `random` does so by itself; the suite uses neither, but a notebook of somebody else's may.
    """
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()
