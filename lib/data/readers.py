"""Readers: from a library call, files or a Hub dataset to splits with the columns `image` and `label`.

Grey images are uint8 in 0..255, or float32 already in 0..1; labels are class indices. A reader for other data (text,
tables, meshes) is one more small function like these: paths in, `datasets.DatasetDict` out, any columns.
"""

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datasets
    import numpy

DIGITS = tuple("0123456789")
LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
SYLLABLES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")  # of the hiragana signs in KMNIST
GARMENTS = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


def image_splits(splits: Mapping[str, "tuple[numpy.ndarray, numpy.ndarray]"], classes: Sequence[str]) -> "datasets.DatasetDict":
    """Pack splits of (images [n, h, w], labels [n]) with class names, keeping the images' dtype."""
    import datasets

    packed = datasets.DatasetDict()
    for name, (images, labels) in splits.items():
        image = datasets.Array2D(shape=images.shape[1:], dtype=str(images.dtype))
        features = datasets.Features(image=image, label=datasets.ClassLabel(names=list(classes)))
        packed[name] = datasets.Dataset.from_dict({"image": images, "label": labels}, features=features)
    return packed


def read_sklearn_digits() -> "datasets.DatasetDict":
    """The 8 x 8 digits that scikit-learn ships, grey levels 0..16 divided by 16 (exact in float32)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return image_splits({"train": ((digits.images / 16).astype("float32"), digits.target)}, DIGITS)


def read_mnist_csv(path: Path) -> "datasets.DatasetDict":
    """A gzipped CSV with one digit a row: 784 grey levels 0..255, then the label."""
    import pandas as pd

    rows = pd.read_csv(path, header=None, dtype="uint8", compression="gzip").to_numpy()
    return image_splits({"train": (rows[:, :-1].reshape(-1, 28, 28), rows[:, -1].astype("int64"))}, DIGITS)


def read_idx_garments(train_images: Path, train_labels: Path, test_images: Path, test_labels: Path) -> "datasets.DatasetDict":
    """Fashion-MNIST's four gzipped IDX files: splits `train` and `test`."""
    pairs = {"train": (train_images, train_labels), "test": (test_images, test_labels)}
    return image_splits(
        {split: (_idx(images), _idx(labels).astype("int64")) for split, (images, labels) in pairs.items()}, GARMENTS
    )


def _idx(path: Path) -> "numpy.ndarray":
    """An IDX file of bytes: two zeros, type 8, the number of axes, each length as a big-endian int32, the values."""
    import numpy as np

    raw = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(raw, ">i4", count=raw[3], offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def read_hub_images(splits: "datasets.DatasetDict", classes: Sequence[str], transposed: bool = False) -> "datasets.DatasetDict":
    """Grey images as the Hub stores them (PNG): the splits, columns and bytes that IDX files of the same data give.

    `transposed`: rows and columns are swapped in the source, as in EMNIST's own files, and are swapped back.
    """
    import numpy as np

    decoded = {}
    for name, split in splits.items():
        images = np.stack([np.asarray(image) for image in split["image"]])
        upright = images.swapaxes(1, 2) if transposed else images
        decoded[name] = (np.ascontiguousarray(upright), np.asarray(split["label"], dtype="int64"))
    return image_splits(decoded, classes)


def read_hub_photographs(
    splits: "datasets.DatasetDict", splits_kept: Sequence[str], image: str = "image", label: str = "label"
) -> "datasets.DatasetDict":
    """Photographs as the Hub stores them, still encoded, in the columns `image` and `label` (with class names) alone.

    `splits_kept`: the splits with labels; `image`, `label`: what the source calls the columns.
    """
    kept = {name: splits[name].select_columns([image, label]) for name in splits_kept}
    renamed = {old: new for old, new in ((image, "image"), (label, "label")) if old != new}
    return type(splits)({name: split.rename_columns(renamed) if renamed else split for name, split in kept.items()})


def as_stored(splits: "datasets.DatasetDict") -> "datasets.DatasetDict":
    """Splits that are already as the suite wants them."""
    return splits
