"""The process of one run: `python -m lib.runs.child JOB`. Events go to stdout, a line of JSON each.

It ends, and its kernel with it, on SIGINT, SIGTERM, or when whoever started it is gone (its standard input closes).
"""

import os
import signal
import sys
import threading
import traceback
from pathlib import Path

from lib.runs.forked import FORKS, ForkedKernel, call_process
from lib.runs.job import Job, event
from lib.runs.places import drop
from lib.studies import find


def main() -> int:
    """A cold start: the kernel imports what it needs while this process imports what runs a notebook."""
    job = Job.from_json(sys.argv[1])
    kernel = None
    if FORKS:
        from lib.runs.preload import preload

        os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")  # as a kernel does, but too late for us
        kernel = ForkedKernel(lambda: preload([find(job.slug)]))
    return work(job, kernel)


def work(job: Job, kernel: ForkedKernel | None) -> int:
    """Run the job, in the forked `kernel` where there is one: 0 done, 1 failed, 130 stopped."""
    call_process("studies-run")
    os.environ["STUDIES_OUTPUTS"] = job.outputs
    os.environ.pop("STUDIES_RUN_DIR", None)  # a run that started this one keeps its own
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever the libraries print goes to stderr, the events have stdout for themselves

    def stop(*_: object) -> None:
        try:
            if kernel is not None:
                kernel.kill()
            module = sys.modules.get("lib.runs.kernel")
            if manager := getattr(getattr(module, "RunKernelManager", None), "latest", None):  # it may be half imported
                manager.kill_now()
                manager.drop_folder()
            if partial := os.environ.get("STUDIES_RUN_DIR"):
                drop(Path(partial))
        finally:
            os._exit(130)

    def watch_parent() -> None:
        sys.stdin.read()
        stop()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=watch_parent, daemon=True).start()
    from lib.runs.execute import RunFailed, execute
    from lib.runs.kernel import RunKernelManager
    from lib.runs.locks import Held

    RunKernelManager.waiting = kernel
    try:
        folder = execute(job, lambda line: print(line, file=channel))
    except Held:
        print(event("held"), file=channel)
        return 1
    except RunFailed as error:
        kept = str(error.kept) if error.kept else ""
        print(event("failed", kind=error.kind, error=str(error), cell=error.cell, kept=kept), file=channel)
        return 1
    except Exception as error:
        traceback.print_exc()
        print(event("failed", kind="other", error=f"{type(error).__name__}: {error}", cell="", kept=""), file=channel)
        return 1
    print(event("done", folder=str(folder)), file=channel)
    return 0


if __name__ == "__main__":
    outcome = main()
    sys.stderr.flush()
    os._exit(outcome)  # all is written; taking down an interpreter full of packages takes as long as a small run
