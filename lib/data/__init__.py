"""Named datasets, generated image domains and splits, one call each.

>>> from lib.data import catalogue, load, tensors
>>> images, labels = tensors("mnist-5k")  # [5000, 28, 28] in 0..1, [5000]

Importing this package imports neither torch nor datasets; what needs them is imported when it is first named.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from lib.data.entries import Entry, catalogue
from lib.data.errors import DataUnavailable, HashMismatch
from lib.data.loading import Status, load, status

if TYPE_CHECKING:
    from lib.data.arrays import tensors
    from lib.data.domains import DOMAINS, make_domain
    from lib.data.splits import split_indices

__all__ = [
    "DOMAINS",
    "DataUnavailable",
    "Entry",
    "HashMismatch",
    "Status",
    "catalogue",
    "load",
    "make_domain",
    "split_indices",
    "status",
    "tensors",
]

_NEEDS_TORCH = {"tensors": "arrays", "DOMAINS": "domains", "make_domain": "domains", "split_indices": "splits"}


def __getattr__(name: str) -> object:
    if name in _NEEDS_TORCH:
        return getattr(import_module(f"lib.data.{_NEEDS_TORCH[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
