"""What `train` refuses, each with one line that names the argument, the value and what is allowed."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.nets import Net, Params
from lib.population.layout import check_finite, flatten, split
from lib.population.optimisers import OPTIMISERS


def check_run(members: int, steps: int, batch_size: int, members_at_once: int, optimiser: str) -> None:
    """Counts of at least one and a known optimiser."""
    counts = {"members": members, "steps": steps, "batch_size": batch_size, "members_at_once": members_at_once}
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name}: got {value}, allowed are whole numbers >= 1")
    if optimiser not in OPTIMISERS:
        raise ValueError(f"optimiser: got {optimiser!r}, allowed are {', '.join(OPTIMISERS)}")


def start_rows(net: Net, initial: Params, members: int) -> Float[Tensor, "K p"]:
    """A fresh flat matrix of starting points, from one network's parameters or from stacked ones."""
    layout = net.layout()
    for key in (*layout, *initial):
        if key not in initial or key not in layout:
            raise ValueError(f"initial: {key!r} is {'missing' if key in layout else 'no parameter of the net'}")
    shapes = {key: tuple(value.shape) for key, value in initial.items()}
    dtypes = {value.dtype for value in initial.values()}
    if len(dtypes) > 1:
        raise ValueError(f"initial: got dtypes {sorted(map(str, dtypes))}, allowed is one for all parameters")
    first = next(iter(layout))
    lead = () if len(shapes[first]) == len(layout[first]) else (members,)
    for key, shape in layout.items():
        if shapes[key] != lead + shape:
            raise ValueError(f"initial: {key!r} has shape {shapes[key]}, allowed are {shape} or {(members, *shape)}")
    if not lead:
        initial = {key: value.expand(members, *value.shape) for key, value in initial.items()}
    check_finite(initial)
    return flatten({key: initial[key].detach() for key in layout})


def check_data(net: Net, x: Tensor, y: Tensor, rows: Float[Tensor, "K p"], hyper: dict[str, Tensor]) -> None:
    """Rows, labels, dtypes and devices fit one another, and noise and dropout have something to act on."""
    if len(x) == 0 or len(x) != len(y):
        raise ValueError(f"y: got {len(y)} labels for {len(x)} rows of x, allowed is one label for each of 1 or more rows")
    for name, value in (("x", x), ("y", y)):
        if value.device != rows.device:
            raise ValueError(f"{name}: on {value.device}, the parameters are on {rows.device}, allowed is one device")
        if value.is_floating_point() and value.dtype != rows.dtype:
            raise ValueError(f"{name}: has dtype {value.dtype}, the parameters {rows.dtype}, allowed is the same")
    if not x.is_floating_point() and hyper["noise"].any():
        raise ValueError(f"noise: got {float(hyper['noise'].max())} for x of dtype {x.dtype}, allowed is 0 there")
    classes, sites = _trial(net, x, rows)
    if sites == 0 and hyper["dropout"].any():
        raise ValueError(f"dropout: got {float(hyper['dropout'].max())}, allowed is 0: this net has nowhere to drop")
    check_labels(y, classes)


def check_labels(y: Tensor, classes: int) -> None:
    """Class numbers [n] in range, or distributions [n, C]."""
    if y.is_floating_point():
        if y.shape[1:] != (classes,):
            raise ValueError(f"y: distributions of shape {tuple(y.shape)}, allowed is (n, {classes})")
        if not ((y >= 0).all() and torch.allclose(y.sum(1), y.new_ones(()), atol=1e-3)):
            raise ValueError("y: got rows that are no distributions, allowed are entries >= 0 that sum to 1")
    elif y.dim() != 1 or y.min() < 0 or y.max() >= classes:
        raise ValueError(f"y: shape {tuple(y.shape)}, {y.min()} to {y.max()}, allowed is (n,), 0 to {classes - 1}")


def member_bags(subsets: Sequence[Tensor] | None, members: int, rows: int) -> list[Int[Tensor, "_"]]:
    """Each member's row numbers, on the CPU."""
    if subsets is None:
        return [torch.arange(rows)] * members
    if len(subsets) != members:
        raise ValueError(f"subsets: got {len(subsets)}, allowed is one for each of {members} members")
    for k, bag in enumerate(subsets):
        if len(bag) == 0:
            raise ValueError(f"subsets: member {k} has no rows, allowed is one or more")
        if bag.dtype not in (torch.int64, torch.int32):
            raise ValueError(f"subsets: member {k} has dtype {bag.dtype}, allowed are row numbers, int64 or int32")
        if bag.min() < 0 or bag.max() >= rows:
            raise ValueError(f"subsets: member {k} has rows {bag.min()} to {bag.max()}, allowed are 0 to {rows - 1}")
    return [bag.cpu() for bag in subsets]


@torch.no_grad()
def _trial(net: Net, x: Tensor, rows: Tensor) -> tuple[int, int]:
    """Number of classes and of dropout sites, from two rows (batch statistics want two) through one member."""
    sites = 0

    def count(h: Tensor) -> Tensor:
        nonlocal sites
        sites += 1
        return h

    logits = net.apply(split(rows[:1], net.layout()), x[:2], drop=count)
    return logits.shape[-1], sites
