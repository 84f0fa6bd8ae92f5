"""Training one network at a time, for what no population can: batch statistics, and images that stay in their file."""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib.distillation.resnet import ResNet
from lib.nets import Params
from lib.population import Augment, Hyperparameters, Population, Progress, Schedule, stack, unstack
from lib.population.streams import Order
from lib.seeds import Seeds

OPTIMISERS = ("sgd", "adamw")


def train_singly(
    net: ResNet,
    initial: Params,
    x: Tensor,
    y: Tensor,
    *,
    members: int,
    steps: int,
    batch_size: int,
    hyper: Hyperparameters,
    seeds: Sequence[Seeds],
    optimiser: str = "sgd",
    schedule: Schedule | None = None,
    subsets: Sequence[Tensor] | None = None,
    label_sets: Sequence[int] | None = None,
    augment: Augment | None = None,
    snapshots: Sequence[int] = (),
    progress: Progress | None = None,
) -> Population:
    """`lib.population.train` for networks with batch normalisation, one after the other, by torch's own optimisers.

    Arguments and result are those of `train`, with `initial` stacked and a node of `seeds` for each member; only lr, momentum
    and weight_decay of `hyper` are used, one member's each. Images may be elsewhere than the parameters: each minibatch is
    brought to them. Parameters of the result hold the running statistics.
    Errors: ValueError for another optimiser, or another number of labels than images.
    """
    if optimiser not in OPTIMISERS:
        raise ValueError(f"optimiser: got {optimiser!r}, allowed are {', '.join(OPTIMISERS)}")
    rows = y.shape[1] if label_sets is not None else len(y)
    if rows != len(x):
        raise ValueError(f"y: got {rows} labels for {len(x)} rows of x, allowed is one for each")
    each, device = hyper.per_member(members), next(iter(initial.values())).device
    losses, kept, final = torch.empty(steps, members, device=device), {step: [] for step in snapshots}, []
    for k, start in enumerate(unstack(initial)):
        rates = {name: float(each[name][k]) for name in ("lr", "momentum", "weight_decay")}
        bag = torch.arange(len(x)) if subsets is None else subsets[k]
        batches = _batches(
            net, x, y if label_sets is None else y[label_sets[k]], bag, batch_size, steps, seeds[k], augment, device
        )
        module = net.trainable(start)
        if 0 in kept:
            kept[0].append(start)
        for step, loss in enumerate(_descend(module, batches, rates, optimiser, schedule), 1):
            losses[step - 1, k] = loss
            if step in kept:
                kept[step].append(net.state(module))
            if progress is not None:
                progress(k * steps + step, members * steps)
        final.append(net.state(module))
    params = stack(final)
    return Population(params, losses, *_divergence(params, losses), {step: stack(found) for step, found in kept.items()})


def _batches(
    net: ResNet,
    x: Tensor,
    y: Tensor,
    bag: Tensor,
    batch: int,
    steps: int,
    seeds: Seeds,
    augment: Augment | None,
    device: torch.device,
) -> Iterator[tuple[Float[Tensor, "B 3 h w"], Tensor]]:
    """Standardised minibatches with their targets, in the order of a population's member."""
    order, change = Order(bag.cpu(), seeds), None if augment is None else augment([seeds])
    for step in range(steps):
        rows = order.take(batch)
        inputs = net.standardised(x.index_select(0, rows.to(x.device)).to(device))
        targets = y.index_select(0, rows.to(y.device)).to(device)
        yield inputs if change is None else change(inputs[None], step)[0], targets


def _descend(
    module: torch.nn.Module,
    batches: Iterator[tuple[Tensor, Tensor]],
    rates: dict[str, float],
    optimiser: str,
    schedule: Schedule | None,
) -> Iterator[Float[Tensor, ""]]:
    """Train the module in place, a step for each minibatch; yields each step's loss before its update."""
    if optimiser == "sgd":
        update = torch.optim.SGD(module.parameters(), **rates)
    else:
        update = torch.optim.AdamW(module.parameters(), lr=rates["lr"], weight_decay=rates["weight_decay"])
    for step, (inputs, targets) in enumerate(batches):
        for group in update.param_groups:
            group["lr"] = rates["lr"] * (1.0 if schedule is None else schedule(step))
        # For targets that are weights of classes it is -sum_c q_c log p_c, though they lack mass.
        loss = F.cross_entropy(module(inputs).logits, targets)
        update.zero_grad()
        loss.backward()
        update.step()
        yield loss.detach()


def _divergence(params: Params, losses: Float[Tensor, "steps K"]) -> tuple[Bool[Tensor, "K"], Int[Tensor, "K"]]:
    """Flags and first bad step, as `lib.population` has them; the state after the last step counts as step number `steps`."""
    finite = torch.stack([value.isfinite().flatten(1).all(1) for value in params.values()]).all(0)
    bad = torch.cat([~losses.isfinite(), ~finite[None]])
    return bad.any(0), torch.where(bad.any(0), bad.int().argmax(0), -1)
