"""Training of K networks as one tensor program."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib.nets import Net, Params
from lib.population.checks import check_data, check_run, member_bags, start_rows
from lib.population.hyperparameters import Hyperparameters
from lib.population.layout import split
from lib.population.losses import cross_entropy
from lib.population.optimisers import OPTIMISERS
from lib.population.streams import Dropout, Feed
from lib.seeds import Seeds

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Population:
    """K trained networks and their record.

    `params`: stacked parameters [K, ...]. `losses` [steps, K]: each step's minibatch loss, before its update.
    `diverged` [K]: whether a loss or a final parameter is not finite. `diverged_at` [K]: the first step with a
    non-finite loss; `steps` if only final parameters are; -1 for members that did not diverge.
    """

    params: Params
    losses: Float[Tensor, "steps K"]
    diverged: Bool[Tensor, "K"]
    diverged_at: Int[Tensor, "K"]


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
    seeds: Seeds,
    optimiser: str = "adam",
    subsets: Sequence[Tensor] | None = None,
    members_at_once: int | None = None,
    progress: Progress | None = None,
) -> Population:
    """Train `members` copies of `net`, each on its own minibatches, with its own random streams and hyper-parameters.

    `initial`: one network's parameters (the shared start of a soup) or stacked ones [K, ...]. `x` [n, ...]: floats or
    token numbers. `y`: class numbers [n] or target distributions [n, C]. `subsets`: each member's bag, as row numbers
    into x; minibatches run through endlessly reshuffled epochs of the bag, so that all have `batch_size` rows.
    `optimiser`: adam or sgd. `members_at_once` bounds memory (a few large nets at once also fit a processor's cache
    better than all). `progress(done, total)`, in members times steps, is called after every step.
    Member k draws from `seeds.child("member", k)` alone: its result does not depend on K, on the other members or on
    `members_at_once`, and a member that diverges does not touch the others. Device and dtype are those of `initial`.
    Errors: ValueError naming the argument for bad sizes, layouts, labels, bags or hyper-parameters.
    """
    at_once = members if members_at_once is None else members_at_once
    check_run(members, steps, batch_size, at_once, optimiser)
    rows, each = start_rows(net, initial, members), hyper.per_member(members)
    check_data(net, x, y, rows, each)
    bags, own = member_bags(subsets, members, len(x)), [seeds.child("member", k) for k in range(members)]
    y, losses = (y if y.is_floating_point() else y.long()), rows.new_empty(steps, members)
    for first in range(0, members, at_once):
        ks = slice(first, first + at_once)
        lanes = {name: value[ks] for name, value in each.items()}
        feed = Feed(x, y, bags[ks], batch_size, lanes["noise"], own[ks])
        drop = Dropout(lanes["dropout"], own[ks]) if lanes["dropout"].any() else None
        for step, loss in enumerate(_descend(net, rows[ks], feed, drop, lanes, optimiser, steps)):
            losses[step, ks] = loss
            if progress is not None:
                progress(first * steps + (step + 1) * len(loss), members * steps)
    return Population(split(rows, net.layout()), losses, *_divergence(rows, losses))


def _descend(
    net: Net, rows: Tensor, feed: Feed, drop: Dropout | None, hyper: dict[str, Tensor], optimiser: str, steps: int
) -> Iterator[Float[Tensor, "K"]]:
    """Train the rows [K, p] in place; yields each step's losses."""
    leaf, layout = rows.detach().requires_grad_(), net.layout()
    update = OPTIMISERS[optimiser](leaf, hyper["lr"], hyper["weight_decay"])
    smoothing = hyper["label_smoothing"].to(leaf).unsqueeze(1)
    for step in range(steps):
        inputs, targets = feed.at(step)
        if drop is not None:
            drop.start(step)
        loss = cross_entropy(net.apply(split(leaf, layout), inputs, drop=drop), targets, smoothing)
        # No loss knows another member's row, so the gradient of their sum holds every member's own.
        update.step(*torch.autograd.grad(loss.sum(), leaf))
        yield loss.detach()


def _divergence(rows: Float[Tensor, "K p"], losses: Float[Tensor, "steps K"]) -> tuple[Tensor, Tensor]:
    """Flags and first bad step; the state after the last step counts as step number `steps`."""
    bad = torch.cat([~losses.isfinite(), ~rows.isfinite().all(1, keepdim=True).mT])
    diverged = bad.any(0)
    return diverged, torch.where(diverged, bad.int().argmax(0), -1)
