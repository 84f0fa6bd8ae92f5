"""Run one notebook through Papermill into a folder that appears whole or not at all."""

import errno
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError

from lib.runs.html import strip_widgets, write_html
from lib.runs.identity import notebook_cells
from lib.runs.job import Job, event
from lib.runs.kernel import RunKernelManager
from lib.runs.places import finished, partial_folder, publish, study_root, sweep_leftovers
from lib.runs.provenance import cell_times, describe
from lib.studies import Entry, find

Emit = Callable[[str], None]


class RunFailed(RuntimeError):
    """The notebook did not get to its end; `kept` is the folder with what there is, or None where it cannot be kept."""

    def __init__(self, message: str, cell: str = "", kept: Path | None = None) -> None:
        super().__init__(message)
        self.cell, self.kept = cell, kept


def execute(job: Job, emit: Emit) -> Path:
    """Execute the job and return its finished folder. Raises RunFailed; nothing torn stays behind."""
    entry = find(job.slug)
    sweep_leftovers(job.slug)
    if finished(job.folder) and not job.force:
        return job.folder
    try:
        with partial_folder(entry, job.run_id) as partial:
            _run(entry, job, partial, emit)
            return publish(partial, job.folder, replace=job.force)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunFailed(
                f"disk full while writing {job.slug} under {study_root(job.slug)}; finished runs are untouched"
            ) from None
        raise


def _run(entry: Entry, job: Job, partial: Path, emit: Emit) -> None:
    """Fill `partial` with a whole run, provenance last."""
    os.environ["STUDIES_RUN_DIR"] = str(partial)
    output, began, started = partial / "notebook.ipynb", time.perf_counter(), datetime.now(UTC)
    total = len(notebook_cells(entry.notebook)) + 1  # and the one that papermill injects
    origin = describe(entry, job)  # before the work: what runs is the code as it is now
    cell_id = ""

    def on_cell_start(cell: Any, cell_index: int) -> None:
        nonlocal cell_id
        cell_id = "given-parameters" if "injected-parameters" in cell.metadata.get("tags", []) else cell.id
        emit(event("cell", index=cell_index, of=total, id=cell_id))

    try:
        papermill.execute_notebook(
            str(entry.notebook), str(output), parameters=dict(job.params), progress_bar=False, kernel_name="python3",
            request_save_on_cell_execute=False, autosave_cell_every=0,
            kernel_manager_class=RunKernelManager, on_cell_start=on_cell_start,
            store_widget_state=False, start_timeout=120,
        )  # fmt: skip
    except PapermillExecutionError as error:
        if "No space left on device" in str(error.evalue):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
        message = f"{error.ename}: {error.evalue}"
        kept = _keep_failed(entry, job, output, {"error": message, "cell": cell_id}, started)
        raise RunFailed(message, cell_id, kept) from None
    except (DeadKernelError, CellTimeoutError, RuntimeError) as error:
        message = f"{type(error).__name__}: {' '.join(str(error).split())}"
        kept = _keep_failed(entry, job, output, {"error": message, "cell": cell_id}, started)
        raise RunFailed(message, cell_id, kept) from None
    notebook = nbformat.read(output, as_version=4)
    if not (partial / "results.json").exists():
        message = "the notebook came to its end without run.finish()"
        raise RunFailed(message, "", _keep_failed(entry, job, output, {"error": message, "cell": ""}, started))
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
    (partial / "provenance.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def _cost(wall: float) -> dict[str, float]:
    """Wall seconds, and the kernel's own CPU seconds and peak memory as the system accounted them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall_s": round(wall, 3),
        "cpu_s": round(used.ru_utime + used.ru_stime, 3),
        "peak_rss_mb": round(used.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024), 1),
    }


def _keep_failed(entry: Entry, job: Job, output: Path, trouble: dict[str, str], started: datetime) -> Path:
    """Keep the notebook up to the failing cell, apart from finished runs."""
    folder = study_root(job.slug) / "failed" / f"{job.run_id}-{started:%Y%m%dT%H%M%S%f}"
    folder.mkdir(parents=True)
    if output.exists():  # a kernel that died leaves none
        notebook = nbformat.read(output, as_version=4)
        strip_widgets(notebook)
        nbformat.write(notebook, folder / "notebook.ipynb")
        write_html(notebook, f"{entry.study.title} (failed)", folder / "notebook.html")
    facts = {
        "study": job.slug, "size": job.size, "params": dict(job.params), "run_id": job.run_id,
        "started_utc": started.isoformat(timespec="seconds"), **trouble,
    }  # fmt: skip
    (folder / "error.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return folder
