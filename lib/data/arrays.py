"""A named dataset as two tensors."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lib.data.columns import numbers
from lib.data.loading import load


def tensors(
    name: str, split: str | None = None, dtype: torch.dtype = torch.float32
) -> tuple[Float[Tensor, "n ..."], Int64[Tensor, " n"]]:
    """Inputs in 0..1 (`image` [n, h, w], or `features` [n, d]) and class labels [n] of a named dataset, in stored order.

    Bytes are divided by 255; floating-point columns are stored in 0..1 already.

    Raises:
        ValueError: an unknown name or split, a dtype that is not floating point, or data without such columns
            (coloured photographs of many sizes, text): use `load` for those.
        DataUnavailable, HashMismatch: as `load` does.
    """
    if not dtype.is_floating_point:
        raise ValueError(f"dtype: got {dtype}, allowed are floating-point types")
    dataset = load(name, split)
    column = next((column for column in ("image", "features") if column in dataset.column_names), None)
    if column is None or "label" not in dataset.column_names:
        raise ValueError(f"dataset {name!r}: got columns {dataset.column_names}, needed are label and image or features")
    inputs = torch.from_numpy(numbers(dataset, column))
    if inputs.dtype == torch.uint8:
        inputs = inputs.to(torch.promote_types(dtype, torch.float32)).div_(255)
    return inputs.to(dtype), torch.from_numpy(numbers(dataset, "label")).long()
