"""Photographs decoded once into a file of bytes that is mapped into memory, so that reading some rows costs just those."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock
from jaxtyping import Int64, UInt8
from tqdm import tqdm

from lib.data import DataUnavailable, load
from lib.data.cache import folder_of
from lib.data.columns import numbers
from lib.data.entries import find_entry
from lib.seeds import Seeds

if TYPE_CHECKING:
    from PIL.Image import Image

AT_ONCE = 4096  # pictures in the hands of the threads


@dataclass(frozen=True, eq=False)
class Pixels:
    """All of one split: `images`, mapped from the file; their classes; and the classes' names."""

    images: UInt8[np.ndarray, "n 3 side side"]
    labels: Int64[np.ndarray, "n"]
    class_names: tuple[str, ...]


def stored_pixels(collection: str, split: str, *, side: int, resize: int) -> Pixels:
    """A split of a named collection as squares of `side` pixels, decoded on first use (with a progress bar), then mapped.

    Each picture's shorter side is brought to `resize`, and its middle is kept. Rows are in a random order, in which every
    stretch has the classes in proportion; it is the same for everybody.
    Errors: ValueError for a side above `resize`; DataUnavailable where the collection cannot be had or its pixels not be stored.
    """
    if not 1 <= side <= resize:
        raise ValueError(f"side: got {side}, allowed are 1 to resize = {resize}")
    pictures, whole = load(collection, split), folder_of(find_entry(collection))
    folder = whole.with_name(f"{whole.name}-{split}-{resize}-{side}")
    try:
        with FileLock(folder.with_name(f".{folder.name}.lock")):
            if not folder.is_dir():
                _store(pictures, folder, side, resize, Seeds(0).child("pixels", collection, split))
    except OSError as error:
        needed = len(pictures) * 3 * side**2 / 1e9
        raise DataUnavailable(
            f"dataset {collection!r}: its pixels ({needed:.1f} GB) cannot be stored in {folder.parent} ({error}); "
            "set STUDIES_CACHE to a folder with room that you may write"
        ) from error
    # Copy on write: torch wants arrays that it may write, and the file must not change.
    images = np.load(folder / "images.npy", mmap_mode="c")
    return Pixels(images, np.load(folder / "labels.npy"), tuple(pictures.features["label"].names))


def spread_order(labels: Int64[np.ndarray, "n"], seeds: Seeds) -> Int64[np.ndarray, "n"]:
    """All rows in a random order in which each class is spread evenly, so that every stretch has the classes in proportion."""
    rng = seeds.numpy()
    order = rng.permutation(len(labels))
    place = np.empty(len(labels))
    for c in np.unique(labels):
        members = order[labels[order] == c]
        place[members] = (np.arange(len(members)) + rng.random()) / len(members)
    return np.argsort(place, kind="stable")


def square(picture: "Image", side: int, resize: int) -> UInt8[np.ndarray, "3 side side"]:
    """The middle `side` x `side` of a picture whose shorter side has been brought to `resize`, in colour."""
    picture = picture.convert("RGB")
    if (shorter := min(picture.size)) != resize:
        width, height = (round(length * resize / shorter) for length in picture.size)
        picture = picture.resize((width, height), resample=2)  # bilinear, as the reference code
    left, top = ((length - side) // 2 for length in picture.size)
    return np.asarray(picture.crop((left, top, left + side, top + side))).transpose(2, 0, 1)


def _store(pictures: Any, folder: Path, side: int, resize: int, seeds: Seeds) -> None:
    """Write the file in a scratch folder, then move it into place; the caller holds the lock."""
    prefix = f".{folder.name}.scratch-"
    for stale in folder.parent.glob(f"{prefix}*"):  # left by a process that was killed
        shutil.rmtree(stale, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=prefix))
    try:
        labels = numbers(pictures, "label")
        order = spread_order(labels, seeds)
        np.save(scratch / "labels.npy", labels[order])
        shape = (len(order), 3, side, side)
        images = np.lib.format.open_memmap(scratch / "images.npy", mode="w+", dtype=np.uint8, shape=shape)
        for row, image in enumerate(_decoded(pictures, order, side, resize)):
            images[row] = image
        images.flush()
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _decoded(pictures: Any, order: Int64[np.ndarray, "n"], side: int, resize: int) -> Iterator[UInt8[np.ndarray, "3 side side"]]:
    """The pictures in that order, decoded by as many threads as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as threads, tqdm(total=len(order), desc="decoding photographs", unit="") as bar:
        for first in range(0, len(order), AT_ONCE):
            rows = order[first : first + AT_ONCE].tolist()
            for image in threads.map(lambda row: square(pictures[row]["image"], side, resize), rows):
                yield image
                bar.update()
