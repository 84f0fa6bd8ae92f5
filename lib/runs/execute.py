"""Run one notebook through Papermill into a folder that appears whole or not at all."""

import contextlib
import errno
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from lib.runs.bars import BarWatch
from lib.runs.html import strip_widgets, write_html
from lib.runs.identity import notebook_cells, run_id
from lib.runs.job import Job, event
from lib.runs.kernel import RunKernelManager, sweep_sockets
from lib.runs.limits import Watch
from lib.runs.locks import Held
from lib.runs.places import complete, finished, lease, partial_folder, publish, study_root, sweep_leftovers
from lib.runs.provenance import cell_times, describe
from lib.studies import Entry, find

Emit = Callable[[str], None]
FULL = (errno.ENOSPC, errno.EDQUOT)


class RunFailed(RuntimeError):
    """The notebook did not get to its end.

    `kind` says why: cell (a cell raised), kernel (it died or did not start; trying again may help), limit, disk, or code
    (the sources are no longer those that the run id names). `kept` is the folder with what there is, or None.
    """

    def __init__(self, message: str, kind: str = "cell", cell: str = "", kept: Path | None = None) -> None:
        super().__init__(message)
        self.kind, self.cell, self.kept = kind, cell, kept


def execute(job: Job, emit: Emit) -> Path:
    """Execute the job and return its finished folder. Raises RunFailed; nothing torn stays behind.

    Raises Held where another process makes the same run and the job is not patient.
    """
    entry = find(job.slug)
    sweep_leftovers(job.slug)
    sweep_sockets()
    try:
        with _turn(job), partial_folder(entry, job.run_id) as partial:
            if finished(job.folder) and not job.force:
                return job.folder
            _run(entry, job, partial, emit)
            return publish(partial, job.folder, replace=job.force)
    except OSError as error:
        if error.errno in FULL:
            message = f"disk full while writing {job.slug} under {study_root(job.slug)}; finished runs are untouched"
            raise RunFailed(message, "disk") from None
        raise


@contextlib.contextmanager
def _turn(job: Job) -> Iterator[None]:
    """The lease of the run; a patient job waits until whoever holds it is done."""
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(lease(job.slug, job.run_id))
                break
            except Held:
                if not job.patient:
                    raise
                time.sleep(0.2)
        yield


def _run(entry: Entry, job: Job, partial: Path, emit: Emit) -> None:
    """Fill `partial` with a whole run, provenance last."""
    os.environ["STUDIES_RUN_DIR"] = str(partial)
    output, began, started = partial / "notebook.ipynb", time.perf_counter(), datetime.now(UTC)
    origin = describe(entry, job)  # before the work: what runs is the code as it is now
    if run_id(entry, entry.study.params.parse(job.params), origin["hashes"]) != job.run_id:
        raise RunFailed("the code has changed since this run was planned; give the same command again", "code")
    trouble = _through_papermill(entry, job, output, emit)
    if trouble is None and not (partial / "results.json").exists():
        trouble = RunFailed("the notebook came to its end without run.finish()")
    if trouble is not None:
        with contextlib.suppress(OSError):  # no room for it: what went wrong is told all the same
            trouble.kept = _keep_failed(entry, job, output, trouble, started)
        raise trouble
    notebook = nbformat.read(output, as_version=4)
    strip_widgets(notebook)
    nbformat.write(notebook, output)
    write_html(notebook, entry.study.title, partial / "notebook.html")
    wall = time.perf_counter() - began
    device = json.loads((partial / "results.json").read_text(encoding="utf-8"))["device"]
    facts = (
        origin
        | {"device": device, "cells": cell_times(notebook), "started_utc": started.isoformat(timespec="seconds")}
        | _cost(wall)
    )
    complete(partial, json.dumps(facts, indent=1))


def _through_papermill(entry: Entry, job: Job, output: Path, emit: Emit) -> RunFailed | None:
    """Execute the notebook within the job's limits into `output`; what went wrong, if anything did."""
    total = len(notebook_cells(entry.notebook)) + 1  # and the one that papermill injects
    cell_id = ""

    def on_cell_start(cell: Any, cell_index: int) -> None:
        nonlocal cell_id
        cell_id = "given-parameters" if "injected-parameters" in cell.metadata.get("tags", []) else cell.id
        emit(event("cell", index=cell_index, of=total, id=cell_id))

    with Watch(job.max_seconds, job.max_memory_mb) as watch:
        try:
            papermill.execute_notebook(
                str(entry.notebook), str(output), parameters=dict(job.params), progress_bar=False, kernel_name="python3",
                request_save_on_cell_execute=False, autosave_cell_every=0,
                kernel_manager_class=RunKernelManager, on_cell_start=on_cell_start,
                store_widget_state=False, start_timeout=120,
                stdout_file=BarWatch(lambda bar: emit(event("bar", bar=bar))),
            )  # fmt: skip
        except PapermillExecutionError as error:
            full = any(os.strerror(number) in str(error.evalue) for number in FULL)  # some disk, not always that of the outputs
            return RunFailed(f"{error.ename}: {error.evalue}", "disk" if full else "cell", cell_id)
        except RuntimeError as error:  # nbclient's ways to say that the kernel died, or never lived
            if watch.verdict:
                return RunFailed(watch.verdict, "limit", cell_id)
            return RunFailed(f"{type(error).__name__}: {' '.join(str(error).split())}", "kernel", cell_id)
    return None


def _cost(wall: float) -> dict[str, float]:
    """Wall seconds, and the kernel's own CPU seconds and peak memory as the system accounted them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall_s": round(wall, 3),
        "cpu_s": round(used.ru_utime + used.ru_stime, 3),
        "peak_rss_mb": round(used.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024), 1),
    }


def _keep_failed(entry: Entry, job: Job, output: Path, trouble: RunFailed, started: datetime) -> Path:
    """Keep the notebook up to the failing cell, apart from finished runs; the folder appears whole."""
    making, folder = output.parent / "kept", study_root(job.slug) / "failed" / f"{job.run_id}-{started:%Y%m%dT%H%M%S%f}"
    making.mkdir()
    if output.exists():
        notebook = nbformat.read(output, as_version=4)
        strip_widgets(notebook)
        nbformat.write(notebook, making / "notebook.ipynb")
        write_html(notebook, f"{entry.study.title} (failed)", making / "notebook.html", failed=True)
    facts = {
        "study": job.slug, "size": job.size, "params": dict(job.params), "run_id": job.run_id,
        "started_utc": started.isoformat(timespec="seconds"), "kind": trouble.kind, "error": str(trouble), "cell": trouble.cell,
    }  # fmt: skip
    (making / "error.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    folder.parent.mkdir(exist_ok=True)
    return making.rename(folder)
