"""Columns of numbers straight out of Arrow, and the hash that pins them."""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datasets
    import numpy


def numbers(dataset: "datasets.Dataset", column: str) -> "numpy.ndarray":
    """A column of numbers or of arrays of one shape, as one array [n, ...] in its stored dtype.

    The library's own "numpy" format widens whole numbers to int64, eight times the memory of grey images. `dataset`
    must be as loaded: a selection or shuffle that has not been flattened is not looked through.

    Raises:
        ValueError: the column holds something else (text, encoded images, rows of different lengths).
    """
    import numpy as np
    import pyarrow as pa

    shape = _row_shape(dataset.features[column])
    if shape is None:
        raise ValueError(f"column {column!r}: got {dataset.features[column]}, allowed are numbers or arrays of one shape")
    parts = []
    for chunk in dataset.data.column(column).chunks:
        values = chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk
        for _ in shape:
            values = values.flatten()
        parts.append(values.to_numpy(zero_copy_only=False))
    return np.concatenate(parts).reshape(dataset.num_rows, *shape)


def _row_shape(feature: object) -> tuple[int, ...] | None:
    """The shape of one row, () for a number, or None where rows are no numbers."""
    import datasets

    if isinstance(feature, datasets.ClassLabel):
        return ()
    if isinstance(feature, datasets.Value):
        return () if feature.dtype.startswith(("int", "uint", "float")) else None
    if isinstance(feature, datasets.Array2D | datasets.Array3D):
        return tuple(feature.shape)
    if isinstance(feature, datasets.List) and feature.length > 0 and _row_shape(feature.feature) == ():
        return (feature.length,)
    return None


def content_sha256(splits: "datasets.DatasetDict") -> str:
    """One hash of all the numbers: split and column names in order, dtypes, shapes and little-endian values.

    It does not depend on where the data came from nor on how Arrow lays it out, so it tells whether two sources agree.
    """
    digest = hashlib.sha256()
    for split in sorted(splits):
        for column in sorted(splits[split].column_names):
            values = numbers(splits[split], column)
            values = values.astype(values.dtype.newbyteorder("<"), copy=False)
            digest.update(f"{split}/{column}/{values.dtype.str}/{values.shape};".encode())
            digest.update(values.data)
    return digest.hexdigest()
