"""Start sweeps and clusters as a user does, find their processes, and look at what they leave."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil

STUDIES = [sys.executable, "-m", "lib.runs.cli"]
WHOLE = {"notebook.ipynb", "notebook.html", "results.json", "provenance.json", "tables", "figures"}
REPORT = {"plan.json", "table.parquet", "figure.png", "figure.svg", "failed.json", "summary.json"}
PATIENCE_S = 90


def until(condition, what, process=None):
    """Wait until a condition gives something, and return it."""
    end = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        assert process is None or process.poll() is None, f"ended while waiting for {what}: {process.communicate()}"
        time.sleep(0.02)
    return found


def sweep(*words):
    """Begin `studies sweep tiny ...`."""
    return subprocess.Popen(
        [*STUDIES, "sweep", "tiny", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def end(process, code=0):
    """Wait for the sweep's end; what it said."""
    said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code, said
    return said


def named(process, name):
    """The living processes of that name among the descendants."""
    with contextlib.suppress(psutil.Error):
        family = psutil.Process(process.pid).children(recursive=True)
        return [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE and p.name() == name]
    return []


def descendants(process):
    """Every process below this one."""
    with contextlib.suppress(psutil.Error):
        return psutil.Process(process.pid).children(recursive=True)
    return []


def finished(outputs):
    """Run id -> time of the last change, of the finished runs."""
    return {f.parent.name: f.stat().st_mtime_ns for f in (outputs / "tiny").glob("*/provenance.json")}


def begun(journal):
    """Seed -> how often a run with it was begun."""
    return Counter(journal.read_text().split()) if journal.exists() else Counter()


def check(outputs, runs):
    """Every run is there once and whole, its numbers are there, and nothing else is left."""
    root = outputs / "tiny"
    folders = [f for f in root.iterdir() if f.name not in (".partial", "failed", "sweeps")]
    assert len(folders) == runs
    assert all({f.name for f in folder.iterdir()} == WHOLE for folder in folders)
    assert len({json.loads((f / "results.json").read_text())["params"]["seed"] for f in folders}) == runs
    assert list((root / ".partial").iterdir()) == []
    (report,) = (root / "sweeps").iterdir()
    assert {f.name for f in report.iterdir()} == REPORT
    assert json.loads((report / "failed.json").read_text()) == []


@contextlib.contextmanager
def dask(workers, tmp_path, **env):
    """A scheduler and workers started by hand on loopback: address, scheduler, workers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("STUDIES_")} | env
    processes = []

    def start(*words):
        with open(tmp_path / f"{words[0]}-{len(processes)}.log", "w") as log:
            processes.append(
                subprocess.Popen([sys.executable, "-m", "dask", *words], stdout=log, stderr=log, env=clean, cwd=tmp_path)
            )
        return processes[-1]

    scheduler = start("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    hands = [
        start("worker", address, "--nthreads", "1", "--no-dashboard", "--memory-limit", "0", "--local-directory", str(tmp_path))
        for _ in range(workers)
    ]
    try:
        yield address, scheduler, hands
    finally:
        for process in processes:
            for p in [*descendants(process), process]:
                with contextlib.suppress(psutil.Error, ProcessLookupError):
                    p.send_signal(signal.SIGCONT)
                    p.kill()
            process.wait()


def checkout():
    """The folder that holds lib."""
    return Path(__file__).parents[2]
