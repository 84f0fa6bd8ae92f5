"""Experts: networks trained on a whole task, kept as they were after chosen epochs, whose early logits make soft labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor
from torch.nn.functional import cross_entropy

from lib.distillation.fitting import fit, tenths
from lib.distillation.task import Task
from lib.nets import Net, Params
from lib.population import Augment, Hyperparameters, Population, Progress, evaluate, predict, stack
from lib.seeds import Seeds

ROWS_AT_ONCE = 8192


@dataclass(frozen=True, eq=False)
class Experts:
    """E experts after each stored epoch [qin2024].

    `snapshots`: epoch -> stacked parameters [E, ...], epochs ascending; 0 is the start. `accuracy` [epochs, E]: in % of the
    task's validation images, for choosing among them.
    """

    net: Net
    snapshots: Mapping[int, Params]
    accuracy: Float[Tensor, "epochs E"]

    @property
    def epochs(self) -> tuple[int, ...]:
        """The stored epochs, ascending."""
        return tuple(self.snapshots)

    def after(self, epoch: int) -> Params:
        """Stacked parameters [E, ...]. ValueError that lists the stored epochs for another one."""
        if epoch not in self.snapshots:
            raise ValueError(f"epoch: got {epoch}, stored are {', '.join(map(str, self.snapshots))}")
        return self.snapshots[epoch]

    def logits(self, epoch: int, x: Shaped[Tensor, "n ..."]) -> Float[Tensor, "E n C"]:
        """z of every expert for the rows x as they are, without dropout or augmentation, as float64.

        Errors: ValueError as in `after`; as `lib.population.predict` for no rows.
        """
        return predict(self.net, self.after(epoch), x).double()

    def losses(self, epoch: int, x: Shaped[Tensor, "n ..."], y: Int64[Tensor, "n"]) -> Float[Tensor, "E n"]:
        """Cross-entropy -ln p_y of every expert on each row, in nats, float64. Errors as in `logits`."""
        parts = []
        for rows in torch.arange(len(x)).split(ROWS_AT_ONCE):
            z = self.logits(epoch, x[rows.to(x.device)])
            parts.append(cross_entropy(z.mT, y[rows.to(y.device)].expand(len(z), -1), reduction="none"))
        return torch.cat(parts, dim=1)

    def only(self, i: int) -> "Experts":
        """Expert i alone, E = 1. ValueError for one that there is not."""
        if i not in range(count := self.accuracy.shape[1]):
            raise ValueError(f"i: got {i}, allowed are 0 to {count - 1}, the experts")
        alone = {epoch: {name: value[i : i + 1] for name, value in params.items()} for epoch, params in self.snapshots.items()}
        return Experts(self.net, alone, self.accuracy[:, i : i + 1])

    def accuracy_on(self, x: Shaped[Tensor, "n ..."], y: Int64[Tensor, "n"]) -> Float[Tensor, "epochs E"]:
        """Accuracy after every stored epoch in % of these rows."""
        return _accuracies(self.net, self.snapshots, x, y)


def train_experts(
    task: Task,
    net: Net,
    *,
    experts: int,
    epochs: Sequence[int],
    batch_size: int,
    lr: float,
    momentum: float,
    seeds: Seeds,
    weight_decay: float = 0.0,
    decay_every: int = 0,
    augment: Augment | None = None,
    members_at_once: int | None = None,
    progress: Progress | None = None,
) -> Experts:
    """Train `experts` copies of `net` on the training part by SGD, and keep them after `epochs`.

    Epoch e ends at the step nearest to e n / batch_size; training ends with the last of `epochs` (ascending; 0 keeps the
    start). The rate is constant, or falls to a tenth after every `decay_every` epochs. Images are as `augment` changes them.
    Expert i has its start and all that is random from `seeds.child("expert", i)` alone, however many there are.
    Errors: ValueError for epochs out of order, batches larger than the training part, nets with another number of outputs than
    classes, and as `lib.population.train`. RuntimeError naming the first expert that diverged.
    """
    steps = _last_steps(epochs, len(task.x_train), batch_size)
    fall = round(decay_every * len(task.x_train) / batch_size)
    if experts < 1:
        raise ValueError(f"experts: got {experts}, allowed are whole numbers >= 1")
    nodes = [seeds.child("expert", i) for i in range(experts)]
    starts = stack([net.init(node.child("start")) for node in nodes])
    starts = {name: value.to(task.y_train.device) for name, value in starts.items()}
    outputs = predict(net, starts, task.x_train[:1]).shape[-1]
    if outputs != task.classes:
        raise ValueError(f"net: got {outputs} outputs, allowed are {task.classes}, one for each class of {task.name!r}")
    population = fit(
        net, starts, task.x_train, task.y_train,
        members=experts, steps=steps[-1], batch_size=batch_size,
        hyper=Hyperparameters(lr=lr, momentum=momentum, weight_decay=weight_decay), seeds=nodes, optimiser="sgd",
        schedule=tenths(fall) if fall else None, augment=augment, snapshots=steps,
        members_at_once=members_at_once, progress=progress,
    )  # fmt: skip
    _refuse_divergence(population, lr)
    snapshots = {epoch: population.snapshots[step] for epoch, step in zip(epochs, steps, strict=True)}
    return Experts(net, snapshots, _accuracies(net, snapshots, task.x_validation, task.y_validation))


def _last_steps(epochs: Sequence[int], rows: int, batch_size: int) -> list[int]:
    """The number of steps after which each epoch is over."""
    if not epochs or epochs[0] < 0 or epochs[-1] < 1 or any(a >= b for a, b in pairwise(epochs)):
        raise ValueError(f"epochs: got {list(epochs)}, allowed are ascending whole numbers >= 0 that end above 0")
    if not 1 <= batch_size <= rows:
        raise ValueError(f"batch_size: got {batch_size}, allowed are 1 to {rows}, the rows of the training part")
    return [round(epoch * rows / batch_size) for epoch in epochs]


def _refuse_divergence(population: Population, lr: float) -> None:
    if population.diverged.any():
        i = int(population.diverged.int().argmax())
        at = int(population.diverged_at[i])
        raise RuntimeError(f"experts: expert {i} diverged at step {at} of {len(population.losses)}; lower lr = {lr:g}")


def _accuracies(net: Net, snapshots: Mapping[int, Params], x: Tensor, y: Tensor) -> Float[Tensor, "epochs E"]:
    counts = torch.stack([evaluate(net, params, x, y) for params in snapshots.values()])
    return 100 * counts.double() / len(y)
