"""Where runs lie on disk, and the moves that make files and run folders appear: whole or not at all.

outputs/<slug>/<run-id>/                  a finished run
outputs/<slug>/failed/<run-id>-.../       a failed run: the notebook up to the failing cell, and error.json
outputs/<slug>/sweeps/<sweep-id>/         a sweep: its plan, and its report once it is finished
outputs/<slug>/.partial/<run-id>.../      a run in the making; the lock beside it is held by its process while it lives
outputs/<slug>/.partial/<run-id>.lease    held by the process that makes this run, so that others leave it alone
"""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from lib.runs.locks import HOST, Held, abandoned, drop_probes, held
from lib.studies import Entry
from lib.studies.registry import HOME

LAST_FILE = "provenance.json"  # written last: a folder that has it is whole
DROPPED = ".dropped-"  # how the name of a folder that is being removed begins


def outputs_root() -> Path:
    """The folder of all runs: STUDIES_OUTPUTS, or outputs/ beside lib/."""
    return Path(os.environ.get("STUDIES_OUTPUTS") or HOME / "outputs").resolve()


def study_root(slug: str) -> Path:
    """The folder of one study's runs."""
    return outputs_root() / slug


def run_folder(slug: str, run_id: str) -> Path:
    """Where the run lies once it is finished."""
    return study_root(slug) / run_id


def sweep_folder(slug: str, sweep_id: str) -> Path:
    """Where a sweep's plan and report lie."""
    return study_root(slug) / "sweeps" / sweep_id


def finished(folder: Path) -> bool:
    """Whether the folder holds a whole run."""
    return (folder / LAST_FILE).is_file()


def finished_runs(slug: str) -> list[Path]:
    """All finished runs of a study, oldest first."""
    folders = [f.parent for f in study_root(slug).glob(f"*/{LAST_FILE}")]
    return sorted(folders, key=lambda f: (f / LAST_FILE).stat().st_mtime)


@contextlib.contextmanager
def lease(slug: str, run_id: str) -> Iterator[None]:
    """Be the one process that makes this run. Raises Held while another living process is at it.

    The lease only saves work: should two processes make the same run all the same, as they may where a file system keeps
    locks apart for each machine, the second to finish drops its copy.
    """
    room = _workshop(slug)
    with held(room / f"{run_id}.lease", steal_when_frozen=True):
        yield


@contextlib.contextmanager
def partial_folder(entry: Entry, run_id: str) -> Iterator[Path]:
    """A fresh folder for a run in the making, removed on the way out unless it was published."""
    folder = _workshop(entry.study.slug) / f"{run_id}.{HOST}.{uuid.uuid4().hex[:8]}"
    with held(_lock_of(folder)):
        folder.mkdir()
        try:
            yield folder
        finally:
            drop(folder)


def drop(folder: Path) -> None:
    """Remove a folder of .partial, unless it has just left.

    A run leaves .partial by a rename too, and of two renames of one folder only the first succeeds. So whoever removes (a
    signal handler in the midst of `publish`, another thread, another process) never removes inside a run in its place, and
    needs no lock, for which a signal handler could not wait. Nor is what was cut short while it went taken for a whole run.
    """
    doomed = folder.with_name(f"{DROPPED}{uuid.uuid4().hex[:8]}")
    with contextlib.suppress(OSError):
        folder.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def complete(partial: Path, facts: str) -> None:
    """Make a run in the making whole: when its last file appears, in one move, all others are safely on disk."""
    for file in partial.rglob("*"):
        if file.is_file():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
    with replaced(partial / LAST_FILE) as file:
        file.write_text(facts, encoding="utf-8")


def publish(partial: Path, target: Path, replace: bool) -> Path:
    """Move a whole run to its place in one rename. A run that is already there stays, unless `replace`."""
    old = partial.parent / f"{target.name}.{HOST}.{uuid.uuid4().hex[:8]}"
    with held(_lock_of(old)):
        if replace and target.exists():
            target.rename(old)  # should we die here, the sweep of leftovers puts a whole run back
        try:
            partial.rename(target)
        except OSError:
            if not finished(target):  # else: somebody finished the same run first, and theirs stands
                raise
        drop(old)
    return target


@contextlib.contextmanager
def replaced(target: Path) -> Iterator[Path]:
    """A file beside `target` to write to, put in its place in one move; an error leaves the old file as it was."""
    beside = target.with_name(f".{target.stem}-{uuid.uuid4().hex[:8]}{target.suffix}")
    try:
        yield beside
        with beside.open("rb") as handle:
            os.fsync(handle.fileno())  # or the name could outlive a power cut and the content not
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)


def sweep_leftovers(slug: str) -> None:
    """Deal with what dead processes left: a run that is whole is published, anything else is removed."""
    room = study_root(slug) / ".partial"
    if not room.is_dir():
        return
    for folder in [f for f in room.iterdir() if f.is_dir() and f.name.count(".") >= 2]:
        run_id, host, _ = folder.name.split(".", 2)
        with contextlib.suppress(Held), abandoned(_lock_of(folder), host):
            target = run_folder(slug, run_id)
            if finished(folder) and not target.exists():
                publish(folder, target, replace=False)
            drop(folder)
    for folder in room.glob(f"{DROPPED}*"):
        shutil.rmtree(folder, ignore_errors=True)
    drop_probes(room)
    for lock in [*room.glob("*.lock"), *room.glob("*.lease")]:
        if not lock.with_suffix("").is_dir():
            useless = lock.suffix == ".lease" and finished(run_folder(slug, lock.stem))  # its run has nothing left to do
            host = HOST if useless else lock.name.split(".")[1]  # of a lease it is not known: it may be another machine's
            with contextlib.suppress(Held), abandoned(lock, host):
                pass  # nobody's: letting go of it removes it


def _workshop(slug: str) -> Path:
    room = study_root(slug) / ".partial"
    room.mkdir(parents=True, exist_ok=True)
    return room


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")
