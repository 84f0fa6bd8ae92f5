"""Students: networks trained on few images under different labels, on equal terms, so that differences are the labels' own."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Int64, Shaped
from torch import Tensor

from lib.distillation.fitting import cosine, fit, quarterly
from lib.distillation.labels import check_labels
from lib.nets import Net, Params
from lib.population import Augment, Hyperparameters, Progress, evaluate, stack
from lib.seeds import Seeds

SCHEDULES = {"sgd": quarterly, "adamw": cosine}  # by optimiser, as in the reference code


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

    def accuracy(self, x: Shaped[Tensor, "n ..."], y: Int64[Tensor, "n"]) -> Float[Tensor, "A S"]:
        """In % of these rows. ValueError for no rows and for another number of labels."""
        return (100 * evaluate(self.net, self.params, x, y).double() / len(y)).view(self.losses.shape[1:])

    def class_accuracy(self, x: Shaped[Tensor, "n ..."], y: Int64[Tensor, "n"], subject: int) -> Float[Tensor, "A S"]:
        """In % of the rows of class `subject`: above 0 though no image of it was seen is zero-shot transfer.

        Errors: ValueError for a class of which there are no rows.
        """
        mine = y == subject
        if not mine.any():
            raise ValueError(f"subject: got {subject}, allowed are classes with rows here, of {int(y.min())} to {int(y.max())}")
        return self.accuracy(x[mine], y[mine])


def train_students(
    net: Net,
    x: Shaped[Tensor, "n ..."],
    arms: Sequence[Arm],
    *,
    students: int,
    steps: int,
    batch_size: int,
    lr: float | Sequence[float],
    momentum: float,
    weight_decay: float,
    seeds: Seeds,
    optimiser: str = "sgd",
    augment: Augment | None = None,
    members_at_once: int | None = None,
    progress: Progress | None = None,
) -> Students:
    """Train `students` fresh networks on the same images under each arm's labels, on the loss -sum_c q_c log p_c [qin2024].

    Equal steps for all arms. The rate (one, or one for each arm) falls to 0.3 of itself every quarter for sgd, by a cosine to 0
    for adamw. `batch_size` is cut to n where there are fewer images. Images are as `augment` changes them, labels are not.
    Student s has its start and all that is random from `seeds.child("student", s)` alone.
    Errors: ValueError for no arms, equal names, labels that are no parts of distributions or do not fit images, net or each
    other, and as `lib.population.train`. RuntimeError naming the first arm and student that diverged.
    """
    rates = _checked(x, arms, students, lr, optimiser)
    nodes, count = [seeds.child("student", s) for s in range(students)], len(arms)
    starts = stack([net.init(node.child("start")) for node in nodes])
    like, everyone = x.new_empty(0, dtype=x.dtype if x.is_floating_point() else torch.float32), torch.arange(len(x))
    sets = {id(arm.labels): arm.labels for arm in arms}  # an arm at several rates has its labels once
    place = {key: i for i, key in enumerate(sets)}
    population = fit(
        net, {name: torch.cat([value.to(like)] * count) for name, value in starts.items()},
        x, torch.stack([labels.to(like) for labels in sets.values()]),
        members=count * students, steps=steps, batch_size=min(batch_size, len(x)), seeds=nodes * count, optimiser=optimiser,
        hyper=Hyperparameters(lr=rates.repeat_interleave(students), momentum=momentum, weight_decay=weight_decay),
        schedule=SCHEDULES[optimiser](steps), subsets=[everyone if arm.rows is None else arm.rows for arm in arms for _ in nodes],
        label_sets=[place[id(arm.labels)] for arm in arms for _ in nodes], partial_targets=True, augment=augment,
        members_at_once=members_at_once, progress=progress,
    )  # fmt: skip
    if population.diverged.any():
        worst = int(population.diverged.int().argmax())
        a, s, at = worst // students, worst % students, int(population.diverged_at[worst])
        raise RuntimeError(f"arm {arms[a].name!r}: student {s} diverged at step {at} of {steps}; lower lr = {float(rates[a]):g}")
    return Students(net, tuple(arm.name for arm in arms), population.params, population.losses.view(steps, count, students))


def _checked(x: Tensor, arms: Sequence[Arm], students: int, lr: float | Sequence[float], optimiser: str) -> Float[Tensor, "A"]:
    """Each arm's learning rate, if the arms are sound."""
    if optimiser not in SCHEDULES:
        raise ValueError(f"optimiser: got {optimiser!r}, allowed are {', '.join(SCHEDULES)}")
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
