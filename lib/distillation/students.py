"""Students: networks trained on few images under different labels, on equal terms, so that differences are the labels' own."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from lib.distillation.labels import check_labels
from lib.nets import Net, Params
from lib.population import Hyperparameters, Progress, Schedule, evaluate, stack, train
from lib.seeds import Seeds

DECAY, STAGES = 0.3, 4


@dataclass(frozen=True, eq=False)
class Arm:
    """One way of labelling the images: `labels` [n, C] for all of them, of which students see `rows` only, or all.

    Rows of labels may sum to less than 1; nothing is renormalised.
    """

    name: str
    labels: Float[Tensor, "n C"]
    rows: Int[Tensor, "m"] | None = None


@dataclass(frozen=True, eq=False)
class Students:
    """S students of each of A arms. `params`: stacked [A * S, ...], arm after arm. `losses` [steps, A, S]: of each minibatch.

    Student s of every arm has the same start and, where arms have equally many rows, the same minibatches in the same order:
    compare arms by differences within a student.
    """

    net: Net
    arms: tuple[str, ...]
    params: Params
    losses: Float[Tensor, "steps A S"]

    def accuracy(self, x: Float[Tensor, "n ..."], y: Int64[Tensor, "n"]) -> Float[Tensor, "A S"]:
        """In % of these rows. ValueError for no rows and for another number of labels."""
        return (100 * evaluate(self.net, self.params, x, y).double() / len(y)).view(self.losses.shape[1:])

    def class_accuracy(self, x: Float[Tensor, "n ..."], y: Int64[Tensor, "n"], subject: int) -> Float[Tensor, "A S"]:
        """In % of the rows of class `subject`: above 0 though no image of it was seen is zero-shot transfer.

        Errors: ValueError for a class of which there are no rows.
        """
        mine = y == subject
        if not mine.any():
            raise ValueError(f"subject: got {subject}, allowed are classes with rows here, of {int(y.min())} to {int(y.max())}")
        return self.accuracy(x[mine], y[mine])


def train_students(
    net: Net,
    x: Float[Tensor, "n ..."],
    arms: Sequence[Arm],
    *,
    students: int,
    steps: int,
    batch_size: int,
    lr: float | Sequence[float],
    momentum: float,
    weight_decay: float,
    seeds: Seeds,
    members_at_once: int | None = None,
    progress: Progress | None = None,
) -> Students:
    """Train `students` fresh networks on the same images under each arm's labels, by SGD on -sum_c q_c log p_c [qin2024].

    Equal steps for all arms; the rate (one, or one for each arm) falls to 0.3 of itself every quarter. `batch_size` is cut to
    n where there are fewer images. Student s has its start and data order from `seeds.child("student", s)` alone.
    Errors: ValueError for no arms, equal names, labels that are no parts of distributions or do not fit images, net or each
    other, and as `lib.population.train`. RuntimeError naming the first arm and student that diverged.
    """
    rates = _checked(x, arms, students, lr)
    nodes, count = [seeds.child("student", s) for s in range(students)], len(arms)
    starts = stack([net.init(node.child("start")) for node in nodes])
    everyone = torch.arange(len(x))
    population = train(
        net, {name: torch.cat([value.to(x)] * count) for name, value in starts.items()},
        x, torch.stack([arm.labels.to(x) for arm in arms]),
        members=count * students, steps=steps, batch_size=min(batch_size, len(x)), seeds=nodes * count, optimiser="sgd",
        hyper=Hyperparameters(lr=rates.repeat_interleave(students), momentum=momentum, weight_decay=weight_decay),
        schedule=quarterly(steps), subsets=[everyone if arm.rows is None else arm.rows for arm in arms for _ in nodes],
        label_sets=[a for a in range(count) for _ in nodes], partial_targets=True,
        members_at_once=members_at_once, progress=progress,
    )  # fmt: skip
    if population.diverged.any():
        worst = int(population.diverged.int().argmax())
        a, s, at = worst // students, worst % students, int(population.diverged_at[worst])
        raise RuntimeError(f"arm {arms[a].name!r}: student {s} diverged at step {at} of {steps}; lower lr = {float(rates[a]):g}")
    return Students(net, tuple(arm.name for arm in arms), population.params, population.losses.view(steps, count, students))


def quarterly(steps: int) -> Schedule:
    """The factor on the rate at each step of `steps`: 0.3 to the number of quarters that are over."""
    return lambda step: DECAY ** (STAGES * step // steps)


def _checked(x: Tensor, arms: Sequence[Arm], students: int, lr: float | Sequence[float]) -> Float[Tensor, "A"]:
    """Each arm's learning rate, if the arms are sound."""
    names = [arm.name for arm in arms]
    if not arms or len(set(names)) < len(names):
        raise ValueError(f"arms: got {names}, allowed are one or more with names of their own")
    if students < 1:
        raise ValueError(f"students: got {students}, allowed are whole numbers >= 1")
    for arm in arms:
        try:
            check_labels(arm.labels, images=len(x), classes=arms[0].labels.shape[1])
        except ValueError as error:
            raise ValueError(f"arm {arm.name!r}: {error}") from None
    rates = torch.as_tensor(lr, dtype=torch.float64)
    if rates.dim() and len(rates) != len(arms):
        raise ValueError(f"lr: got {len(rates)} rates, allowed are one, or one for each of {len(arms)} arms")
    return rates.expand(len(arms))
