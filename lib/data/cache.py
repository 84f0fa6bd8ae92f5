"""The cache: each dataset as Arrow files in a folder of its own that is whole or not there.

    <root>/datasets/<name>-<fingerprint>/<split>/*.arrow   the data, memory-mapped when loaded
                                        /manifest.json     size and sha256 of every file, and the source
                                        /stamps.json       size and time of change at the last full check

Verification: every load compares each file's size and time of change with its stamp, which costs a `stat` per file;
only a file whose stamp differs is hashed again (so a copied cache is checked once, on its first use). Damage that keeps
both the size and the time of change is not seen. Filling happens in a scratch folder beside the target, under a file
lock, and ends with one rename; readers take no lock.
"""

import json
import os
import shutil
import sys
import tempfile
import uuid
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from lib.data.entries import Entry
from lib.data.errors import DataUnavailable, HashMismatch, SourceFailed
from lib.data.fetching import sha256_of
from lib.data.sources import Source

if TYPE_CHECKING:
    import datasets

_MANIFEST, _STAMPS = "manifest.json", "stamps.json"


def cache_root() -> Path:
    """The folder that $STUDIES_CACHE names, or the user's cache folder of the application "studies"."""
    import platformdirs

    chosen = os.environ.get("STUDIES_CACHE")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("studies", appauthor=False)


def folder_of(entry: Entry) -> Path:
    """Where the entry's prepared data is, or would be."""
    return cache_root() / "datasets" / f"{entry.name}-{entry.fingerprint}"


def open_entry(entry: Entry) -> Path:
    """The folder of the entry's sound data, fetched or rebuilt first where need be.

    Raises:
        DataUnavailable: no source delivers, or the cache folder cannot be written.
        HashMismatch: a source delivers something else than the catalogue pins.
    """
    folder = folder_of(entry)
    if damage(folder) is None:
        return folder
    from filelock import FileLock

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock")):
            # Another process may have filled it while this one waited for the lock.
            if (fault := damage(folder)) is not None:
                _fill(entry, folder, fault)
    except OSError as error:
        raise DataUnavailable(
            f"dataset {entry.name!r}: the cache folder {cache_root()} cannot be filled ({error}); "
            "set STUDIES_CACHE to a folder with room that you may write"
        ) from error
    return folder


def damage(folder: Path, hashing: bool = True) -> str | None:
    """What is wrong with a cached folder ("absent" where there is none), or None where it is sound.

    Without `hashing` only presence and sizes are compared, which never reads the data.
    """
    if not folder.is_dir():
        return "absent"
    try:
        files = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))["files"]
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


def _stamps(folder: Path) -> dict[str, list[int]]:
    try:
        return dict(json.loads((folder / _STAMPS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _write_stamps(folder: Path, stamps: dict[str, list[int]]) -> None:
    """Remember a full check; a cache that may only be read is hashed on every load instead."""
    scratch = folder / f".{_STAMPS}.{uuid.uuid4().hex}"
    try:
        scratch.write_text(json.dumps(stamps), encoding="utf-8")
        os.replace(scratch, folder / _STAMPS)
    except OSError:
        return


def _fill(entry: Entry, folder: Path, fault: str) -> None:
    """Fetch, check and convert in a scratch folder, then move it into place; the caller holds the lock."""
    if fault != "absent":
        warnings.warn(f"cached dataset {entry.name!r} is damaged: {folder}: {fault}. Rebuilding it.", stacklevel=4)
    for stale in folder.parent.glob(f".{folder.name}.scratch-*"):  # left by a process that was killed
        shutil.rmtree(stale, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.scratch-"))
    try:
        splits, origin = _obtain(entry, scratch, fault)
        _check_content(entry, splits, origin)
        _store(splits, scratch / "whole", origin)
        if folder.exists():
            folder.rename(scratch / "damaged")
        (scratch / "whole").rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if (fault := damage(folder)) is not None:
        raise DataUnavailable(f"dataset {entry.name!r} was damaged while it was written to {folder}: {fault}")


def _obtain(entry: Entry, scratch: Path, fault: str) -> "tuple[datasets.DatasetDict, str]":
    """The splits from the first source that delivers, and that source's label."""
    failures = []
    for source in entry.sources:
        try:
            return _fetch(entry, source, scratch), source.label
        except SourceFailed as failure:
            failures.append(f"{source.label}: {failure}")
    state = "is not in the cache" if fault == "absent" else f"is damaged in the cache ({fault})"
    ways = [source.remedy for source in entry.sources]
    ways.append(f"set STUDIES_CACHE to a cache that holds it (now: {cache_root()})")
    lines = [f"dataset {entry.name!r} {state} and no source delivered it:", *(f"  - {line}" for line in failures)]
    raise DataUnavailable("\n".join([*lines, "ways to get it:", *(f"  - {way}" for way in ways)]))


def _fetch(entry: Entry, source: Source, scratch: Path) -> "datasets.DatasetDict":
    """The splits from one source, under a progress bar in bytes."""
    from tqdm import tqdm

    total, label = round(entry.size_mb * 1e6), f"{entry.name} from {source.label}"
    with tqdm(total=total, unit="B", unit_scale=True, desc=label, file=sys.stdout) as bar:
        try:
            # Bytes gathered can shrink (a moved file) or overshoot (a copy): the bar does neither.
            splits = source.fetch(scratch, lambda gathered: bar.update(max(0, min(gathered, total) - bar.n)))
        except SourceFailed:
            bar.leave = False
            raise
        bar.update(total - bar.n)
    return splits


def _check_content(entry: Entry, splits: "datasets.DatasetDict", origin: str) -> None:
    """Rows of each split, and the hash of all numbers where the catalogue knows it."""
    from lib.data.columns import content_sha256

    rows = {name: split.num_rows for name, split in splits.items()}
    if rows != dict(entry.splits):
        raise HashMismatch(f"dataset {entry.name!r} from {origin}: rows are {rows}, the catalogue pins {dict(entry.splits)}")
    if entry.sha256 is not None and (actual := content_sha256(splits)) != entry.sha256:
        raise HashMismatch(
            f"dataset {entry.name!r} from {origin}: sha256 of its numbers is {actual}, the catalogue pins {entry.sha256}. "
            "Nothing was stored."
        )


def _store(splits: "datasets.DatasetDict", folder: Path, origin: str) -> None:
    """Write Arrow files and the manifest that pins them."""
    import datasets

    visible = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        splits.save_to_disk(str(folder))
    finally:
        if visible:
            datasets.enable_progress_bars()
    files = {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    manifest = json.dumps({"source": origin, "files": files}, indent=1)
    (folder / _MANIFEST).write_text(manifest, encoding="utf-8")


def origin_of(folder: Path) -> str:
    """The source that a sound cached folder was filled from."""
    return str(json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))["source"])
