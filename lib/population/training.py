"""Training of K networks as one tensor program."""

import ctypes
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib.nets import Net, Params
from lib.population.checks import check_data, check_run, check_snapshots, member_bags, member_seeds, member_sets, start_points
from lib.population.hyperparameters import Hyperparameters
from lib.population.losses import cross_entropy
from lib.population.optimisers import Clipped, Optimiser, make_optimiser
from lib.population.streams import Augment, Dropout, Feed
from lib.seeds import Seeds

Progress = Callable[[int, int], None]
Schedule = Callable[[int], float]
CACHE, UPDATED, FEW = 2**23, 4, 32  # bytes; tensors an update touches; members that share each step's fixed costs at least
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # glibc's numbers for what mallopt sets


@dataclass(frozen=True)
class Population:
    """K trained networks and their record.

    `params`: stacked parameters [K, ...]. `losses` [steps, K]: each step's minibatch loss, before its update.
    `diverged` [K]: whether a loss or a final parameter is not finite. `diverged_at` [K]: the first step with a
    non-finite loss; `steps` if only final parameters are; -1 for members that did not diverge. `snapshots`: step number ->
    stacked parameters after so many steps, for the steps that were asked for (0 is the start).
    """

    params: Params
    losses: Float[Tensor, "steps K"]
    diverged: Bool[Tensor, "K"]
    diverged_at: Int[Tensor, "K"]
    snapshots: dict[int, Params]


def train(
    net: Net,
    initial: Params,
    x: Tensor,
    y: Tensor,
    *,
    members: int,
    steps: int,
    batch_size: int,
    hyper: Hyperparameters,
    seeds: Seeds | Sequence[Seeds],
    optimiser: str = "adam",
    schedule: Schedule | None = None,
    subsets: Sequence[Tensor] | None = None,
    label_sets: Sequence[int] | None = None,
    partial_targets: bool = False,
    augment: Augment | None = None,
    snapshots: Sequence[int] = (),
    members_at_once: int | None = None,
    progress: Progress | None = None,
) -> Population:
    """Train `members` copies of `net`, each on its own minibatches, with its own random streams and hyper-parameters.

    `initial`: one network's parameters (the shared start of a soup) or stacked ones [K, ...]. `x` [n, ...]: floats, bytes or
    token numbers. `y`: class numbers [n] or target distributions [n, C]; for a net with logits [K, B, T, C], class numbers
    [n, T] with IGNORED = -1 where there is no loss: a member's loss is then the mean over the other targets of its
    minibatch (0, without gradient, if it has none). `subsets`: each member's bag, as row numbers into x; minibatches run
    through endlessly reshuffled epochs of the bag, so that all have `batch_size` rows. `label_sets`: with several sets of
    labels for the same rows, y [G, n], [G, n, C] or [G, n, T], the set that each member learns from.
    `partial_targets`: distributions may lack mass (rows sum to at most 1 + 1e-6); the loss stays -sum_c t_c log p_c.
    `optimiser`: adam, sgd or adamw. `schedule(step)`: factor on every learning rate at that step, from 0.
    `augment(nodes)`: called for each chunk of members with their nodes of the seed tree, returns what changes their inputs
    last: (inputs [K, B, ...], step) -> inputs of the same shape and dtype, in place if it likes. It is to draw from children
    of those nodes (not order, noise or dropout, which are taken), so that no member's numbers depend on another member.
    `snapshots`: after which numbers of steps to keep the parameters, ascending. `members_at_once`: at most so many in one
    program, to bound memory; on a processor fewer, where that many leave its cache. `progress(done, total)`, in members times
    steps, is called after every step.
    Member k draws from `seeds.child("member", k)` alone, or from `seeds[k]` where a node is given for each: its result does
    not depend on K, on the other members or on `members_at_once`, and a member that diverges does not touch the others.
    Members with equal nodes and bags of equal length see them in the same order. Device and dtype are those of `initial`.
    Errors: ValueError naming the argument for bad sizes, layouts, labels, bags, hyper-parameters, snapshots or factors.
    """
    at_once = members if members_at_once is None else members_at_once
    check_run(members, steps, batch_size, at_once, optimiser)
    check_snapshots(snapshots, steps)
    factors = _factors(schedule, steps)
    params, each, sets = start_points(net, initial, members), hyper.per_member(members), member_sets(label_sets, y, members)
    check_data(net, x, y, params, each, sets is not None, partial_targets)
    bags, own = member_bags(subsets, members, len(x)), member_seeds(seeds, members)
    y, losses = (y if y.is_floating_point() else y.long()), next(iter(params.values())).new_empty(steps, members)
    kept = {step: {name: value.clone() for name, value in params.items()} for step in snapshots}
    _keep_freed_memory()
    at_once = min(at_once, _cached(params, members))
    for first in range(0, members, at_once):
        ks = slice(first, first + at_once)
        mine, lanes = ({name: value[ks] for name, value in table.items()} for table in (params, each))
        feed = Feed(x, y, bags[ks], batch_size, lanes["noise"], own[ks], None if sets is None else sets[ks], augment)
        drop = Dropout(lanes["dropout"], own[ks]) if lanes["dropout"].any() else None
        update = make_optimiser(optimiser, list(mine.values()), lanes)
        update = Clipped(update, lanes["clip"].to(losses)) if lanes["clip"].any() else update
        for step, loss in enumerate(_descend(net, mine, feed, drop, update, lanes["label_smoothing"], factors), 1):
            losses[step - 1, ks] = loss
            for name, value in kept.get(step, {}).items():
                value[ks] = mine[name]
            if progress is not None:
                progress(first * steps + step * len(loss), members * steps)
    return Population(params, losses, *_divergence(params, losses), kept)


