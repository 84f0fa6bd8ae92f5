"""`load` a dataset by name, or ask for its `status` without fetching anything."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib.data.cache import folder_of, open_entry, origin_of
from lib.data.entries import Entry, find_entry
from lib.data.whole import ABSENT, damage, size_mb

if TYPE_CHECKING:
    import datasets


def load(name: str, split: str | None = None) -> "datasets.Dataset":
    """One split of a named dataset, memory-mapped from the cache; fetched, checked and converted on first use.

    `split` may be left out where the dataset has only one.

    Raises:
        ValueError: the name or the split is not one of those that the message lists.
        DataUnavailable: no source can be reached, or the cache cannot be written; says what helps.
        HashMismatch: what a source delivered is not what the catalogue pins; nothing is stored.
    """
    entry = find_entry(name)
    return load_entry(entry, chosen_split(entry, split))


def chosen_split(entry: Entry, split: str | None) -> str:
    """The split asked for, or the only one (ValueError that lists the splits otherwise)."""
    if split is None and len(entry.splits) == 1:
        return next(iter(entry.splits))
    if split not in entry.splits:
        raise ValueError(f"split: got {split!r}, allowed for {entry.name!r} are {', '.join(entry.splits)}")
    return split


def load_entry(entry: Entry, split: str) -> "datasets.Dataset":
    """`load` for an entry that need not be in the catalogue."""
    folder = open_entry(entry)
    import datasets

    return datasets.Dataset.load_from_disk(str(folder / split))


@dataclass(frozen=True)
class Status:
    """Whether a dataset is on this machine: where, from which source, how large (MB = 10^6 bytes), what to know."""

    name: str
    present: bool
    where: str
    source: str
    size_mb: float
    note: str


def status(name: str) -> Status:
    """Where a named dataset is, without fetching or reading it (ValueError for an unknown name).

    `present` is true for data in the cache (`size_mb` is then its size on disk) and for data that a dependency or an
    installed package holds. Cached files are compared by presence and size only; `load` checks their hashes.
    """
    entry = find_entry(name)
    folder = folder_of(entry)
    fault = damage(folder, hashing=False)
    if fault is None:
        return Status(name, True, str(folder), origin_of(folder), size_mb(folder), entry.note)
    note = entry.note if fault == ABSENT else f"cached copy is damaged: {fault}; the next load rebuilds it"
    for source in entry.sources:
        if place := source.present():
            return Status(name, True, place, source.label, entry.size_mb, note)
    labels = ", then ".join(source.label for source in entry.sources)
    return Status(name, False, "not fetched yet", labels, entry.size_mb, note)
