"""Weight averaging: from a pool of fine-tuned models to soups, many soups in one matrix product."""

import math
import warnings
from collections.abc import Mapping, Sequence
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor

from lib.ensembles.selection import check_members

# Columns that are mixed at once in float64, so that averaging large models needs little extra memory.
BLOCK = 1 << 20


def check_pool(flat: Float[Tensor, "K p"]) -> None:
    """Refuse an empty pool and non-finite weights, naming the first such model (ValueError)."""
    if flat.shape[0] == 0:
        raise ValueError("flat: got an empty pool, at least one model is needed")
    bad = (~flat.isfinite()).any(1).nonzero()
    if len(bad):
        raise ValueError(f"flat: model {bad[0].item()} has NaN or infinite weights, only finite ones can be averaged")


def stack_states(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Float[Tensor, "K ..."]]:
    """Stack the parameters and buffers of K models of one architecture along a new leading axis.

    Raises ValueError for an empty pool, for keys or shapes that differ (naming the first), and for
    whole-number buffers, which have no average. Mixed float types are raised to the widest, with a warning.
    Running statistics of batch norm may be stacked, but must be recomputed on training data after averaging
    [wortsman2022].
    """
    if len(states) == 0:
        raise ValueError("states: got an empty pool, at least one model is needed")
    first = states[0]
    for k, state in enumerate(states):
        if differing := sorted(first.keys() ^ state.keys()):
            raise ValueError(f"states: key {differing[0]!r} is not in both model 0 and model {k}, all need the same keys")
        for key, value in state.items():
            if value.shape != first[key].shape:
                shapes = f"{tuple(first[key].shape)} in model 0 and {tuple(value.shape)} in model {k}"
                raise ValueError(f"states: {key!r} has shape {shapes}, all need the same shapes")
    return {key: _stack_floats(key, [state[key] for state in states]) for key in first}


def _stack_floats(key: str, values: list[Tensor]) -> Float[Tensor, "K ..."]:
    dtypes = {value.dtype for value in values}
    if not all(dtype.is_floating_point for dtype in dtypes):
        raise ValueError(f"states: {key!r} holds {values[0].dtype}, only floating-point tensors have an average; drop it")
    widest = reduce(torch.promote_types, dtypes)
    if len(dtypes) > 1:
        warnings.warn(f"{key!r} mixes {sorted(map(str, dtypes))}; all models are raised to {widest}", stacklevel=3)
    return torch.stack([value.to(widest) for value in values])


def mixture_weights(soups: Sequence[Sequence[int]], n: int, replacement: bool = False) -> Float[Tensor, "S K"]:
    """Rows a_s with theta_s = sum_k a_sk theta_k: each member of soup s counts 1/|s|, float64.

    `n` is the number of models K. Raises ValueError for an empty soup, a model outside 0..n-1, or a repeat
    without `replacement`.
    """
    rows = torch.zeros(len(soups), n, dtype=torch.float64)
    for row, members in zip(rows, soups, strict=True):
        check_members(members, n, replacement)
        row.index_add_(0, torch.tensor(members), torch.full((len(members),), 1 / len(members), dtype=rows.dtype))
    return rows


def mix(flat: Float[Tensor, "K p"], rows: Float[Tensor, "S K_"]) -> Float[Tensor, "S p"]:
    """Weighted averages theta_s = sum_k rows_sk theta_k, every row of weights summing to one.

    Sums run in float64 and are rounded once to the pool's precision. Negative weights are allowed (extrapolation).
    Raises ValueError for a bad pool, a wrong number of weights, or weights that don't sum to 1 within 1e-6.
    """
    check_pool(flat)
    if rows.shape[1] != flat.shape[0]:
        raise ValueError(f"weights: got {rows.shape[1]} for each soup, allowed is one for each of {flat.shape[0]} models")
    sums = rows.double().sum(1)
    if (bad := ~torch.isclose(sums, torch.ones_like(sums), rtol=0, atol=1e-6)).any():
        s = bad.nonzero()[0].item()
        raise ValueError(f"weights: those of soup {s} sum to {sums[s].item():.6g}, they must sum to one")
    rows = rows.to(flat.device, torch.float64)
    blocks = [(rows @ block.double()).to(flat.dtype) for block in flat.split(BLOCK, dim=1)]
    return torch.cat(blocks, dim=1)


def average(
    flat: Float[Tensor, "K p"],
    members: Sequence[int] | None = None,
    weights: Sequence[float] | None = None,
    replacement: bool = False,
) -> Float[Tensor, " p"]:
    """One soup: the mean of `members` (all models when None), or their weighted mean [wortsman2022].

    `weights` belong to the members in order and sum to one. Raises ValueError as `mixture_weights` and `mix`
    do.
    """
    check_pool(flat)
    members = range(len(flat)) if members is None else members
    check_members(members, len(flat), replacement)
    if weights is None:
        weights = [1 / len(members)] * len(members)
    if len(weights) != len(members) or not all(map(math.isfinite, weights)):
        raise ValueError(f"weights: got {list(weights)} for {len(members)} members, allowed is one finite number each")
    return mix(flat[list(members)], torch.tensor([weights], dtype=torch.float64))[0]
