"""The cache of datasets: each as Arrow files in a folder of its own that is whole or not there (`lib.data.whole`).

<root>/datasets/<name>-<fingerprint>/<split>/*.arrow   the data, memory-mapped when loaded
"""

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from lib.data.entries import Entry
from lib.data.errors import DataUnavailable, HashMismatch, SourceFailed
from lib.data.sources import Source
from lib.data.whole import ABSENT, cache_root, manifest_of, secure

if TYPE_CHECKING:
    import datasets

__all__ = ["cache_root", "folder_of", "open_entry", "origin_of"]


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

    def fill(scratch: Path, whole: Path, fault: str) -> dict[str, str]:
        if fault != ABSENT:
            warnings.warn(f"cached dataset {entry.name!r} is damaged: {folder}: {fault}. Rebuilding it.", stacklevel=6)
        splits, origin = _obtain(entry, scratch, fault)
        _check_content(entry, splits, origin)
        _store(splits, whole)
        return {"source": origin}

    try:
        fault = secure(folder, fill)
    except OSError as error:
        raise DataUnavailable(
            f"dataset {entry.name!r}: the cache folder {cache_root()} cannot be filled ({error}); "
            "set STUDIES_CACHE to a folder with room that you may write"
        ) from error
    if fault is not None:
        raise DataUnavailable(f"dataset {entry.name!r} was damaged while it was written to {folder}: {fault}")
    return folder


def _obtain(entry: Entry, scratch: Path, fault: str) -> "tuple[datasets.DatasetDict, str]":
    """The splits from the first source that delivers, and that source's label."""
    failures = []
    for source in entry.sources:
        try:
            return _fetch(entry, source, scratch), source.label
        except SourceFailed as failure:
            failures.append(f"{source.label}: {failure}")
    state = "is not in the cache" if fault == ABSENT else f"is damaged in the cache ({fault})"
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


def _store(splits: "datasets.DatasetDict", folder: Path) -> None:
    """Write Arrow files."""
    import datasets

    visible = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        splits.save_to_disk(str(folder))
    finally:
        if visible:
            datasets.enable_progress_bars()


def origin_of(folder: Path) -> str:
    """The source that a sound cached folder was filled from."""
    return str(manifest_of(folder)["source"])
