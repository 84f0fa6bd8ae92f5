"""Pools of networks as one dict with a leading member axis K, and as one flat matrix [K, p]."""

import math
import warnings
from collections.abc import Sequence
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor

from lib.nets import Layout, Params


def check_same_layout(pool: Sequence[Params]) -> None:
    """ValueError if `pool` is empty, or naming the first parameter whose presence or shape differs from member 0's."""
    if not pool:
        raise ValueError("pool: got no networks, allowed is one or more")
    first = pool[0]
    for k, params in enumerate(pool):
        for key in (*first, *params):
            if key not in params:
                raise ValueError(f"pool: member {k} lacks {key!r}, which member 0 has")
            if key not in first:
                raise ValueError(f"pool: member {k} has {key!r}, which member 0 lacks")
            if params[key].shape != first[key].shape:
                was, want = tuple(params[key].shape), tuple(first[key].shape)
                raise ValueError(f"pool: member {k} has {key!r} of shape {was}, member 0 has {want}")


def stack(pool: Sequence[Params]) -> Params:
    """One dict with a member axis in front of every parameter. Mixed dtypes are raised to the widest, with a warning.

    Errors: ValueError as in `check_same_layout`.
    """
    check_same_layout(pool)
    dtypes = {key: {params[key].dtype for params in pool} for key in pool[0]}
    mixed = [key for key, found in dtypes.items() if len(found) > 1]
    if mixed:
        found = sorted(map(str, dtypes[mixed[0]]))
        warnings.warn(f"pool: {mixed[0]!r} has dtypes {found}; mixed ones are raised to the widest", stacklevel=2)
    widest = {key: reduce(torch.promote_types, found) for key, found in dtypes.items()}
    return {key: torch.stack([params[key].to(widest[key]) for params in pool]) for key in pool[0]}


def unstack(params: Params) -> list[Params]:
    """The K networks of a stacked dict, as views."""
    members = len(next(iter(params.values())))
    return [{key: value[k] for key, value in params.items()} for k in range(members)]


def flatten(params: Params) -> Float[Tensor, "K p"]:
    """Rows theta_k: every parameter of member k in the dict's order."""
    return torch.cat([value.reshape(len(value), -1) for value in params.values()], dim=1)


def unflatten(flat: Float[Tensor, "K p"], like: Params) -> Params:
    """The inverse of `flatten`, as views of `flat`; `like` is any stacked dict of that layout (its own K is free).

    Errors: ValueError if p is not the number of parameters of `like`.
    """
    return split(flat, {key: tuple(value.shape[1:]) for key, value in like.items()})


def split(flat: Float[Tensor, "K p"], layout: Layout) -> Params:
    """Views of the columns of `flat` with the shapes of `layout`. ValueError if their number differs."""
    sizes = [math.prod(shape) for shape in layout.values()]
    if sum(sizes) != flat.shape[1]:
        raise ValueError(f"flat: {flat.shape[1]} parameters a row, the layout has {sum(sizes)}")
    pieces = flat.split(sizes, dim=1)
    return {key: piece.view(len(flat), *shape) for (key, shape), piece in zip(layout.items(), pieces, strict=True)}


def check_finite(params: Params) -> None:
    """ValueError naming the first member (and its parameter) that holds a NaN or an infinity."""
    bad = {key: ~torch.isfinite(value).reshape(len(value), -1).all(1) for key, value in params.items()}
    worst = torch.stack(list(bad.values())).any(0)
    if worst.any():
        k = int(worst.int().argmax())
        key = next(key for key, flags in bad.items() if flags[k])
        raise ValueError(f"params: member {k} has non-finite values in {key!r}, allowed are finite parameters")
