"""Folders of the cache that are whole or not there: filled once under a lock, checked on every use, mended when damaged.

    <folder>/...              what was stored
            /manifest.json    size and sha256 of every file, and facts about where they come from
            /stamps.json      size and time of change at the last full check

Verification: every use compares each file's size and time of change with its stamp, which costs a `stat` per file; only a
file whose stamp differs is hashed again (so a copied cache is checked once, on its first use). Damage that keeps both the
size and the time of change is not seen. Filling happens in a scratch folder beside the target, under a file lock, and ends
with one rename; readers take no lock.
"""

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from lib.data.fetching import sha256_of

ABSENT = "absent"
_MANIFEST, _STAMPS = "manifest.json", "stamps.json"

Fill = Callable[[Path, Path, str], Mapping[str, Any]]
"""What fills a folder: (scratch to work in, the new folder in it, not yet made; what was wrong) -> facts for the manifest."""


def cache_root() -> Path:
    """The folder that $STUDIES_CACHE names, or the user's cache folder of the application "studies"."""
    import platformdirs

    chosen = os.environ.get("STUDIES_CACHE")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("studies", appauthor=False)


def secure(folder: Path, fill: Fill, waiting: Callable[[], None] = lambda: None) -> str | None:
    """Make the folder sound, calling `fill` only where it is not; what is still wrong with it then, or None.

    `waiting` is called once if another process is filling the same folder. What `fill` raises leaves the cache as it was;
    OSError means that the cache cannot be written.
    """
    if damage(folder) is None:
        return None
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _held(folder.with_name(f".{folder.name}.lock"), waiting):
        # Another process may have filled it while this one waited for the lock.
        if (fault := damage(folder)) is not None:
            _replace(folder, fill, fault)
    return damage(folder)


def _held(path: Path, waiting: Callable[[], None]) -> AbstractContextManager:
    """The lock, taken; as a context that gives it back."""
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        return lock.acquire(timeout=0.2)
    except Timeout:
        waiting()
        return lock.acquire()


def _replace(folder: Path, fill: Fill, fault: str) -> None:
    """Fill a scratch folder, then move it into place; the caller holds the lock."""
    for stale in folder.parent.glob(f".{folder.name}.scratch-*"):  # left by a process that was killed
        shutil.rmtree(stale, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.scratch-"))
    try:
        whole = scratch / "whole"
        _write_manifest(whole, fill(scratch, whole, fault))
        if folder.exists():
            folder.rename(scratch / "damaged")
        whole.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def damage(folder: Path, hashing: bool = True) -> str | None:
    """What is wrong with a folder (`ABSENT` where there is none), or None where it is sound.

    Without `hashing` only presence and sizes are compared, which never reads the data.
    """
    if not folder.is_dir():
        return ABSENT
    try:
        files = manifest_of(folder)["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return f"{_MANIFEST} is missing or unreadable"
    stamps, fresh = _stamps(folder), {}
    for name, pinned in files.items():
        try:
            stat = (folder / name).stat()
        except OSError:
            return f"{name} is missing"
        if stat.st_size != pinned["size"]:
            return f"{name} has {stat.st_size} bytes, {pinned['size']} were written"
        fresh[name] = [stat.st_size, stat.st_mtime_ns]
        if hashing and stamps.get(name) != fresh[name] and sha256_of(folder / name) != pinned["sha256"]:
            return f"{name} does not have the sha256 it was written with"
    if hashing and fresh != stamps:
        _write_stamps(folder, fresh)
    return None


def manifest_of(folder: Path) -> dict[str, Any]:
    """The manifest of a sound folder."""
    return json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))


def size_mb(folder: Path) -> float:
    """What a folder takes on disk, in megabytes (10^6 bytes)."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _write_manifest(folder: Path, facts: Mapping[str, Any]) -> None:
    """Pin every file below the folder."""
    files = {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    (folder / _MANIFEST).write_text(json.dumps({**facts, "files": files}, indent=1), encoding="utf-8")


def _stamps(folder: Path) -> dict[str, list[int]]:
    try:
        return dict(json.loads((folder / _STAMPS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _write_stamps(folder: Path, stamps: dict[str, list[int]]) -> None:
    """Remember a full check; a cache that may only be read is hashed on every use instead."""
    scratch = folder / f".{_STAMPS}.{uuid.uuid4().hex}"
    try:
        scratch.write_text(json.dumps(stamps), encoding="utf-8")
        os.replace(scratch, folder / _STAMPS)
    except OSError:
        return
