"""What the catalogue says of one named dataset."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from lib.data.sources import Source


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One named dataset.

    Attributes:
        name: how `load` calls it.
        description: what it holds, in a line.
        version: the upstream version; raise it when a reader without `sha256` changes what it gives.
        splits: rows of each split, checked whenever the data is fetched.
        sha256: hash of all numbers in all splits (`lib.data.columns.content_sha256`), whichever source gave them; None
            where it is not known.
        licence: the licence of the data, and of the package around it where that differs.
        citation: reference key.
        size_mb: what the largest source downloads, in megabytes (10^6 bytes).
        sources: tried in this order.
        note: what a user should know besides.
    """

    name: str
    description: str
    version: str
    splits: Mapping[str, int]
    sha256: str | None
    licence: str
    citation: str
    size_mb: float
    sources: tuple[Source, ...]
    note: str = ""

    @property
    def fingerprint(self) -> str:
        """A short hash of what the prepared data must be: another version lives in another cache folder."""
        pinned = (self.name, self.version, tuple(self.splits.items()), self.sha256)
        return hashlib.sha256(repr(pinned).encode()).hexdigest()[:12]
