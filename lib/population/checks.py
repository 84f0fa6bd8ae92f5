"""What `train` refuses, each with one line that names the argument, the value and what is allowed."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Int
from torch import Tensor

from lib.nets import Net, Params
from lib.population.layout import check_finite
from lib.population.losses import IGNORED
from lib.population.optimisers import OPTIMISERS
from lib.seeds import Seeds

OVER = 1e-6  # by which a row of weights may sum to more than 1


def check_run(members: int, steps: int, batch_size: int, members_at_once: int, optimiser: str) -> None:
    """Counts of at least one and a known optimiser."""
    counts = {"members": members, "steps": steps, "batch_size": batch_size, "members_at_once": members_at_once}
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name}: got {value}, allowed are whole numbers >= 1")
    if optimiser not in OPTIMISERS:
        raise ValueError(f"optimiser: got {optimiser!r}, allowed are {', '.join(OPTIMISERS)}")


def start_points(net: Net, initial: Params, members: int) -> Params:
    """Fresh stacked parameters in the order of the layout, from one network's parameters or from stacked ones."""
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
    return {key: initial[key].detach().clone(memory_format=torch.contiguous_format) for key in layout}


def check_data(net: Net, x: Tensor, y: Tensor, params: Params, hyper: dict[str, Tensor], sets: bool, partial: bool) -> None:
    """Rows, labels, dtypes and devices fit one another, and noise and dropout have something to act on.

    With `sets`, y holds several sets of labels for the same rows.
    """
    found, like = y.shape[1] if sets else len(y), next(iter(params.values()))
    if len(x) == 0 or len(x) != found:
        raise ValueError(f"y: got {found} labels for {len(x)} rows of x, allowed is one label for each of 1 or more rows")
    for name, value in (("x", x), ("y", y)):
        if value.device != like.device:
            raise ValueError(f"{name}: on {value.device}, the parameters are on {like.device}, allowed is one device")
        if value.is_floating_point() and value.dtype != like.dtype:
            raise ValueError(f"{name}: has dtype {value.dtype}, the parameters {like.dtype}, allowed is the same")
    if not x.is_floating_point() and hyper["noise"].any():
        raise ValueError(f"noise: got {float(hyper['noise'].max())} for x of dtype {x.dtype}, allowed is 0 there")
    (*places, classes), sites = _trial(net, x, params)
    if sites == 0 and hyper["dropout"].any():
        raise ValueError(f"dropout: got {float(hyper['dropout'].max())}, allowed is 0: this net has nowhere to drop")
    check_labels(y.flatten(0, 1) if sets else y, classes, partial, tuple(places))


def check_labels(y: Tensor, classes: int, partial: bool, places: tuple[int, ...] = ()) -> None:
    """Class numbers [n] in range, or distributions [n, C]; with `partial`, parts of distributions too.

    With `places` (T,) of a net that gives logits at each of them: class numbers [n, T], or IGNORED at some places.
    """
    if places:
        if y.is_floating_point() or y.shape[1:] != places or y.min() < IGNORED or not 0 <= y.max() < classes:
            found = f"{y.dtype} of shape {tuple(y.shape)}, {y.min():g} to {y.max():g}"
            wanted = f"whole numbers of shape {('n', *places)}, 0 to {classes - 1}, and {IGNORED} at some places for no loss"
            raise ValueError(f"y: got {found}, allowed are {wanted}".replace("'", ""))
    elif y.is_floating_point():
        if y.shape[1:] != (classes,):
            raise ValueError(f"y: distributions of shape {tuple(y.shape)}, allowed is (n, {classes})")
        # In float64, so that many roundings of float32 do not add up to more than is allowed.
        if partial and not ((y >= 0).all() and (y.sum(1, dtype=torch.float64) <= 1 + OVER).all()):
            raise ValueError("y: got rows that are no parts of distributions, allowed are entries >= 0 that sum to at most 1")
        if not partial and not ((y >= 0).all() and torch.allclose(y.sum(1), y.new_ones(()), atol=1e-3)):
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


def member_sets(label_sets: Sequence[int] | None, y: Tensor, members: int) -> Int[Tensor, "K"] | None:
    """Which of y's label sets each member learns from, on the CPU; None where y has no axis of sets."""
    if label_sets is None:
        return None
    if y.dim() < 2 or (y.is_floating_point() and y.dim() != 3):
        raise ValueError(f"y: got shape {tuple(y.shape)} with label_sets, allowed are (sets, n) and (sets, n, classes)")
    if len(label_sets) != members:
        raise ValueError(f"label_sets: got {len(label_sets)}, allowed is one for each of {members} members")
    if min(label_sets) < 0 or max(label_sets) >= len(y):
        raise ValueError(f"label_sets: got {min(label_sets)} to {max(label_sets)}, allowed are 0 to {len(y) - 1}")
    return torch.tensor(list(label_sets))


def member_seeds(seeds: Seeds | Sequence[Seeds], members: int) -> list[Seeds]:
    """Each member's own node."""
    if isinstance(seeds, Seeds):
        return [seeds.child("member", k) for k in range(members)]
    if len(seeds) != members:
        raise ValueError(f"seeds: got {len(seeds)}, allowed is one node, or one for each of {members} members")
    return list(seeds)


def check_snapshots(snapshots: Sequence[int], steps: int) -> None:
    """Step numbers in ascending order."""
    if any(a >= b for a, b in pairwise(snapshots)) or any(step not in range(steps + 1) for step in snapshots):
        raise ValueError(f"snapshots: got {list(snapshots)}, allowed are ascending steps from 0 to {steps}")


@torch.no_grad()
def _trial(net: Net, x: Tensor, params: Params) -> tuple[tuple[int, ...], int]:
    """Shape of one row's logits and number of dropout sites, from two rows (batch statistics want two) through one member."""
    sites = 0

    def count(h: Tensor) -> Tensor:
        nonlocal sites
        sites += 1
        return h

    logits = net.apply({name: value[:1] for name, value in params.items()}, x[:2], drop=count)
    return tuple(logits.shape[2:]), sites
