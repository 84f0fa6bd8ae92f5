"""Where runs lie on disk, and the two moves that make a run folder appear: whole or not at all.

outputs/<slug>/<run-id>/             a finished run
outputs/<slug>/failed/<run-id>-.../  a failed run: the notebook up to the failing cell, and error.json
outputs/<slug>/.partial/<name>/      a run in the making; <name>.lock is held by its process while it lives
"""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from lib.studies import Entry
from lib.studies.registry import HOME

LAST_FILE = "provenance.json"  # written last: a folder that has it is whole


def outputs_root() -> Path:
    """The folder of all runs: STUDIES_OUTPUTS, or outputs/ beside lib/."""
    return Path(os.environ.get("STUDIES_OUTPUTS") or HOME / "outputs").resolve()


def study_root(slug: str) -> Path:
    """The folder of one study's runs."""
    return outputs_root() / slug


def run_folder(slug: str, run_id: str) -> Path:
    """Where the run lies once it is finished."""
    return study_root(slug) / run_id


def finished(folder: Path) -> bool:
    """Whether the folder holds a whole run."""
    return (folder / LAST_FILE).is_file()


def finished_runs(slug: str) -> list[Path]:
    """All finished runs of a study, oldest first."""
    folders = [f.parent for f in study_root(slug).glob(f"*/{LAST_FILE}")]
    return sorted(folders, key=lambda f: (f / LAST_FILE).stat().st_mtime)


@contextlib.contextmanager
def partial_folder(entry: Entry, run_id: str) -> Iterator[Path]:
    """A fresh folder for a run in the making, removed on the way out unless it was published.

    The lock beside it is released by the system when its process dies, however it dies.
    """
    root = study_root(entry.study.slug) / ".partial"
    root.mkdir(parents=True, exist_ok=True)
    folder = root / f"{run_id}.{uuid.uuid4().hex[:8]}"
    try:
        with FileLock(f"{folder}.lock"):
            folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    finally:
        _drop_lock(folder)


def publish(partial: Path, target: Path, replace: bool) -> Path:
    """Move a whole run to its place in one rename. A run that is already there stays, unless `replace`."""
    for file in partial.rglob("*"):
        if file.is_file():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
    old = partial.parent / f"{target.name}.{uuid.uuid4().hex[:8]}"
    if replace and target.exists():
        target.rename(old)  # should we die here, the sweep of leftovers puts a whole run back
    try:
        partial.rename(target)
    except OSError:
        if not finished(target):  # else: somebody finished the same run first, and theirs stands
            raise
    shutil.rmtree(old, ignore_errors=True)
    return target


def sweep_leftovers(slug: str) -> None:
    """Deal with what dead processes left: a run that is whole is published, anything else is removed."""
    root = study_root(slug) / ".partial"
    if not root.is_dir():
        return
    for folder in [f for f in root.iterdir() if f.is_dir()]:
        try:
            with FileLock(f"{folder}.lock", timeout=0):
                target = run_folder(slug, folder.name.split(".")[0])
                if finished(folder) and not target.exists():
                    publish(folder, target, replace=False)
                shutil.rmtree(folder, ignore_errors=True)
        except Timeout:
            continue  # its process lives
        _drop_lock(folder)
    for lock in root.glob("*.lock"):
        with contextlib.suppress(Timeout), FileLock(lock, timeout=0):  # held by somebody: a run about to make its folder
            if not lock.with_suffix("").exists():
                lock.unlink(missing_ok=True)


def _drop_lock(folder: Path) -> None:
    Path(f"{folder}.lock").unlink(missing_ok=True)