def _cached(params: Params, members: int) -> int:
    """How many members fit a processor's cache with all that an update touches; all of them on other devices.

    Small networks wait for memory more than for arithmetic: parameter, gradient and two moments pass through at every step.
    192 students 784-128-10 in groups of 32 took two thirds of the time of all at once; below 32 each step's fixed costs tell.
    """
    if next(iter(params.values())).device.type != "cpu":
        return members
    one = UPDATED * sum(value[0].numel() * value.element_size() for value in params.values())
    return max(FEW, CACHE // max(one, 1))


def _keep_freed_memory() -> None:
    """Let the process keep up to 512 MB of what a step frees: the next step needs it again.

    Otherwise the C library (glibc) gives it back to the system, and the next step faults it in again page by page: of 64
    decoders' time a fifth in one measurement and nothing in another, as the heap happens to lie.
    Larger blocks than 32 MB, its limit, go back all the same.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(TRIM_THRESHOLD, 2**29)
        libc.mallopt(MMAP_THRESHOLD, 2**25)


def _factors(schedule: Schedule | None, steps: int) -> list[float]:
    """The factor on the learning rates at each step."""
    factors = [1.0] * steps if schedule is None else [float(schedule(step)) for step in range(steps)]
    for step, factor in enumerate(factors):
        if not (math.isfinite(factor) and factor >= 0):
            raise ValueError(f"schedule: got factor {factor} at step {step}, allowed are finite numbers >= 0")
    return factors


def _descend(
    net: Net,
    params: Params,
    feed: Feed,
    drop: Dropout | None,
    update: Optimiser,
    smoothing: Float[Tensor, "K"],
    factors: Sequence[float],
) -> Iterator[Float[Tensor, "K"]]:
    """Train stacked parameters in place, a step for each factor; yields each step's losses."""
    leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
    pieces = list(leaves.values())
    smoothing = smoothing.to(pieces[0]).unsqueeze(1)
    for step, factor in enumerate(factors):
        inputs, targets = feed.at(step)
        if drop is not None:
            drop.start(step)
        loss = cross_entropy(net.apply(leaves, inputs, drop=drop), targets, smoothing)
        # No loss knows another member's parameters, so the gradient of their sum holds every member's own.
        update.step(torch.autograd.grad(loss.sum(), pieces, materialize_grads=True), factor)
        yield loss.detach()


def _divergence(params: Params, losses: Float[Tensor, "steps K"]) -> tuple[Tensor, Tensor]:
    """Flags and first bad step; the state after the last step counts as step number `steps`."""
    lost = torch.stack([~value.isfinite().flatten(1).all(1) for value in params.values()])
    bad = torch.cat([~losses.isfinite(), lost.any(0, keepdim=True)])
    diverged = bad.any(0)
    return diverged, torch.where(diverged, bad.int().argmax(0), -1)
