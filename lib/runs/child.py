"""The process of one run: `python -m lib.runs.child JOB`. Events go to stdout, a line of JSON each.

It ends, and its kernel with it, on SIGINT, SIGTERM, or when whoever started it is gone (its standard input closes).
"""

import os
import shutil
import signal
import sys
import threading
import traceback

from lib.runs.execute import RunFailed, execute
from lib.runs.job import Job, event
from lib.runs.kernel import RunKernelManager


def main() -> int:
    """Run the job given as JSON; 0 done, 1 failed, 130 stopped."""
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever the libraries print goes to stderr, the events have stdout for themselves
    job = Job.from_json(sys.argv[1])

    def stop(*_: object) -> None:
        if RunKernelManager.latest is not None:
            RunKernelManager.latest.kill_now()
        if partial := os.environ.get("STUDIES_RUN_DIR"):
            shutil.rmtree(partial, ignore_errors=True)
        os._exit(130)

    def watch_parent() -> None:
        sys.stdin.read()
        stop()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=watch_parent, daemon=True).start()
    try:
        folder = execute(job, lambda line: print(line, file=channel))
    except RunFailed as error:
        print(event("failed", error=str(error), cell=error.cell, kept=str(error.kept) if error.kept else ""), file=channel)
        return 1
    except Exception as error:
        traceback.print_exc()
        print(event("failed", error=f"{type(error).__name__}: {error}", cell="", kept=""), file=channel)
        return 1
    print(event("done", folder=str(folder)), file=channel)
    return 0


if __name__ == "__main__":
    sys.exit(main())
